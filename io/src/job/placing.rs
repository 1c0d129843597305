//! The middle of an update: requests go out, answers come back, and fetched bytes and seeds become verified units.
//!
//! Three kinds of threads: the driver (this one) feeds the schedule and watches clock and cancel; placers put units
//! together, have them checked and write them; the dispatcher alone calls the source, so that a source that is stuck
//! holds nobody but itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gosync_core::assemble::{Assembled, Culprit, ReadyUnit};
use gosync_core::index::UNIT;
use gosync_core::plan::{Origin, Piece};
use gosync_core::schedule::Limits;
use gosync_core::transfer::Transfer;
use gosync_core::{Error, ErrorKind, Request, Result, Source};

use super::work::{self, Seeds};
use super::{Shared, TICK};
use crate::output::Output;
use crate::report::Level;
use crate::source::next_request_id;
use crate::verbs::share;

/// Fetches what is missing and places every unit that is not in the output yet.
pub(super) fn place(
    shared: &Shared,
    seeds: &Seeds,
    output: &Output,
    cover: Vec<Piece>,
    source: Option<Arc<dyn Source>>,
    limits: Limits,
) -> Result<()> {
    let copies: Vec<u64> = copies(shared, output, &cover);
    let bell = Arc::new(Bell::default());
    let ring = Arc::clone(&bell);
    let transfer = Transfer::new(Arc::clone(&shared.index), cover, limits, Box::new(move || ring.ring()));
    let site = Site {
        shared,
        seeds,
        output,
        transfer,
        bell,
        copies,
        next_copy: AtomicU64::new(0),
        copied: AtomicU64::new(0),
        over: AtomicBool::new(false),
        failure: Mutex::new(None),
        orders: OnceLock::new(),
    };
    let count = match shared.options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(8),
        count => count.min(8),
    };
    let result = std::thread::scope(|scope| {
        // Also if the driver panics: the scope waits for the placers, and those wait for this.
        let _end = End(&site);
        for _ in 0..count {
            scope.spawn(|| {
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| site.work())).is_err() {
                    site.fail(Error::new(ErrorKind::Internal, "a worker thread panicked"));
                }
            });
        }
        site.drive(source)
    });
    for id in site.transfer.close() {
        site.order(Order::Cancel(id));
    }
    site.count();
    result
}

/// The units that seeds have completely, but not in one run: they are put together from their pieces.
fn copies(shared: &Shared, output: &Output, cover: &[Piece]) -> Vec<u64> {
    let mut missing = vec![false; shared.index.unit_count() as usize];
    for piece in cover.iter().filter(|piece| piece.origin == Origin::Missing) {
        let units = piece.target.offset / UNIT..piece.target.end().div_ceil(UNIT);
        missing[units.start as usize..units.end as usize].fill(true);
    }
    (0..).zip(&missing).filter(|(unit, missing)| !**missing && !output.has(*unit)).map(|(unit, _)| unit).collect()
}

