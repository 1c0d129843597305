//! Checks that the checks check: each rule is shown a small tree that breaks it, and one that does not.

use super::graph::Package;
use super::{Finding, RULES, Rule, Tree, borders, cface, events, graph, rust, texts, versions, vocabulary};

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Tree { files, packages: Vec::new() }
}

fn package(name: &str, manifest: &str, dependencies: &[(&str, bool)]) -> Package {
    let dependencies = dependencies.iter().map(|(name, dev)| ((*name).to_owned(), *dev)).collect();
    Package { name: name.to_owned(), manifest: manifest.to_owned(), dependencies }
}

const NONE: [usize; 0] = [];

/// The lines that a rule finds in one file with this path and text.
fn lines(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    let findings = rule(&tree(&[(path, text)]));
    assert!(findings.iter().all(|finding| finding.file == path), "{findings:?}");
    findings.iter().map(|finding| finding.line).collect()
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    let mut names: Vec<_> = RULES.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
}

#[test]
fn comments_strings_and_tests_are_not_code() {
    let text = "let a = \"std::fs\"; // std::fs\n/* std::fs /* nested */ */ let b = r#\"\"std::fs\"\"#;\nlet c = '\"'; f::<'a>(b'\\'', '\u{e9}'); code();\n";
    let code = rust::code_only(text);
    assert!(!code.contains("std::fs"), "{code}");
    assert!(code.contains("code();") && code.lines().count() == 3, "{code}");
    let code = rust::without_tests("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { if x {} }\n}\nfn c() {}\n");
    assert!(code.contains("fn a") && !code.contains("fn b") && code.contains("fn c"), "{code}");
}

#[test]
fn a_dependency_that_points_down_is_found() {
    let packages = vec![
        package("gosync-core", "core/Cargo.toml", &[("gosync-io", false), ("blake3", false)]),
        package("gosync-io", "io/Cargo.toml", &[("gosync-core", false)]),
        package("gosync-node", "bindings/node/Cargo.toml", &[("gosync-io", true)]),
        package("gosync-new", "new/Cargo.toml", &[]),
    ];
    let mut tree = tree(&[("core/Cargo.toml", "[dependencies]\nblake3 = \"1\"\ngosync-io.workspace = true\n")]);
    tree.packages = packages;
    let found: Vec<_> = graph::directions(&tree).into_iter().map(|it| (it.file, it.line)).collect();
    let expected = [("core/Cargo.toml", 3), ("bindings/node/Cargo.toml", 1), ("new/Cargo.toml", 1)];
    assert_eq!(found, expected.map(|(file, line)| (file.to_owned(), line)));
}

#[test]
fn a_library_in_the_wrong_package_is_found() {
    let mut tree = tree(&[]);
    tree.packages = vec![
        package("gosync-cli", "cli/Cargo.toml", &[("clap", false), ("reqwest", false), ("tempfile", true)]),
        package("gosync-io", "io/Cargo.toml", &[("reqwest", false)]),
    ];
    let found = graph::libraries(&tree);
    assert_eq!(found, [Finding::new("cli/Cargo.toml", 1, "reqwest is not for gosync-cli")]);
}

#[test]
fn core_that_looks_outside_is_found() {
    let rule = borders::core_is_pure;
    assert_eq!(lines(rule, "core/src/a.rs", "//! std::fs is not here\nuse std::fs::File;\n"), [2]);
    assert_eq!(lines(rule, "core/src/a.rs", "use std::time::{Duration, Instant};\n"), [1]);
    assert_eq!(lines(rule, "core/src/a.rs", "use std::{\n    io,\n    net,\n};\n"), [3]);
    assert_eq!(lines(rule, "core/src/a.rs", "use std::{time::{Duration, SystemTime}, io};\n"), [1]);
    assert_eq!(lines(rule, "core/src/a.rs", "use std::time::Duration;\n#[cfg(test)]\nmod t { use std::fs; }\n"), NONE);
    assert_eq!(lines(rule, "io/src/a.rs", "use std::fs;\n"), NONE);
}

