//! The C functions: only the shim calls them from Rust, and each has a caller or a reason.

use std::collections::BTreeSet;

use super::rust::{code_only, is_name, line_of, name_at, words};
use super::{Finding, Tree};

/// Where functions are listed that no language needs, each with its reason: `name: reason`.
const UNUSED: &str = "bindings/common/unused.txt";

/// Python and Node reach gosync through `bindings/common` alone.
pub(crate) fn bindings_use_the_shim(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files_in(&["bindings/python/", "bindings/node/"], ".rs") {
        let code = code_only(text);
        for crate_name in ["gosync_ffi", "gosync_io", "gosync_core"] {
            for at in words(&code, crate_name) {
                findings.push(Finding::new(path, line_of(&code, at), format!("{crate_name} is not for this binding")));
            }
        }
        for (at, _) in code.match_indices("gosync_") {
            let name = name_at(&code, at);
            let starts = at == 0 || !is_name(code.as_bytes()[at - 1]);
            let is_definition = code[..at].trim_end().ends_with("fn");
            if starts && !is_definition && code[at + name.len()..].trim_start().starts_with('(') {
                findings.push(Finding::new(path, line_of(&code, at), format!("{name} is called past the shim")));
            }
        }
    }
    findings
}

/// The exported functions, with file and line.
pub(crate) fn exported(tree: &Tree) -> Vec<(String, String, usize)> {
    let mut functions = Vec::new();
    for (path, text) in tree.files_in(&["ffi/src/"], ".rs") {
        let code = code_only(text);
        for at in words(&code, "no_mangle") {
            let Some(found) = words(&code[at..], "fn").next() else { continue };
            let start = at + found + "fn ".len();
            functions.push((name_at(&code, start).to_owned(), path.to_owned(), line_of(&code, start)));
        }
    }
    functions
}

/// A C function that no binding uses is either missing from the bindings or not needed: someone has to say which.
pub(crate) fn every_function_is_used(tree: &Tree) -> Vec<Finding> {
    let functions = exported(tree);
    let shim: Vec<String> = tree.files_in(&["bindings/common/src/"], ".rs").map(|(_, text)| code_only(text)).collect();
    let is_used = |name: &str| shim.iter().any(|code| words(code, name).next().is_some());
    let mut listed = BTreeSet::new();
    let mut findings = Vec::new();
    let reasons = tree.files.get(UNUSED).map(String::as_str).unwrap_or_default();
    for (index, line) in reasons.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, reason) = line.split_once(':').unwrap_or((line, ""));
        let what = match () {
            () if reason.trim().is_empty() => format!("{name} is listed without a reason"),
            () if !functions.iter().any(|(function, ..)| function == name) => format!("{name} is not exported"),
            () if is_used(name) => format!("{name} is used by the shim"),
            () => {
                listed.insert(name);
                continue;
            }
        };
        findings.push(Finding::new(UNUSED, index + 1, what));
    }
    for (name, path, line) in &functions {
        if !is_used(name) && !listed.contains(name.as_str()) {
            let what = format!("{name} is neither used in bindings/common nor listed in {UNUSED}");
            findings.push(Finding::new(path, *line, what));
        }
    }
    findings
}
