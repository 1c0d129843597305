//! A transfer: the sink that sources answer to. Joins `schedule` (what to ask for) and `assemble` (where bytes go)
//! behind one lock, for any number of answering threads. Its driver (in io) has the clock, the threads and the files.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::assemble::{Assembled, Assembler, ReadyUnit};
use crate::cost::Way;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::plan::{Origin, Piece, Strategy};
use crate::ranges::RangeSet;
use crate::schedule::{Limits, Outcome, Schedule};
use crate::source::{Range, Request, Sink, Supply};

/// Counters of a transfer; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that arrived and were lacking.
    pub fetched: u64,
    /// Bytes that arrived and were not.
    pub wasted: u64,
    /// Round trips, as the source counts them.
    pub requests: u64,
    /// Requests that failed and were repeated.
    pub retries: u64,
}

/// What the driver has to do after it looked at the clock.
#[derive(Debug, Default)]
pub struct Step {
    /// Requests to cancel at the source.
    pub cancel: Vec<u64>,
    /// Requests to resume at the source.
    pub resume: Vec<u64>,
    /// Failures that were survived, for telling.
    pub survived: Vec<Error>,
    /// When to look again, at the latest.
    pub wakeup: Option<Duration>,
    /// Everything has arrived and was taken.
    pub over: bool,
}

/// The state of one transfer, shared by its driver and by everyone who answers.
pub struct Transfer {
    inner: Mutex<Inner>,
    notify: Box<dyn Fn() + Send + Sync>,
}

struct Inner {
    index: Arc<Index>,
    schedule: Schedule,
    /// Whether the cover is known, and with it everything that is missing.
    begun: bool,
    /// Units that were wanted, whole, before the cover was known.
    ahead: BTreeSet<u64>,
    /// Parts of other units that were.
    parts: RangeSet,
    assembler: Assembler,
    max_bytes: u64,
    ready: VecDeque<ReadyUnit>,
    /// Fetched bytes of units that are complete and not yet settled.
    unsettled: u64,
    unsettled_units: u64,
    finished: Vec<(u64, Result<()>)>,
    /// For a target that is written in batches.
    batches: Option<Batches>,
    /// Fetched bytes that were taken, and that their taker keeps in memory.
    kept: u64,
    /// Requests that were told to wait.
    waiting: Vec<u64>,
    /// Requests that were given up in the step that failed, so that nobody was told to cancel them.
    given_up: Vec<u64>,
    closed: bool,
    counters: Counters,
}

/// What is special where units are placed batch by batch.
#[derive(Default)]
struct Batches {
    /// Units that are wanted, but whose batch has not begun.
    closed: BTreeSet<u64>,
    /// Those of them that are complete.
    parked: Vec<ReadyUnit>,
    /// Units that were wrong.
    late: Vec<u64>,
    /// Whether the units of all batches are wanted already.
    all: bool,
}

impl Batches {
    fn parked_bytes(&self) -> u64 {
        self.parked.iter().map(ReadyUnit::fetched).sum()
    }
}

impl Inner {
    /// The units and the parts that were wanted ahead, as far as they have been asked for. The others are not wanted any more.
    fn asked_ahead(&mut self) -> (BTreeSet<u64>, RangeSet) {
        let mut whole = std::mem::take(&mut self.ahead);
        whole.retain(|unit| {
            let range = self.index.unit_range(*unit);
            let is_asked = !self.schedule.is_todo(range);
            if !is_asked {
                self.schedule.unwant(range);
            }
            is_asked
        });
        let mut parts = std::mem::take(&mut self.parts);
        for part in parts.clone().iter() {
            let unasked = self.schedule.unwant(part);
            unasked.into_iter().for_each(|range| drop(parts.remove(range)));
        }
        (whole, parts)
    }

    /// Bytes that wait for their batch.
    fn parked(&self) -> u64 {
        self.batches.as_ref().map_or(0, Batches::parked_bytes)
    }

    /// Whether there will be room without anything more: complete units wait for their batch, and it for none of the bytes
    /// that could be asked for.
    fn waits_for_batch(&self) -> bool {
        let size = self.index.unit_size();
        self.batches.as_ref().is_some_and(|batches| {
            let is_closed = |unit: u64| batches.closed.contains(&unit);
            !batches.parked.is_empty()
                && self.schedule.todo().all(|range| (range.offset / size..range.end().div_ceil(size)).all(is_closed))
        })
    }