#[test]
fn a_library_that_prints_is_found() {
    let rule = borders::libraries_are_silent;
    assert_eq!(lines(rule, "io/src/a.rs", "fn a() {\n    eprintln!(\"x\");\n}\n"), [2]);
    assert_eq!(lines(rule, "core/src/a.rs", "fn a() {\n    log::info!(\"x\");\n}\n"), [2]);
    assert_eq!(lines(rule, "bindings/common/src/a.rs", "use std::env;\n"), [1]);
    assert_eq!(lines(rule, "ffi/build.rs", "fn main() { println!(\"cargo::x\"); }\n"), NONE);
    assert_eq!(lines(rule, "cli/src/a.rs", "fn a() { println!(\"x\"); }\n"), NONE);
    assert_eq!(lines(rule, "io/src/a.rs", "let catalog = dialog::open(); // println!()\n"), NONE);
}

#[test]
fn events_that_are_not_listed_or_not_told_are_found() {
    let check = |list: &str| {
        let code = "x.event(\n    Level::Info,\n    \"begun\",\n);\ny.event(Level::Info, kind, \"a text\");\nlet kind = \"ended\";\n";
        let tree = tree(&[("docs/events.md", list), ("io/src/a.rs", code)]);
        let findings = events::events_are_listed(&tree);
        findings.iter().map(|finding| (finding.file.clone(), finding.line)).collect::<Vec<_>>()
    };
    assert_eq!(check("| `begun` | info |\n| `ended` | info |\n"), []);
    assert_eq!(check("| `ended` | info |\n"), [("io/src/a.rs".into(), 1)]);
    assert_eq!(check("# Events\n| `begun` | info |\n| `other` | info |\n"), [("docs/events.md".into(), 3)]);
}

#[test]
fn unsafe_code_out_of_place_or_without_a_reason_is_found() {
    let rule = borders::unsafe_has_its_places;
    assert_eq!(lines(rule, "io/src/a.rs", "fn a() {\n    // SAFETY: no\n    unsafe { b() }\n}\n"), [3]);
    assert_eq!(lines(rule, "ffi/src/a.rs", "fn a() {\n    unsafe { b() }\n}\n"), [2]);
    assert_eq!(lines(rule, "ffi/src/a.rs", "unsafe impl Send for A {}\n"), [1]);
    let sound = "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn a() {\n    // SAFETY: yes\n    unsafe { b() }\n}\n";
    assert_eq!(lines(rule, "ffi/src/a.rs", sound), NONE);
    assert_eq!(lines(rule, "core/src/a.rs", "#![forbid(unsafe_code)]\n// unsafe\n"), NONE);
}

#[test]
fn a_binding_that_goes_past_the_shim_is_found() {
    let rule = cface::bindings_use_the_shim;
    assert_eq!(lines(rule, "bindings/python/src/a.rs", "\nlet a = gosync_index_free(b);\n"), [2]);
    assert_eq!(lines(rule, "bindings/node/src/a.rs", "use gosync_ffi::gosync_index;\n"), [1]);
    assert_eq!(lines(rule, "bindings/node/src/a.rs", "use gosync_binding::Index;\nfn gosync_native() {}\n"), NONE);
}

const EXPORT: &str = "#[unsafe(no_mangle)]\npub extern \"C\" fn gosync_a() {}\n";

#[test]
fn a_c_function_that_nobody_uses_is_found() {
    let check = |shim, list| {
        let files =
            [("ffi/src/a.rs", EXPORT), ("bindings/common/src/a.rs", shim), ("bindings/common/unused.txt", list)];
        let found = cface::every_function_is_used(&tree(&files));
        found.into_iter().map(|finding| (finding.file, finding.line)).collect::<Vec<_>>()
    };
    let at = |file: &str, line| vec![(file.to_owned(), line)];
    assert_eq!(check("// gosync_a()", ""), at("ffi/src/a.rs", 2));
    assert_eq!(check("gosync_a();", "").len(), 0);
    assert_eq!(check("", "# reasons\ngosync_a: for C only\n").len(), 0);
    assert_eq!(check("gosync_a();", "gosync_a: for C only\n"), at("bindings/common/unused.txt", 1));
    assert_eq!(check("gosync_a();", "gosync_b: gone\n"), at("bindings/common/unused.txt", 1));
    assert_eq!(check("", "gosync_a\n").len(), 2);
}

