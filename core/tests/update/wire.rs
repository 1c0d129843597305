//! Round trips in virtual time: a source behind a link with a delay and a rate, which answers as many exchanges at once
//! as it has lanes, each with one range or with several.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::common::index_of;
use gosync_core::cost::Way;
use gosync_core::schedule::Limits;
use gosync_core::transfer::Transfer;
use gosync_core::{Index, Origin, Piece, Range, Request, Strategy};

const ROUND_TRIP: Duration = Duration::from_millis(100);
const RATE: u64 = 12_500_000;

/// The content and its index, made once for all tests.
fn content() -> &'static (Vec<u8>, Arc<Index>) {
    static CONTENT: OnceLock<(Vec<u8>, Arc<Index>)> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let content = vec![7; LENGTH as usize];
        let index = index_of(&content, 1024);
        (content, index)
    })
}

/// How the source can ask its server.
#[derive(Clone, Copy)]
struct Lanes {
    /// Exchanges at the same time: streams, or connections.
    count: usize,
    /// Ranges in one exchange.
    ranges: usize,
}

/// An exchange that is under way.
struct Exchange {
    parts: Vec<(usize, Range)>,
}

struct Wire {
    transfer: Arc<Transfer>,
    limits: Limits,
    lanes: Lanes,
    now: Duration,
    /// When the link has carried all that was put on it so far.
    carried: Duration,
    queue: VecDeque<(usize, Range)>,
    /// Each request, and how many of its ranges have not been answered.
    requests: Vec<Option<(Request, usize)>>,
    exchanges: BTreeMap<(Duration, u64), Exchange>,
    sent: u64,
    most_bytes: u64,
}

impl Wire {
    fn new(cover: Vec<Piece>, limits: Limits, lanes: Lanes) -> Wire {
        let transfer = Transfer::new(Arc::clone(&content().1), limits, Box::new(|| {}));
        transfer.begin(cover, Strategy::Ranges);
        let parallel = (lanes.count * lanes.ranges) as u32;
        transfer.heed(
            Way { round_trip: Some(ROUND_TRIP), rate: Some(RATE), parallel, proven: parallel, ..Way::default() },
            1,
        );
        Wire {
            transfer,
            limits,
            lanes,
            now: Duration::ZERO,
            carried: Duration::ZERO,
            queue: VecDeque::new(),
            requests: Vec::new(),
            exchanges: BTreeMap::new(),
            sent: 0,
            most_bytes: 0,
        }
    }

    /// Runs until everything has arrived; the time it took.
    fn run(&mut self) -> Duration {
        loop {
            while let Some(ready) = self.transfer.take_ready() {
                self.transfer.settle(ready.fetched());
            }
            let step = self.transfer.step(self.now, 0.5).expect("a link without failures");
            if step.over {
                return self.now;
            }
            while let Some(request) = self.transfer.next_request(self.requests.len() as u64, self.now) {
                let number = self.requests.len();
                self.queue.extend(request.ranges().iter().map(|range| (number, *range)));
                let count = request.ranges().len();
                self.requests.push(Some((request, count)));
                self.check_bounds();
            }
            while self.exchanges.len() < self.lanes.count && !self.queue.is_empty() {
                self.send();
            }
            let answered = self.exchanges.first_key_value().map(|(key, _)| *key);
            let key = answered.expect("nothing is over, and nothing is under way");
            self.now = self.now.max(key.0);
            let exchange = self.exchanges.remove(&key).expect("the first one");
            exchange.parts.into_iter().for_each(|(number, range)| self.answer(number, range));
        }
    }

    /// Sends what a free lane takes: one range, or its share of what waits.
    fn send(&mut self) {
        let free = self.lanes.count - self.exchanges.len();
        let share = self.queue.len().div_ceil(free).clamp(1, self.lanes.ranges);
        let parts: Vec<_> = self.queue.drain(..share.min(self.queue.len())).collect();
        let bytes: u64 = parts.iter().map(|(_, range)| range.length).sum();
        let first = self.now + ROUND_TRIP;
        self.carried = self.carried.max(first) + Duration::from_secs_f64(bytes as f64 / RATE as f64);
        self.exchanges.insert((self.carried, self.sent), Exchange { parts });
        self.sent += 1;
    }

    fn answer(&mut self, number: usize, range: Range) {
        let slot = &mut self.requests[number];
        let Some((request, left)) = slot else { panic!("answered twice") };
        request.supply(range.offset, &content().0[range.offset as usize..range.end() as usize]);
        *left -= 1;
        if *left == 0 {
            let (request, _) = slot.take().expect("a request");
            request.finish(Ok(()));
        }
        self.check_bounds();
    }

