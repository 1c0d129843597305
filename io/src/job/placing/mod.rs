//! The middle of an update: requests go out, answers come back, and fetched bytes and seeds become verified units.
//!
//! Four kinds of threads: this one searches the seeds; the driver feeds the schedule and watches clock and cancel;
//! placers put units together, have them checked and write them; the dispatcher alone calls the source, so that a
//! source that is stuck holds nobody but itself.

mod batches;
mod bell;
mod placer;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use gosync_core::assemble::Verified;
use gosync_core::cost::Way;
use gosync_core::matching::{Flow, Found};
use gosync_core::schedule::Limits;
use gosync_core::transfer::Transfer;
use gosync_core::{Error, ErrorKind, Index, Origin, Piece, Plan, Range, Request, Result, Source};

use self::bell::Bell;
use super::ahead::{Advice, Search};
use super::seeds::Seeds;
use super::work;
use super::{Shared, TICK};
use crate::output::Output;
use crate::random::random;
use crate::report::{Level, Phase, Progress};
use crate::source::next_request_id;

/// Bytes that are fetched ahead in one go, where the way would be idle otherwise.
const STRETCH: u64 = 4 << 20;

/// What placing needs to know of its job.
pub(super) struct Task<'a> {
    pub(super) shared: &'a Shared,
    pub(super) index: &'a Arc<Index>,
    pub(super) seeds: &'a Seeds,
    pub(super) output: &'a dyn Place,
    /// Where missing bytes come from; an error matters only if there are any.
    pub(super) source: &'a Result<Arc<dyn Source>>,
    pub(super) limits: Limits,
    /// Bytes that are at their place already.
    pub(super) there: u64,
}

/// Where verified units go.
pub(super) trait Place: Sync {
    /// Whether this unit is there.
    fn has(&self, unit: u64) -> bool;
    /// Writes a unit, which was put together from `pieces`. How many bytes were written, and how many were there.
    fn write(&self, verified: Verified<'_>, pieces: &[Piece]) -> Result<(u64, u64)>;
}

impl Place for Output {
    fn has(&self, unit: u64) -> bool {
        Output::has(self, unit)
    }

    fn write(&self, verified: Verified<'_>, _: &[Piece]) -> Result<(u64, u64)> {
        Ok((Output::write(self, verified)?, 0))
    }
}

/// Places every unit of the target: what `lead` says that the seeds have, and what is fetched. While it searches, the
/// site is open already, for what it wants to be fetched ahead.
pub(super) fn place(task: Task<'_>, lead: impl FnOnce(&Site<'_>) -> Result<()>) -> Result<()> {
    let bell = Arc::new(Bell::default());
    let ring = Arc::clone(&bell);
    let transfer = Transfer::new(Arc::clone(task.index), task.limits, Box::new(move || ring.ring()));
    let (before, there) = (task.shared.meter.get(), AtomicU64::new(task.there));
    let site = Site {
        task,
        transfer,
        bell,
        before,
        copies: Mutex::default(),
        copying: AtomicU64::new(0),
        placing: AtomicU64::new(0),
        is_led: AtomicBool::new(false),
        there,
        ahead: Mutex::default(),
        over: AtomicBool::new(false),
        failure: Mutex::new(None),
        orders: OnceLock::new(),
    };
    let count = match site.task.shared.options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(8),
        count => count.min(8),
    };
    let result = std::thread::scope(|scope| {
        // Also if the search panics: the scope waits for the others, and those wait for this.
        let _end = End(&site);
        for _ in 0..count {
            scope.spawn(|| site.guarded(|| site.work()));
        }
        let driver = scope.spawn(|| {
            let _end = End(&site);
            site.drive()
        });
        match lead(&site) {
            Ok(()) => site.is_led.store(true, Ordering::Release),
            Err(error) => site.fail(error),
        }
        site.bell.ring();
        driver.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a worker thread panicked")))
    });
    for id in site.transfer.close() {
        site.order(Order::Cancel(id));
    }
    site.count();
    result
}

/// The units that seeds have completely, but not in one run: they are put together from their pieces.
fn copies(task: &Task<'_>, cover: &[Piece], early: &BTreeSet<u64>) -> Vec<u64> {
    let mut missing = vec![false; task.index.unit_count() as usize];
    for piece in cover.iter().filter(|piece| piece.origin == Origin::Missing) {
        let size = task.index.unit_size();
        let units = piece.target.offset / size..piece.target.end().div_ceil(size);
        missing[units.start as usize..units.end as usize].fill(true);
    }
    let is_copy = |unit: &u64| !task.output.has(*unit) && !early.contains(unit);
    (0..).zip(&missing).filter(|(_, missing)| !**missing).map(|(unit, _)| unit).filter(is_copy).collect()
}

