//! The one way to stop work: a token that any thread may trigger and every blocking call accepts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gosync_core::{Error, ErrorKind, Result};

/// A token shared between who works and who may say stop. Clones are the same token. It cannot be reset.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A token that nobody has triggered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop. From any thread, any number of times; takes effect within 100 ms.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was triggered.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// `CANCELLED` if it was triggered.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(ErrorKind::Cancelled, "cancelled by the caller")) } else { Ok(()) }
    }
}
