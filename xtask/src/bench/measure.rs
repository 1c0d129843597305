//! One run of one program: how long, how much processor time, how much memory at its peak.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use wait4::Wait4;

use crate::sh::{Result, Sh, fail};

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) seconds: f64,
    /// User and system time of the process and of those it waited for.
    pub(super) processor_seconds: f64,
    /// The largest resident set of any one of them.
    pub(super) peak_bytes: u64,
}

/// Runs it to its end; it must be successful. What it says goes to `log`, what it prints to `log` with the ending `out`.
pub(super) fn run(program: Sh, log: &Path) -> Result<Usage> {
    let (mut command, shown) = program.into_command();
    command.stdout(File::create(log.with_extension("out"))?).stderr(File::create(log)?);
    let started = Instant::now();
    let child = command.spawn()?;
    let ended = child.wait4()?;
    let seconds = started.elapsed().as_secs_f64();
    if !ended.status.success() {
        return fail(format!("{}: {shown}\n{}", ended.status, std::fs::read_to_string(log).unwrap_or_default()));
    }
    let processor = ended.rusage.utime + ended.rusage.stime;
    Ok(Usage { seconds, processor_seconds: processor.as_secs_f64(), peak_bytes: ended.rusage.maxrss })
}

/// The middle one by time (of an even number, the faster of the two), with the highest peak of all.
pub(super) fn median(mut runs: Vec<Usage>) -> Usage {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let peak_bytes = runs.iter().map(|run| run.peak_bytes).max().unwrap_or_default();
    let middle = runs.get(runs.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    Usage { peak_bytes, ..middle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let run = |seconds, peak_bytes| Usage { seconds, processor_seconds: 0.0, peak_bytes };
        let found = median(vec![run(3.0, 1), run(1.0, 9), run(2.0, 5)]);
        assert_eq!((found.seconds, found.peak_bytes), (2.0, 9));
    }

    #[test]
    fn time_and_memory_of_a_child_are_seen() {
        let log = std::env::temp_dir().join(format!("xtask-measure-{}", std::process::id()));
        let usage = run(crate::sh::sh("sleep").arg("0.2"), &log).expect("sleeps");
        assert!((0.2..2.0).contains(&usage.seconds) && usage.processor_seconds < 0.2);
        assert!((100_000..100_000_000).contains(&usage.peak_bytes), "{}", usage.peak_bytes);
        assert!(run(crate::sh::sh("false"), &log).is_err());
        std::fs::remove_file(log.with_extension("out")).expect("removed");
        std::fs::remove_file(log).expect("removed");
    }
}
