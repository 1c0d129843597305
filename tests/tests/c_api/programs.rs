//! The C test programs: each compiled strictly, linked both ways, run in a folder of its own, and once under valgrind.

use std::path::{Path, PathBuf};
use std::process::Command;

use gosync_tests::c::{Link, installed};
use gosync_tests::{has, root, run, vectors};
use serde_json::Value;

const LINKS: [Link; 2] = [Link::Shared, Link::Static];

fn source(name: &str) -> PathBuf {
    root().join("tests/c").join(name)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the program")
}

/// Compiles `name`.c and runs it with a folder and these arguments, linked both ways.
#[track_caller]
fn passes(name: &str, arguments: &[&Path]) {
    for link in LINKS {
        let program = installed().compile(name, link, &[source(&format!("{name}.c"))]);
        let folder = folder();
        let out = run(Command::new(program).arg(folder.path()).args(arguments));
        assert!(out.starts_with(name), "{out}");
    }
}

#[test]
fn verbs() {
    passes("verbs", &[]);
}

#[test]
fn trees() {
    passes("trees", &[]);
}

#[test]
fn sources() {
    passes("sources", &[]);
}

#[test]
fn arguments() {
    passes("arguments", &[]);
}

/// Index, plan and update over a source of the caller's need no socket: where opening one ends the program, it still passes.
#[test]
#[cfg(target_os = "linux")]
fn an_own_source_needs_no_socket() {
    let guard = installed().prefix().join("no_socket.so");
    run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&guard).arg(source("no_socket.c")));
    let program = installed().compile("sources", Link::Shared, &[source("sources.c")]);
    let folder = folder();
    run(Command::new(program).arg(folder.path()).env("LD_PRELOAD", &guard));
    // The guard guards: an update over HTTP does not get past it.
    let updater = installed().compile("updater", Link::Shared, &[root().join("examples/c/updater.c")]);
    let target = folder.path().join("target");
    let mut command = Command::new(updater);
    command.arg(target).arg("http://127.0.0.1:9/index").env("LD_PRELOAD", &guard);
    let output = command.output().expect("the program starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("a socket was opened"), "{output:?}");
}

/// No error that valgrind sees, and no definite leak. What it calls possible leaks are the standard library's own
/// blocks, one for each thread.
#[test]
fn nothing_leaks() {
    if !has("valgrind") {
        return;
    }
    for name in ["verbs", "trees", "sources", "arguments"] {
        let program = installed().compile(name, Link::Shared, &[source(&format!("{name}.c"))]);
        let folder = folder();
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
        run(command.arg("--show-leak-kinds=definite").arg(program).arg(folder.path()));
    }
}

#[test]
fn the_header_stands_alone() {
    for standard in ["c99", "c11", "c++11", "c++17"] {
        let folder = folder();
        let file = folder.path().join(if standard.starts_with("c++") { "alone.cpp" } else { "alone.c" });
        std::fs::write(&file, "#include <gosync.h>\n#include <gosync.h>\nextern int nothing;\n")
            .expect("a file to compile");
        installed().check(&file, standard);
    }
    for link in LINKS {
        let program = installed().compile("header", link, &[source("header_a.c"), source("header_b.c")]);
        assert_eq!(run(&mut Command::new(program)).trim(), env!("CARGO_PKG_VERSION"));
    }
}

/// The vectors as lines of words.
fn lines() -> String {
    let text = |entry: &Value, key: &str| match entry.get(key) {
        None => panic!("{key} is missing in {entry}"),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(yes)) => u8::from(*yes).to_string(),
        Some(other) => other.to_string(),
    };
    let words = |first: &str, entry: &Value, keys: &[&str]| {
        let words = keys.iter().map(|key| text(entry, key)).collect::<Vec<_>>();
        format!("{first} {}\n", words.join(" "))
    };
    let list = |value: Value| value.as_array().cloned().unwrap_or_default();
    let mut lines = String::new();
    for entry in list(vectors("index.json")) {
        lines += &words("index", &entry, &["format", "length", "block_size", "encoded_size", "root", "encoded_blake3"]);
    }
    for entry in list(vectors("bad_index.json")) {
        lines += &format!("bad {} {}-\n", text(&entry, "error"), text(&entry, "hex"));
    }
    for entry in list(vectors("errors.json")["errors"].take()) {
        lines += &words("error", &entry, &["number", "name", "retryable"]);
    }
    lines
}

#[test]
fn vectors_of_all_languages() {
    let (lines, folder) = (lines(), folder());
    for first in ["index ", "bad ", "error "] {
        assert!(lines.lines().any(|line| line.starts_with(first)), "no {first}vectors");
    }
    let file = folder.path().join("vectors");
    std::fs::write(&file, lines).expect("the vectors as lines");
    passes("vectors", &[&file]);
}