#[test]
fn a_file_without_a_head_is_found() {
    assert_eq!(lines(texts::heads, "io/src/a.rs", "use std::fs;\n"), [1]);
    assert_eq!(lines(texts::heads, "io/src/a.rs", "\n//! Head.\n"), NONE);
    assert_eq!(lines(texts::heads, "examples/a.py", "import os\n"), [1]);
    assert_eq!(lines(texts::heads, "examples/a.py", "#!/usr/bin/env python3\n\"\"\"Head.\"\"\"\n"), NONE);
    assert_eq!(lines(texts::heads, "examples/a.mjs", "import 'fs'\n"), [1]);
    assert_eq!(lines(texts::heads, "docs/a.md", "text\n"), NONE);
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let long = "//! Head.\n".repeat(501);
    assert_eq!(lines(texts::lengths, "io/src/a.rs", &long), [501]);
    assert_eq!(lines(texts::lengths, "io/tests/a.rs", &long), NONE);
    assert_eq!(lines(texts::lengths, "docs/a.md", &long), NONE);
    assert_eq!(lines(texts::lengths, "include/a.h", &format!("/* Generated by cbindgen */\n{long}")), NONE);
}

#[test]
fn texts_of_one_machine_and_unfinished_work_are_found() {
    let rule = texts::forbidden;
    assert_eq!(lines(rule, "docs/a.md", &format!("see\n/{}/main\n", "work")), [2]);
    assert_eq!(lines(rule, "docs/a.md", &format!("https://{}.org/x\n", "pypi")), [1]);
    assert_eq!(lines(rule, "io/src/a.rs", &format!("// {}: later\n", "TO".to_owned() + "DO")), [1]);
    assert_eq!(lines(rule, "docs/a.md", "a framework/ and XXXXXX\n"), NONE);
}

#[test]
fn a_new_top_level_folder_is_found() {
    assert_eq!(lines(texts::folders, "misc/a.md", ""), [1]);
    assert_eq!(lines(texts::folders, "docs/a.md", ""), NONE);
    assert_eq!(lines(texts::folders, "README.md", ""), NONE);
}

#[test]
fn foreign_words_in_public_names_are_found() {
    let rule = vocabulary::public_words;
    assert_eq!(lines(rule, "core/src/a.rs", "pub struct ChunkList;\n"), [1]);
    assert_eq!(lines(rule, "core/src/a.rs", "pub struct A {\n    pub segments: u32,\n}\n"), [2]);
    assert_eq!(lines(rule, "io/src/a.rs", "pub const unsafe extern \"C\" fn read_delta() {}\n"), [1]);
    assert_eq!(lines(rule, "core/src/a.rs", "pub(crate) struct Chunk;\nfn span() {}\npub fn expansion() {}\n"), NONE);
    assert_eq!(lines(rule, "include/gosync.h", "/* a chunk */\nvoid gosync_manifest_free(void);\n"), [2]);
    assert_eq!(lines(rule, "bindings/python/a.pyi", "\"\"\"Head.\"\"\"\nclass Manifest: ...\n"), [2]);
}

#[test]
fn a_second_version_number_is_found() {
    let root = "[workspace.package]\nversion = \"1.2.3\"\n\n[workspace.dependencies]\na = { path = \"a\", version = \"1.2.3\" }\n";
    let check = |path: &str, text: &str| {
        let found = versions::one_version(&tree(&[("Cargo.toml", root), (path, text)]));
        found.into_iter().map(|finding| (finding.file, finding.line)).collect::<Vec<_>>()
    };
    let at = |file: &str, line| vec![(file.to_owned(), line)];
    assert_eq!(
        check("bindings/node/package.json", "{\n  \"version\": \"1.2.4\"\n}"),
        at("bindings/node/package.json", 2)
    );
    assert_eq!(check("bindings/node/package.json", "{ \"version\": \"1.2.3\" }").len(), 0);
    let toml = "bindings/python/pyproject.toml";
    assert_eq!(check(toml, "[project]\nversion = \"1.0.0\"\n"), at(toml, 1));
    assert_eq!(check(toml, "[project]\ndynamic = [\"version\"]\n").len(), 0);
    assert_eq!(check("CHANGELOG.md", "# Changes\n\n## 1.2.2\n"), at("CHANGELOG.md", 1));
    let stale = root.replace("a\", version = \"1.2.3\"", "a\", version = \"1.2.2\"");
    assert_eq!(
        versions::one_version(&tree(&[("Cargo.toml", &stale)])),
        [Finding::new("Cargo.toml", 5, "not version 1.2.3")]
    );
    let mut member = tree(&[("Cargo.toml", root), ("a/Cargo.toml", "[package]\nversion = \"1.2.3\"\n")]);
    member.packages = vec![package("a", "a/Cargo.toml", &[])];
    assert_eq!(versions::one_version(&member).len(), 1);
}