    /// Bytes that keep a source from giving more than it was asked for.
    fn in_the_way(&self) -> u64 {
        // Where all is wanted at once, what waits for its batch comes after what that waits for. Otherwise there is little.
        let parked = self.batches.as_ref().filter(|batches| batches.all).map_or(0, Batches::parked_bytes);
        self.unsettled.saturating_add(parked)
    }

    /// Fetched bytes that are in memory.
    fn held(&self) -> u64 {
        let complete = self.unsettled.saturating_add(self.parked()).saturating_add(self.kept);
        complete.saturating_add(self.assembler.held())
    }

    /// A unit is complete.
    fn complete(&mut self, unit: ReadyUnit) {
        match &mut self.batches {
            Some(batches) if batches.closed.contains(&unit.unit) => batches.parked.push(unit),
            _ => {
                self.unsettled += unit.fetched();
                self.unsettled_units += 1;
                self.ready.push_back(unit);
            }
        }
    }
}

impl Transfer {
    /// Fetches nothing yet: see [`Transfer::begin`]. `notify` is called, under no lock, whenever the driver may have
    /// something to do.
    pub fn new(index: Arc<Index>, limits: Limits, notify: Box<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Transfer {
            inner: Mutex::new(Inner {
                schedule: Schedule::new(limits, index.length()),
                assembler: Assembler::new(Arc::clone(&index)),
                index,
                begun: false,
                ahead: BTreeSet::new(),
                parts: RangeSet::new(),
                max_bytes: limits.max_bytes,
                ready: VecDeque::new(),
                unsettled: 0,
                unsettled_units: 0,
                batches: None,
                kept: 0,
                finished: Vec::new(),
                waiting: Vec::new(),
                given_up: Vec::new(),
                closed: false,
                counters: Counters::default(),
            }),
            notify,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants a unit, whole, before it is known which parts of it the seeds have: for when the way would be idle
    /// meanwhile, and that would cost more than the bytes.
    pub fn want_ahead(&self, unit: u64) {
        let mut inner = self.lock();
        let range = inner.index.unit_range(unit);
        if !inner.begun && !inner.parts.touches(range) && inner.ahead.insert(unit) {
            inner.schedule.want(range);
        }
    }

    /// Wants a part of the target of which it is known, before all is, that no seed has it.
    pub fn want_part(&self, part: Range) {
        let mut inner = self.lock();
        let size = inner.index.unit_size();
        let is_whole = inner.ahead.range(part.offset / size..part.end().div_ceil(size)).next().is_some();
        if !inner.begun && !is_whole && part.end() <= inner.index.length() {
            inner.parts.insert(part);
            inner.assembler.expect(part);
            inner.schedule.want(part);
        }
    }

    /// A unit that was wanted ahead has been found here. Nothing happens if it was asked for already.
    pub fn unwant(&self, unit: u64) {
        let mut inner = self.lock();
        let range = inner.index.unit_range(unit);
        if !inner.begun && inner.schedule.is_todo(range) && inner.ahead.remove(&unit) {
            inner.schedule.unwant(range);
        }
    }

    /// The cover is known: from now on what is missing in it is wanted, asked for by `strategy`; what was asked for ahead
    /// stays as it is. Returns the units that have any of that: it comes, whatever the cover says.
    pub fn begin(&self, cover: Vec<Piece>, strategy: Strategy) -> BTreeSet<u64> {
        let early = {
            let mut inner = self.lock();
            let inner = &mut *inner;
            inner.begun = true;
            let (whole, parts) = inner.asked_ahead();
            let mut wanted = RangeSet::new();
            let missing = cover.iter().filter(|piece| piece.origin == Origin::Missing);
            missing.for_each(|piece| wanted.insert(piece.target));
            let asked = whole.iter().map(|unit| inner.index.unit_range(*unit)).chain(parts.iter());
            asked.for_each(|range| drop(wanted.remove(range)));
            wanted.iter().for_each(|range| inner.schedule.want(range));
            inner.schedule.set_strategy(strategy);
            let ready = inner.assembler.set_cover(cover, &whole, &parts);
            ready.into_iter().for_each(|unit| inner.complete(unit));
            let size = inner.index.unit_size();
            let in_parts = parts.iter().flat_map(|part| part.offset / size..part.end().div_ceil(size));
            in_parts.chain(whole).collect()
        };
        (self.notify)();
        early
    }

    /// As [`Transfer::begin`], where units are placed batch by batch ([`Transfer::want`], [`Transfer::open`]). `all`: every
    /// unit will be wanted before the first batch is placed. A unit that is wrong is not fetched again by itself: see
    /// [`Transfer::take_late`].
    pub fn begin_batches(&self, cover: Vec<Piece>, all: bool) {
        let mut inner = self.lock();
        inner.begun = true;
        inner.batches = Some(Batches { all, ..Batches::default() });
        inner.assembler.set_cover(cover, &BTreeSet::new(), &RangeSet::new());
    }

    /// Wants what is missing of these units, which are not to be placed yet: up to `most` bytes. How many units that are,
    /// and those of them of which the seeds have all.
    pub fn want(&self, units: &[u64], most: u64) -> (usize, Vec<u64>) {
        let (mut count, mut whole, mut wanted) = (0, Vec::new(), 0);
        {
            // All at once: nothing is asked for before it is known what else.
            let mut inner = self.lock();
            let inner = &mut *inner;
            for unit in units {
                if wanted >= most {
                    break;
                }
                let ranges = inner.assembler.lacking(*unit);
                match &mut inner.batches {
                    Some(batches) if !ranges.is_empty() => drop(batches.closed.insert(*unit)),
                    _ => whole.push(*unit),
                }
                for range in ranges {
                    inner.schedule.want(range);
                    wanted += range.length;
                }
                count += 1;
            }
        }
        (self.notify)();
        (count, whole)
    }

    /// These units may be placed as soon as they are complete.
    pub fn open(&self, units: impl IntoIterator<Item = u64>) {
        {
            let mut inner = self.lock();
            let Some(batches) = &mut inner.batches else { return };
            for unit in units {
                batches.closed.remove(&unit);
            }
            let parked = std::mem::take(&mut batches.parked);
            parked.into_iter().for_each(|unit| inner.complete(unit));
        }
        (self.notify)();
    }

    /// The units that were wrong since this was asked last: all of each is to be wanted.
    pub fn take_late(&self) -> Vec<u64> {
        self.lock().batches.as_mut().map(|batches| std::mem::take(&mut batches.late)).unwrap_or_default()
    }

    /// So many of the fetched bytes that were taken and settled are kept in memory by who took them, from now on: they count
    /// as in flight, until this is called again.
    pub fn keep(&self, bytes: u64) {
        self.lock().kept = bytes;
        (self.notify)();
    }

    /// Whether all that is wanted has arrived.
    pub fn is_idle(&self) -> bool {
        self.lock().schedule.is_idle()
    }

    /// What is known of the source now.
    pub fn heed(&self, way: Way, copies: u32) {
        let mut inner = self.lock();
        inner.schedule.set_way(way);
        inner.assembler.set_copies(copies);
    }

    /// How the missing bytes are asked for now.
    pub fn strategy(&self) -> Strategy {
        self.lock().schedule.strategy()
    }

    /// Whether everything that is wanted has been asked for, so that the way may soon be idle.
    pub fn is_asked(&self) -> bool {
        self.lock().schedule.is_asked()
    }

    /// The next request to hand to the source, numbered `id`.
    pub fn next_request(self: &Arc<Self>, id: u64, now: Duration) -> Option<Request> {
        let mut inner = self.lock();
        if inner.closed {
            return None;
        }
        let held = inner.held();
        let drains = inner.unsettled_units > 0 || inner.waits_for_batch();
        let ranges = inner.schedule.next(id, held, drains, now)?;
        Some(Request::new(id, ranges, Arc::clone(self) as Arc<dyn Sink>))
    }

    /// A unit that seeds have completely, to be put together, checked with [`Transfer::check`] and written.
    pub fn from_seeds(&self, unit: u64) -> ReadyUnit {
        self.lock().assembler.from_seeds(unit)
    }

    /// A unit whose fetched bytes are all here, to be put together, checked with [`Transfer::check`], written and settled.
    pub fn take_ready(&self) -> Option<ReadyUnit> {
        self.lock().ready.pop_front()
    }

    /// Checks a unit that was put together in `bytes`; one that is wrong for the first time is scheduled again, whole.
    pub fn check<'a>(&self, unit: u64, pieces: Vec<Piece>, bytes: &'a [u8]) -> Result<Assembled<'a>> {
        let outcome = {
            let mut inner = self.lock();
            let outcome = inner.assembler.check(unit, pieces, bytes)?;
            if let Assembled::Refetch(range) = outcome {
                match &mut inner.batches {
                    Some(batches) => batches.late.push(unit),
                    None => inner.schedule.want(range),
                }
            }
            outcome
        };
        if matches!(outcome, Assembled::Refetch(_)) {
            (self.notify)();
        }
        Ok(outcome)
    }

