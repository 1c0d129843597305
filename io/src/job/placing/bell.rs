//! A bell for threads that wait for something to do.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Wakes whoever waits for something to do.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<u64>,
    waiters: Condvar,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ring(&self) {
        *self.lock() += 1;
        self.waiters.notify_all();
    }

    /// How often it has rung.
    pub(super) fn count(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it has rung more often than `seen`, but not for longer than `most`.
    pub(super) fn wait(&self, seen: u64, most: Duration) {
        let rung = self.lock();
        let _ = self.waiters.wait_timeout_while(rung, most, |rung| *rung <= seen);
    }
}
