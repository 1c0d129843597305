//! The transfer in virtual time: a source with a round trip of 100 ms that fails, stalls or answers late,
//! with no clock anywhere near.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::common::index_of;
use gosync_core::schedule::Limits;
use gosync_core::transfer::Transfer;
use gosync_core::{Error, ErrorKind, Index, Origin, Piece, Range, Request, Result, Strategy, Supply};

const ROUND_TRIP: Duration = Duration::from_millis(100);

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Every second block of `length` bytes is missing; the others are in the seed at their own place.
fn every_second_block(length: u64, block: u64) -> Vec<Piece> {
    (0..length.div_ceil(block))
        .map(|number| {
            let target = Range::new(number * block, block.min(length - number * block));
            let missing = number % 2 == 1;
            let origin = if missing { Origin::Missing } else { Origin::Seed { seed: 0, offset: target.offset } };
            Piece { target, origin }
        })
        .collect()
}

/// What a simulated source does with a request when its time has come.
enum Behaviour {
    Answer,
    Fail(ErrorKind),
    Hang,
}

/// A transfer that fetches what is missing in `cover`, as ranges.
fn begun(index: Arc<Index>, cover: Vec<Piece>, limits: Limits) -> Arc<Transfer> {
    let transfer = Transfer::new(index, limits, Box::new(|| {}));
    transfer.begin(cover, Strategy::Ranges);
    transfer
}

struct Simulation {
    target: Vec<u8>,
    transfer: Arc<Transfer>,
    limits: Limits,
    now: Duration,
    open: BTreeMap<(Duration, u64), (Request, Behaviour)>,
    hung: Vec<Request>,
    most_requests: usize,
    requests: u64,
}

impl Simulation {
    fn new(target: Vec<u8>, cover: Vec<Piece>, limits: Limits) -> Self {
        let index: Arc<Index> = index_of(&target, 1024);
        let transfer = begun(index, cover, limits);
        let (open, hung) = (BTreeMap::new(), Vec::new());
        Simulation { target, transfer, limits, now: Duration::ZERO, open, hung, most_requests: 0, requests: 0 }
    }

    /// Runs until everything has arrived. `behave` decides by the number of the request.
    fn run(&mut self, mut behave: impl FnMut(u64) -> Behaviour) -> Result<()> {
        loop {
            while let Some(ready) = self.transfer.take_ready() {
                self.transfer.settle(ready.fetched());
            }
            let step = self.transfer.step(self.now, 0.5)?;
            if step.over {
                return Ok(());
            }
            while let Some(request) = self.transfer.next_request(self.requests, self.now) {
                let behaviour = behave(self.requests);
                self.open.insert((self.now + ROUND_TRIP, self.requests), (request, behaviour));
                self.requests += 1;
                let (requests, bytes) = self.transfer.in_flight();
                assert!(requests <= self.limits.max_requests, "{requests} requests");
                assert!(bytes <= self.limits.max_bytes.max(65536), "{bytes} bytes in flight");
                self.most_requests = self.most_requests.max(requests);
            }
            let answer = self.open.first_key_value().map(|((due, _), _)| *due);
            let next = [answer, step.wakeup].into_iter().flatten().min();
            self.now = next.expect("nothing is under way, and nothing is over").max(self.now);
            while let Some(entry) = self.open.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (request, behaviour) = entry.remove();
                match behaviour {
                    Behaviour::Answer => crate::common::answer_from(&self.target, request),
                    Behaviour::Fail(kind) => request.finish(Err(Error::new(kind, "simulated"))),
                    Behaviour::Hang => self.hung.push(request),
                }
            }
        }
    }
}

#[test]
fn round_trips_are_hidden() {
    let cover = every_second_block(2_048_000, 1024);
    let limits = Limits { max_gap: 0, max_requests: 8, ..Limits::default() };
    let mut simulation = Simulation::new(pattern(2_048_000), cover, limits);
    simulation.run(|_| Behaviour::Answer).unwrap();
    // 1,000 ranges, 16 in a request, 8 requests at a time: 8 round trips.
    assert_eq!(simulation.requests, 63);
    assert_eq!(simulation.most_requests, 8);
    assert!(simulation.now <= 8 * ROUND_TRIP, "{:?}", simulation.now);
}

