//! A source that is several places with the same content. Each request goes to the one that is expected to answer it
//! first; what one of them fails to answer is continued at the next, from where it stopped, before the asker hears of
//! a failure. A range that is asked for again was wrong, and goes to another mirror than before.
//!
//! Here: the requests on their way. `standing` judges mirrors and chooses one, `notes` remembers who answered what.

mod notes;
mod standing;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use gosync_core::index::UNIT;
use gosync_core::ranges::RangeSet;
use gosync_core::{Error, ErrorKind, Link, Range, Request, Result, Sink, Source, Supply};

use self::notes::Notes;
use self::standing::{Need, Standing, UNKNOWN_LENGTH, choose, most_telling};
use super::next_request_id;
use super::pending::{Pending, lock, unwanted};
use crate::report::{Level, Observer};

/// Mirrors that one source may have.
const MOST_MIRRORS: usize = 64;

/// Several places with the same content, as one source.
pub struct MirrorSource {
    mirrors: Vec<Arc<dyn Source>>,
    shared: Arc<Shared>,
}

/// A set of mirrors, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Set(u64);

impl Set {
    fn add(&mut self, mirror: usize) {
        self.0 |= 1 << mirror;
    }

    fn has(self, mirror: usize) -> bool {
        self.0 & 1 << mirror != 0
    }
}

/// What callers and answering threads have in common. Does not hold the mirrors: they hold requests, which hold this.
struct Shared {
    observer: Observer,
    state: Mutex<State>,
}

struct State {
    standings: Vec<Standing>,
    /// To the thread of each mirror.
    orders: Vec<Sender<Order>>,
    /// By the number that the asker gave.
    efforts: HashMap<u64, Effort>,
    notes: Notes,
}

/// A request on its way. It is with one mirror at a time.
struct Effort {
    pending: Arc<Pending>,
    asker: Weak<dyn Sink>,
    lacking: RangeSet,
    need: Need,
    errors: Vec<Error>,
    /// Who has it, under which number, since when, and how many bytes are still reckoned for it.
    mirror: usize,
    number: u64,
    since: Instant,
    reckoned: u64,
}

/// What the thread of a mirror is told to do.
enum Order {
    Fetch(Request, Arc<Pending>),
    Cancel(u64),
    Resume(u64),
}

/// What is to be done once the state is unlocked.
#[derive(Default)]
struct After {
    order: Option<(Sender<Order>, Order)>,
    settle: Option<(Arc<Pending>, Result<()>)>,
    /// Mirrors that are left alone from now on, and why.
    dropped: Vec<(String, String)>,
}

impl MirrorSource {
    /// One source of `sources`, which have the same content. The first comes first where nothing is known. At most 64.
    pub fn new(sources: Vec<Arc<dyn Source>>, observer: &Observer) -> Result<MirrorSource> {
        Self::of_units(sources, UNIT, observer)
    }

    /// As [`MirrorSource::new`], for content that is verified in units of so many bytes.
    pub(crate) fn of_units(sources: Vec<Arc<dyn Source>>, unit: u64, observer: &Observer) -> Result<MirrorSource> {
        if !(1..=MOST_MIRRORS).contains(&sources.len()) {
            let text = format!("a source of mirrors needs 1 to {MOST_MIRRORS} of them");
            return Err(Error::new(ErrorKind::Argument, text).with("mirrors", sources.len()));
        }
        let orders = sources.iter().map(|source| dispatcher(Arc::clone(source))).collect::<Result<_>>()?;
        let standings = sources.iter().map(|source| Standing::new(source.describe())).collect();
        let state = State { standings, orders, efforts: HashMap::new(), notes: Notes::new(unit) };
        let shared = Arc::new(Shared { observer: observer.clone(), state: Mutex::new(state) });
        Ok(MirrorSource { mirrors: sources, shared })
    }

    /// What becomes of the order for the mirror that has request `id`.
    fn pass_on(&self, id: u64, order: impl FnOnce(u64) -> Order) {
        let order = {
            let state = lock(&self.shared.state);
            state.efforts.get(&id).map(|effort| (state.orders[effort.mirror].clone(), order(effort.number)))
        };
        if let Some((sender, order)) = order {
            // A thread that has ended has nothing to cancel or resume.
            let _ = sender.send(order);
        }
    }
}

