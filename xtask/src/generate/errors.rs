//! `tests/vectors/errors.json`: the kinds of errors, as every language must know them.
//! Read from the one table in core, because this crate depends on none of gosync's.

use serde_json::{Value, json};

use super::Generated;
use crate::sh::{Result, fail};

const TABLE: &str = "core/src/error.rs";

/// One line of the table: `Variant = 1, "NAME", false;`, and the doc comment above it.
fn entry(line: &str, meaning: &str) -> Option<Value> {
    let (variant, rest) = line.strip_suffix(';')?.split_once(" = ")?;
    let [number, name, retryable] = rest.split(", ").collect::<Vec<_>>().try_into().ok()?;
    let number: i32 = number.parse().ok()?;
    let name = name.strip_prefix('"')?.strip_suffix('"')?;
    let retryable: bool = retryable.parse().ok()?;
    let group = match number {
        ..20 => "caller",
        20..40 => "local",
        40..60 => "source",
        60..80 => "data",
        80.. => "bug",
    };
    Some(json!({
        "number": number, "name": name, "variant": variant, "retryable": retryable, "group": group,
        "meaning": meaning.trim_end_matches('.'),
    }))
}

pub(super) fn generate() -> Result<Generated> {
    let text = std::fs::read_to_string(crate::paths::root().join(TABLE))?;
    let table = text.lines().skip_while(|line| *line != "kinds! {").skip(1).take_while(|line| *line != "}");
    let (mut errors, mut meaning) = (Vec::new(), String::new());
    for line in table.map(str::trim) {
        match line.strip_prefix("/// ") {
            Some(doc) => meaning = format!("{meaning} {doc}").trim().to_owned(),
            None => match entry(line, &std::mem::take(&mut meaning)) {
                Some(entry) => errors.push(entry),
                None => return fail(format!("{TABLE}: not a line of the table of kinds: {line}")),
            },
        }
    }
    if errors.is_empty() {
        return fail(format!("{TABLE}: the table of kinds is not where it was"));
    }
    let mut content = serde_json::to_string_pretty(&json!({ "errors": errors }))?;
    content.push('\n');
    Ok(Generated { path: "tests/vectors/errors.json", content })
}
