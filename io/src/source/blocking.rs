//! The adapter that makes a source of a blocking `read_at`: a queue of ranges and a few threads of its own.
//! What waits for room occupies no thread, so one slow taker does not hold up the others.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use gosync_core::{Error, ErrorKind, Range, Request, Result, Source, Supply};

use super::pending::{Live, Pending, lock, unwanted};
use super::{PIECE, too_short};

/// Content that is read by a call that blocks.
pub trait BlockingRead: Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer, or none, only at the end of the content.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;
    /// Bytes of the content, where that is known. Only messages use it.
    fn length(&self) -> Option<u64> {
        None
    }
    /// What this is, for people, without credentials.
    fn describe(&self) -> String {
        String::from("source")
    }
}

/// A source that calls `read_at` from `threads` threads of its own. They begin when they are needed and end with the source;
/// a call of `read_at` that never returns keeps its thread and the reader, and nothing else.
pub struct BlockingSource {
    shared: Arc<Shared>,
}

struct Shared {
    reader: Box<dyn BlockingRead>,
    threads: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Part>,
    /// Parts whose request waits to be resumed, by its number.
    held: HashMap<u64, Vec<Part>>,
    live: Live,
    workers: Vec<JoinHandle<()>>,
    idle: Vec<ThreadId>,
    closed: bool,
}

/// What is left of one range of a request.
struct Part {
    pending: Arc<Pending>,
    range: Range,
    /// The first `ready` bytes of `buffer` are the content at the range's offset, read and not yet taken.
    buffer: Vec<u8>,
    ready: usize,
}

impl BlockingSource {
    /// Wraps `reader`; at most `threads` (0 means 4) calls at the same time.
    pub fn new(reader: impl BlockingRead, threads: usize) -> Result<Self> {
        let threads = if threads == 0 { 4 } else { threads };
        let shared = Shared { reader: Box::new(reader), threads, state: Mutex::default(), work: Condvar::new() };
        Ok(BlockingSource { shared: Arc::new(shared) })
    }
}

impl Source for BlockingSource {
    fn fetch(&self, request: Request) {
        let ranges = request.ranges().to_vec();
        let pending = Pending::new(request, ranges.len());
        let part = |range| Part { pending: Arc::clone(&pending), range, buffer: Vec::new(), ready: 0 };
        let parts: Vec<Part> = ranges.into_iter().map(part).collect();
        let unserved = {
            let mut state = lock(&self.shared.state);
            state.live.add(&pending);
            state.queue.extend(parts);
            match self.shared.add_workers(&mut state) {
                Err(cause) if state.workers.is_empty() => Some((std::mem::take(&mut state.queue), cause)),
                _ => None,
            }
        };
        self.shared.work.notify_all();
        if let Some((parts, cause)) = unserved {
            let error = Error::from_io(cause, "cannot start a thread to read the source", self.describe());
            parts.into_iter().for_each(|part| part.pending.settle(Err(error.clone())));
        }
    }

    fn cancel(&self, id: u64) {
        let (pending, parts) = {
            let mut state = lock(&self.shared.state);
            let pending = state.live.find(id);
            pending.iter().for_each(|pending| pending.stop());
            let mut parts = state.held.remove(&id).unwrap_or_default();
            let (gone, kept): (VecDeque<Part>, _) =
                std::mem::take(&mut state.queue).into_iter().partition(|part| part.pending.id() == id);
            state.queue = kept;
            parts.extend(gone);
            (pending, parts)
        };
        parts.into_iter().for_each(|part| part.pending.settle(Err(unwanted())));
        drop(pending);
    }

    fn resume(&self, id: u64) {
        let pending = {
            let mut state = lock(&self.shared.state);
            let pending = state.live.find(id);
            pending.iter().for_each(|pending| pending.resume());
            // To the front: they are older than what waits in the queue.
            let parts = state.held.remove(&id).unwrap_or_default();
            parts.into_iter().rev().for_each(|part| state.queue.push_front(part));
            pending
        };
        self.shared.work.notify_all();
        drop(pending);
    }

    fn describe(&self) -> String {
        self.shared.reader.describe()
    }
}

