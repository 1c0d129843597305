//! What the cross-component tests share: data that is the same everywhere, the C library as a user has it installed,
//! C programs, and a small HTTP server that counts. The tests themselves are in `tests/tests`; the C programs that they
//! compile in `tests/c`; the vectors that all languages run in `tests/vectors`.

use std::path::{Path, PathBuf};
use std::process::Command;

pub mod c;
pub mod conformance;
pub mod data;
#[cfg(target_os = "linux")]
pub mod kill;
#[cfg(target_os = "linux")]
pub mod mounts;
#[cfg(unix)]
pub mod process;
#[cfg(target_os = "linux")]
pub mod real;
pub mod server;

/// The root of the tree.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Cargo's output folder, where tests also keep what they make.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Cargo, in the root of the tree, without what the cargo that runs the tests has set for them: libraries that look at
/// that would be built again each time.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    }) {
        command.env_remove(name);
    }
    command.current_dir(root());
    command
}

/// A vector file, as JSON.
pub fn vectors(name: &str) -> serde_json::Value {
    let path = root().join("tests/vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a command to its end and returns what it wrote to stdout; panics with everything it said if it fails.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

/// Whether a program that a test would like to use is there. Where `CI` is `true`, it has to be.
#[track_caller]
pub fn has(program: &str) -> bool {
    has_with(program, "--version")
}

/// As [`has`], for a program that shows its version by this option.
#[track_caller]
pub fn has_with(program: &str, option: &str) -> bool {
    let found = Command::new(program).arg(option).output().is_ok_and(|output| output.status.success());
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(found || !strict, "{program} is not installed");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}
