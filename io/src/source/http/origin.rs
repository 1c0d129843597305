//! What is known of an origin (scheme, host, port), shared by all sources of a pool that read from it: how it may be
//! asked, how many exchanges run, how long its way is and how wide.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Version;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use url::Url;

use super::ladder::Several;
use crate::source::pending::lock;

/// Exchanges at once on one HTTP/2 connection.
const STREAMS: usize = 100;
/// Origins that are remembered although nobody uses them.
const MOST_IDLE: usize = 64;
/// How long bytes are counted before they make a rate, while the round trip is not known.
const WINDOW: Duration = Duration::from_millis(200);
/// The shortest such time. Otherwise it is a round trip: a connection that begins brings half of what it has brought so
/// far in the last of them, and the more round trips are counted together, the less the rate says of what is to come.
const SHORTEST_WINDOW: Duration = Duration::from_millis(20);
/// The shortest busy time that tells something about the rate.
const SHORTEST: Duration = Duration::from_millis(50);
/// Samples of the rate that count.
const SAMPLES: usize = 20;
/// The fewest bytes that do.
const FEWEST: u64 = 128 * 1024;

/// An origin, and what is known of it.
#[derive(Debug)]
pub(super) struct Origin {
    connections: usize,
    /// Told when an exchange ends.
    changed: Arc<Notify>,
    /// Told when a connection has been made, or not.
    connected: Notify,
    facts: Mutex<Facts>,
}

#[derive(Clone, Debug, Default)]
struct Facts {
    http2: bool,
    ranges: bool,
    several: Several,
    /// Exchanges that run.
    busy: usize,
    /// Requests for which connections are being made.
    connecting: usize,
    round_trip: Option<Duration>,
    meter: Meter,
}

/// Throughput of late: what the better part of the bytes had that came in recent samples. Not the best of them, because
/// what a lost packet held up comes all at once; and by bytes, because short answers, and a connection that begins, bring
/// few and say little. Time counts while a body is under way: the way of a request says nothing about the rate.
#[derive(Clone, Debug, Default)]
struct Meter {
    /// Bodies that are under way, and since when there is one.
    bodies: usize,
    since: Option<Instant>,
    /// How long a window is; zero if that is not known yet.
    window: Duration,
    /// Time and bytes of this window, and of the one before.
    time: Duration,
    bytes: u64,
    before: (Duration, u64),
    /// Bytes per second, and how many bytes, the latest last.
    samples: VecDeque<(u64, u64)>,
}

impl Meter {
    /// The first bytes of a body have come. They were under way before they could be timed.
    fn begin(&mut self, now: Instant) {
        self.bodies += 1;
        self.since.get_or_insert(now);
    }

    /// More of a body has come.
    fn count(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        if let Some(since) = self.since.replace(now) {
            self.time += now - since;
        }
        let window = if self.window.is_zero() { WINDOW } else { self.window };
        if self.time >= window {
            let (time, bytes) = (std::mem::take(&mut self.time), std::mem::take(&mut self.bytes));
            let (time_before, bytes_before) = std::mem::replace(&mut self.before, (time, bytes));
            self.sample(bytes + bytes_before, time + time_before);
        }
    }

    /// A body has ended.
    fn end(&mut self, now: Instant) {
        self.bodies = self.bodies.saturating_sub(1);
        if self.bodies > 0 {
            return;
        }
        if let Some(since) = self.since.take() {
            self.time += now - since;
        }
        // Little is better than nothing.
        if self.samples.is_empty() && self.time >= SHORTEST && self.bytes >= FEWEST {
            self.sample(self.bytes, self.time);
        }
    }

    fn sample(&mut self, bytes: u64, time: Duration) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(((bytes as f64 / time.as_secs_f64()) as u64, bytes));
    }

    /// The rate of the sample up to which, from the best one on, three out of ten bytes came.
    fn rate(&self) -> Option<u64> {
        let mut samples: Vec<(u64, u64)> = self.samples.iter().copied().collect();
        samples.sort_unstable_by(|a, b| b.cmp(a));
        let all: u64 = samples.iter().map(|(_, bytes)| bytes).sum();
        let mut better = 0;
        let found = samples.into_iter().find(|(_, bytes)| {
            better += bytes;
            better * 10 >= all * 3
        });
        found.map(|(rate, _)| rate).filter(|rate| *rate > 0)
    }
}

