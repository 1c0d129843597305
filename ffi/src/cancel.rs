//! `gosync_cancel`: the token that any thread may trigger and every blocking call accepts.

use gosync_io::Cancel;

use crate::error::gosync_error;
use crate::guard::{Out, call, free, get};
use crate::status::gosync_status;

/// A token that stops work. Any number of calls may be given the same one, by the `cancel` member of their observer.
/// It cannot be reset. Calls keep what they need of it, so it may be freed while they run.
pub struct gosync_cancel(pub(crate) Cancel);

/// Makes a token that nobody has triggered yet.
///
/// `*out` is the caller's, freed by gosync_cancel_free.
/// Errors: GOSYNC_E_ARGUMENT if `out` is NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_cancel_new(
    out: *mut *mut gosync_cancel,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: the pointers are NULL or writable, as the header asks.
    unsafe { call(error, || Out::new(out).put(gosync_cancel(Cancel::new()))) }
}

/// Asks the work that was given this token to stop; its call returns GOSYNC_E_CANCELLED within about 100 ms. From any
/// thread, any number of times; also from within callbacks. Does not wait. NULL is ignored. It takes a lock-free
/// path, so that it may be called from a signal handler. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_cancel_trigger(cancel: *const gosync_cancel) {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(cancel, (), |cancel| cancel.0.cancel()) }
}

/// Whether the token was triggered. False for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_cancel_is_triggered(cancel: *const gosync_cancel) -> bool {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(cancel, false, |cancel| cancel.0.is_cancelled()) }
}

/// Frees a token. Work that was given it goes on, and can no longer be stopped by it. NULL is fine. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_cancel_free(cancel: *mut gosync_cancel) {
    // SAFETY: NULL or from `gosync_cancel_new`, and not used again, as the header asks.
    unsafe { free(cancel) }
}
