//! The `gosync` program as a process of its own, for tests that kill it, or that take away what it stands on.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::conformance::program::program;
use crate::run;
use crate::server::{Options, Server};

/// The name of the file that is updated.
pub const TARGET: &str = "app.bin";
/// The name of the index.
pub const INDEX: &str = "app.gosync";
/// What may be asked for and not yet written.
pub const IN_FLIGHT: u64 = 128 * 1024;
/// After this time an update counts as hanging.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// What makes a plan and an update the same each time, whatever the machine is doing.
pub fn steady(command: &mut Command) -> &mut Command {
    command.args(["--json", "--quiet", "--max-gap", "1", "--assume-rtt", "1ms", "--assume-rate", "5MB", "--thorough"]);
    command.args(["--max-bytes-in-flight", &IN_FLIGHT.to_string(), "--proxy", ""])
}

/// A run of the program, by itself or by `before`: strace, say, with its arguments.
pub fn run_by(before: &[&str]) -> Command {
    match before {
        [] => Command::new(program()),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program());
            command
        }
    }
}

/// What a process said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether it ended well.
    pub is_well: bool,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The last line, if it is JSON: a result or an error.
    pub last: Value,
    /// Everything, for messages.
    pub all: String,
}

impl Said {
    /// Out of what a process left.
    pub fn new(output: &Output) -> Said {
        let out = String::from_utf8_lossy(&output.stdout);
        let last = out.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let all = format!("{}: {out}{}", output.status, String::from_utf8_lossy(&output.stderr));
        Said { is_well: output.status.success(), signal: output.status.signal(), last, all }
    }

    /// The kind of the error, or nothing.
    pub fn kind(&self) -> &str {
        self.last["kind"].as_str().unwrap_or_default()
    }
}

/// The last line of what a verb says about `target` and an index at `index`.
#[track_caller]
pub fn plan(target: &Path, index: &Path) -> Value {
    let mut plan = Command::new(program());
    let said = run(steady(plan.arg("plan").arg(target).arg("--index").arg(index)));
    said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
}

/// What `verify` says of `target`.
#[track_caller]
pub fn verify(target: &Path, index: &Path) -> Said {
    let mut verify = Command::new(program());
    verify.arg("verify").arg(target).arg("--index").arg(index).args(["--json", "--quiet"]);
    Said::new(&verify.output().expect("a process"))
}

/// Writes an index of `content`.
#[track_caller]
pub fn index(content: &Path, index: &Path) {
    run(Command::new(program()).arg("index").arg(content).arg("--quiet").arg("-o").arg(index));
}

/// A version that is published, and one to update from.
pub struct Published {
    /// Who serves it, and counts.
    pub server: Server,
    /// The version before.
    pub old: Vec<u8>,
    /// The version that is published.
    pub new: Vec<u8>,
    /// Bytes of it that the old one has not, by what a plan says.
    pub missing: u64,
    folder: tempfile::TempDir,
}

impl Published {
    /// Publishes `new`; the server sends so many bytes in a second (0: as many as it can).
    #[track_caller]
    pub fn new(old: Vec<u8>, new: Vec<u8>, rate: u64) -> Published {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("content.bin"), &new).expect("the content");
        std::fs::write(path("old"), &old).expect("the old version");
        index(&path("content.bin"), &path(INDEX));
        let missing = plan(&path("old"), &path(INDEX))["to_fetch"].as_u64().expect("a plan");
        let server = Server::start(folder.path(), Options { rate, ..Options::default() }).expect("a server");
        Published { server, old, new, missing, folder }
    }

    /// Bytes of content that have been sent.
    pub fn sent(&self) -> u64 {
        self.server.sent("content.bin")
    }

    /// Where the index is.
    pub fn index(&self) -> PathBuf {
        self.folder.path().join(INDEX)
    }

    /// The update of `target` with these options, run by `before` (strace, say, with its arguments).
    pub fn update(&self, target: &Path, before: &[&str], options: &[&str]) -> Command {
        let mut command = run_by(before);
        command.arg("update").arg(target).args(["--index", &self.server.url(INDEX)]).args(options);
        steady(&mut command).stdin(Stdio::null());
        command
    }

    /// Runs one to its end; once `bytes` have been sent since the server was started, `meanwhile` is done.
    #[track_caller]
    pub fn run(&self, command: Command, bytes: u64, meanwhile: impl FnOnce()) -> Said {
        run_while(command, || self.sent() >= bytes, meanwhile)
    }
}

/// Runs a process to its end; once it is time for that, or it has ended, `meanwhile` is done.
#[track_caller]
pub fn run_while(mut command: Command, is_time: impl Fn() -> bool, meanwhile: impl FnOnce()) -> Said {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process");
    let end = Instant::now() + WATCHDOG;
    while !is_time() && child.try_wait().expect("a process").is_none() {
        assert!(Instant::now() < end, "{command:?} hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
    meanwhile();
    Said::new(&child.wait_with_output().expect("an end"))
}
