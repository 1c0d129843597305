//! A request in the hands of a source: shared by everything that works on a part of it, finished exactly once
//! when the last of them lets go. Says nothing about how the bytes are found.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gosync_core::{Error, ErrorKind, Range, Request, Result, Supply};
use tokio::sync::Notify;

/// A request that is being answered. Dropping the last reference finishes it, so that must happen under no lock.
pub(super) struct Pending {
    /// There until the drop.
    request: Option<Request>,
    /// Parts of the answer that have not come to an end.
    unsettled: AtomicUsize,
    failed: AtomicBool,
    failure: Mutex<Option<Error>>,
    signal: Arc<Signal>,
}

/// What whoever works on a request is told. May be held longer than the request, which it does not keep from its end.
#[derive(Default)]
pub(super) struct Signal {
    stopped: AtomicBool,
    /// The request is finished.
    finished: AtomicBool,
    resumes: AtomicU64,
    wake: Notify,
}

impl Pending {
    /// Takes a request that is answered in `parts` parts, each of which is settled once.
    pub(super) fn new(request: Request, parts: usize) -> Arc<Self> {
        Arc::new(Pending {
            request: Some(request),
            unsettled: AtomicUsize::new(parts),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            signal: Arc::default(),
        })
    }

    pub(super) fn id(&self) -> u64 {
        self.request.as_ref().map_or(0, Request::id)
    }

    /// Whether both were asked for by the same taker.
    pub(super) fn has_asker_of(&self, other: &Pending) -> bool {
        let asker = |pending: &Pending| pending.request.as_ref().and_then(Request::asker);
        matches!((asker(self), asker(other)), (Some(one), Some(other)) if one.ptr_eq(&other))
    }

    pub(super) fn ranges(&self) -> &[Range] {
        self.request.as_ref().map_or(&[], Request::ranges)
    }

    pub(super) fn supply(&self, offset: u64, data: &[u8]) -> Supply {
        self.request.as_ref().map_or(Supply::Closed, |request| request.supply(offset, data))
    }

    pub(super) fn count_exchange(&self) {
        if let Some(request) = &self.request {
            request.count_exchange();
        }
    }

    /// A part came to its end; the first failure is the request's. Call it under no lock.
    pub(super) fn settle(self: Arc<Self>, result: Result<()>) {
        if let Err(error) = result {
            lock(&self.failure).get_or_insert(error);
            self.failed.store(true, Ordering::Release);
        }
        self.unsettled.fetch_sub(1, Ordering::AcqRel);
    }

    /// Nobody wants the answer any more: whoever works on it stops soon.
    pub(super) fn stop(&self) {
        self.signal.stopped.store(true, Ordering::Release);
        self.signal.wake.notify_waiters();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.signal.is_stopped()
    }

    pub(super) fn signal(&self) -> Arc<Signal> {
        Arc::clone(&self.signal)
    }

    /// Whether to begin another part is pointless: it was stopped, or another part failed already.
    pub(super) fn is_over(&self) -> bool {
        self.is_stopped() || self.failed.load(Ordering::Acquire)
    }

    /// How often it was told to go on. Look before a supply; if that says AGAIN, a change since is a reason to try again at once.
    pub(super) fn resumes(&self) -> u64 {
        self.signal.resumes.load(Ordering::Acquire)
    }

    /// What is waiting may go on.
    pub(super) fn resume(&self) {
        self.signal.resumes.fetch_add(1, Ordering::AcqRel);
        self.signal.wake.notify_waiters();
    }

    /// Returns when it was told to go on since `resumes` was looked at, or is stopped.
    pub(super) async fn until_resumed(&self, seen: u64) {
        self.signal.until(|| self.resumes() != seen || self.is_stopped()).await;
    }
}

impl Signal {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Returns when nobody wants any more of what these requests wait for: each is stopped or finished, and not all came
    /// to their end by themselves.
    pub(super) async fn until_unwanted(signals: &[Arc<Signal>]) {
        for signal in signals {
            signal.until(|| signal.is_stopped() || signal.is_finished()).await;
        }
        if signals.iter().all(|signal| signal.is_finished() && !signal.is_stopped()) {
            std::future::pending::<()>().await;
        }
    }

    async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let mut notified = std::pin::pin!(self.wake.notified());
            // Listening begins before looking, so that nothing is missed in between.
            notified.as_mut().enable();
            if done() {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let failure = self.failure.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let result = match failure {
            Some(error) => Err(error),
            None if *self.unsettled.get_mut() > 0 => Err(unwanted()),
            None => Ok(()),
        };
        if let Some(request) = self.request.take() {
            request.finish(result);
        }
        self.signal.finished.store(true, Ordering::Release);
        self.signal.wake.notify_waiters();
    }
}

/// The end of a request that was cancelled, or whose source was closed.
pub(super) fn unwanted() -> Error {
    Error::new(ErrorKind::Cancelled, "the request was cancelled")
}

/// The requests that a source has at the moment, by number.
#[derive(Default)]
pub(super) struct Live(Vec<(u64, Weak<Pending>)>);

impl Live {
    pub(super) fn add(&mut self, pending: &Arc<Pending>) {
        self.0.retain(|(_, pending)| pending.strong_count() > 0);
        self.0.push((pending.id(), Arc::downgrade(pending)));
    }

    /// The request with this number. The reference may turn out to be the last one: drop it under no lock.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Pending>> {
        self.0.iter().find(|(number, _)| *number == id).and_then(|(_, pending)| pending.upgrade())
    }

    /// All of them; the same caution holds.
    pub(super) fn all(&self) -> Vec<Arc<Pending>> {
        self.0.iter().filter_map(|(_, pending)| pending.upgrade()).collect()
    }
}

/// Locks, whether or not somebody panicked meanwhile: what is inside stays consistent between statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