/// What is known to be new before everything else is known costs no round trip of its own in the end.
#[test]
fn parts_are_fetched_before_the_cover_is_known() {
    let (target, cover) = (pattern(2_048_000), every_second_block(2_048_000, 1024));
    let limits = Limits { max_gap: 0, ..Limits::default() };
    let transfer = Transfer::new(index_of(&target, 1024), limits, Box::new(|| {}));
    let missing = || cover.iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target);
    // All but the last, of which one turns out to be in a seed, and a block that is in the seed anyhow.
    missing().take(999).for_each(|part| transfer.want_part(part));
    transfer.want_part(Range::new(4096, 100));
    let ready = |transfer: &Transfer| std::iter::from_fn(|| transfer.take_ready()).map(|ready| ready.unit).count();
    let mut ids = 0..;
    let mut answer = |transfer: &Arc<Transfer>| {
        let asked = std::iter::from_fn(|| transfer.next_request(ids.next().unwrap(), Duration::ZERO));
        let ranges: Vec<Request> = asked.collect();
        let count = ranges.len();
        ranges.into_iter().for_each(|request| crate::common::answer_from(&target, request));
        transfer.step(Duration::ZERO, 0.5).unwrap();
        count
    };
    while answer(&transfer) > 0 {}
    assert_eq!((transfer.counters().fetched, ready(&transfer)), (999 * 1024 + 100, 0), "nothing is complete yet");
    let mut pieces = cover.clone();
    pieces[1].origin = Origin::Seed { seed: 0, offset: 77 };
    let early = transfer.begin(pieces, Strategy::Ranges);
    assert_eq!(early.len(), 32);
    // 32 units; the last one waits for its last block.
    assert_eq!(ready(&transfer), 31);
    assert_eq!(answer(&transfer), 1);
    assert_eq!((transfer.counters().fetched, transfer.counters().wasted), (1000 * 1024 + 100, 0));
    let last = transfer.take_ready().unwrap();
    let fetched: Vec<Range> =
        last.parts.iter().filter(|part| part.piece.origin == Origin::Missing).map(|part| part.piece.target).collect();
    assert_eq!((last.unit, fetched.len()), (31, 8), "{fetched:?}");
}

#[test]
fn bytes_in_flight_are_bounded() {
    let whole = vec![Piece { target: Range::new(0, 4 << 20), origin: Origin::Missing }];
    let limits = Limits { max_bytes: 300_000, ..Limits::default() };
    let mut simulation = Simulation::new(pattern(4 << 20), whole, limits);
    simulation.run(|_| Behaviour::Answer).unwrap();
    assert_eq!(simulation.transfer.counters().fetched, 4 << 20);
    assert_eq!(simulation.transfer.counters().wasted, 0);
}

#[test]
fn a_source_that_is_faster_than_the_disk_waits_for_it() {
    const LENGTH: u64 = 8 << 20;
    let target = pattern(LENGTH as usize);
    let whole = vec![Piece { target: Range::new(0, LENGTH), origin: Origin::Missing }];
    let limits = Limits { max_bytes: 1 << 20, ..Limits::default() };
    let (transfer, mut requests) = (begun(index_of(&target, 1024), whole, limits), 0);
    while !transfer.step(Duration::ZERO, 0.5).unwrap().over {
        // Each answer is there at once, and nothing is written as long as more can be asked for.
        while let Some(request) = transfer.next_request(requests, Duration::ZERO) {
            crate::common::answer_from(&target, request);
            transfer.step(Duration::ZERO, 0.5).unwrap();
            let (_, bytes) = transfer.in_flight();
            assert!(bytes <= limits.max_bytes, "{bytes} bytes in flight");
            requests += 1;
        }
        let ready = transfer.take_ready().expect("nothing can be asked for, and nothing is to be written");
        transfer.settle(ready.fetched());
    }
    assert!(requests <= LENGTH / (64 << 10), "{requests} requests");
}

#[test]
fn small_gaps_are_merged_and_counted() {
    let mut simulation = Simulation::new(pattern(1 << 20), every_second_block(1 << 20, 1024), Limits::default());
    simulation.run(|_| Behaviour::Answer).unwrap();
    let counters = simulation.transfer.counters();
    assert_eq!(counters.fetched, 512 * 1024);
    assert!(counters.wasted > 500 * 1024 && counters.wasted < 512 * 1024, "{counters:?}");
}

#[test]
fn temporary_failures_are_survived() {
    let cover = every_second_block(1 << 20, 1024);
    let mut simulation = Simulation::new(pattern(1 << 20), cover, Limits { max_gap: 0, ..Limits::default() });
    simulation
        .run(|number| if number % 2 == 0 { Behaviour::Fail(ErrorKind::SourceTemporary) } else { Behaviour::Answer })
        .unwrap();
    let counters = simulation.transfer.counters();
    assert_eq!(counters.fetched, 512 * 1024);
    assert!(counters.retries > 0);
    assert!(simulation.now > Duration::from_millis(200), "no pause before the second try");
}

#[test]
fn failures_without_end_are_an_error() {
    let cover = every_second_block(100_000, 1024);
    let mut simulation = Simulation::new(pattern(100_000), cover, Limits::default());
    let error = simulation.run(|_| Behaviour::Fail(ErrorKind::SourceTemporary)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SourceTemporary);
    assert!(
        simulation.now > Duration::from_secs(5) && simulation.now < Duration::from_secs(20),
        "{:?}",
        simulation.now
    );
}

