//! What the tests share: a folder to work in, runs of the program, and content to work on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own, in which the program runs.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A folder with `new`, its index `new.gosync`, and the older version `app`.
    pub(crate) fn with_release() -> (Self, Release) {
        let (folder, release) = (Folder::new(), Release::new());
        folder.write("new", &release.new);
        folder.write("app", &release.old);
        folder.gosync(["index", "new"]).expect_code(0);
        (folder, release)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, content: &[u8]) {
        std::fs::write(self.path(name), content).expect("a file to be written");
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("a file to be read")
    }

    /// The names in the folder, sorted: to see that nothing was left beside the target.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The same without what a failed update keeps for the next one.
    pub(crate) fn names_but_parts(&self) -> Vec<String> {
        self.names().into_iter().filter(|name| !name.ends_with(".gosync-part")).collect()
    }

    /// The program, about to run here.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gosync"));
        command.current_dir(self.0.path()).args(args).stdin(Stdio::null());
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn gosync<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        let mut command = self.command(args);
        // Under Wine a process now and then does not start ("wine client error"), which says nothing of the program.
        let internal = |cause: &std::io::Error| cfg!(windows) && cause.raw_os_error() == Some(1359);
        let mut output = command.output();
        for _ in 0..3 {
            if output.as_ref().is_err_and(internal) {
                output = command.output();
            }
        }
        Run::of(output.expect("the program to start"))
    }
}

/// A run that is over.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        self.expect_one_of(&[code])
    }

    #[track_caller]
    pub(crate) fn expect_one_of(self, codes: &[i32]) -> Self {
        assert!(
            self.code.is_some_and(|code| codes.contains(&code)),
            "exit code {:?}, expected one of {codes:?}\nstdout: {}\nstderr: {}",
            self.code,
            self.stdout,
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The one error line that a failed run shows.
    #[track_caller]
    pub(crate) fn error(&self) -> &str {
        let errors: Vec<_> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "one clear error expected\nstderr: {}", self.stderr);
        assert_eq!(self.stderr.lines().last(), Some(errors[0]), "the error comes last\nstderr: {}", self.stderr);
        assert_eq!(self.stdout, "", "no result beside the error");
        let message = &errors[0]["error: ".len()..];
        assert!(!self.stderr.contains(&format!("warning: {message}")), "said once\nstderr: {}", self.stderr);
        errors[0]
    }

    /// Every line of standard output, each of which must be one JSON object with an `event`.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(value["event"].is_string(), "{line}");
            value
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The last line of JSON, which must be the only result or error.
    #[track_caller]
    pub(crate) fn last(&self) -> Value {
        let lines = self.json();
        let is_end = |value: &&Value| value["event"] == "result" || value["event"] == "error";
        assert_eq!(lines.iter().filter(is_end).count(), 1, "{}", self.stdout);
        let last = lines.last().expect("a line").clone();
        assert!(is_end(&&last), "{}", self.stdout);
        last
    }
}

/// Two versions of a file that share most of their content.
pub(crate) struct Release {
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
}

impl Release {
    pub(crate) fn new() -> Self {
        let old = noise(1, 3_000_000);
        let mut new = noise(2, 777);
        new.extend_from_slice(&old[..1_000_000]);
        new.extend_from_slice(&noise(3, 50_000));
        new.extend_from_slice(&old[1_100_000..]);
        Release { old, new }
    }
}

/// Bytes that repeat nowhere and are the same for the same seed (xorshift).
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