    fn check_bounds(&mut self) {
        let (requests, bytes) = self.transfer.in_flight();
        assert!(requests <= self.limits.max_requests, "{requests} requests in flight");
        assert!(bytes <= self.limits.max_bytes, "{bytes} bytes in flight");
        self.most_bytes = self.most_bytes.max(bytes);
    }
}

/// `count` missing blocks of a kilobyte, scattered evenly with some irregularity over `length` bytes.
fn scattered(length: u64, count: u64) -> Vec<Piece> {
    let step = length / count / 1024 * 1024;
    let mut cover = Vec::new();
    let mut at = 0;
    let mut push = |end: u64, missing: bool| {
        if end > at {
            let origin = if missing { Origin::Missing } else { Origin::Seed { seed: 0, offset: at } };
            cover.push(Piece { target: Range::new(at, end - at), origin });
            at = end;
        }
    };
    for number in 0..count {
        let start = number * step + (number * 7919 % (step / 2048)) * 1024;
        push(start, false);
        push(start + 1024, true);
    }
    push(length, false);
    cover
}

const LENGTH: u64 = 128 << 20;
const COUNT: u64 = 1000;

fn run(limits: Limits, lanes: Lanes) -> (Duration, Wire) {
    let mut wire = Wire::new(scattered(LENGTH, COUNT), limits, lanes);
    let time = wire.run();
    (time, wire)
}

#[test]
fn scattered_ranges_take_few_round_trips() {
    for (name, lanes) in [
        ("128 streams", Lanes { count: 128, ranges: 100 }),
        ("4 connections, several ranges in a request", Lanes { count: 4, ranges: 100 }),
    ] {
        let (time, wire) = run(Limits::default(), lanes);
        assert!(time <= 6 * ROUND_TRIP, "{name}: {time:?}");
        let counters = wire.transfer.counters();
        assert_eq!(counters.fetched, COUNT * 1024, "{name}");
        assert!(counters.wasted <= counters.fetched, "{name}: {counters:?}");
    }
}

#[test]
fn single_ranges_keep_every_connection_busy() {
    // No gap is merged, so that there are as many exchanges as ranges.
    let limits = Limits { max_gap: 0, ..Limits::default() };
    for connections in [1, 4, 16, 128] {
        let (time, wire) = run(limits, Lanes { count: connections, ranges: 1 });
        assert_eq!(wire.sent, COUNT);
        let least = COUNT as f64 / connections as f64 * ROUND_TRIP.as_secs_f64();
        assert!(time.as_secs_f64() <= 1.2 * least + 0.2, "{connections} connections: {time:?}, not {least}");
        // Only the tail of the last exchange and the link's own time come on top.
        if connections <= 16 {
            assert!(time.as_secs_f64() <= 1.2 * least, "{connections} connections: {time:?}, not {least}");
        }
    }
}

#[test]
fn gaps_are_merged_where_that_is_faster() {
    let single = Lanes { count: 4, ranges: 1 };
    let (merged, wire) = run(Limits::default(), single);
    let (apart, _) = run(Limits { max_gap: 0, ..Limits::default() }, single);
    assert!(merged < apart / 2, "{merged:?} merged, {apart:?} apart");
    assert!(wire.transfer.counters().wasted > 0);
}

#[test]
fn no_bound_is_exceeded() {
    for max_requests in [1, 3, 8] {
        for max_bytes in [64 << 10, 200_000, 1 << 20] {
            let limits = Limits { max_requests, max_bytes, ..Limits::default() };
            for lanes in [Lanes { count: 4, ranges: 1 }, Lanes { count: 128, ranges: 100 }] {
                let (_, wire) = run(limits, lanes);
                assert_eq!(wire.transfer.counters().fetched, COUNT * 1024);
                assert!(wire.most_bytes > 0);
            }
        }
    }
}

#[test]
fn a_long_range_fills_the_link() {
    let cover = vec![Piece { target: Range::new(0, LENGTH), origin: Origin::Missing }];
    let lanes = Lanes { count: 4, ranges: 100 };
    let mut wire = Wire::new(cover, Limits::default(), lanes);
    let time = wire.run().as_secs_f64();
    let least = LENGTH as f64 / RATE as f64 + ROUND_TRIP.as_secs_f64();
    assert!(time <= 1.03 * least, "{time} s, and {least} s at best");
}
