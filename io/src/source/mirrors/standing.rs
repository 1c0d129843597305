//! What is known of each mirror: how fast it is, how much it has to do, how it failed; and from that, which one is asked
//! next. Pure: the time comes in as a value, and nobody is called.

use std::time::{Duration, Instant};

use gosync_core::{Error, ErrorKind, Link};

use super::Set;

/// Failures in a row after which a mirror counts as down.
const DOWN: u32 = 3;
/// Marks after which a mirror is not believed any more: 2 for wrong bytes, 1 for doubtful ones.
const MARKS: u32 = 4;
/// What a mirror of unknown speed is tried with, and what is reckoned for an answer of unknown length.
const FIRST_SHARE: u64 = 4 << 20;
pub(super) const UNKNOWN_LENGTH: u64 = 64 << 20;

/// One mirror, as it has done so far.
pub(super) struct Standing {
    /// What it is, for people.
    pub(super) name: String,
    /// What it says of itself.
    pub(super) link: Link,
    pace: Pace,
    /// Requests and bytes that it was asked for and has not answered.
    requests: usize,
    bytes: u64,
    /// When it last gave anything.
    heard: Option<Instant>,
    /// Failures in a row.
    failures: u32,
    marks: u32,
    /// Until when it is better left alone.
    rest: Option<Instant>,
    /// Until when it has asked to be left alone.
    pause: Option<Instant>,
    dropped: bool,
    pub(super) last_error: Option<Error>,
}

/// Bytes per second, while it has something to do.
#[derive(Default)]
struct Pace {
    bytes: f64,
    busy: Duration,
    since: Option<Instant>,
    /// How long its last answer took, and when that ended, if it has had nothing to do since.
    last: Duration,
    idle: Option<Instant>,
}

impl Pace {
    /// Counts the time up to `now`. What was long ago counts for less and less.
    fn count(&mut self, now: Instant) {
        if let Some(since) = &mut self.since {
            self.busy += now.saturating_duration_since(*since);
            *since = now;
        }
        if self.busy > Duration::from_secs(4) {
            self.busy /= 2;
            self.bytes /= 2.0;
        }
    }

    fn rate(&self, now: Instant) -> Option<f64> {
        let busy = self.busy + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let rate = (self.bytes > 0.0).then(|| self.bytes / busy.as_secs_f64().max(1e-6))?;
        // The first answer is slower than those after it, and what was slow once may be fast now. So who was not asked
        // for a while is believed to be a little faster; trying that costs it an eighth of its time at the most.
        let idle = self.idle.map_or(Duration::ZERO, |idle| now.saturating_duration_since(idle));
        Some(rate * (1.0 + idle.as_secs_f64() / (8.0 * self.last.as_secs_f64().max(1e-3))))
    }
}

/// What a request is, for choosing who is asked.
#[derive(Clone, Copy)]
pub(super) struct Need {
    /// Bytes that are lacking.
    pub(super) bytes: u64,
    /// Whether it is for the whole content, which needs no ranges.
    pub(super) whole: bool,
    /// Who has failed for it.
    pub(super) failed: Set,
    /// Who has given wrong bytes for it.
    pub(super) wrong: Set,
    /// Who has given some of its bytes, of which some were wrong.
    pub(super) doubtful: Set,
    /// Who was asked for it in vain.
    pub(super) silent: Set,
}

impl Standing {
    pub(super) fn new(name: String) -> Self {
        Standing {
            name,
            link: Link::default(),
            pace: Pace::default(),
            requests: 0,
            bytes: 0,
            heard: None,
            failures: 0,
            marks: 0,
            rest: None,
            pause: None,
            dropped: false,
            last_error: None,
        }
    }