    /// A unit from [`Transfer::take_ready`] has been dealt with; `fetched` is what its [`ReadyUnit::fetched`] said.
    pub fn settle(&self, fetched: u64) {
        {
            let mut inner = self.lock();
            inner.unsettled = inner.unsettled.saturating_sub(fetched);
            inner.unsettled_units = inner.unsettled_units.saturating_sub(1);
        }
        (self.notify)();
    }

    /// Deals with what has happened up to `now`. An error means that the transfer cannot succeed.
    pub fn step(&self, now: Duration, random: f64) -> Result<Step> {
        let mut inner = self.lock();
        let mut step = Step::default();
        let finished = std::mem::take(&mut inner.finished);
        let mut outcomes: Vec<Outcome> =
            finished.into_iter().map(|(id, result)| inner.schedule.finished(id, result, now, random)).collect();
        for (id, outcome) in inner.schedule.expired(now, random) {
            step.cancel.push(id);
            outcomes.push(outcome);
        }
        for outcome in outcomes {
            match outcome {
                Outcome::Done | Outcome::Unknown => {}
                Outcome::Retried(error) => {
                    inner.counters.retries += 1;
                    step.survived.push(error);
                }
                Outcome::Failed(error) => {
                    inner.given_up = step.cancel;
                    return Err(error);
                }
            }
        }
        // Half of the room is worth a wake-up; a source that offers larger pieces gets them in when nothing waits.
        if inner.in_the_way() <= inner.max_bytes / 2 {
            step.resume = std::mem::take(&mut inner.waiting);
        }
        step.wakeup = inner.schedule.wakeup(now);
        let is_placed = inner.ready.is_empty() && inner.unsettled_units == 0 && inner.parked() == 0;
        step.over = inner.begun && inner.schedule.is_idle() && is_placed;
        Ok(step)
    }