/// Starts the thread that calls a mirror, so that one that does not return holds up only itself.
/// It ends when its orders do.
fn dispatcher(source: Arc<dyn Source>) -> Result<Sender<Order>> {
    let (sender, receiver) = mpsc::channel();
    let obey = move || {
        for order in receiver {
            // A request that a panic drops is answered by that.
            let _ = catch_unwind(AssertUnwindSafe(|| match order {
                Order::Fetch(request, pending) if pending.is_stopped() => drop(request),
                Order::Fetch(request, _) => source.fetch(request),
                Order::Cancel(number) => source.cancel(number),
                Order::Resume(number) => source.resume(number),
            }));
        }
    };
    std::thread::Builder::new().name("gosync-mirror".into()).spawn(obey).map_err(|cause| {
        Error::new(ErrorKind::Io, format!("cannot start a thread for a mirror: {cause}")).caused_by(cause)
    })?;
    Ok(sender)
}

impl Source for MirrorSource {
    fn fetch(&self, request: Request) {
        let Some(asker) = request.asker() else { return };
        let links: Vec<Link> = self.mirrors.iter().map(|mirror| mirror.link()).collect();
        let pending = Pending::new(request, 1);
        let after = {
            let mut state = lock(&self.shared.state);
            state.standings.iter_mut().zip(links).for_each(|(standing, link)| standing.link = link);
            state.take(&self.shared, pending, asker)
        };
        self.shared.finish_up(after);
    }

    fn cancel(&self, id: u64) {
        let after = lock(&self.shared.state).give_up(id);
        self.shared.finish_up(after);
    }

    fn resume(&self, id: u64) {
        self.pass_on(id, Order::Resume);
    }

    fn link(&self) -> Link {
        let mut link = Link { copies: 0, ..Link::default() };
        let live: Vec<bool> =
            lock(&self.shared.state).standings.iter().map(|standing| !standing.is_dropped()).collect();
        let all_dropped = !live.contains(&true);
        let (mut ranges, mut rates, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for mirror in self.mirrors.iter().zip(&live).filter(|(_, live)| **live || all_dropped).map(|(mirror, _)| mirror)
        {
            let one = mirror.link();
            link.round_trip = link.round_trip.into_iter().chain(one.round_trip).min();
            link.parallel = link.parallel.saturating_add(one.parallel);
            link.proven = link.proven.saturating_add(one.proven);
            link.at_once = link.at_once.saturating_add(one.at_once);
            link.files = link.files.max(one.files);
            link.copies += 1;
            rates.extend(one.rate);
            ranges.push(one.ranges);
            reasons.extend(one.reason.filter(|reason| !reasons.contains(reason)));
        }
        link.rate = rates.into_iter().reduce(u64::saturating_add);
        link.ranges = match () {
            () if ranges.contains(&Some(true)) => Some(true),
            () if ranges.contains(&None) => None,
            () => Some(false),
        };
        let dropped = live.iter().filter(|live| !**live).count();
        if dropped > 0 {
            reasons.push(format!("{dropped} of {} mirrors failed and are left alone", live.len()));
        }
        link.reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        link
    }

    fn describe(&self) -> String {
        let first = self.mirrors.first().map(|mirror| mirror.describe()).unwrap_or_default();
        match self.mirrors.len() {
            0 | 1 => first,
            count => format!("{first} and {} more", count - 1),
        }
    }
}

impl Drop for MirrorSource {
    fn drop(&mut self) {
        let (orders, efforts) = {
            let mut state = lock(&self.shared.state);
            let efforts: Vec<_> = state.efforts.drain().map(|(_, effort)| effort).collect();
            (std::mem::take(&mut state.orders), efforts)
        };
        for effort in efforts.iter().filter(|effort| !effort.pending.is_stopped()) {
            effort.pending.stop();
            // The mirror finishes it; the asker hears of the end then.
            let _ = orders[effort.mirror].send(Order::Cancel(effort.number));
        }
    }
}

impl State {
    /// A new request.
    fn take(&mut self, shared: &Arc<Shared>, pending: Arc<Pending>, asker: Weak<dyn Sink>) -> After {
        let now = Instant::now();
        let mut after = After::default();
        let ranges = pending.ranges();
        let verdict = self.notes.judge(&asker, ranges);
        for mirror in 0..self.standings.len() {
            let marks = if verdict.wrong.has(mirror) { 2 } else { u32::from(verdict.doubtful.has(mirror)) };
            let is_last = self.standings.iter().filter(|standing| !standing.is_dropped()).count() < 2;
            let standing = &mut self.standings[mirror];
            if marks > 0 && standing.mark(marks) && !is_last && standing.drop_it() {
                after.dropped.push((standing.name.clone(), "it sent wrong bytes".into()));
            }
        }
        let mut lacking = RangeSet::new();
        ranges.iter().for_each(|range| lacking.insert(*range));
        let whole = ranges.first().is_some_and(|range| range.offset == 0 && range.is_to_end());
        let notes::Verdict { wrong, doubtful, silent } = verdict;
        let need = Need { bytes: 0, whole, failed: Set::default(), wrong, doubtful, silent };
        let (errors, number) = (Vec::new(), 0);
        let effort = Effort { pending, asker, lacking, need, errors, mirror: 0, number, since: now, reckoned: 0 };
        self.begin(shared, effort, now, &mut after);
        after
    }

