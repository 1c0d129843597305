//! A `gosync update` as a process of its own, which is killed: after a while, when so much has been sent, or at a system
//! call (by strace, where the system has it).

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::conformance::program::program;
use crate::conformance::random::Numbers;
use crate::process::{Said, TARGET, WATCHDOG, steady};

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(1);

/// The system calls at which processes are killed, and at which of the calls of one thread at the most; what matters most
/// several times.
const CALLS: &[(&str, u64)] = &[
    ("pwrite64", 1),
    ("pwrite64", 3),
    ("pwrite64", 6),
    ("pwrite64", 30),
    ("fsync", 1),
    ("fsync", 2),
    ("fsync", 6),
    ("fdatasync", 2),
    ("rename,renameat,renameat2", 1),
    ("rename,renameat,renameat2", 1),
    ("ftruncate", 1),
    ("fallocate", 2),
    ("unlink,unlinkat", 1),
    ("unlink,unlinkat", 2),
    ("copy_file_range,ioctl", 2),
    ("flock,fcntl,fchmod,fchown,utimensat", 2),
    ("openat", 5),
];

/// When a process is killed.
#[derive(Clone, Debug)]
pub(super) enum Point {
    /// After this time.
    Time(Duration),
    /// When the server has sent so many bytes.
    Sent(u64),
    /// Before a thread's so-manieth call of one of these.
    Call(&'static str, u64),
    /// Never.
    Never,
}

impl Point {
    /// One by chance, for an update that takes about `time`, and for which about `bytes` are sent from now on.
    pub(super) fn by_chance(numbers: &mut Numbers, time: Duration, bytes: u64, has_strace: bool) -> Point {
        match numbers.below(if has_strace { 5 } else { 2 }) {
            0 => Point::Time(Duration::from_millis(numbers.below(time.as_millis() as u64))),
            1 => Point::Sent(numbers.below(bytes + 1)),
            _ => {
                let (name, most) = CALLS[numbers.below(CALLS.len() as u64) as usize];
                Point::Call(name, 1 + numbers.below(most))
            }
        }
    }

    /// What sort of point it is.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Point::Time(_) => "time",
            Point::Sent(_) => "bytes",
            Point::Call(name, _) => name,
            Point::Never => "never",
        }
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// By the kill.
    Killed,
    /// By itself.
    Itself(Said),
    /// Not at all; it was killed after a long time.
    Hung(String),
}

/// One running update.
pub(super) struct Victim {
    child: Child,
    point: Point,
    start: Instant,
}

impl Victim {
    /// Starts the update of the target in `folder` from the index at `url`, with further options.
    #[track_caller]
    pub(super) fn start(folder: &Path, url: &str, options: &[&str], point: Point) -> Victim {
        let mut command = match &point {
            Point::Call(names, when) => {
                let mut command = Command::new("strace");
                // A name that this machine has not is none to stop at.
                let names: Vec<String> = names.split(',').map(|name| format!("?{name}")).collect();
                let set = names.join(",");
                // With --seccomp-bpf only the first call of a thread is ever counted.
                command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={set}")]);
                command.args(["-e", &format!("inject={set}:signal=KILL:when={when}"), "--"]).arg(program());
                command
            }
            _ => Command::new(program()),
        };
        command.arg("update").arg(folder.join(TARGET)).args(["--index", url]).args(options);
        // In a group of its own, so that all of it can be ended.
        steady(&mut command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Victim { child, point, start: Instant::now() }
    }

    /// Whether it has ended, after having killed it if it is time for that.
    fn has_ended(&mut self, sent: u64) -> bool {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return true;
        }
        let is_time = match self.point {
            Point::Time(time) => self.start.elapsed() >= time,
            Point::Sent(bytes) => sent >= bytes,
            Point::Call(..) | Point::Never => false,
        };
        if is_time {
            // It may just have ended.
            let _ = self.child.kill();
        }
        is_time
    }

    /// Waits for its end, whoever brings it; `sent` says what the server has sent.
    pub(super) fn end(mut self, sent: impl Fn() -> u64) -> Ended {
        while !self.has_ended(sent()) {
            if self.start.elapsed() > WATCHDOG {
                let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
                let output = self.child.wait_with_output();
                return Ended::Hung(output.map(|output| Said::new(&output).all).unwrap_or_default());
            }
            std::thread::sleep(TICK);
        }
        let said = Said::new(&self.child.wait_with_output().unwrap_or_else(|error| panic!("{error}")));
        if said.signal == Some(9) { Ended::Killed } else { Ended::Itself(said) }
    }
}
