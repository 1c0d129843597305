//! Reading ranges of a source into memory: how the parts of an index arrive that are needed after its beginning.
//! What is asked for when is core's `schedule`, as for content; here are the clock, the threads and the buffers.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gosync_core::cost::Way;
use gosync_core::ranges::RangeSet;
use gosync_core::schedule::{Limits, Outcome, Schedule};
use gosync_core::{Error, ErrorKind, Range, Request, Result, Sink, Source, Supply};

use crate::collect::{RETRIES, TICK, TIMEOUT, aside};
use crate::options::OpenOptions;
use crate::random::random;
use crate::report::Level;
use crate::source::next_request_id;

/// Gaps between groups of an index that are fetched along: about what a range costs in header lines.
const GAP: u64 = 256;

/// Ranges of a source, in memory.
pub(crate) struct Gathered {
    /// By offset; what touched came as one.
    runs: BTreeMap<u64, Vec<u8>>,
    /// Bytes that came.
    pub(crate) bytes: u64,
}

impl Gathered {
    /// Everything.
    pub(crate) fn of(content: Vec<u8>) -> Gathered {
        let bytes = content.len() as u64;
        Gathered { runs: BTreeMap::from([(0, content)]), bytes }
    }

    /// What there is from the beginning on.
    pub(crate) fn all(&self) -> &[u8] {
        self.runs.get(&0).map_or(&[], Vec::as_slice)
    }

    /// The bytes of a range that was asked for.
    pub(crate) fn get(&self, range: Range) -> &[u8] {
        let run = self.runs.range(..=range.offset).next_back();
        let bytes = run.and_then(|(start, bytes)| {
            let from = usize::try_from(range.offset - start).ok()?;
            bytes.get(from..from.checked_add(usize::try_from(range.length).ok()?)?)
        });
        bytes.unwrap_or_default()
    }
}

/// Reads `ranges` of a content that ends at `end`. What fails temporarily is asked for again, as often as the options say.
pub(crate) fn gather(
    source: &Arc<dyn Source>,
    ranges: impl IntoIterator<Item = Range>,
    end: u64,
    options: &OpenOptions,
) -> Result<Gathered> {
    let timeout = if options.http.timeout.is_zero() { TIMEOUT } else { options.http.timeout };
    let retries = options.retries.unwrap_or(RETRIES);
    let limits = Limits { max_gap: GAP, timeout: timeout.saturating_mul(2), retries, ..Limits::default() };
    let mut wanted = RangeSet::new();
    ranges.into_iter().for_each(|range| wanted.insert(range));
    let gatherer = Arc::new(Gatherer::new(&wanted, Schedule::new(limits, end))?);
    let result = gatherer.drive(source, options);
    let (ids, gathered) = gatherer.close();
    for id in ids {
        // The answer is not waited for any longer; whatever it does now is harmless.
        aside(source, move |source| source.cancel(id))?;
    }
    result.map(|()| gathered)
}

struct Gatherer {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    schedule: Schedule,
    gathered: Gathered,
    finished: Vec<(u64, Result<()>)>,
    closed: bool,
}

impl Gatherer {
    fn new(wanted: &RangeSet, mut schedule: Schedule) -> Result<Gatherer> {
        let mut runs = BTreeMap::new();
        for range in wanted.iter() {
            let mut room = Vec::new();
            let reserved = usize::try_from(range.length).ok().and_then(|length| {
                room.try_reserve_exact(length).ok()?;
                Some(length)
            });
            let length =
                reserved.ok_or_else(|| Error::new(ErrorKind::Limit, "there is not enough memory for the index"))?;
            room.resize(length, 0);
            runs.insert(range.offset, room);
            schedule.want(range);
        }
        let state = State { schedule, gathered: Gathered { runs, bytes: 0 }, finished: Vec::new(), closed: false };
        Ok(Gatherer { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and waits, until everything is here.
    fn drive(self: &Arc<Self>, source: &Arc<dyn Source>, options: &OpenOptions) -> Result<()> {
        let start = Instant::now();
        loop {
            options.observer.cancel.check()?;
            let way = Way::from(&source.link());
            let (survived, silent, requests, wakeup) = {
                let mut state = self.lock();
                let now = start.elapsed();
                let (survived, silent) = state.settle(now)?;
                state.schedule.set_way(way);
                let mut requests = Vec::new();
                loop {
                    let id = next_request_id();
                    let Some(ranges) = state.schedule.next(id, 0, false, now) else { break };
                    requests.push(Request::new(id, ranges, Arc::clone(self) as Arc<dyn Sink>));
                }
                if state.schedule.is_idle() {
                    return Ok(());
                }
                (survived, silent, requests, state.schedule.wakeup(now))
            };
            for error in survived {
                let text = format!("asking again for the index: {}", error.message());
                let name = source.describe();
                options.observer.event(Level::Warning, "retry", text, &[("source", &name), ("error", &error.kind())]);
            }
            for id in silent {
                aside(source, move |source| source.cancel(id))?;
            }
            for request in requests {
                aside(source, move |source| source.fetch(request))?;
            }
            let pause = wakeup.map_or(TICK, |at| at.saturating_sub(start.elapsed()).min(TICK));
            let state = self.lock();
            if state.finished.is_empty() {
                let _ = self.changed.wait_timeout(state, pause.max(Duration::from_millis(1)));
            }
        }
    }

    /// Takes nothing more: the requests that are open, and what came.
    fn close(&self) -> (Vec<u64>, Gathered) {
        let mut state = self.lock();
        state.closed = true;
        let bytes = state.gathered.bytes;
        let runs = std::mem::take(&mut state.gathered.runs);
        (state.schedule.open_ids(), Gathered { runs, bytes })
    }
}

impl State {
    /// What has finished or been silent for too long: the errors that were survived, and the requests that were given up.
    fn settle(&mut self, now: Duration) -> Result<(Vec<Error>, Vec<u64>)> {
        let (mut survived, mut silent) = (Vec::new(), Vec::new());
        let mut outcomes = Vec::new();
        for (id, result) in std::mem::take(&mut self.finished) {
            outcomes.push(self.schedule.finished(id, result, now, random()));
        }
        for (id, outcome) in self.schedule.expired(now, random()) {
            silent.push(id);
            outcomes.push(outcome);
        }
        for outcome in outcomes {
            match outcome {
                Outcome::Done | Outcome::Unknown => {}
                Outcome::Retried(error) => survived.push(error),
                Outcome::Failed(error) => return Err(error),
            }
        }
        Ok((survived, silent))
    }
}

impl Sink for Gatherer {
    fn supply(&self, id: u64, offset: u64, data: &[u8]) -> Supply {
        let mut state = self.lock();
        if state.closed {
            return Supply::Closed;
        }
        let length = (data.len() as u64).min(u64::MAX - offset);
        state.gathered.bytes += length;
        for useful in state.schedule.arrived(id, Range::new(offset, length)) {
            let Some((start, run)) = state.gathered.runs.range_mut(..=useful.offset).next_back() else { continue };
            // What is useful was wanted, and lies in one run.
            let (from, at) = ((useful.offset - offset) as usize, (useful.offset - start) as usize);
            let count = useful.length as usize;
            if let Some(room) = run.get_mut(at..at + count) {
                room.copy_from_slice(&data[from..from + count]);
            }
        }
        Supply::Taken
    }

    fn finish(&self, id: u64, _exchanges: u64, result: Result<()>) {
        self.lock().finished.push((id, result));
        self.changed.notify_all();
    }
}