    /// Hands what a request lacks to the mirror that is best for it, or tells the asker that all have failed.
    fn begin(&mut self, shared: &Arc<Shared>, mut effort: Effort, now: Instant, after: &mut After) {
        effort.need.bytes = effort.reckon();
        let Some(mirror) = choose(&self.standings, effort.need, now) else {
            let error = self.failure(&effort, now);
            after.settle = Some((effort.pending, Err(error)));
            return;
        };
        let Some(sender) = self.orders.get(mirror).cloned() else {
            after.settle = Some((effort.pending, Err(unwanted())));
            return;
        };
        (effort.mirror, effort.number, effort.since) = (mirror, next_request_id(), now);
        effort.reckoned = effort.need.bytes;
        self.standings[mirror].begin(effort.reckoned, now);
        let id = effort.pending.id();
        let attempt = Attempt { shared: Arc::clone(shared), pending: Arc::clone(&effort.pending), id, mirror };
        let request = Request::new(effort.number, effort.ranges(), Arc::new(attempt));
        after.order = Some((sender, Order::Fetch(request, Arc::clone(&effort.pending))));
        self.efforts.insert(id, effort);
    }

    /// Why nobody can be asked.
    fn failure(&self, effort: &Effort, now: Instant) -> Error {
        let mut errors = effort.errors.clone();
        // Those that were not asked because they want to be left alone count too: waiting for them may help.
        errors.extend(
            self.standings
                .iter()
                .enumerate()
                .filter(|(at, _)| !effort.need.failed.has(*at))
                .filter_map(|(_, standing)| Some(standing.last_error.clone()?.with_pause(standing.pause(now)?))),
        );
        let error = most_telling(&errors)
            .unwrap_or_else(|| Error::new(ErrorKind::SourceTemporary, "no mirror can be asked at the moment"));
        error.with("mirrors_failed", errors.len())
    }

    /// Nobody wants the answer any more, or nobody wants to wait for it any longer: what it lacks goes elsewhere next time.
    fn give_up(&mut self, id: u64) -> After {
        let mut after = After::default();
        let Some(effort) = self.efforts.get(&id).filter(|effort| !effort.pending.is_stopped()) else { return after };
        effort.pending.stop();
        for range in effort.lacking.iter() {
            self.notes.set(&effort.asker, range, effort.mirror, false);
        }
        let now = Instant::now();
        let standing = &mut self.standings[effort.mirror];
        if !effort.lacking.is_empty() && standing.was_silent(effort.since) {
            let silence = now.saturating_duration_since(effort.since).as_secs_f32();
            let error = Error::new(ErrorKind::Timeout, format!("no answer for {silence} seconds"));
            let reason = standing.failed(&error, effort.since, now);
            after.dropped.extend(reason.map(|reason| (standing.name.clone(), reason)));
        }
        let sender = self.orders.get(effort.mirror).cloned();
        after.order = sender.map(|sender| (sender, Order::Cancel(effort.number)));
        after
    }

