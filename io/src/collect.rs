//! Reading the whole content of a source into memory: how an index arrives. Bounded, cancellable, and patient with
//! temporary failures. The job's transfer, which verifies and places content, is another thing (`job`).

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gosync_core::{Error, ErrorKind, Range, Request, Result, Sink, Source, Supply};

use crate::cancel::Cancel;
use crate::options::OpenOptions;
use crate::random::random;
use crate::report::Level;
use crate::source::next_request_id;

/// Temporary failures in a row, without a new byte between them, that are survived.
pub(crate) const RETRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How often a wait looks for a cancel, which nothing else would wake it for.
pub(crate) const TICK: Duration = Duration::from_millis(20);
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The content of `source`, if it has at most `limit` bytes.
pub(crate) fn collect(source: &Arc<dyn Source>, limit: u64, options: &OpenOptions) -> Result<Vec<u8>> {
    let cancel = &options.observer.cancel;
    let timeout = if options.http.timeout.is_zero() { TIMEOUT } else { options.http.timeout };
    let (mut content, mut failures, mut changes) = (Vec::new(), 0, 0);
    loop {
        cancel.check()?;
        let before = content.len();
        let error = match attempt(source, limit, &mut content, cancel, timeout.saturating_mul(2)) {
            Ok(()) => return Ok(content),
            Err(error) => error,
        };
        failures = if content.len() > before { 1 } else { failures + 1 };
        if error.kind() == ErrorKind::SourceChanged {
            // What is here belongs to what was there before.
            content.clear();
            changes += 1;
        }
        if !error.retryable() || changes > 1 || failures > options.retries.unwrap_or(RETRIES) {
            return Err(error);
        }
        let wait = wait_before(failures, &error)?;
        options.observer.event(
            Level::Warning,
            "retry",
            format!("asking again for the index: {}", error.message()),
            &[("source", &source.describe()), ("error", &error.kind()), ("attempt", &failures)],
        );
        pause(cancel, wait)?;
    }
}

/// How long to wait after so many failures in a row: longer each time, spread by half, and not less than the server asks for.
fn wait_before(failures: u32, error: &Error) -> Result<Duration> {
    let asked = error.pause().unwrap_or_default();
    if asked > LONGEST_WAIT {
        let text =
            format!("{}; not before {} seconds, it says, which is too long to wait", error.message(), asked.as_secs());
        let mut told = Error::new(error.kind(), text).with_pause(asked);
        for (key, value) in error.context() {
            told = told.with(key, value);
        }
        return Err(told.caused_by(error.clone()));
    }
    let backoff = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    Ok(backoff.max(asked).mul_f64(if asked > backoff { 1.0 + 0.1 * random() } else { 0.75 + 0.5 * random() }))
}

/// The error for an index that is larger than the caller allows.
pub(crate) fn too_large(limit: u64) -> Error {
    Error::new(ErrorKind::Limit, format!("the index is larger than the {limit} bytes that are allowed"))
}

/// Asks once for what is not here yet. What arrived in sequence is appended even if the rest failed.
fn attempt(
    source: &Arc<dyn Source>,
    limit: u64,
    content: &mut Vec<u8>,
    cancel: &Cancel,
    silence: Duration,
) -> Result<()> {
    let id = next_request_id();
    let start = content.len() as u64;
    let collector = Arc::new(Collector::new(limit, std::mem::take(content)));
    let request = Request::new(id, vec![Range::new(start, Range::TO_END)], Arc::clone(&collector) as Arc<dyn Sink>);
    let result = aside(source, move |source| source.fetch(request)).and_then(|()| collector.wait(cancel, silence));
    let (arrived, finished) = collector.close();
    *content = arrived;
    if !finished {
        // The answer is not waited for any longer; whatever it does now is harmless.
        aside(source, move |source| source.cancel(id))?;
    }
    result
}

/// Calls a source from a thread of ours, so that one that does not return holds up nobody.
pub(crate) fn aside(source: &Arc<dyn Source>, call: impl FnOnce(&dyn Source) + Send + 'static) -> Result<()> {
    let source = Arc::clone(source);
    std::thread::Builder::new()
        .name("gosync-fetch".into())
        .spawn(move || call(&*source))
        .map(drop)
        .map_err(|cause| Error::new(ErrorKind::Io, format!("cannot start a thread: {cause}")).caused_by(cause))
}