/// Wakes whoever waits for something to do.
#[derive(Default)]
struct Bell {
    rung: Mutex<u64>,
    waiters: Condvar,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        *self.lock() += 1;
        self.waiters.notify_all();
    }

    /// How often it has rung.
    fn count(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it has rung more often than `seen`, but not for longer than `most`.
    fn wait(&self, seen: u64, most: Duration) {
        let rung = self.lock();
        let _ = self.waiters.wait_timeout_while(rung, most, |rung| *rung <= seen);
    }
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

/// Everything that driver and placers share.
struct Site<'a> {
    shared: &'a Shared,
    seeds: &'a Seeds,
    output: &'a Output,
    transfer: Arc<Transfer>,
    bell: Arc<Bell>,
    copies: Vec<u64>,
    next_copy: AtomicU64,
    copied: AtomicU64,
    over: AtomicBool,
    failure: Mutex<Option<Error>>,
    /// To the dispatcher, once there is one.
    orders: OnceLock<Sender<Order>>,
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
    /// Feeds the transfer until everything is placed.
    fn drive(&self, mut source: Option<Arc<dyn Source>>) -> Result<()> {
        let start = Instant::now();
        loop {
            let seen = self.bell.count();
            self.shared.observer.cancel.check()?;
            // Copies first: a copy that turns out wrong adds to what the step then sees.
            let copied = self.copied.load(Ordering::Acquire) == self.copies.len() as u64;
            let now = start.elapsed();
            let step = self.transfer.step(now, random())?;
            if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(error);
            }
            for error in &step.survived {
                let text = format!("a request failed and is repeated: {error}");
                self.shared.observer.event(Level::Warning, "retry", text, &[("kind", &error.kind())]);
            }
            step.cancel.into_iter().for_each(|id| self.order(Order::Cancel(id)));
            step.resume.into_iter().for_each(|id| self.order(Order::Resume(id)));
            while let Some(request) = self.transfer.next_request(next_request_id(), start.elapsed()) {
                if self.orders.get().is_none() {
                    // Without a source so far, nothing was missing; now a seed has turned out to be wrong.
                    let source = source.take().map_or_else(|| work::source(self.shared), Ok)?;
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

    fn order(&self, order: Order) {
        if let Some(orders) = self.orders.get() {
            // A dispatcher that has ended answers by dropping the order, and with it the request.
            let _ = orders.send(order);
        }
    }

    /// Brings the transfer's counters into the progress.
    fn count(&self) {
        let counters = self.transfer.counters();
        self.shared.meter.update(|progress| {
            progress.fetched = counters.fetched;
            progress.wasted = counters.wasted;
            progress.requests = counters.requests;
            progress.retries = counters.retries;
        });
    }

    /// Places units until the driver says that it is over.
    fn work(&self) {
        let mut buffer = Vec::with_capacity(UNIT as usize);
        loop {
            // Before anything is looked at, the end included: a bell that rings in between is not slept through.
            let seen = self.bell.count();
            if self.over.load(Ordering::Acquire) || self.shared.observer.cancel.is_cancelled() {
                return;
            }
            // A failure is noted before the unit counts as dealt with: the driver must never see the one without the other.
            if let Some(ready) = self.transfer.take_ready() {
                let fetched = ready.fetched();
                self.place(ready, &mut buffer).unwrap_or_else(|error| self.fail(error));
                self.transfer.settle(fetched);
            } else if let Some(unit) = self.take_copy() {
                self.place(self.transfer.from_seeds(unit), &mut buffer).unwrap_or_else(|error| self.fail(error));
                self.copied.fetch_add(1, Ordering::AcqRel);
                self.bell.ring();
            } else {
                self.bell.wait(seen, Duration::from_secs(1));
            }
        }
    }

    /// The first failure is the one that is reported.
    fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.bell.ring();
    }

    fn take_copy(&self) -> Option<u64> {
        let at = self
            .next_copy
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |at| (at < self.copies.len() as u64).then_some(at + 1));
        self.copies.get(at.ok()? as usize).copied()
    }

    /// Puts a unit together in `buffer`, has it checked, and writes it from that very buffer.
    fn place(&self, ready: ReadyUnit, buffer: &mut Vec<u8>) -> Result<()> {
        let unit = ready.unit;
        let range = self.shared.index.unit_range(unit);
        buffer.clear();
        for part in &ready.parts {
            match part.piece.origin {
                Origin::Missing => buffer.extend_from_slice(&part.fetched),
                Origin::Seed { seed, offset } => self.read(seed, offset, part.piece.target.length, buffer),
            }
        }
        let pieces: Vec<Piece> = ready.parts.into_iter().map(|part| part.piece).collect();
        let local: u64 =
            pieces.iter().filter(|piece| piece.origin != Origin::Missing).map(|piece| piece.target.length).sum();
        match self.transfer.check(unit, pieces, buffer)? {
            Assembled::Right(verified) => {
                self.output.write(verified)?;
            }
            Assembled::RightAfterAll(verified, culprit, place) => {
                self.output.write(verified)?;
                self.blame(culprit, place.offset);
            }
            Assembled::Refetch(range) => {
                let text = "a unit was wrong at first and is fetched whole";
                self.shared.observer.event(Level::Warning, "refetch", text, &[("offset", &range.offset)]);
                return Ok(());
            }
        }
        let total = self.shared.index.length();
        self.shared.meter.update(|progress| {
            progress.from_seeds += local;
            progress.written += range.length;
            progress.fraction = progress.fraction.max(share(progress.written, total) * 0.999);
        });
        Ok(())
    }

    /// Reads from a seed. What cannot be read becomes zeros: the check finds out, and the unit is fetched.
    fn read(&self, seed: u32, offset: u64, length: u64, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.resize(start + length as usize, 0);
        if let Some(reader) = self.seeds.readers.get(seed as usize)
            && let Err(error) = reader.read_at(offset, &mut buffer[start..])
        {
            let text = format!("a part of a seed cannot be read and is fetched: {error}");
            self.shared.observer.event(Level::Warning, "seed_unreadable", text, &[("seed", &seed)]);
        }
    }

    fn blame(&self, culprit: Culprit, offset: u64) {
        let (kind, text) = match culprit {
            Culprit::Seed(seed) => {
                ("wrong_seed", format!("a part of seed {seed} changed, or only looked like the target's"))
            }
            Culprit::Source => ("wrong_source", String::from("the source sent wrong bytes at first")),
        };
        self.shared.observer.event(Level::Warning, kind, text, &[("offset", &offset)]);
    }
}

/// From 0 to 1, to spread the retries of many clients.
fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    bits as f64 / u64::MAX as f64
}