impl Drop for BlockingSource {
    fn drop(&mut self) {
        let (pending, queue, held, resting) = {
            let mut state = lock(&self.shared.state);
            state.closed = true;
            let pending = state.live.all();
            pending.iter().for_each(|pending| pending.stop());
            let idle = std::mem::take(&mut state.idle);
            let workers = std::mem::take(&mut state.workers).into_iter();
            let resting: Vec<_> = workers.filter(|worker| idle.contains(&worker.thread().id())).collect();
            (pending, std::mem::take(&mut state.queue), std::mem::take(&mut state.held), resting)
        };
        self.shared.work.notify_all();
        // Those that rest end at once. Those inside `read_at` may be stuck there and are not waited for.
        resting.into_iter().for_each(|worker| drop(worker.join()));
        queue.into_iter().chain(held.into_values().flatten()).for_each(|part| part.pending.settle(Err(unwanted())));
        drop(pending);
    }
}

impl Shared {
    /// Starts as many threads as there is work for.
    fn add_workers(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        // One that a panicking taker has killed is replaced.
        state.workers.retain(|worker| !worker.is_finished());
        let wanted = state.queue.len().saturating_sub(state.idle.len());
        let wanted = wanted.min(self.threads.saturating_sub(state.workers.len()));
        for _ in 0..wanted {
            let shared = Arc::clone(self);
            let worker = std::thread::Builder::new().name("gosync-source".into()).spawn(move || shared.work())?;
            state.workers.push(worker);
        }
        Ok(())
    }

    /// The life of a thread.
    fn work(&self) {
        let mut spare = Vec::new();
        while let Some(mut part) = self.next_part() {
            if part.buffer.is_empty() {
                part.buffer = std::mem::take(&mut spare);
            }
            let seen = part.pending.resumes();
            match self.serve(&mut part) {
                Some(result) => {
                    spare = std::mem::take(&mut part.buffer);
                    part.pending.settle(result);
                }
                None => self.hold(part, seen),
            }
        }
    }

    /// Waits for work; nothing when the source is closed.
    fn next_part(&self) -> Option<Part> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            match state.queue.pop_front() {
                Some(part) => match state.held.get_mut(&part.pending.id()) {
                    Some(held) => held.push(part),
                    None => return Some(part),
                },
                None => {
                    let me = std::thread::current().id();
                    state.idle.push(me);
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle.retain(|id| *id != me);
                }
            }
        }
    }

    /// Puts a part aside until its request is resumed, unless that happened meanwhile.
    fn hold(&self, part: Part, seen: u64) {
        let mut state = lock(&self.state);
        if state.closed || part.pending.is_stopped() {
            drop(state);
            return part.pending.settle(Err(unwanted()));
        }
        if part.pending.resumes() != seen {
            return state.queue.push_front(part);
        }
        state.held.entry(part.pending.id()).or_default().push(part);
    }

    /// Reads and supplies a part. Nothing if there was no room for it.
    fn serve(&self, part: &mut Part) -> Option<Result<()>> {
        let needed = part.range.end();
        while part.range.length > 0 {
            if part.pending.is_over() {
                return Some(Err(unwanted()));
            }
            if part.ready == 0 {
                match self.read(part) {
                    Ok(0) if part.range.is_to_end() => break,
                    Ok(0) => return Some(Err(self.ended(part.range.offset, needed))),
                    Ok(count) => part.ready = count,
                    Err(error) => return Some(Err(error)),
                }
                // A read may take long.
                if part.pending.is_stopped() {
                    return Some(Err(unwanted()));
                }
            }
            match part.pending.supply(part.range.offset, &part.buffer[..part.ready]) {
                Supply::Taken => part.advance(),
                Supply::Again => return None,
                Supply::Closed => return Some(Err(unwanted())),
            }
        }
        Some(Ok(()))
    }

    fn read(&self, part: &mut Part) -> Result<usize> {
        let want = part.range.length.min(PIECE as u64) as usize;
        if part.buffer.len() < want {
            part.buffer.resize(want, 0);
        }
        let buffer = &mut part.buffer[..want];
        let call = || self.reader.read_at(part.range.offset, buffer);
        let count = catch_unwind(AssertUnwindSafe(call))
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the source's read_at panicked")))?;
        if count > want {
            return Err(Error::new(
                ErrorKind::Source,
                "the source's read_at says it read more than there was room for",
            ));
        }
        Ok(count)
    }

    /// The error for a content that ends before a range does. Nothing was read at `offset`.
    fn ended(&self, offset: u64, needed: u64) -> Error {
        match self.reader.length() {
            Some(length) if length < needed => too_short(length, needed),
            _ => Error::new(ErrorKind::Source, format!("the source ended before the {needed} bytes that are needed")),
        }
        .with("offset", offset)
    }
}

impl Part {
    /// What was ready has been taken.
    fn advance(&mut self) {
        self.range.offset += self.ready as u64;
        if !self.range.is_to_end() {
            self.range.length -= self.ready as u64;
        }
        self.ready = 0;
    }
}
