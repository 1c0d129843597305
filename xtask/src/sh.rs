//! Running other programs: what is run is shown, what fails says why.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a task stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It ran and was not successful.
    Failed(String),
    /// It could not run: a tool is not there.
    Missing(String),
}

pub(crate) type Result<T> = std::result::Result<T, Stop>;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Failed(why) => f.write_str(why),
            Stop::Missing(what) => write!(f, "not installed: {what} (`cargo xtask setup` installs it)"),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Stop::Failed(error.to_string())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Stop::Failed(error.to_string())
    }
}

/// A failure with this text.
pub(crate) fn fail<T>(why: impl Into<String>) -> Result<T> {
    Err(Stop::Failed(why.into()))
}

/// A program to run, from the root of the tree unless told otherwise.
pub(crate) struct Sh {
    command: Command,
    shown: String,
    quiet: bool,
}

/// Starts to describe a run of `program`.
pub(crate) fn sh(program: impl AsRef<OsStr>) -> Sh {
    let mut command = Command::new(program.as_ref());
    command.current_dir(crate::paths::root()).stdin(Stdio::null());
    // What the cargo that runs this task has set for it: libraries that look at that would be built again each time.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    Sh { command, shown: program.as_ref().to_string_lossy().into_owned(), quiet: false }
}

/// A run of cargo itself, the one that runs this task.
pub(crate) fn cargo() -> Sh {
    sh(cargo_path())
}

/// Where that is.
pub(crate) fn cargo_path() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// As [`sh`], but the program is ended after so many seconds: one that hangs is a failure, not a wait without end.
pub(crate) fn limited(seconds: u32, program: impl AsRef<OsStr>) -> Sh {
    sh("timeout").arg("--kill-after=10").arg(seconds.to_string()).arg(program)
}

impl Sh {
    /// Adds one argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    /// Adds arguments separated by white space.
    pub(crate) fn args(self, words: &str) -> Self {
        words.split_whitespace().fold(self, |sh, word| sh.arg(word))
    }

    /// Runs in this folder.
    pub(crate) fn within(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Takes environment variables away.
    pub(crate) fn without(mut self, keys: &[&str]) -> Self {
        for key in keys {
            self.command.env_remove(key);
        }
        self
    }

    /// Hides what the program prints, unless it fails.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Runs it; anything but success is a failure.
    pub(crate) fn run(mut self) -> Result<()> {
        if self.quiet {
            return self.read().map(drop);
        }
        println!("$ {}", self.shown);
        let status = self.command.status().map_err(|error| self.cannot_start(&error))?;
        if status.success() { Ok(()) } else { fail(format!("{}: {}", how(status), self.shown)) }
    }

    /// Runs it and returns what it printed to standard output.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self.command.output().map_err(|error| self.cannot_start(&error))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        fail(format!("{}: {}\n{printed}{}", how(output.status), self.shown, String::from_utf8_lossy(&output.stderr)))
    }

    /// The command itself, for callers that measure it.
    pub(crate) fn into_command(self) -> (Command, String) {
        (self.command, self.shown)
    }

    fn cannot_start(&self, error: &std::io::Error) -> Stop {
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                let program = self.command.get_program().to_string_lossy();
                Stop::Missing(program.into_owned())
            }
            _ => Stop::Failed(format!("{error}: {}", self.shown)),
        }
    }
}

/// How a program ended, in words.
fn how(status: std::process::ExitStatus) -> String {
    // What `timeout` answers when it had to end the program.
    if status.code() == Some(124) { "did not end in time".to_owned() } else { status.to_string() }
}

/// The program's full path, looked for in the tasks' own tools, in PATH, and where Debian keeps what serves.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = crate::paths::tools();
    let places = [own.join("bin"), own.join("npm/node_modules/.bin")];
    places
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The program's full path, or [`Stop::Missing`].
pub(crate) fn need(program: &str) -> Result<PathBuf> {
    which(program).ok_or_else(|| Stop::Missing(program.to_owned()))
}
