//! Disks that are full, broken, read-only, or changed by somebody else while an update is under way: a clear error, what was
//! at the target is there still, and what lies beside it is what the next update can use, or nothing. That one, once it can,
//! fetches only what is missing still.
//!
//! `files` are updates of a file, `trees` those of a directory, `full_trees` what becomes of these on full disks, and
//! `tree_site` is a directory on a server.
#![cfg(target_os = "linux")]

mod files;
mod full_trees;
mod tree_site;
mod trees;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use gosync_tests::run;

const MIB: usize = 1 << 20;

/// The next system calls of this name fail so, from the `when`-th of a thread on.
fn failing(call: &str, error: &str, when: &str) -> Vec<String> {
    let inject = format!("inject={call}:error={error}:when={when}");
    ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject, "--"]
        .map(str::to_owned)
        .to_vec()
}

const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn allow(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Bytes that are free on the disk of `folder`.
fn room(folder: &Path) -> u64 {
    let said = run(Command::new("df").args(["--block-size=1", "--output=avail"]).arg(folder));
    said.lines().last().and_then(|line| line.trim().parse().ok()).expect("a number")
}
