//! A batch of ranges that a foreign source was asked for.

use std::ffi::CString;
use std::ptr;

use gosync_ffi::{GOSYNC_OK, gosync_request};

use crate::source::ForeignError;
use crate::{BindingError, Kind, Result};

/// What became of supplied bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// Taken.
    Taken,
    /// Nothing was taken: offer the same bytes again after `resume`, or a little later.
    Again,
    /// Nobody wants this answer any more; stop and finish.
    Closed,
}

/// A batch of ranges to answer, in any order, from any thread. Dropping it unfinished is an answer too: an error.
pub struct Request(*mut gosync_request);

// SAFETY: a request may be supplied and finished from any thread; finishing takes it by value.
unsafe impl Send for Request {}
// SAFETY: the C calls on `const gosync_request *` may run at the same time.
unsafe impl Sync for Request {}

impl Request {
    /// # Safety
    /// `raw` is a request that the caller owns and gives away.
    pub(crate) unsafe fn from_raw(raw: *mut gosync_request) -> Self {
        Request(raw)
    }

    /// The number that `cancel` and `resume` use.
    pub fn id(&self) -> u64 {
        // SAFETY: the request is valid until it is finished, which takes it by value.
        unsafe { gosync_ffi::gosync_request_id(self.0) }
    }

    /// What is asked for: offset and length, ascending. No length means up to the end of the content.
    pub fn ranges(&self) -> Vec<(u64, Option<u64>)> {
        // SAFETY: as in `id`; ranges are asked for within the count, and the outputs are valid for writing.
        unsafe {
            let count = gosync_ffi::gosync_request_range_count(self.0);
            let range = |i| {
                let (mut offset, mut length) = (0, 0);
                let status = gosync_ffi::gosync_request_range(self.0, i, &mut offset, &mut length, ptr::null_mut());
                let length = (length != gosync_ffi::GOSYNC_TO_END).then_some(length);
                (status == GOSYNC_OK).then_some((offset, length))
            };
            (0..count).filter_map(range).collect()
        }
    }

    /// Hands over bytes of the content that start at `offset`, in any order and piece size. Copies; never blocks.
    pub fn supply(&self, offset: u64, data: &[u8]) -> Result<Supply> {
        // SAFETY: as in `id`; the bytes are valid during the call, which copies them.
        let status = unsafe { gosync_ffi::gosync_request_supply(self.0, offset, data.as_ptr().cast(), data.len()) };
        match status {
            GOSYNC_OK => Ok(Supply::Taken),
            gosync_ffi::GOSYNC_AGAIN => Ok(Supply::Again),
            gosync_ffi::GOSYNC_E_CANCELLED => Ok(Supply::Closed),
            other => Err(BindingError::new(Kind::from_status(other), "these bytes cannot be supplied")),
        }
    }

    /// Ends the request.
    pub fn finish(self, result: Result<(), ForeignError>) {
        match result {
            Ok(()) => self.end(GOSYNC_OK, None),
            Err(error) => {
                // A NUL cannot be part of a C string; the rest of the line can.
                let message = CString::new(error.message.replace('\0', " ")).ok();
                self.end(error.kind.number(), message);
            }
        }
    }

    fn end(self, status: i32, message: Option<CString>) {
        let raw = self.0;
        std::mem::forget(self);
        let message = message.as_ref().map_or(ptr::null(), |message| message.as_ptr());
        // SAFETY: owned; forgotten above, so it is finished once. The message is valid during the call.
        unsafe { gosync_ffi::gosync_request_finish(raw, status, message) };
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let message = c"the source dropped a request without finishing it";
        // SAFETY: owned, and not finished yet, because finishing forgets the object.
        unsafe { gosync_ffi::gosync_request_finish(self.0, gosync_ffi::GOSYNC_E_SOURCE, message.as_ptr()) };
    }
}
