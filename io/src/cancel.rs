//! The one way to stop work: a token that any thread may trigger and every blocking call accepts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gosync_core::{Error, ErrorKind, Result};

/// A token shared between who works and who may say stop. Clones are the same token. It cannot be reset.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Token>);

#[derive(Debug, Default)]
struct Token {
    triggered: AtomicBool,
    parent: Option<Cancel>,
}

impl Cancel {
    /// A token that nobody has triggered yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is triggered with this one, but does not trigger it: for one of several users of a token.
    pub(crate) fn child(&self) -> Self {
        Cancel(Arc::new(Token { triggered: AtomicBool::new(false), parent: Some(self.clone()) }))
    }

    /// Asks the work to stop. From any thread, any number of times; takes effect within 100 ms.
    pub fn cancel(&self) {
        self.0.triggered.store(true, Ordering::Release);
    }

    /// Whether it was triggered.
    pub fn is_cancelled(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire) || self.0.parent.as_ref().is_some_and(Cancel::is_cancelled)
    }

    /// `CANCELLED` if it was triggered.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(ErrorKind::Cancelled, "cancelled by the caller")) } else { Ok(()) }
    }
}