/// What the dispatcher is told to do.
enum Order {
    Fetch(Request),
    Cancel(u64),
    Resume(u64),
}

/// Starts the thread that calls the source. It ends when its orders do.
fn dispatcher(source: Arc<dyn Source>) -> Result<Sender<Order>> {
    let (sender, receiver) = mpsc::channel();
    let obey = move || {
        for order in receiver {
            match order {
                Order::Fetch(request) => source.fetch(request),
                Order::Cancel(id) => source.cancel(id),
                Order::Resume(id) => source.resume(id),
            }
        }
    };
    std::thread::Builder::new()
        .name("gosync-dispatch".into())
        .spawn(obey)
        .map_err(|cause| Error::new(ErrorKind::Io, "cannot start a thread").caused_by(cause))?;
    Ok(sender)
}

/// Everything that search, driver and placers share.
pub(super) struct Site<'a> {
    task: Task<'a>,
    transfer: Arc<Transfer>,
    bell: Arc<Bell>,
    /// The counters that an earlier try left.
    before: Progress,
    /// Units to be put together from seeds alone.
    copies: Mutex<VecDeque<u64>>,
    /// How many of those have not been dealt with.
    copying: AtomicU64,
    /// Units of the batch that have not been dealt with, where there are batches.
    placing: AtomicU64,
    /// Whether all is known that is to be done.
    is_led: AtomicBool,
    /// Bytes that turned out to be at their place already.
    there: AtomicU64,
    ahead: Mutex<Ahead>,
    over: AtomicBool,
    failure: Mutex<Option<Error>>,
    /// To the dispatcher, once there is one.
    orders: OnceLock<Sender<Order>>,
}

/// How far units have been wanted ahead of the search.
#[derive(Default)]
struct Ahead {
    /// Whether the way is to be kept busy.
    on: bool,
    /// Whether the search was ended early.
    ended: bool,
    /// The first unit that was not looked at for it.
    next: u64,
    /// Bytes of the target that the search has passed, and how many of them are missing.
    passed: u64,
    missing: u64,
}

/// Sends the placers home, however the driver ends.
struct End<'a>(&'a Site<'a>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        self.0.bell.ring();
    }
}