fn pause(cancel: &Cancel, length: Duration) -> Result<()> {
    let end = Instant::now() + length;
    loop {
        cancel.check()?;
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(());
        }
        std::thread::sleep(rest.min(TICK));
    }
}

/// Puts together what arrives, in whatever order.
struct Collector {
    limit: u64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The content from its beginning on.
    content: Vec<u8>,
    /// What came before its turn, by offset.
    early: BTreeMap<u64, Vec<u8>>,
    early_bytes: u64,
    /// How often something came.
    arrivals: u64,
    failure: Option<Error>,
    finished: Option<Result<()>>,
    closed: bool,
}

impl Collector {
    fn new(limit: u64, content: Vec<u8>) -> Self {
        let state = State {
            content,
            early: BTreeMap::new(),
            early_bytes: 0,
            arrivals: 0,
            failure: None,
            finished: None,
            closed: false,
        };
        Collector { limit, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end of the answer, a cancel, or a silence that is too long.
    fn wait(&self, cancel: &Cancel, silence: Duration) -> Result<()> {
        let mut state = self.lock();
        let mut heard = (state.arrivals, Instant::now());
        loop {
            cancel.check()?;
            if let Some(error) = state.failure.take() {
                return Err(error);
            }
            if let Some(result) = state.finished.clone() {
                return result.and_then(|()| state.check_whole());
            }
            if state.arrivals != heard.0 {
                heard = (state.arrivals, Instant::now());
            } else if heard.1.elapsed() >= silence {
                return Err(Error::new(ErrorKind::Timeout, "the source does not answer"));
            }
            let (guard, _) = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
            state = guard;
        }
    }

    /// Takes nothing more. What arrived in sequence, and whether the request is finished.
    fn close(&self) -> (Vec<u8>, bool) {
        let mut state = self.lock();
        state.closed = true;
        state.early.clear();
        (std::mem::take(&mut state.content), state.finished.is_some())
    }
}

impl State {
    fn check_whole(&self) -> Result<()> {
        if self.early.is_empty() {
            return Ok(());
        }
        let message = "the source finished its answer with bytes missing";
        Err(Error::new(ErrorKind::Source, message).with("offset", self.content.len()))
    }

    /// Appends what continues the content; keeps what is early.
    fn take(&mut self, offset: u64, data: &[u8], limit: u64) -> Result<()> {
        let have = self.content.len() as u64;
        if offset.saturating_add(data.len() as u64) > limit {
            return Err(too_large(limit));
        }
        if offset > have {
            return self.keep(offset, data, limit);
        }
        // Below the length of the data, if anything is new.
        let known = (have - offset).min(data.len() as u64) as usize;
        self.append(&data[known..])?;
        while let Some(entry) = self.early.first_entry() {
            let have = self.content.len() as u64;
            if *entry.key() > have {
                break;
            }
            let (offset, data) = entry.remove_entry();
            self.early_bytes -= data.len() as u64;
            let known = (have - offset).min(data.len() as u64) as usize;
            self.append(&data[known..])?;
        }
        Ok(())
    }

    fn append(&mut self, data: &[u8]) -> Result<()> {
        self.content.try_reserve(data.len()).map_err(|cause| {
            Error::new(ErrorKind::Limit, "there is not enough memory for the index").caused_by(cause)
        })?;
        self.content.extend_from_slice(data);
        Ok(())
    }

    fn keep(&mut self, offset: u64, data: &[u8], limit: u64) -> Result<()> {
        let known = self.early.get(&offset).map_or(0, Vec::len);
        if data.len() <= known {
            return Ok(());
        }
        // Overlapping pieces could hold any amount; an honest source never has more early bytes than the content has bytes.
        self.early_bytes += (data.len() - known) as u64;
        if self.early_bytes > limit {
            return Err(too_large(limit));
        }
        self.early.insert(offset, data.to_vec());
        Ok(())
    }
}

impl Sink for Collector {
    fn supply(&self, _id: u64, offset: u64, data: &[u8]) -> Supply {
        let mut state = self.lock();
        if state.closed || state.failure.is_some() {
            return Supply::Closed;
        }
        state.arrivals += 1;
        match state.take(offset, data, self.limit) {
            Ok(()) => Supply::Taken,
            Err(error) => {
                state.failure = Some(error);
                self.changed.notify_all();
                Supply::Closed
            }
        }
    }

    fn finish(&self, _id: u64, _exchanges: u64, result: Result<()>) {
        let mut state = self.lock();
        state.finished = Some(result);
        self.changed.notify_all();
    }
}