    /// Nobody wants answers any more; returns the requests to cancel at the source.
    pub fn close(&self) -> Vec<u64> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.ready.clear();
        inner.batches = None;
        let mut ids = inner.schedule.open_ids();
        ids.append(&mut inner.given_up);
        ids
    }

    /// The counters now.
    pub fn counters(&self) -> Counters {
        self.lock().counters
    }

    /// Requests open and bytes asked for or held right now: what the bounds bound.
    pub fn in_flight(&self) -> (usize, u64) {
        let inner = self.lock();
        (inner.schedule.open_count(), inner.schedule.asked() + inner.held())
    }
}

impl Sink for Transfer {
    fn supply(&self, id: u64, offset: u64, data: &[u8]) -> Supply {
        let ready = {
            let mut inner = self.lock();
            if inner.closed {
                return Supply::Closed;
            }
            let length = data.len() as u64;
            let range = Range::new(offset, length.min(u64::MAX - offset));
            // What was asked for has its room reserved. Of the rest, only units that wait for the disk hold an
            // answer back: they always drain, so that nothing can wait for ever.
            let in_the_way = inner.in_the_way();
            let full = in_the_way > 0 && in_the_way.saturating_add(inner.kept).saturating_add(length) > inner.max_bytes;
            if full && inner.schedule.is_unasked(range) {
                if !inner.waiting.contains(&id) {
                    inner.waiting.push(id);
                }
                inner.schedule.touch(id);
                return Supply::Again;
            }
            let useful = inner.schedule.arrived(id, range);
            let useful_bytes: u64 = useful.iter().map(|range| range.length).sum();
            inner.counters.fetched += useful_bytes;
            inner.counters.wasted += length - useful_bytes;
            let before = inner.ready.len();
            for range in useful {
                let start = (range.offset - offset) as usize;
                let units = inner.assembler.supply(range.offset, &data[start..start + range.length as usize]);
                units.into_iter().for_each(|unit| inner.complete(unit));
            }
            inner.ready.len() > before
        };
        if ready {
            (self.notify)();
        }
        Supply::Taken
    }

    fn finish(&self, id: u64, exchanges: u64, result: Result<()>) {
        {
            let mut inner = self.lock();
            inner.counters.requests += exchanges;
            if inner.closed {
                return;
            }
            inner.finished.push((id, result));
        }
        (self.notify)();
    }
}
