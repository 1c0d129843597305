//! The contract between whoever has the bytes (a source) and whoever needs them (a sink):
//! a batch of byte ranges, answered in any order, from any thread, in pieces of any size.
//! Says nothing about when to ask (`schedule`) or where bytes go (`transfer`).

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// A run of bytes of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    /// Offset of the first byte.
    pub offset: u64,
    /// Number of bytes, or [`Range::TO_END`].
    pub length: u64,
}

impl Range {
    /// A length that stands for "up to the end, wherever that is".
    pub const TO_END: u64 = u64::MAX;

    /// `length` bytes from `offset` on.
    pub const fn new(offset: u64, length: u64) -> Self {
        Range { offset, length }
    }

    /// The offset after the last byte (the largest offset there is, for a range without a known end).
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    /// Whether the range goes up to the end of the content, wherever that is.
    pub const fn is_to_end(&self) -> bool {
        self.length == Range::TO_END
    }
}

/// Where bytes that are not here come from. One source may serve several jobs at once.
pub trait Source: Send + Sync {
    /// Takes a request and returns soon; the answer may come now, later, from any thread.
    /// Called from library-owned threads only, never under a library lock.
    fn fetch(&self, request: Request);

    /// The answer to this request is no longer wanted. It must still be finished (dropping it does that).
    fn cancel(&self, id: u64) {
        let _ = id;
    }

    /// A request that was told [`Supply::Again`] may go on.
    fn resume(&self, id: u64) {
        let _ = id;
    }

    /// These ranges, ascending and apart from each other, are most of what will be asked for. A source that has to bring more
    /// than it is asked for may begin with what it will need in any case, and keep up to `most` bytes of that. Called as
    /// [`Source::fetch`] is.
    fn prepare(&self, ranges: &[Range], most: u64) {
        let _ = (ranges, most);
    }

    /// What is known of the way to the content. Asked for often; answered at once.
    fn link(&self) -> Link {
        Link::default()
    }

    /// The file `name` below this place (names with `/` between), where it is a place that files lie below. Asks nobody yet.
    /// `None`: there are none, what this source has is the content itself.
    fn below(&self, name: &str) -> Option<Result<Arc<dyn Source>>> {
        let _ = name;
        None
    }

    /// The file `name` below this place, open, where it can be read without a request. `None`: it takes one.
    fn reader(&self, name: &str) -> Option<Result<Arc<dyn ReadAt>>> {
        let _ = name;
        None
    }

    /// Whether there is content of its own, and not only what lies below.
    fn has_content(&self) -> bool {
        true
    }

    /// What this is, for people, without credentials: a path or a URL.
    fn describe(&self) -> String {
        String::from("source")
    }
}

/// What a source knows of the way to its content: estimates, which may change with every answer.
/// The plan is made from them, and the schedule follows them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// From a request to the first byte of its answer, when nothing else is under way. `None`: not known, or none to speak of.
    pub round_trip: Option<Duration>,
    /// Bytes per second, over everything that runs at the same time. `None`: not known, or not what limits.
    pub rate: Option<u64>,
    /// Ranges that are answered within one round trip, as far as can be expected. 0: not known.
    pub parallel: u32,
    /// Ranges that have been seen to be answered within one round trip: more than a few times as many are not handed over
    /// before it has turned out how they are best asked for. 0: not known.
    pub proven: u32,
    /// Whether ranges are answered at all; `Some(false)`: every answer is everything.
    pub ranges: Option<bool>,
    /// Requests to the place that are answered at the same time, whatever they ask for. 0: not known.
    pub at_once: u32,
    /// Files that the content lies in, each of which takes a request of its own. 0 means 1.
    pub files: u64,
    /// Places that the same content can be asked from. 0 means 1.
    pub copies: u32,
    /// Why the content is not asked for in the best way there is: the steps down so far, one line.
    pub reason: Option<String>,
}

/// What became of supplied bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// Taken (what was not lacking is counted and dropped).
    Taken,
    /// Nothing was taken: too much is waiting to be written. Offer the same bytes again after `resume`, or a little later.
    Again,
    /// Nobody wants this answer any more; stop and finish.
    Closed,
}

/// Who asked. Implemented by the library; sources see it through [`Request`].
pub trait Sink: Send + Sync {
    /// Bytes of the content that start at `offset`.
    fn supply(&self, id: u64, offset: u64, data: &[u8]) -> Supply;
    /// The request is over. `exchanges` is how many round trips it took on the wire, where that is known.
    fn finish(&self, id: u64, exchanges: u64, result: Result<()>);
}

/// A batch of ranges that a source has been asked for. Owned by the source until it finishes it;
/// dropping it unfinished is an answer too: an error.
pub struct Request {
    id: u64,
    ranges: Vec<Range>,
    sink: Option<Arc<dyn Sink>>,
    exchanges: std::sync::atomic::AtomicU64,
}

impl Request {
    /// A request with a number that is unique within its source's users, for `ranges`: ascending, not overlapping, not empty.
    pub fn new(id: u64, ranges: Vec<Range>, sink: Arc<dyn Sink>) -> Self {
        Request { id, ranges, sink: Some(sink), exchanges: Default::default() }
    }

    /// The number that [`Source::cancel`] and [`Source::resume`] use. Unique within the process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What is asked for: ascending, not overlapping. The last one may be [`Range::is_to_end`].
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Who asked, for telling whether two requests come from the same asker. `None` once it is finished.
    pub fn asker(&self) -> Option<Weak<dyn Sink>> {
        self.sink.as_ref().map(Arc::downgrade)
    }

    /// Hands over bytes of the content that start at `offset`, in any order and piece size, from any thread.
    /// They may be more than was asked for; the same bytes twice are harmless. Copies; never blocks.
    pub fn supply(&self, offset: u64, data: &[u8]) -> Supply {
        match &self.sink {
            Some(sink) => sink.supply(self.id, offset, data),
            None => Supply::Closed,
        }
    }

    /// Counts a round trip on the wire (statistics only). A request that counts none counts as one.
    pub fn count_exchange(&self) {
        self.exchanges.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Ends the request. `Ok` with bytes missing becomes an error; a retryable error makes the library ask again.
    pub fn finish(mut self, result: Result<()>) {
        self.end(result);
    }

    fn end(&mut self, result: Result<()>) {
        if let Some(sink) = self.sink.take() {
            sink.finish(self.id, (*self.exchanges.get_mut()).max(1), result);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.end(Err(Error::new(ErrorKind::Source, "the source dropped a request without finishing it")));
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("id", &self.id).field("ranges", &self.ranges).finish()
    }
}

/// Random access to local bytes of a known length: a seed, or what an index is built from.
pub trait ReadAt: Send + Sync {
    /// Number of bytes, as known when it was opened.
    fn length(&self) -> u64;
    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;
}

impl ReadAt for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.as_slice().read_at(offset, buffer)
    }
}
