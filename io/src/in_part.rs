//! What is kept with an index that was read in part, for as long as it lives: how more of it is read, what turned out
//! meanwhile, and what was seen of the target while it was opened.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::time::Duration;

use gosync_core::{Index, Result};

use crate::cancel::Cancel;
use crate::collect::TICK;
use crate::options::{HttpOptions, OpenOptions};
use crate::report::Observer;
use crate::tree::present::Seen;

pub(crate) struct InPart {
    timeout: Duration,
    retries: Option<u32>,
    max_index_size: u64,
    turn: Mutex<()>,
    is_replaced: AtomicBool,
    seen: OnceLock<Seen>,
}

impl InPart {
    /// Keeps with `index` how it is opened.
    pub(crate) fn begin(index: &Index, options: &OpenOptions) {
        index.attach(Arc::new(InPart {
            timeout: options.http.timeout,
            retries: options.retries,
            max_index_size: options.max_index_size,
            turn: Mutex::default(),
            is_replaced: AtomicBool::new(false),
            seen: OnceLock::new(),
        }));
    }

    /// What is kept with an index. Nothing if it was whole from the beginning.
    pub(crate) fn of(index: &Index) -> Option<&InPart> {
        index.attached()?.downcast_ref()
    }

    /// How more of an index is read, where the caller says no more than who watches: as patiently as it was opened.
    pub(crate) fn options(index: &Index, observer: &Observer) -> OpenOptions {
        let options = OpenOptions { observer: observer.clone(), ..OpenOptions::default() };
        let Some(in_part) = InPart::of(index) else { return options };
        let http = HttpOptions { timeout: in_part.timeout, ..HttpOptions::default() };
        OpenOptions { max_index_size: in_part.max_index_size, retries: in_part.retries, http, ..options }
    }

    /// The turn of whoever reads all of the index because it cannot be had in part: one download serves all who wait.
    pub(crate) fn turn(&self, cancel: &Cancel) -> Result<MutexGuard<'_, ()>> {
        loop {
            match self.turn.try_lock() {
                Ok(turn) => return Ok(turn),
                Err(TryLockError::Poisoned(turn)) => return Ok(turn.into_inner()),
                Err(TryLockError::WouldBlock) => cancel.check()?,
            }
            std::thread::sleep(TICK);
        }
    }

    /// Whether something of another version came where a part of the index was to be.
    pub(crate) fn is_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::Relaxed)
    }

    /// Says so.
    pub(crate) fn set_replaced(&self) {
        self.is_replaced.store(true, Ordering::Relaxed);
    }

    /// What was seen of the target meanwhile.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        self.seen.get()
    }

    /// Keeps that.
    pub(crate) fn set_seen(&self, seen: Seen) {
        let _ = self.seen.set(seen);
    }
}
