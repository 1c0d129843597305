//! Showing progress to people: a bar on a terminal, a line now and then elsewhere.
//! Rates and remaining time are computed here; the library only counts.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gosync_io::{Phase, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::error_line;
use crate::text::short_bytes;

/// A bar on standard error.
pub(crate) struct Bar {
    bar: ProgressBar,
    fetching: Mutex<Option<(Instant, u64)>>,
}

impl Bar {
    /// Steps of the bar: it shows a fraction, not a count.
    const STEPS: u64 = 10_000;

    /// A bar that appears with the first progress.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(Self::STEPS), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {percent:>3} % {eta:>4}  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        Bar { bar, fetching: Mutex::default() }
    }

    /// Shows a moment.
    pub(crate) fn show(&self, progress: &Progress) {
        self.bar.set_prefix(progress.phase.name());
        self.bar.set_message(describe(progress, self.rate(progress)));
        self.bar.set_position((progress.fraction * Self::STEPS as f64) as u64);
    }

    /// Writes a line above the bar.
    pub(crate) fn above(&self, text: &str) {
        self.bar.suspend(|| error_line(text));
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Bytes per second since the first byte was fetched, once there is enough of them to tell.
    fn rate(&self, progress: &Progress) -> Option<u64> {
        if progress.fetched == 0 {
            return None;
        }
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, before) = *fetching.get_or_insert((Instant::now(), progress.fetched));
        let seconds = since.elapsed().as_secs_f64();
        (seconds >= 0.5).then(|| ((progress.fetched - before) as f64 / seconds) as u64)
    }
}

/// Plain lines on standard error: at a new phase, and when another tenth is done, but then at most one a second.
#[derive(Default)]
pub(crate) struct Lines {
    last: Mutex<Option<(Instant, Phase, f64)>>,
}

impl Lines {
    const INTERVAL: Duration = Duration::from_secs(1);

    /// Shows a moment, if it is worth a line.
    pub(crate) fn show(&self, progress: &Progress) {
        if self.is_due(progress, Instant::now()) {
            error_line(&line(progress));
        }
    }

    fn is_due(&self, progress: &Progress, now: Instant) -> bool {
        if matches!(progress.phase, Phase::Idle | Phase::Done) {
            return false;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|(then, phase, fraction)| {
            phase != progress.phase || (progress.fraction >= fraction + 0.1 && now >= then + Self::INTERVAL)
        });
        if due {
            *last = Some((now, progress.phase, progress.fraction));
        }
        due
    }
}

fn line(progress: &Progress) -> String {
    format!("{} {:.0} %: {}", progress.phase.name(), progress.fraction * 100.0, describe(progress, None))
}

/// The counters that matter in this phase.
fn describe(progress: &Progress, rate: Option<u64>) -> String {
    let total = short_bytes(progress.total);
    if matches!(progress.phase, Phase::Indexing | Phase::Verifying | Phase::Packing) {
        return total;
    }
    let mut text = format!("{total}, {} from seeds", short_bytes(progress.from_seeds));
    if progress.fetched > 0 || progress.phase == Phase::Transferring {
        text.push_str(&format!(", {} fetched", short_bytes(progress.fetched)));
    }
    if let Some(rate) = rate {
        text.push_str(&format!(" at {}/s", short_bytes(rate)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(phase: Phase, fraction: f64) -> Progress {
        let mut progress = Progress::default();
        (progress.phase, progress.fraction) = (phase, fraction);
        progress
    }

    #[test]
    fn plain_lines_come_per_phase_and_per_tenth_but_not_in_a_flood() {
        let (lines, start) = (Lines::default(), Instant::now());
        let due =
            |phase, fraction, seconds| lines.is_due(&moment(phase, fraction), start + Duration::from_secs_f64(seconds));
        assert!(!due(Phase::Idle, 0.0, 0.0));
        assert!(due(Phase::Matching, 0.0, 0.0));
        assert!(!due(Phase::Matching, 0.5, 0.9), "within a second");
        assert!(due(Phase::Matching, 0.5, 1.1));
        assert!(!due(Phase::Matching, 0.55, 9.0), "less than a tenth");
        assert!(due(Phase::Transferring, 0.56, 9.1));
        assert!(!due(Phase::Done, 1.0, 20.0));
    }

    #[test]
    fn a_line_says_what_matters_in_its_phase() {
        let mut progress = moment(Phase::Transferring, 0.5);
        (progress.total, progress.from_seeds, progress.fetched) = (4096, 1024, 1024);
        assert_eq!(line(&progress), "transferring 50 %: 4.00 KiB, 1.00 KiB from seeds, 1.00 KiB fetched");
        progress.phase = Phase::Verifying;
        assert_eq!(line(&progress), "verifying 50 %: 4.00 KiB");
    }
}
