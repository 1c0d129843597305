//! Which ranges to ask for next: batches under the bounds, gaps merged, temporary failures asked for again.
//! Has no clock and no randomness (both are passed in) and never sees content; see `transfer` for that.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cost::Way;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Strategy;
use crate::ranges::RangeSet;
use crate::source::Range;

/// The bounds that a schedule keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that may be open at the same time.
    pub max_requests: usize,
    /// Bytes that may be asked for or held, and not yet written.
    pub max_bytes: u64,
    /// Gaps between missing ranges that are asked for along with them, at most, where the way makes that cheaper.
    pub max_gap: u64,
    /// Failures in a row, without a new byte between them, that are survived.
    pub retries: u32,
    /// How long a request may go without any byte.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_requests: 8, max_bytes: 16 << 20, max_gap: 1 << 20, retries: 5, timeout: Duration::from_secs(60) }
    }
}

/// Ranges in one request, at least and at most.
const RANGES: std::ops::RangeInclusive<u64> = 16..=256;
/// Ranges that are open for each one that is answered in a round trip: some on their way, some waiting for their turn.
const RANGES_AHEAD: u64 = 4;
/// Bytes in one request, at least.
const REQUEST_BYTES: u64 = 64 << 10;
/// Bytes that may always be on their way, within the bounds: less would make an early, low estimate of the rate come true.
const LEAST_WINDOW: u64 = 4 << 20;
/// How often it is looked at whether everything in one go has become cheaper.
const RECONSIDER: Duration = Duration::from_secs(1);
/// A source that asks to be left alone for longer than this is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A request that has not been finished.
#[derive(Debug)]
struct Open {
    lacking: RangeSet,
    /// Ranges that it asks for.
    ranges: usize,
    /// Whether it asks for everything from somewhere on: what comes is taken from what is to be done.
    whole: bool,
    /// With `whole`: what came to be wanted after it was asked, and so may have been passed already.
    late: RangeSet,
    /// Whether anything arrived since the clock was last looked at.
    touched: bool,
    /// Whether anything arrived at all. Until then it may be waiting behind others in the source.
    begun: bool,
    since: Duration,
}

impl Open {
    fn new(lacking: RangeSet, ranges: usize, whole: bool, since: Duration) -> Self {
        Open { lacking, ranges, whole, late: RangeSet::new(), touched: false, begun: false, since }
    }
}

/// What a finished request means for the whole.
#[derive(Debug)]
pub enum Outcome {
    /// It brought what it should.
    Done,
    /// It failed in a way that may pass; what it lacks will be asked for again.
    Retried(Error),
    /// The whole cannot succeed.
    Failed(Error),
    /// Nobody waits for this request (it was given up before).
    Unknown,
}

/// What is lacking, what has been asked for, and when to ask again.
#[derive(Debug)]
pub struct Schedule {
    limits: Limits,
    todo: RangeSet,
    open: BTreeMap<u64, Open>,
    /// Whether anything arrived for any request since the clock was last looked at.
    heard: bool,
    failures: u32,
    not_before: Duration,
    way: Way,
    strategy: Strategy,
    /// The end of the content.
    end: u64,
    /// When to compare the strategies again.
    reconsider: Duration,
}

impl Schedule {
    /// Nothing to fetch yet of a content that ends at `end`.
    pub fn new(limits: Limits, end: u64) -> Self {
        Schedule {
            limits,
            todo: RangeSet::new(),
            open: BTreeMap::new(),
            heard: false,
            failures: 0,
            not_before: Duration::ZERO,
            way: Way::default(),
            strategy: Strategy::Ranges,
            end,
            reconsider: Duration::ZERO,
        }
    }

    /// What is known of the way now; gaps and batches follow it.
    pub fn set_way(&mut self, way: Way) {
        self.way = way;
    }

    /// How to ask.
    pub fn set_strategy(&mut self, strategy: Strategy) {
        self.strategy = strategy;
    }

    /// How it asks now: a plan's ranges may turn out dearer than everything from here on.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Adds a range that is to be fetched.
    pub fn want(&mut self, range: Range) {
        self.todo.insert(range);
        self.open.values_mut().filter(|open| open.whole).for_each(|open| open.late.insert(range));
    }

    /// What need not be fetched any more, unless it was asked for already. What of it was not.
    pub fn unwant(&mut self, range: Range) -> Vec<Range> {
        self.todo.remove(range)
    }

    /// Whether all of `range` is still to be asked for.
    pub fn is_todo(&self, range: Range) -> bool {
        self.todo.contains(range)
    }

