//! The public nouns: one concept has one name in every face, and these names are none of them.

use super::rust::{code_only, line_of, name_at, without_tests, words};
use super::{Finding, Tree};

/// Names that other tools use for what has another name here.
const FOREIGN: &[&str] = &["chunk", "segment", "span", "manifest", "delta"];

/// What `pub` makes public, and what may stand between.
const ITEMS: &[&str] = &["fn", "struct", "enum", "union", "trait", "type", "mod", "const", "static"];
const BETWEEN: &[&str] = &["async", "unsafe", "extern", "const"];

/// Public items of the libraries, names in the header, and names in the typings.
pub(crate) fn public_words(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files_in(&["core/src/", "io/src/", "ffi/src/", "bindings/common/src/"], ".rs") {
        let code = code_only(text);
        let code = without_tests(&code);
        for at in words(&code, "pub") {
            if let Some((at, name)) = public_name(&code, at + "pub".len()) {
                findings.extend(judge(path, &code, at, name));
            }
        }
    }
    for (path, text) in tree.files_in(&["include/"], ".h") {
        for at in starts(text, "gosync_").chain(starts(text, "GOSYNC_")) {
            findings.extend(judge(path, text, at, name_at(text, at)));
        }
    }
    for (path, text) in tree.files_in(&["bindings/"], ".pyi").chain(tree.files_in(&["bindings/node/"], ".d.ts")) {
        for word in ["class", "def", "interface", "function", "const", "type"] {
            for at in words(text, word) {
                let at = at + word.len() + 1;
                if text.is_char_boundary(at) && at < text.len() {
                    findings.extend(judge(path, text, at, name_at(text, at)));
                }
            }
        }
    }
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    findings.dedup();
    findings
}

fn starts<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(prefix).map(|(at, _)| at)
}

/// The name that the `pub` before `at` makes public: an item's, or a field's.
fn public_name(code: &str, mut at: usize) -> Option<(usize, &str)> {
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        let word = name_at(code, at);
        let next = at + word.len();
        let after = code[next..].trim_start();
        match word {
            // `pub(crate)` is not public; `extern "C"` has lost its string.
            "" => return None,
            "const" if BETWEEN.contains(&name_at(after, 0)) || name_at(after, 0) == "fn" => at = next,
            _ if ITEMS.contains(&word) => {
                let start = next + (code[next..].len() - after.len());
                return Some((start, name_at(code, start)));
            }
            _ if BETWEEN.contains(&word) => at = next,
            _ => return after.starts_with(':').then_some((at, word)),
        }
    }
}

fn judge(path: &str, text: &str, at: usize, name: &str) -> Option<Finding> {
    let parts = parts(name);
    let found =
        FOREIGN.iter().find(|word| parts.iter().any(|part| part == *word || part.strip_suffix('s') == Some(word)))?;
    Some(Finding::new(path, line_of(text, at), format!("`{name}`: {found} is not a word of gosync's")))
}

/// `chunk_count`, `ChunkCount` and `CHUNK_COUNT` in small words.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut small_before = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && small_before) {
            parts.push(String::new());
        }
        small_before = letter.is_lowercase();
        if let Some(part) = parts.last_mut().filter(|_| letter != '_') {
            part.extend(letter.to_lowercase());
        }
    }
    parts
}
