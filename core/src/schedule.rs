//! Which ranges to ask for next: batches under the bounds, gaps merged, temporary failures asked for again.
//! Has no clock and no randomness (both are passed in) and never sees content; see `transfer` for that.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::ranges::RangeSet;
use crate::source::Range;

/// The bounds that a schedule keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that may be open at the same time.
    pub max_requests: usize,
    /// Bytes that may be asked for or held, and not yet written.
    pub max_bytes: u64,
    /// Ranges in one request.
    pub max_ranges: usize,
    /// Bytes in one request.
    pub max_request_bytes: u64,
    /// Gaps up to this many bytes are asked for along with what is around them.
    pub merge_gap: u64,
    /// Failures in a row, without a new byte between them, that are survived.
    pub retries: u32,
    /// How long a request may go without any byte.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_requests: 8,
            max_bytes: 16 << 20,
            max_ranges: 16,
            max_request_bytes: 1 << 20,
            merge_gap: 4096,
            retries: 5,
            timeout: Duration::from_secs(60),
        }
    }
}

/// A request that has not been finished.
#[derive(Debug)]
struct Open {
    lacking: RangeSet,
    /// Whether anything arrived since the clock was last looked at.
    touched: bool,
    /// Whether anything arrived at all. Until then it may be waiting behind others in the source.
    begun: bool,
    since: Duration,
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
}

impl Schedule {
    /// Nothing to fetch yet.
    pub fn new(limits: Limits) -> Self {
        let (todo, open) = (RangeSet::new(), BTreeMap::new());
        Schedule { limits, todo, open, heard: false, failures: 0, not_before: Duration::ZERO }
    }

    /// Adds a range that is to be fetched.
    pub fn want(&mut self, range: Range) {
        self.todo.insert(range);
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

    /// The next batch to ask for, as request `id`, while `held` bytes wait to be written; `None` when a bound,
    /// a pause after a failure or a lack of work says so. Batches go upwards through the content.
    pub fn next(&mut self, id: u64, held: u64, now: Duration) -> Option<Vec<Range>> {
        if self.open.len() >= self.limits.max_requests || now < self.not_before {
            return None;
        }
        let mut room = self.limits.max_bytes.saturating_sub(self.asked().saturating_add(held));
        if self.open.is_empty() {
            // Units that wait for their last bytes must not keep those from being asked for.
            room = room.max(crate::index::UNIT);
        }
        let (ranges, lacking) = self.cut(room.min(self.limits.max_request_bytes))?;
        self.open.insert(id, Open { lacking, touched: false, begun: false, since: now });
        Some(ranges)
    }

    /// Takes up to `room` bytes out of what is to be done: the ranges to ask for, and what of them is lacking.
    fn cut(&mut self, room: u64) -> Option<(Vec<Range>, RangeSet)> {
        let mut ranges: Vec<Range> = Vec::new();
        let mut lacking = RangeSet::new();
        let mut left = room;
        while left > 0 {
            let Some(first) = self.todo.first() else { break };
            let gap = ranges.last().map(|last| first.offset - last.end());
            let merge = gap.is_some_and(|gap| gap <= self.limits.merge_gap && gap < left);
            if !merge && ranges.len() >= self.limits.max_ranges {
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
        if open.lacking.is_empty() {
            // All of it is here; how the source came to its end does not matter any more.
            return Outcome::Done;
        }
        let error = match result {
            Ok(()) => {
                let lacking = open.lacking.total();
                let first = open.lacking.first().map_or(0, |range| range.offset);
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
                if open.lacking.is_empty() {
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
        if !error.retryable() || self.failures >= self.limits.retries {
            return Outcome::Failed(error);
        }
        // Doubling from 200 ms to 10 s, spread by half. Requests that fail together count as one failure.
        if now >= self.not_before {
            let pause = Duration::from_millis(200).saturating_mul(1 << self.failures.min(10));
            self.failures += 1;
            self.not_before = now + pause.min(Duration::from_secs(10)).mul_f64(0.75 + 0.5 * random.clamp(0.0, 1.0));
        }
        Outcome::Retried(error)
    }
}

/// What fetching `missing` (ascending, disjoint) costs once gaps of up to `merge_gap` bytes are joined: ranges and bytes.
pub fn cost(missing: impl Iterator<Item = Range>, merge_gap: u64) -> (u64, u64) {
    let (mut ranges, mut bytes, mut end) = (0, 0, None);
    for range in missing {
        match end {
            Some(end) if range.offset - end <= merge_gap => bytes += range.end() - end,
            _ => {
                ranges += 1;
                bytes += range.length;
            }
        }
        end = Some(range.end());
    }
    (ranges, bytes)
}
