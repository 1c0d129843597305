//! Who asks, in tests: puts together what arrives, says AGAIN on demand, counts how often it was finished.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gosync_io::{Error, ErrorKind, Range, Request, Result, Sink, Source, Supply};

/// Far longer than anything takes; only a hang gets there.
pub(crate) const LONG: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Taker {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: Vec<(u64, Vec<u8>)>,
    supplies: HashMap<u64, u64>,
    agains: u64,
    /// Bytes that may be taken before it says AGAIN; `None` is no limit.
    room: Option<u64>,
    closed: bool,
    finished: HashMap<u64, Vec<Result<()>>>,
    exchanges: u64,
}

impl Taker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn with_room(bytes: u64) -> Arc<Self> {
        let taker = Taker::new();
        taker.lock().room = Some(bytes);
        taker
    }

    pub(crate) fn closed() -> Arc<Self> {
        let taker = Taker::new();
        taker.lock().closed = true;
        taker
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and says under which number.
    pub(crate) fn ask(self: &Arc<Self>, source: &dyn Source, ranges: &[(u64, u64)]) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let ranges = ranges.iter().map(|&(offset, length)| Range::new(offset, length)).collect();
        source.fetch(Request::new(id, ranges, Arc::clone(self) as Arc<dyn Sink>));
        id
    }

    /// Waits until the request is finished; it must be finished once.
    pub(crate) fn result(&self, id: u64) -> Result<()> {
        let mut state = self.wait(|state| state.finished.contains_key(&id));
        let results = state.finished.get_mut(&id).expect("finished");
        assert_eq!(results.len(), 1, "finished more than once: {results:?}");
        results[0].clone()
    }

    pub(crate) fn error(&self, id: u64) -> Error {
        self.result(id).expect_err("a failure")
    }

    /// Asks and waits.
    pub(crate) fn get(self: &Arc<Self>, source: &dyn Source, ranges: &[(u64, u64)]) -> Result<()> {
        let id = self.ask(source, ranges);
        self.result(id)
    }

    pub(crate) fn kind(self: &Arc<Self>, source: &dyn Source, ranges: &[(u64, u64)]) -> ErrorKind {
        self.get(source, ranges).expect_err("a failure").kind()
    }

    fn wait(&self, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let end = Instant::now() + LONG;
        let mut state = self.lock();
        while !done(&state) {
            let rest = end.checked_duration_since(Instant::now()).expect("it hangs");
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Waits until it said AGAIN `count` times in all.
    pub(crate) fn wait_for_again(&self, count: u64) {
        drop(self.wait(|state| state.agains >= count));
    }

    /// Waits until `count` bytes have come in all.
    pub(crate) fn wait_for_bytes(&self, count: u64) {
        drop(self.wait(|state| state.taken() >= count));
    }

    pub(crate) fn add_room(&self, bytes: u64) {
        let mut state = self.lock();
        state.room = state.room.map(|room| room + bytes);
    }

    pub(crate) fn is_finished(&self, id: u64) -> bool {
        self.lock().finished.contains_key(&id)
    }

    pub(crate) fn taken(&self) -> u64 {
        self.lock().taken()
    }

    pub(crate) fn agains(&self) -> u64 {
        self.lock().agains
    }

    pub(crate) fn exchanges(&self) -> u64 {
        self.lock().exchanges
    }

    /// Pieces that came for one request.
    pub(crate) fn supplies(&self, id: u64) -> u64 {
        self.lock().supplies.get(&id).copied().unwrap_or(0)
    }

    /// What has arrived, put together; zeros where nothing did.
    pub(crate) fn content(&self, length: usize) -> Vec<u8> {
        let mut content = vec![0; length];
        for (offset, bytes) in &self.lock().pieces {
            content[*offset as usize..*offset as usize + bytes.len()].copy_from_slice(bytes);
        }
        content
    }

    /// Whether all that arrived is `content`, and covers `ranges`.
    pub(crate) fn check(&self, content: &[u8], ranges: &[(u64, u64)]) {
        let state = self.lock();
        let mut have = vec![false; content.len()];
        for (offset, bytes) in &state.pieces {
            let place = *offset as usize..*offset as usize + bytes.len();
            assert_eq!(&content[place.clone()], &bytes[..], "wrong bytes at {offset}");
            have[place].fill(true);
        }
        for &(offset, length) in ranges {
            let end = if length == Range::TO_END { content.len() } else { (offset + length) as usize };
            assert!(have[offset as usize..end].iter().all(|have| *have), "{offset}+{length} is not whole");
        }
    }
}

impl State {
    fn taken(&self) -> u64 {
        self.pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

impl Sink for Taker {
    fn supply(&self, id: u64, offset: u64, data: &[u8]) -> Supply {
        let mut state = self.lock();
        assert!(!state.finished.contains_key(&id), "supplied after the end");
        assert!(data.len() <= 256 * 1024, "a piece is too large");
        *state.supplies.entry(id).or_default() += 1;
        let answer = match state.room {
            _ if state.closed => Supply::Closed,
            Some(room) if room < data.len() as u64 => {
                state.agains += 1;
                Supply::Again
            }
            room => {
                state.room = room.map(|room| room - data.len() as u64);
                state.pieces.push((offset, data.to_vec()));
                Supply::Taken
            }
        };
        self.changed.notify_all();
        answer
    }

    fn finish(&self, id: u64, exchanges: u64, result: Result<()>) {
        let mut state = self.lock();
        state.exchanges += exchanges;
        state.finished.entry(id).or_default().push(result);
        self.changed.notify_all();
    }
}

/// Bytes that differ everywhere.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Waits for what another thread is about to make true.
pub(crate) fn eventually(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