impl Site<'_> {
    /// What is known of the way to the source, as the caller may have assumed it.
    pub(super) fn way(&self) -> Way {
        work::way(self.task.shared, self.task.source)
    }

    /// The search has come to `target` bytes of the target, and found the blocks in `found`: whether to go on with it.
    pub(super) fn passed(&self, found: &Found, target: u64, search: Search) -> Result<Flow> {
        if self.over.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Cancelled, "the transfer failed"));
        }
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let units = |bytes: u64| {
            if bytes >= self.task.index.length() {
                self.task.index.unit_count()
            } else {
                bytes / self.task.index.unit_size()
            }
        };
        let lacking = |among: std::ops::Range<u64>| -> u64 {
            let lacking = among.filter(|unit| found.has_none(*unit));
            lacking.map(|unit| self.task.index.unit_range(unit).length).sum()
        };
        let (before, missed) = (ahead.passed, ahead.missing);
        let still = lacking(0..units(before));
        ahead.passed = target.max(before);
        ahead.missing = still + lacking(units(before)..units(ahead.passed));
        let (passed, missing, late) = (ahead.passed, ahead.missing, missed.saturating_sub(still));
        let advice = Search { passed, missing, missed, late, ..search }.advice();
        ahead.on = matches!(advice, Advice::Ahead | Advice::Enough);
        let end = if ahead.on { passed } else { before };
        if advice != Advice::Wait {
            for unit in ahead.next..units(end) {
                if found.has_none(unit) && !self.task.output.has(unit) {
                    self.transfer.want_ahead(unit);
                }
            }
            ahead.next = ahead.next.max(units(end));
            ahead.ended = advice == Advice::Enough;
            drop(ahead);
            self.bell.ring();
        }
        Ok(if advice == Advice::Enough { Flow::Enough } else { Flow::On })
    }

    /// Bytes that were at their place already, as far as that is known.
    pub(super) fn there(&self) -> u64 {
        self.there.load(Ordering::Relaxed)
    }

    /// A unit has been found and written.
    pub(super) fn found(&self, unit: u64) {
        self.transfer.unwant(unit);
    }

    /// Whether parts of units may be asked for before the search is over: from a source that has ranges, and not where
    /// everything is to be looked through first.
    pub(super) fn takes_parts(&self) -> bool {
        let has_ranges = |source: &Arc<dyn Source>| source.link().ranges == Some(true);
        !self.task.shared.options.thorough && self.task.source.as_ref().is_ok_and(has_ranges)
    }

    /// Wants parts of units that the search has shown to be new, before it is over.
    pub(super) fn want_parts(&self, parts: &[Range]) {
        parts.iter().for_each(|part| self.transfer.want_part(*part));
        self.bell.ring();
    }

    /// While everything that the search has passed is under way already, what comes next is fetched too.
    fn keep_busy(&self) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if !ahead.on || self.is_led.load(Ordering::Acquire) || !self.transfer.is_asked() {
            return;
        }
        let stretch = (STRETCH / self.task.index.unit_size()).max(1);
        let end = (ahead.next + stretch).min(self.task.index.unit_count());
        for unit in ahead.next..end {
            if !self.task.output.has(unit) {
                self.transfer.want_ahead(unit);
            }
        }
        ahead.next = end;
    }

    /// The search is over: from now on it is known what to fetch and what to copy.
    pub(super) fn begin(&self, plan: Plan) -> Result<()> {
        let Task { shared, source, .. } = &self.task;
        if let (true, Err(error)) = (plan.missing > 0, source) {
            return Err(error.clone());
        }
        shared.meter.update(|progress| progress.phase = Phase::Transferring);
        let is_ended = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).ended;
        if is_ended {
            shared.add_reason(Some(String::from(
                "the search ended early: it found less in a second than the source sends in an eighth of one",
            )));
        }
        let (cover, strategy) = (plan.pieces, plan.strategy);
        let early = self.transfer.begin(cover.clone(), strategy);
        self.copy(copies(&self.task, &cover, &early));
        Ok(())
    }

    fn copy(&self, units: Vec<u64>) {
        self.copying.fetch_add(units.len() as u64, Ordering::AcqRel);
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).extend(units);
        self.bell.ring();
    }

    /// A unit has been dealt with.
    fn dealt(&self) {
        let less = |left: u64| left.checked_sub(1);
        let _ = self.placing.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// Feeds the transfer until everything is placed.
    fn drive(&self) -> Result<()> {
        let shared = self.task.shared;
        let start = Instant::now();
        loop {
            let seen = self.bell.count();
            shared.observer.cancel.check()?;
            if self.over.load(Ordering::Acquire) {
                // Nobody else ends it before this does but a search that panics.
                return Err(Error::new(ErrorKind::Internal, "the search panicked"));
            }
            self.keep_busy();
            // Copies first: a copy that turns out wrong adds to what the step then sees.
            let copied = self.is_led.load(Ordering::Acquire) && self.copying.load(Ordering::Acquire) == 0;
            let now = start.elapsed();
            let copies = self.task.source.as_ref().map_or(1, |source| source.link().copies);
            self.transfer.heed(self.way(), copies);
            let step = self.transfer.step(now, random())?;
            if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(error);
            }
            for error in &step.survived {
                let text = format!("a request failed and is repeated: {error}");
                shared.observer.event(Level::Warning, "retry", text, &[("kind", &error.kind())]);
            }
            step.cancel.into_iter().for_each(|id| self.order(Order::Cancel(id)));
            step.resume.into_iter().for_each(|id| self.order(Order::Resume(id)));
            while let Some(request) = self.transfer.next_request(next_request_id(), start.elapsed()) {
                if self.orders.get().is_none() {
                    // Nothing was missing so far; now a seed may have turned out to be wrong.
                    let source = self.task.source.clone()?;
                    let _ = self.orders.set(dispatcher(source)?);
                }
                self.order(Order::Fetch(request));
            }
            self.count();
            if step.over && copied {
                return Ok(());
            }
            let pause = step.wakeup.map_or(TICK, |at| at.saturating_sub(start.elapsed()).min(TICK));
            self.bell.wait(seen, pause);
        }
    }

    /// Does a placer's work; a panic is a failure of the whole.
    fn guarded(&self, work: impl FnOnce()) {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            self.fail(Error::new(ErrorKind::Internal, "a worker thread panicked"));
        }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = self.orders.get() {
            // A dispatcher that has ended answers by dropping the order, and with it the request.
            let _ = orders.send(order);
        }
    }

    /// Brings the transfer's counters into the progress.
    fn count(&self) {
        let (counters, before) = (self.transfer.counters(), &self.before);
        self.task.shared.meter.update(|progress| {
            progress.fetched = before.fetched + counters.fetched;
            progress.wasted = before.wasted + counters.wasted;
            progress.requests = before.requests + counters.requests;
            progress.retries = before.retries + counters.retries;
        });
    }
}
