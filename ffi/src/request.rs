//! `gosync_request`: a batch of byte ranges that the caller's own source must answer.

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use gosync_io::{Error, ErrorKind, Request, Supply};

use crate::error::gosync_error;
use crate::foreign::Foreign;
use crate::guard::{argument, bytes, call, get, object, place, quiet, value};
use crate::status::{GOSYNC_AGAIN, GOSYNC_E_ARGUMENT, GOSYNC_E_CANCELLED, GOSYNC_E_INTERNAL, GOSYNC_OK, gosync_status};

/// A length that stands for "up to the end of the content, wherever that is".
pub const GOSYNC_TO_END: u64 = u64::MAX;

/// A batch of byte ranges that a source must answer. It belongs to the source from `fetch` until
/// gosync_request_finish, which must be called exactly once.
pub struct gosync_request {
    request: Request,
    // Dropped after the request has told its end: user data outlives the last request.
    _foreign: Arc<Foreign>,
}

impl gosync_request {
    pub(crate) fn new(request: Request, foreign: Arc<Foreign>) -> Self {
        gosync_request { request, _foreign: foreign }
    }
}

/// The error that a status (and a message) from the caller's source stands for. A number that is no failure's is taken
/// for GOSYNC_E_SOURCE: the source broke the contract, and the failure must not get lost.
pub(crate) fn failure(status: gosync_status, message: Option<String>) -> Error {
    let known = ErrorKind::from_number(status);
    let message = message.filter(|message| !message.is_empty());
    let error = Error::new(
        known.unwrap_or(ErrorKind::Source),
        message.unwrap_or_else(|| "the source reports a failure".into()),
    );
    if known.is_some() { error } else { error.with("status", status) }
}

/// The number that `cancel` and `resume` of the source's functions use; unique within the process. 0 for NULL.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_request_id(request: *const gosync_request) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(request, 0, |request| request.request.id()) }
}

/// Number of ranges that are asked for. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_request_range_count(request: *const gosync_request) -> usize {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(request, 0, |request| request.request.ranges().len()) }
}

/// Writes range `i` to `*offset` and `*length`. The ranges are ascending and do not overlap; the length of the last one
/// may be GOSYNC_TO_END.
///
/// Errors: GOSYNC_E_ARGUMENT (NULL, or no such range). Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_request_range(
    request: *const gosync_request,
    i: usize,
    offset: *mut u64,
    length: *mut u64,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let ranges = object(request, "request")?.request.ranges();
            let range = ranges.get(i).ok_or_else(|| argument("i", "is not below the number of ranges"))?;
            let (offset, length) = (place(offset, "offset")?, place(length, "length")?);
            offset.write(range.offset);
            length.write(range.length);
            Ok(())
        })
    }
}

/// Hands over `length` bytes of the content that start at `offset`; they are copied. In any order and piece size, from
/// any thread, also several at once. More than was asked for, and the same bytes twice, are harmless. Never blocks.
///
/// Returns GOSYNC_OK; GOSYNC_AGAIN if nothing was taken because too much is waiting to be written: offer the same bytes
/// again after `resume` was called, or a little later; GOSYNC_E_CANCELLED if nobody wants this answer any more: stop,
/// and finish the request; GOSYNC_E_ARGUMENT for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_request_supply(
    request: *const gosync_request,
    offset: u64,
    data: *const c_void,
    length: usize,
) -> gosync_status {
    value(GOSYNC_E_INTERNAL, || {
        // SAFETY: NULL or live, as the header asks.
        let (request, data) = unsafe { (object(request, "request"), bytes(data, length)) };
        let (Ok(request), Ok(data)) = (request, data) else { return GOSYNC_E_ARGUMENT };
        match request.request.supply(offset, data) {
            Supply::Taken => GOSYNC_OK,
            Supply::Again => GOSYNC_AGAIN,
            Supply::Closed => GOSYNC_E_CANCELLED,
        }
    })
}

/// Ends the request and frees it: to be called exactly once, when no other call on it is running, from any thread.
///
/// `status` is GOSYNC_OK, or the GOSYNC_E_... that says what went wrong: after a retryable one the library asks again,
/// GOSYNC_E_SOURCE ends the work. GOSYNC_OK with bytes missing is a failure too. `message` is one line for people, in
/// UTF-8, without credentials; copied; may be NULL. A NULL request is ignored. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_request_finish(
    request: *mut gosync_request,
    status: gosync_status,
    message: *const c_char,
) {
    if request.is_null() {
        return;
    }
    quiet(|| {
        // SAFETY: from `CallbackSource::fetch`, and not used again, as the header asks.
        let owned = unsafe { Box::from_raw(request) };
        let gosync_request { request, _foreign } = *owned;
        if status == GOSYNC_OK {
            return request.finish(Ok(()));
        }
        // SAFETY: not NULL, and NUL-terminated, as the header asks. What is not UTF-8 in it is replaced: a source that
        // reports a failure must not get another one for it.
        let message = (!message.is_null()).then(|| unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned());
        request.finish(Err(failure(status, message)));
    });
}
