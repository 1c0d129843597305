//! What code may reach: core nothing but memory, libraries no terminal, `unsafe` only where it belongs.

use super::rust::{code_only, line_of, name_at, without_tests, words};
use super::{Finding, Tree};

/// What would make core depend on the machine that it runs on.
const OUTSIDE: &[&str] =
    &["std::fs", "std::net", "std::env", "std::process", "std::os", "std::time::Instant", "std::time::SystemTime"];

/// What prints, or logs by the way of a global.
const PRINTING: &[&str] = &["println!", "eprintln!", "print!", "eprint!", "dbg!", "log::", "tracing::"];

/// Library code: it takes values and returns values.
const LIBRARIES: &[&str] = &["core/src/", "io/src/", "ffi/src/", "ffi/dist/src/", "bindings/"];

/// Where `unsafe` may stand: what speaks C, the kernels of core, and the one system call of the benchmark's link.
const UNSAFE_PLACES: &[&str] = &["ffi/", "bindings/common/", "core/src/weak/simd", "xtask/src/bench/net/tun.rs"];

/// Tests that call the C functions from Rust speak C as well.
const UNSAFE_TESTS: &[&str] = &["tests/"];

/// Core sees no files, sockets, clock, environment or terminal, in its tests neither.
pub(crate) fn core_is_pure(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files_in(&["core/src/"], ".rs") {
        let code = code_only(text);
        let code = without_tests(&code);
        for forbidden in OUTSIDE {
            for at in words(&code, forbidden) {
                findings.push(Finding::new(path, line_of(&code, at), format!("core must not use {forbidden}")));
            }
            findings.extend(grouped(path, &code, forbidden));
        }
    }
    findings
}

/// The same by `use std::{fs, time::{Duration, Instant}}`.
fn grouped(path: &str, code: &str, forbidden: &str) -> Vec<Finding> {
    let (module, item) = forbidden.rsplit_once("::").unwrap_or(("", forbidden));
    let mut findings = Vec::new();
    let mut report =
        |at| findings.push(Finding::new(path, line_of(code, at), format!("core must not use {forbidden}")));
    for (open, group) in groups(code, &format!("{module}::{{")) {
        words(group, item).for_each(|at| report(open + at));
    }
    if let Some(inner) = module.strip_prefix("std::") {
        for (open, group) in groups(code, "std::{") {
            words(group, &format!("{inner}::{item}")).for_each(|at| report(open + at));
            for (inner_open, inner_group) in groups(group, &format!("{inner}::{{")) {
                words(inner_group, item).for_each(|at| report(open + inner_open + at));
            }
        }
    }
    findings
}

/// The insides of every `prefix{…}`, where `prefix` ends with the brace.
fn groups<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    words(code, prefix).map(move |at| {
        let open = at + prefix.len();
        let mut depth = 1;
        let inside = code[open..].bytes().take_while(|byte| {
            depth += i32::from(*byte == b'{') - i32::from(*byte == b'}');
            depth > 0
        });
        (open, &code[open..open + inside.count()])
    })
}

/// Only the program reads arguments and environment, and only it prints.
pub(crate) fn libraries_are_silent(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files_in(LIBRARIES, ".rs") {
        let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
        if path.ends_with("/build.rs") || is_test || path.contains("/examples/") {
            continue;
        }
        let code = code_only(text);
        let code = without_tests(&code);
        for forbidden in PRINTING.iter().chain(&["std::env", "env::var", "env::args"]) {
            for at in words(&code, forbidden) {
                findings.push(Finding::new(path, line_of(&code, at), format!("library code must not use {forbidden}")));
            }
        }
    }
    findings
}

/// `unsafe` only in [`UNSAFE_PLACES`], and each block says why it is sound.
pub(crate) fn unsafe_has_its_places(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files_in(&[""], ".rs") {
        let allowed = UNSAFE_PLACES.iter().chain(UNSAFE_TESTS).any(|place| path.starts_with(place));
        let code = code_only(text);
        let lines: Vec<&str> = text.lines().collect();
        for at in words(&code, "unsafe") {
            let line = line_of(&code, at);
            if !allowed {
                findings.push(Finding::new(path, line, "unsafe code has no place here"));
            } else if needs_reason(&code, at) && !has_reason(&lines, line) {
                findings.push(Finding::new(path, line, "an unsafe block without a `// SAFETY:` line"));
            }
        }
    }
    findings
}

/// A block or an implementation does something unsafe; a signature or an attribute only names it.
fn needs_reason(code: &str, at: usize) -> bool {
    let rest = code[at + "unsafe".len()..].trim_start();
    rest.starts_with('{') || name_at(rest, 0) == "impl"
}

/// Whether `SAFETY:` stands on the line or in the statement's few lines above.
fn has_reason(lines: &[&str], line: usize) -> bool {
    let from = line.saturating_sub(8);
    lines[from..line].iter().any(|text| text.contains("SAFETY:"))
}