    /// The mirror that had a request has finished it.
    fn end(&mut self, shared: &Arc<Shared>, attempt: &Attempt, result: Result<()>) -> After {
        let mut after = After::default();
        let Some(mut effort) = self.efforts.remove(&attempt.id) else { return after };
        let now = Instant::now();
        let standing = &mut self.standings[attempt.mirror];
        standing.end(effort.reckoned, effort.since, now);
        let Some(error) = effort.shortcoming(result) else {
            standing.succeeded();
            after.settle = Some((effort.pending, Ok(())));
            return after;
        };
        if effort.pending.is_stopped() {
            after.settle = Some((effort.pending, Err(unwanted())));
            return after;
        }
        let reason = standing.failed(&error, effort.since, now);
        after.dropped.extend(reason.map(|reason| (standing.name.clone(), reason)));
        effort.need.failed.add(attempt.mirror);
        effort.errors.push(error);
        self.begin(shared, effort, now, &mut after);
        after
    }

    /// Bytes come for a request: they count as answered. The parts of them that were lacking.
    fn arriving(&mut self, attempt: &Attempt, range: Range) -> Vec<Range> {
        let Some(effort) = self.efforts.get_mut(&attempt.id) else { return Vec::new() };
        let parts = effort.lacking.remove(range);
        for part in &parts {
            self.notes.set(&effort.asker, *part, attempt.mirror, true);
        }
        let useful = parts.iter().map(|part| part.length).sum::<u64>().min(effort.reckoned);
        effort.reckoned -= useful;
        self.standings[attempt.mirror].arrived(range.length, useful, Instant::now());
        parts
    }

    /// What came was not taken.
    fn refused(&mut self, attempt: &Attempt, parts: &[Range]) {
        let Some(effort) = self.efforts.get_mut(&attempt.id) else { return };
        for part in parts {
            effort.lacking.insert(*part);
            self.notes.clear(&effort.asker, *part);
        }
    }
}

impl Effort {
    /// What to ask for.
    fn ranges(&self) -> Vec<Range> {
        let open = |range: Range| if range.end() == u64::MAX { Range::new(range.offset, Range::TO_END) } else { range };
        self.lacking.iter().map(open).collect()
    }

    /// Bytes that it may take.
    fn reckon(&self) -> u64 {
        self.lacking.iter().map(|range| range.length.min(UNKNOWN_LENGTH)).fold(0, u64::saturating_add)
    }

    /// Why an attempt that ended with `result` was not enough, if it was not.
    fn shortcoming(&self, result: Result<()>) -> Option<Error> {
        match (self.lacking.first(), result) {
            (None, _) => None,
            // Where the content ends, only the source knows.
            (Some(first), Ok(())) if first.end() == u64::MAX => None,
            (Some(first), Ok(())) => {
                let text = "the source finished a request with bytes missing";
                Some(Error::new(ErrorKind::Source, text).with("offset", first.offset))
            }
            (Some(_), Err(error)) => Some(error),
        }
    }
}

impl Shared {
    /// Does what must not be done under the lock.
    fn finish_up(&self, after: After) {
        for (name, reason) in after.dropped {
            let text = format!("a mirror is left alone: {reason}");
            self.observer.event(Level::Warning, "mirror_dropped", text, &[("url", &name), ("reason", &reason)]);
        }
        if let Some((sender, order)) = after.order {
            // A thread that has ended answers by dropping the order, and with it the request.
            let _ = sender.send(order);
        }
        if let Some((pending, result)) = after.settle {
            pending.settle(result);
        }
    }
}

/// Takes the answer of one mirror to one request, and passes it on.
struct Attempt {
    shared: Arc<Shared>,
    pending: Arc<Pending>,
    /// The asker's number.
    id: u64,
    mirror: usize,
}

impl Sink for Attempt {
    fn supply(&self, _: u64, offset: u64, data: &[u8]) -> Supply {
        if self.pending.is_stopped() {
            return Supply::Closed;
        }
        let range = Range::new(offset, (data.len() as u64).min(u64::MAX - offset));
        // Noted first: the asker may find them wrong and ask again before `supply` returns.
        let parts = lock(&self.shared.state).arriving(self, range);
        let supply = self.pending.supply(offset, data);
        if supply != Supply::Taken {
            lock(&self.shared.state).refused(self, &parts);
        }
        supply
    }

    fn finish(&self, _: u64, exchanges: u64, result: Result<()>) {
        (0..exchanges).for_each(|_| self.pending.count_exchange());
        let after = lock(&self.shared.state).end(&self.shared, self, result);
        self.shared.finish_up(after);
    }
}
