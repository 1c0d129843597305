//! User data that came with a destructor: kept as long as anything may still call back with it, dropped exactly once.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

/// The destructor of user data, as C passes it.
pub(crate) type DropFn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// User data and its destructor. Shared by everything that calls back with it; the last one to go drops it.
pub(crate) struct Foreign {
    user_data: *mut c_void,
    drop: DropFn,
    taken: AtomicBool,
}

// SAFETY: the header says that callbacks and destructors are called from any thread, so whoever passes user data
// passes something that may be used there; this type itself only carries the pointer.
unsafe impl Send for Foreign {}
// SAFETY: as above; the pointer is never read through here.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// User data that is not taken yet: it still belongs to the caller, and is not dropped.
    pub(crate) fn new(user_data: *mut c_void, drop: DropFn) -> Self {
        Foreign { user_data, drop, taken: AtomicBool::new(false) }
    }

    /// From now on the user data is the library's, which will drop it.
    pub(crate) fn take(&self) {
        self.taken.store(true, Ordering::Release);
    }

    /// What to pass to callbacks.
    pub(crate) fn user_data(&self) -> *mut c_void {
        self.user_data
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let (true, Some(drop)) = (*self.taken.get_mut(), self.drop) {
            // SAFETY: the caller passed this function for this user data; nothing can call back with it any more.
            unsafe { drop(self.user_data) };
        }
    }
}