    /// What is to be asked for.
    pub fn todo(&self) -> impl Iterator<Item = Range> + '_ {
        self.todo.iter()
    }

    /// Whether there is nothing left to ask for, whatever is under way.
    pub fn is_asked(&self) -> bool {
        self.todo.is_empty()
    }

    /// Whether everything has arrived and every request was finished or given up.
    pub fn is_idle(&self) -> bool {
        self.todo.is_empty() && self.open.is_empty()
    }

    /// Bytes asked for and not yet here.
    pub fn asked(&self) -> u64 {
        self.open.values().map(|open| open.lacking.total()).sum()
    }

    /// Requests that are open.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The numbers of the open requests.
    pub fn open_ids(&self) -> Vec<u64> {
        self.open.keys().copied().collect()
    }

    /// The next batch to ask for, as request `id`, while `held` bytes wait to be written, of which some are complete units
    /// that will be soon if `drains`; `None` when a bound, a pause after a failure or a lack of work says so. Batches go
    /// upwards through the content.
    pub fn next(&mut self, id: u64, held: u64, drains: bool, now: Duration) -> Option<Vec<Range>> {
        if self.open.len() >= self.limits.max_requests || now < self.not_before {
            return None;
        }
        self.choose(now);
        if let Some(ranges) = self.whole(id, now)? {
            return Some(ranges);
        }
        let window = self.way.window().map_or(u64::MAX, |window| window.max(LEAST_WINDOW));
        let mut room = self.limits.max_bytes.min(window).saturating_sub(self.asked().saturating_add(held));
        let gains_room = drains || !self.open.is_empty();
        if !gains_room {
            // Units that wait for their last bytes must not keep those from being asked for.
            room = room.max(crate::index::UNIT);
        }
        let share = (self.limits.max_bytes / self.limits.max_requests.max(1) as u64).max(REQUEST_BYTES);
        // Room for a little is no reason for a little request, unless that is all there is to ask for.
        if gains_room && room < share / 2 && room < self.todo.total() {
            return None;
        }
        let most = self.most_ranges()?;
        let (ranges, lacking) = self.cut(room.min(share), most)?;
        let count = ranges.len();
        self.open.insert(id, Open::new(lacking, count, false, now));
        Some(ranges)
    }

    /// Ranges that the next request may have: twice what is answered in a round trip shall be with the source, so that it
    /// never waits for more; but not many more than that, while it is not yet known how it is best asked.
    fn most_ranges(&self) -> Option<usize> {
        let most = match self.way.proven {
            0 => return Some(*RANGES.start() as usize),
            proven => 2 * u64::from(proven) / self.limits.max_requests.max(1) as u64,
        };
        let proven = u64::from(self.way.proven);
        let open: usize = self.open.values().map(|open| open.ranges.min(open.lacking.count())).sum();
        let room = (RANGES_AHEAD * proven).saturating_sub(open as u64);
        // A round trip's worth of ranges at a time, rather than one for each that has come.
        let is_worth_it = room >= proven || self.open.is_empty();
        let most = most.clamp(*RANGES.start(), *RANGES.end()).min(room.max(1));
        is_worth_it.then_some(most as usize)
    }

    /// Compares the strategies for what is left, now and then: the way may be another one than the plan reckoned with.
    fn choose(&mut self, now: Duration) {
        if self.strategy == Strategy::Whole || now < self.reconsider {
            return;
        }
        self.reconsider = now + RECONSIDER;
        let Some(first) = self.todo.first() else { return };
        let cost = self.way.ranges(self.todo.iter(), self.way.gap(self.limits.max_gap));
        if self.way.prefers_whole(&cost, self.end.saturating_sub(first.offset)) {
            self.strategy = Strategy::Whole;
        }
    }

    /// With the strategy of one go: everything from the first byte that is to be done, as request `id`. `Some(None)` if
    /// ranges are to be asked for, `None` if nothing is.
    fn whole(&mut self, id: u64, now: Duration) -> Option<Option<Vec<Range>>> {
        if self.strategy != Strategy::Whole && !self.way.is_whole {
            return Some(None);
        }
        let first = self.todo.first()?;
        if self.open.values().any(|open| open.whole) {
            return None;
        }
        // A few units that were wrong at first are no reason to ask for all that follows them once more.
        if !self.way.is_whole && self.todo.total() < self.end.saturating_sub(first.offset) / 2 {
            return Some(None);
        }
        let lacking = RangeSet::new();
        self.open.insert(id, Open::new(lacking, 1, true, now));
        let end = self.todo.end();
        let length = if end < self.end { end - first.offset } else { Range::TO_END };
        Some(Some(vec![Range::new(first.offset, length)]))
    }

    /// Takes up to `room` bytes out of what is to be done: the ranges to ask for, and what of them is lacking.
    fn cut(&mut self, room: u64, max_ranges: usize) -> Option<(Vec<Range>, RangeSet)> {
        let mut ranges: Vec<Range> = Vec::new();
        let mut lacking = RangeSet::new();
        let mut left = room;
        let max_gap = self.way.gap(self.limits.max_gap);
        while left > 0 {
            let Some(first) = self.todo.first() else { break };
            let gap = ranges.last().map(|last| first.offset - last.end());
            let merge = gap.is_some_and(|gap| gap <= max_gap);
            // A gap that is worth merging but does not fit begins the next request, rather than a range of its own.
            if merge && gap.is_some_and(|gap| gap >= left) || !merge && ranges.len() >= max_ranges {
                break;
            }
            let cost = if merge { gap.unwrap_or(0) } else { 0 };
            let taken = Range::new(first.offset, first.length.min(left - cost));
            self.todo.remove(taken);
            lacking.insert(taken);
            left -= cost + taken.length;
            match ranges.last_mut() {
                Some(last) if merge => last.length = taken.end() - last.offset,
                _ => ranges.push(taken),
            }
        }
        (!ranges.is_empty()).then_some((ranges, lacking))
    }

    /// Whether `range` brings something that is lacking, but nothing that was asked for.
    pub fn is_unasked(&self, range: Range) -> bool {
        self.todo.touches(range) && !self.open.values().any(|open| open.lacking.touches(range))
    }

    /// Request `id` has shown a sign of life, though nothing was taken from it.
    pub fn touch(&mut self, id: u64) {
        if let Some(open) = self.open.get_mut(&id) {
            open.touched = true;
        }
    }

    /// Bytes have come, for request `id` or by the way: returns the parts that were lacking, which now no longer are.
    pub fn arrived(&mut self, id: u64, range: Range) -> Vec<Range> {
        let mut useful = self.todo.remove(range);
        for open in self.open.values_mut() {
            useful.extend(open.lacking.remove(range));
        }
        if let Some(open) = self.open.get_mut(&id) {
            (open.touched, open.begun) = (true, true);
            self.heard = true;
        }
        if !useful.is_empty() {
            self.failures = 0;
        }
        useful.sort_unstable();
        useful
    }

    /// Request `id` is over. `random` is from 0 to 1 and spreads the pauses of many clients.
    pub fn finished(&mut self, id: u64, result: Result<()>, now: Duration, random: f64) -> Outcome {
        let Some(open) = self.open.remove(&id) else { return Outcome::Unknown };
        let mut rest = RangeSet::new();
        if open.whole {
            rest = self.todo.clone();
            open.late.iter().for_each(|range| drop(rest.remove(range)));
        }
        let missing = if open.whole { &rest } else { &open.lacking };
        let Some(first) = missing.first() else {
            // All of it is here; how the source came to its end does not matter any more.
            return Outcome::Done;
        };
        let error = match result {
            Ok(()) => {
                let (lacking, first) = (missing.total(), first.offset);
                Error::new(ErrorKind::Source, format!("the source finished a request with {lacking} bytes missing"))
                    .with("offset", first)
            }
            Err(error) => error,
        };
        self.again(open.lacking, error, now, random)
    }

    /// The requests that have been silent for too long: they are given up, and what they lack is asked for again.
    /// One that has got nothing yet is not silent while the source answers others: it waits its turn there.
    pub fn expired(&mut self, now: Duration, random: f64) -> Vec<(u64, Outcome)> {
        let timeout = self.limits.timeout;
        let heard = std::mem::take(&mut self.heard);
        for open in self.open.values_mut().filter(|open| open.touched || (heard && !open.begun)) {
            open.touched = false;
            open.since = now;
        }
        let silent = |open: &Open| now.saturating_sub(open.since) >= timeout;
        let late: Vec<u64> = self.open.iter().filter(|(_, open)| silent(open)).map(|(id, _)| *id).collect();
        late.into_iter()
            .filter_map(|id| {
                let open = self.open.remove(&id)?;
                if open.lacking.is_empty() && (!open.whole || self.todo.is_empty()) {
                    return Some((id, Outcome::Done));
                }
                let text = format!("the source was silent for {} seconds", timeout.as_secs_f32());
                Some((id, self.again(open.lacking, Error::new(ErrorKind::Timeout, text), now, random)))
            })
            .collect()
    }

    /// When to look again even if nothing happens.
    pub fn wakeup(&self, now: Duration) -> Option<Duration> {
        let pause = (!self.todo.is_empty() && now < self.not_before).then_some(self.not_before);
        let silence = self.open.values().map(|open| open.since.saturating_add(self.limits.timeout)).min();
        [pause, silence].into_iter().flatten().min()
    }

    fn again(&mut self, lacking: RangeSet, error: Error, now: Duration, random: f64) -> Outcome {
        for range in lacking.iter() {
            self.todo.insert(range);
        }
        let asked_for = error.pause().unwrap_or_default();
        // Another version does not go away by asking again: whoever has the index must look at it anew.
        let is_changed = error.kind() == ErrorKind::SourceChanged;
        if is_changed || !error.retryable() || self.failures >= self.limits.retries || asked_for > LONGEST_PAUSE {
            return Outcome::Failed(error);
        }
        // Doubling from 200 ms to 10 s, spread by half. Requests that fail together count as one failure.
        if now >= self.not_before {
            let pause = Duration::from_millis(200).saturating_mul(1 << self.failures.min(10));
            self.failures += 1;
            let pause = pause.min(Duration::from_secs(10)).max(asked_for);
            // Never earlier than was asked for.
            let spread = if asked_for.is_zero() { 0.75 } else { 1.0 } + 0.5 * random.clamp(0.0, 1.0);
            self.not_before = now + pause.mul_f64(spread);
        } else {
            self.not_before = self.not_before.max(now + asked_for);
        }
        Outcome::Retried(error)
    }
}