#[test]
fn permanent_failures_end_it_at_once() {
    let cover = every_second_block(100_000, 1024);
    let mut simulation = Simulation::new(pattern(100_000), cover, Limits::default());
    let error = simulation.run(|_| Behaviour::Fail(ErrorKind::Source)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert_eq!(simulation.now, ROUND_TRIP);
}

#[test]
fn a_silent_request_is_given_up_and_its_late_answer_is_harmless() {
    let cover = every_second_block(100_000, 1024);
    let limits = Limits { timeout: Duration::from_secs(3), ..Limits::default() };
    let mut simulation = Simulation::new(pattern(100_000), cover, limits);
    simulation.run(|number| if number == 0 { Behaviour::Hang } else { Behaviour::Answer }).unwrap();
    assert!(simulation.now >= Duration::from_secs(3));
    let before = simulation.transfer.counters().fetched;
    for request in std::mem::take(&mut simulation.hung) {
        crate::common::answer_from(&simulation.target, request);
    }
    assert_eq!(simulation.transfer.counters().fetched, before);
}

#[test]
fn finishing_with_bytes_missing_is_an_error() {
    let target = pattern(100_000);
    let whole = vec![Piece { target: Range::new(0, 100_000), origin: Origin::Missing }];
    let transfer = begun(index_of(&target, 1024), whole, Limits::default());
    let request = transfer.next_request(1, Duration::ZERO).unwrap();
    assert_eq!(request.supply(0, &target[..99_999]), Supply::Taken);
    request.finish(Ok(()));
    let error = transfer.step(Duration::ZERO, 0.5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.to_string().contains("1 bytes missing"), "{error}");
}

/// Of an answer that brings everything from front to back, nobody can expect what came to be wanted behind it.
#[test]
fn what_is_wanted_after_it_has_been_passed_is_asked_for_again() {
    let target = pattern(200_000);
    let whole = vec![Piece { target: Range::new(0, 200_000), origin: Origin::Missing }];
    let transfer = Transfer::new(index_of(&target, 1024), Limits::default(), Box::new(|| {}));
    transfer.begin(whole, Strategy::Whole);
    let request = transfer.next_request(1, Duration::ZERO).unwrap();
    assert_eq!(request.supply(0, &target), Supply::Taken);
    // The first unit turns out wrong for the first time.
    let ready = transfer.take_ready().expect("a unit");
    let range = Range::new(0, 65_536);
    let pieces = vec![Piece { target: range, origin: Origin::Seed { seed: 0, offset: 0 } }];
    transfer.check(ready.unit, pieces, &[0; 65_536]).expect("a first time");
    transfer.settle(ready.fetched());
    request.finish(Ok(()));
    let step = transfer.step(Duration::ZERO, 0.5).expect("nobody's fault");
    assert!(step.survived.is_empty() && !step.over, "{step:?}");
    let request = transfer.next_request(2, Duration::ZERO).expect("it is asked for again");
    assert_eq!(request.ranges().first().map(|range| range.offset), Some(0));
    // What was wanted before it was asked is its fault.
    request.finish(Ok(()));
    assert_eq!(transfer.step(Duration::ZERO, 0.5).unwrap_err().kind(), ErrorKind::Source);
}

#[test]
fn a_dropped_request_is_an_error() {
    let target = pattern(10_000);
    let whole = vec![Piece { target: Range::new(0, 10_000), origin: Origin::Missing }];
    let transfer = begun(index_of(&target, 1024), whole, Limits::default());
    drop(transfer.next_request(1, Duration::ZERO));
    assert_eq!(transfer.step(Duration::ZERO, 0.5).unwrap_err().kind(), ErrorKind::Source);
}

#[test]
fn after_the_end_answers_are_refused() {
    let target = pattern(10_000);
    let whole = vec![Piece { target: Range::new(0, 10_000), origin: Origin::Missing }];
    let transfer = begun(index_of(&target, 1024), whole, Limits::default());
    let request = transfer.next_request(1, Duration::ZERO).unwrap();
    assert_eq!(transfer.close(), vec![1]);
    assert_eq!(request.supply(0, &target), Supply::Closed);
    assert!(transfer.next_request(2, Duration::ZERO).is_none());
}

fn two_requests(limits: Limits) -> (Vec<u8>, Arc<Transfer>, Request, Request) {
    let target = pattern(200_000);
    let whole = vec![Piece { target: Range::new(0, 200_000), origin: Origin::Missing }];
    let limits = Limits { max_bytes: 100_000 * limits.max_requests as u64, ..limits };
    let transfer = begun(index_of(&target, 1024), whole, limits);
    let first = transfer.next_request(1, Duration::ZERO).unwrap();
    let second = transfer.next_request(2, Duration::ZERO).unwrap();
    (target, transfer, first, second)
}

/// A slow source that answers one request after the other.
#[test]
fn a_request_behind_others_is_not_given_up() {
    let (target, transfer, first, second) = two_requests(Limits { retries: 0, ..Limits::default() });
    for minute in 1..10 {
        first.supply(minute, &target[minute as usize..][..1]);
        let step = transfer.step(Duration::from_secs(50 * minute), 0.5).unwrap();
        assert!(step.cancel.is_empty(), "given up in minute {minute}: {:?}", step.cancel);
    }
    // Once nobody gets anything, or once it had begun, its own silence counts.
    second.supply(100_000, &target[100_000..100_001]);
    transfer.step(Duration::from_secs(500), 0.5).unwrap();
    assert_eq!(transfer.step(Duration::from_secs(570), 0.5).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(transfer.close(), vec![1, 2], "the source is not told of all that is not wanted any more");
}

#[test]
fn a_request_that_brought_everything_does_not_fail_for_not_ending() {
    let (target, transfer, first, second) = two_requests(Limits { retries: 0, ..Limits::default() });
    first.supply(0, &target);
    while let Some(ready) = transfer.take_ready() {
        transfer.settle(ready.fetched());
    }
    let step = transfer.step(Duration::from_secs(1), 0.5).unwrap();
    assert!(!step.over && step.cancel.is_empty());
    let step = transfer.step(Duration::from_secs(61), 0.5).unwrap();
    assert!(step.over && step.survived.is_empty());
    assert_eq!(step.cancel, [1, 2]);
    drop((first, second));
}

#[test]
fn any_timeout_will_do() {
    let (_, transfer, _first, _second) = two_requests(Limits { timeout: Duration::MAX, ..Limits::default() });
    assert!(transfer.step(Duration::from_secs(1), 0.5).unwrap().wakeup.is_some());
}

/// What is complete before its batch counts as in flight until that begins.
#[test]
fn a_batch_that_has_not_begun_is_fetched_up_to_the_bound() {
    const UNITS: u64 = 40;
    let target = pattern(UNITS as usize * 65_536);
    let limits = Limits { max_bytes: 4 * 65_536, ..Limits::default() };
    let transfer = Transfer::new(index_of(&target, 1024), limits, Box::new(|| {}));
    let whole = Piece { target: Range::new(0, target.len() as u64), origin: Origin::Missing };
    transfer.begin_batches(vec![whole], false);
    let units: Vec<u64> = (0..UNITS).collect();
    transfer.want(&units, u64::MAX);
    let mut ids = 0..;
    let mut fetch = || {
        while let Some(request) = transfer.next_request(ids.next().expect("a number"), Duration::ZERO) {
            for range in request.ranges() {
                request.supply(range.offset, &target[range.offset as usize..range.end() as usize]);
            }
            request.finish(Ok(()));
            transfer.step(Duration::ZERO, 0.5).expect("a step");
        }
        transfer.counters().fetched
    };
    assert_eq!(fetch(), limits.max_bytes);
    transfer.open(units);
    let mut placed = 0;
    while let Some(ready) = transfer.take_ready() {
        placed += 1;
        transfer.settle(ready.fetched());
        fetch();
    }
    assert_eq!((placed, transfer.counters().fetched), (UNITS, target.len() as u64));
}

/// What is kept in memory by who took it is in flight, and does not keep the rest from coming.
#[test]
fn what_is_kept_counts_as_in_flight() {
    const UNIT: u64 = 64 << 10;
    let target = pattern(1 << 20);
    let limits = Limits { max_bytes: 2 * UNIT, ..Limits::default() };
    for kept in [UNIT, 2 * UNIT] {
        let whole = vec![Piece { target: Range::new(0, 1 << 20), origin: Origin::Missing }];
        let (transfer, mut requests) = (begun(index_of(&target, 1024), whole, limits), 0);
        transfer.keep(kept);
        let mut held = 0;
        while !transfer.step(Duration::ZERO, 0.5).unwrap().over {
            while let Some(request) = transfer.next_request(requests, Duration::ZERO) {
                requests += 1;
                held += request.ranges().iter().map(|range| range.length).sum::<u64>();
                // A unit must come even if there is no room for it.
                assert!(held <= UNIT, "{held} bytes in flight, and {kept} are kept");
                crate::common::answer_from(&target, request);
                transfer.step(Duration::ZERO, 0.5).unwrap();
            }
            let ready = transfer.take_ready().expect("nothing can be asked for, and nothing is to be written");
            transfer.settle(ready.fetched());
            held -= ready.fetched();
        }
        assert_eq!(transfer.counters().fetched, 1 << 20);
    }
}
