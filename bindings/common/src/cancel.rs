//! The token that stops work, and tokens that depend on another one.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use gosync_ffi::gosync_cancel;

use crate::Result;
use crate::call::make;

/// A token that any thread may trigger. Clones are the same token. It cannot be reset.
#[derive(Clone)]
pub struct Cancel(Arc<Inner>);

struct Inner {
    token: *mut gosync_cancel,
    children: Mutex<Vec<Weak<Inner>>>,
}

// SAFETY: the C side allows every call on a token from any thread at any time, except the free, which is in `drop`.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Cancel {
    /// A token that nobody has triggered yet.
    pub fn new() -> Result<Self> {
        // SAFETY: both pointers are valid for writing.
        let token = make(|out, error| unsafe { gosync_ffi::gosync_cancel_new(out, error) })?;
        Ok(Cancel(Arc::new(Inner { token, children: Mutex::default() })))
    }

    /// A token that is triggered with this one, and can be triggered without touching this one. Each call gets its own,
    /// so that what stops one call (Ctrl-C, a failed callback) does not stop others that share the user's token.
    pub fn child(&self) -> Result<Self> {
        let child = Cancel::new()?;
        {
            let mut children = self.children();
            children.retain(|known| known.strong_count() > 0);
            children.push(Arc::downgrade(&child.0));
        }
        // Asked after the child is on the list: a trigger in between reaches it one way or the other.
        if self.is_cancelled() {
            child.cancel();
        }
        Ok(child)
    }

    /// Asks the work to stop. From any thread, any number of times.
    pub fn cancel(&self) {
        // SAFETY: the token is valid until the last clone is dropped.
        unsafe { gosync_ffi::gosync_cancel_trigger(self.0.token) };
        let children: Vec<_> = self.children().iter().filter_map(Weak::upgrade).collect();
        for child in children {
            Cancel(child).cancel();
        }
    }

    /// Whether it was triggered.
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: the token is valid until the last clone is dropped.
        unsafe { gosync_ffi::gosync_cancel_is_triggered(self.0.token) }
    }

    pub(crate) fn as_ptr(&self) -> *const gosync_cancel {
        self.0.token
    }

    fn children(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Inner>>> {
        self.0.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: owned, and nobody else has it any more.
        unsafe { gosync_ffi::gosync_cancel_free(self.token) };
    }
}