/// The right to run one exchange; gives it back when dropped.
pub(super) struct Slot {
    origin: Arc<Origin>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            lock(&self.origin.facts).busy -= 1;
        }
        self.origin.changed.notify_waiters();
    }
}

impl Origin {
    fn new(connections: usize, changed: Arc<Notify>) -> Self {
        Origin { connections, changed, connected: Notify::new(), facts: Mutex::default() }
    }

    /// Exchanges that may run at once, and whether that is on one connection.
    pub(super) fn slots(&self) -> (usize, bool) {
        let http2 = lock(&self.facts).http2;
        (if http2 { STREAMS } else { self.connections }, http2)
    }

    /// Exchanges that may begin now.
    pub(super) fn free(&self) -> usize {
        let (slots, _) = self.slots();
        slots.saturating_sub(lock(&self.facts).busy)
    }

    /// Begins an exchange. Only the pool's thread does, after it saw that there is room.
    pub(super) fn slot(self: &Arc<Self>) -> Slot {
        lock(&self.facts).busy += 1;
        Slot { origin: Arc::clone(self) }
    }

    /// A request wants to make a connection: whether it may, or is to wait for the one that is being made and will carry it
    /// too. When a server ends a connection that a hundred requests share (nginx does after a thousand), the first of them
    /// makes the next one, and not each its own.
    pub(super) fn begin_connect(&self) -> bool {
        let mut facts = lock(&self.facts);
        let may = !facts.http2 || facts.connecting == 0;
        facts.connecting += usize::from(may);
        may
    }

    /// A request that made a connection has been answered, or has failed.
    pub(super) fn end_connect(&self) {
        lock(&self.facts).connecting -= 1;
        self.connected.notify_waiters();
    }

    /// Waits until that happens, from this call on.
    pub(super) fn connected(&self) -> Notified<'_> {
        self.connected.notified()
    }

    /// The head of an answer has come, `round_trip` after it was asked for on an open connection.
    pub(super) fn answered(&self, version: Version, round_trip: Duration) {
        let mut facts = lock(&self.facts);
        facts.http2 = version == Version::HTTP_2;
        let round_trip = facts.round_trip.map_or(round_trip, |known| known.min(round_trip));
        facts.round_trip = Some(round_trip);
        facts.meter.window = round_trip.clamp(SHORTEST_WINDOW, WINDOW);
    }

    /// The first bytes of a body have come.
    pub(super) fn begins(&self) {
        lock(&self.facts).meter.begin(Instant::now());
    }

    /// A body that had begun has ended.
    pub(super) fn ends(&self) {
        lock(&self.facts).meter.end(Instant::now());
    }

    /// More of a body has come.
    pub(super) fn arrived(&self, bytes: usize) {
        lock(&self.facts).meter.count(bytes as u64, Instant::now());
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        lock(&self.facts).round_trip
    }

    pub(super) fn rate(&self) -> Option<u64> {
        lock(&self.facts).meter.rate()
    }

    /// What is known about ranges: whether they are answered, and several at once.
    pub(super) fn known(&self) -> (bool, Several) {
        let facts = lock(&self.facts);
        (facts.ranges, facts.several)
    }

    /// It answers ranges, or says so.
    pub(super) fn has_ranges(&self) {
        lock(&self.facts).ranges = true;
    }

    /// What was learned about several ranges in one exchange.
    pub(super) fn remember(&self, several: Several) {
        if matches!(several, Several::Proven | Several::Refused) {
            let mut facts = lock(&self.facts);
            // One URL for which they go wrong is enough.
            if facts.several != Several::Refused {
                facts.several = several;
            }
        }
    }

    /// Bytes that one slot brings within a round trip: what is much shorter costs more on the way than in bytes.
    pub(super) fn share(&self) -> u64 {
        let facts = lock(&self.facts);
        let slots = if facts.http2 { 1 } else { self.connections as u64 };
        match (facts.meter.rate(), facts.round_trip) {
            (Some(rate), Some(round_trip)) => (rate as f64 * round_trip.as_secs_f64()) as u64 / slots,
            _ => 0,
        }
    }
}