    pub(super) fn begin(&mut self, bytes: u64, now: Instant) {
        if self.requests == 0 {
            (self.pace.since, self.pace.idle) = (Some(now), None);
        }
        self.requests += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// `bytes` have come, of which `expected` were reckoned with.
    pub(super) fn arrived(&mut self, bytes: u64, expected: u64, now: Instant) {
        self.heard = Some(now);
        self.pace.count(now);
        self.pace.bytes += bytes as f64;
        self.bytes = self.bytes.saturating_sub(expected);
    }

    /// A request from `since` on is over, with `rest` of the bytes that were reckoned with.
    pub(super) fn end(&mut self, rest: u64, since: Instant, now: Instant) {
        self.pace.count(now);
        self.pace.last = now.saturating_duration_since(since);
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(rest);
        if self.requests == 0 {
            (self.pace.since, self.pace.idle) = (None, Some(now));
        }
    }

    /// It has done what it should.
    pub(super) fn succeeded(&mut self) {
        (self.failures, self.rest, self.pause) = (0, None, None);
    }

    /// It has failed, in an attempt that began at `since`. What to tell if it is left alone because of that.
    pub(super) fn failed(&mut self, error: &Error, since: Instant, now: Instant) -> Option<String> {
        self.last_error = Some(error.clone());
        if !passes(error) {
            return (!std::mem::replace(&mut self.dropped, true)).then(|| error.to_string());
        }
        if let Some(pause) = error.pause().and_then(|pause| now.checked_add(pause)) {
            self.pause = Some(self.pause.map_or(pause, |known| known.max(pause)));
        }
        // Requests that fail together count as one failure.
        if !self.rests(now) {
            self.failures += 1;
            let backoff = Duration::from_millis(250).saturating_mul(1 << self.failures.min(8));
            // Who is silent for long costs long each time.
            let silence = if self.was_silent(since) { now.saturating_duration_since(since) } else { Duration::ZERO };
            self.rest = now.checked_add(backoff.max(silence).min(Duration::from_secs(60)));
            if self.failures == DOWN {
                return Some(format!("{DOWN} failures in a row, the last one: {error}"));
            }
        }
        None
    }

    /// Its bytes were wrong, or those of another. Whether it is not to be believed any more.
    pub(super) fn mark(&mut self, marks: u32) -> bool {
        self.marks = self.marks.saturating_add(marks);
        self.marks >= MARKS
    }

    /// Asks it for nothing more while there are others. Whether that is new.
    pub(super) fn drop_it(&mut self) -> bool {
        !std::mem::replace(&mut self.dropped, true)
    }

    /// Whether nothing has come from it since then.
    pub(super) fn was_silent(&self, since: Instant) -> bool {
        self.heard.is_none_or(|heard| heard < since)
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// Whether it has failed so often that it is not worth waiting for.
    pub(super) fn is_down(&self) -> bool {
        self.dropped || self.failures >= DOWN
    }

    /// How long it still wants to be left alone.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        self.pause.map(|pause| pause.saturating_duration_since(now)).filter(|pause| !pause.is_zero())
    }

    fn rests(&self, now: Instant) -> bool {
        self.rest.is_some_and(|rest| now < rest)
    }

    /// Bytes per second: as seen, else as it says.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        self.pace.rate(now).or(self.link.rate.map(|rate| rate as f64)).filter(|rate| *rate > 0.0)
    }

    /// When it would have answered `bytes` more, in seconds. `best` is the rate of the fastest that is known.
    fn expected(&self, bytes: u64, best: Option<f64>, now: Instant) -> f64 {
        let all = self.bytes.saturating_add(bytes) as f64;
        let round_trip = self.link.round_trip.map_or(0.0, |time| time.as_secs_f64());
        match (self.rate(now), best) {
            (Some(rate), _) => round_trip + all / rate,
            // It may be the best of all; a small request finds out.
            (None, Some(best)) if self.requests == 0 && bytes <= FIRST_SHARE => bytes as f64 / best / 2.0,
            (None, Some(best)) => 16.0 * all / best,
            (None, None) => self.requests as f64,
        }
    }
}

/// Whether a failure may pass by itself. Changed content does not change back.
fn passes(error: &Error) -> bool {
    error.retryable() && error.kind() != ErrorKind::SourceChanged
}

/// Who is asked next: who is expected to be done first among those that nothing speaks against.
pub(super) fn choose(standings: &[Standing], need: Need, now: Instant) -> Option<usize> {
    let all_dropped = standings.iter().all(Standing::is_dropped);
    let possible: Vec<usize> = (0..standings.len())
        .filter(|at| !need.failed.has(*at))
        .filter(|at| all_dropped || !standings[*at].is_dropped())
        .filter(|at| standings[*at].pause(now).is_none())
        .collect();
    // Whoever was wrong about it is wrong again: worth it only if waiting for those who failed helps nobody.
    let suspect = |at: usize| need.wrong.has(at) || need.doubtful.has(at);
    let only_wrong = possible.iter().all(|at| suspect(*at));
    let failed = |(at, standing): (usize, &Standing)| {
        let hopeful = !suspect(at) && !standing.is_down();
        hopeful && (standing.pause(now).is_some() || need.failed.has(at))
    };
    if only_wrong && standings.iter().enumerate().any(failed) {
        return None;
    }
    let best = possible.iter().filter_map(|at| standings[*at].rate(now)).reduce(f64::max);
    let key = |at: usize| {
        let standing = &standings[at];
        let against = (
            need.wrong.has(at),
            // Of several that may have been it, the one with the better name.
            need.doubtful.has(at).then_some(standing.marks),
            need.silent.has(at),
            standing.rests(now),
            !need.whole && standing.link.ranges == Some(false),
        );
        (against, standing.expected(need.bytes, best, now))
    };
    possible.into_iter().min_by(|a, b| {
        let (a, b) = (key(*a), key(*b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    })
}

/// The one of several failures that says most: one that may pass, so that it is tried again, before one that does not.
pub(super) fn most_telling(errors: &[Error]) -> Option<Error> {
    let rank = |error: &Error| match error.kind() {
        _ if passes(error) && error.kind() != ErrorKind::Timeout => 0,
        ErrorKind::Timeout => 1,
        ErrorKind::SourceChanged => 2,
        _ => 3,
    };
    let chosen = errors.iter().min_by_key(|error| rank(error))?.clone();
    // Whoever may be asked first decides how long to wait.
    let pauses = errors.iter().filter(|error| passes(error)).map(|error| error.pause().unwrap_or_default());
    Some(match pauses.min().filter(|_| passes(&chosen)) {
        Some(pause) => chosen.with_pause(pause),
        None => chosen,
    })
}
