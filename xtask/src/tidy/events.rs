//! Every kind of event that the library tells is in docs/events.md, and every one that is there is told.

use std::collections::BTreeSet;

use super::{Finding, Tree};

const LIST: &str = "docs/events.md";
/// Where events come from.
const TELLERS: &str = "io/src/";

pub(crate) fn events_are_listed(tree: &Tree) -> Vec<Finding> {
    let Some(list) = tree.files.get(LIST) else { return vec![Finding::new(LIST, 1, "the list of events is gone")] };
    let listed = |line: &str| line.strip_prefix("| `").and_then(|rest| rest.split('`').next()).map(str::to_owned);
    let kinds: BTreeSet<String> = list.lines().filter_map(listed).collect();
    let tellers = || tree.files.iter().filter(|(path, _)| path.starts_with(TELLERS) && path.ends_with(".rs"));
    let mut findings = Vec::new();
    for (path, text) in tellers() {
        for (at, _) in text.match_indices(".event(") {
            let Some(kind) = kind(&text[at..]).filter(|kind| !kinds.contains(*kind)) else { continue };
            let line = text[..at].matches('\n').count() + 1;
            findings.push(Finding::new(path, line, format!("the event `{kind}` is not in {LIST}")));
        }
    }
    for (number, line) in (1..).zip(list.lines()) {
        let Some(kind) = listed(line) else { continue };
        let quoted = format!("\"{kind}\"");
        if !tellers().any(|(_, text)| text.contains(&quoted)) {
            findings.push(Finding::new(LIST, number, format!("nobody tells the event `{kind}`")));
        }
    }
    findings
}

/// The kind in a call: what follows the level, unless it is put together elsewhere.
fn kind(call: &str) -> Option<&str> {
    let (_level, rest) = call.split_once(',')?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}