/// All origins of a pool.
#[derive(Debug)]
pub(super) struct Origins {
    connections: usize,
    changed: Arc<Notify>,
    known: Mutex<HashMap<String, Arc<Origin>>>,
}

impl Origins {
    pub(super) fn new(connections: usize, changed: Arc<Notify>) -> Self {
        Origins { connections, changed, known: Mutex::default() }
    }

    /// What is known of the origin of `url`.
    pub(super) fn of(&self, url: &Url) -> Arc<Origin> {
        let mut known = lock(&self.known);
        if known.len() > MOST_IDLE {
            known.retain(|_, origin| Arc::strong_count(origin) > 1);
        }
        let new = || Arc::new(Origin::new(self.connections, Arc::clone(&self.changed)));
        Arc::clone(known.entry(url.origin().ascii_serialization()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_what_most_of_the_better_samples_had() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut meter = Meter::default();
        assert_eq!(meter.rate(), None);
        meter.begin(at(0));
        // 5 MB/s for a second; then nothing for a while, and what was held up all at once.
        (1..=50).for_each(|i| meter.count(100_000, at(i * 20)));
        assert_eq!(meter.rate(), Some(5_000_000));
        meter.count(3_000_000, at(1600));
        (1..=50).for_each(|i| meter.count(100_000, at(1600 + i * 20)));
        let rate = meter.rate().expect("a rate");
        assert!((4_900_000..5_200_000).contains(&rate), "{rate}");
        // Slower for long: it follows.
        (1..=70).for_each(|i| meter.count(100_000, at(2600 + i * 100)));
        assert_eq!(meter.rate(), Some(1_000_000));
        meter.end(at(9600));
    }

    #[test]
    fn the_way_of_a_request_says_nothing_about_the_rate() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut meter = Meter::default();
        // Bodies of 10 ms, two at a time, each pair 200 ms after the other.
        for i in 0..40 {
            let begin = i * 200;
            meter.begin(at(begin));
            meter.begin(at(begin));
            meter.count(25_000, at(begin + 5));
            meter.count(25_000, at(begin + 10));
            meter.end(at(begin + 10));
            meter.end(at(begin + 10));
        }
        assert_eq!(meter.rate(), Some(5_000_000));
        // A short answer tells something when there is nothing better.
        let mut meter = Meter::default();
        meter.begin(at(0));
        meter.count(1_000_000, at(100));
        meter.end(at(100));
        assert_eq!(meter.rate(), Some(10_000_000));
    }

    #[test]
    fn a_connection_that_begins_is_judged_by_its_last_round_trips() {
        let start = Instant::now();
        let mut meter = Meter { window: Duration::from_millis(20), ..Meter::default() };
        meter.begin(start);
        // Slow start: each round trip brings twice as much as the one before.
        for i in 1..=7 {
            let bytes = 20_000 << i;
            (1..=4).for_each(|part| meter.count(bytes / 4, start + Duration::from_millis((i - 1) * 20 + part * 5)));
        }
        meter.end(start + Duration::from_millis(140));
        let (all, last) = (254 * 20_000 * 1000 / 140, 128 * 20_000 * 1000 / 20);
        let rate = meter.rate().expect("a rate");
        assert!(rate > 2 * all && rate <= last, "{all} {rate} {last}");
    }

    #[test]
    fn there_are_as_many_slots_as_connections_or_streams() {
        let origins = Origins::new(2, Arc::default());
        let url = |text| Url::parse(text).expect("a URL");
        let origin = origins.of(&url("http://h/x"));
        assert!(Arc::ptr_eq(&origin, &origins.of(&url("http://H:80/y"))));
        assert!(!Arc::ptr_eq(&origin, &origins.of(&url("https://h/x"))));
        let slots = [origin.slot(), origin.slot()];
        assert_eq!(origin.free(), 0);
        drop(slots);
        assert_eq!(origin.free(), 2);
        origin.answered(Version::HTTP_2, Duration::from_millis(7));
        origin.answered(Version::HTTP_2, Duration::from_millis(9));
        assert_eq!(origin.round_trip(), Some(Duration::from_millis(7)));
        assert_eq!(origin.free(), STREAMS);
    }
}
