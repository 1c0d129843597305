//! `gosync_error`: why a call failed. An owned copy of a core error, with its texts as C strings.

use std::error::Error as StdError;
use std::ffi::{CString, c_char};

use gosync_io::{Error, ErrorKind};

use crate::guard::{c_string, free, get};
use crate::status::{GOSYNC_OK, gosync_status};

/// Chains of causes are short; a longer one is cut, so that a strange one cannot run away.
const DEEPEST: usize = 32;

/// Why a call failed: a status, one line, the facts around it, and what caused it.
///
/// A fallible call puts one in its last argument, if that is not NULL; it is the caller's to free. Immutable, so that
/// any thread may read it. The texts that getters return are borrowed and live until the error is freed.
pub struct gosync_error {
    status: gosync_status,
    message: CString,
    text: CString,
    context: Vec<(CString, CString)>,
    cause: Option<Box<gosync_error>>,
}

impl gosync_error {
    /// A copy of `error`, its causes included.
    pub(crate) fn new(error: &Error) -> Self {
        Self::copy(error, error.kind(), DEEPEST)
    }

    fn copy(error: &(dyn StdError + 'static), kind: ErrorKind, depth: usize) -> Self {
        let ours = error.downcast_ref::<Error>();
        let kind = ours.map_or(kind, Error::kind);
        let text = error.to_string();
        let cause = error.source().filter(|_| depth > 0);
        gosync_error {
            status: kind.number(),
            message: c_string(ours.map_or(text.as_str(), Error::message)),
            context: ours
                .map_or(&[][..], Error::context)
                .iter()
                .map(|(key, value)| (c_string(key), c_string(value)))
                .collect(),
            cause: cause.map(|cause| Box::new(Self::copy(cause, kind, depth - 1))),
            text: c_string(&text),
        }
    }

    fn fact(&self, i: usize, choose: fn(&(CString, CString)) -> &CString) -> *const c_char {
        self.context.get(i).map_or(std::ptr::null(), |fact| choose(fact).as_ptr())
    }
}

/// The status that the call returned. A cause that is not gosync's own (an error of the operating system, say) has
/// the status of the error that it caused. GOSYNC_OK for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_error_status(error: *const gosync_error) -> gosync_status {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(error, GOSYNC_OK, |error| error.status) }
}

/// One line that says what went wrong, without the facts around it. NULL for NULL. Borrowed until the error is
/// freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_error_message(error: *const gosync_error) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(error, std::ptr::null(), |error| error.message.as_ptr()) }
}

/// The message with the facts around it: what a person reads. NULL for NULL. Borrowed until the error is freed.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_error_text(error: *const gosync_error) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(error, std::ptr::null(), |error| error.text.as_ptr()) }
}

/// The number of facts around the failure. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_error_context_count(error: *const gosync_error) -> usize {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(error, 0, |error| error.context.len()) }
}

/// The name of fact `i`, for instance "path", "url", "offset", "block" or "os_error". NULL if there is no such fact.
/// Borrowed until the error is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_error_context_key(error: *const gosync_error, i: usize) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(error, std::ptr::null(), |error| error.fact(i, |fact| &fact.0)) }
}

/// The value of fact `i`; never holds credentials. NULL if there is no such fact. Borrowed until the error is freed.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_error_context_value(error: *const gosync_error, i: usize) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(error, std::ptr::null(), |error| error.fact(i, |fact| &fact.1)) }
}

/// What caused the error, or NULL. Borrowed: it lives until the error that it was asked of is freed, and is not
/// freed by itself. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_error_cause(error: *const gosync_error) -> *const gosync_error {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(error, std::ptr::null(), |error| error.cause.as_deref().map_or(std::ptr::null(), std::ptr::from_ref)) }
}

/// Frees an error with its causes and texts. NULL is fine. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_error_free(error: *mut gosync_error) {
    // SAFETY: NULL or an error that `guard::call` handed out, and not used again, as the header asks.
    unsafe { free(error) }
}
