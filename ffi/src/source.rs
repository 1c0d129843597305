//! `gosync_source`: where bytes that are not here come from. Opened by location, or made of the caller's own functions.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use gosync_io::source::{BlockingRead, BlockingSource, MemorySource};
use gosync_io::{Request, Result, Source, open_source};

use crate::error::gosync_error;
use crate::foreign::Foreign;
use crate::guard::{Out, argument, bytes, call, free, optional_text, text};
use crate::options::{gosync_open_options, open_options};
use crate::request::gosync_request;
use crate::sized::{self, sized};
use crate::status::{GOSYNC_OK, gosync_status};

/// Where the bytes come from that are not here: memory, a file, a URL, or the caller's own functions. One source may
/// serve several jobs at once. What a job needs of it, it keeps: a source may be freed while jobs run.
pub struct gosync_source(pub(crate) Arc<dyn Source>);

/// The functions of a source that answers by completion. Start from GOSYNC_SOURCE_OPS_INIT.
///
/// The contract:
/// - `fetch` and `cancel` and `resume` are called from library threads, possibly several at once; never from within
///   gosync_request_supply or gosync_request_finish, and never under a lock of the library. They return soon, and must
///   not unwind (throw).
/// - `fetch` gives the request to the source, which finishes it exactly once, by gosync_request_finish, from any thread,
///   also within `fetch`. An answer may be given in pieces of any size and order, from several threads.
/// - After a cancel or a timeout the request stays valid until it is finished; late answers are harmless. A call that
///   was cancelled does not wait for them.
/// - `drop` is called exactly once: after the last request was finished and the last handle and job were freed. It may
///   run within gosync_request_finish or any free, so hold no lock there that `drop` takes.
/// - Bytes are never trusted: what is not what the index says is refused.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_source_ops {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// Takes a request. Required.
    pub fetch: Option<unsafe extern "C" fn(user_data: *mut c_void, request: *mut gosync_request)>,
    /// The answer to the request with this id is no longer wanted; finish it when convenient. May be NULL.
    pub cancel: Option<unsafe extern "C" fn(user_data: *mut c_void, id: u64)>,
    /// The request with this id, which was told GOSYNC_AGAIN, may go on. May be NULL: offer again a little later then.
    pub resume: Option<unsafe extern "C" fn(user_data: *mut c_void, id: u64)>,
    /// Called once when `user_data` is no longer needed. May be NULL.
    pub drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// What this is, for people, without credentials, in UTF-8. Copied. May be NULL.
    pub description: *const c_char,
}

/// The functions of a source that is read by a call that blocks. Start from GOSYNC_READ_OPS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_read_ops {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// Reads up to `length` bytes at `offset` of the content into `buffer` and writes their number to `*read`: fewer,
    /// or none, only at the end of the content. Returns GOSYNC_OK or the GOSYNC_E_... that says what kind of failure it
    /// was; after a retryable one it is called again. Called from at most `threads` threads of the library at once;
    /// must not unwind (throw). Required.
    pub read_at: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            offset: u64,
            buffer: *mut c_void,
            length: usize,
            read: *mut usize,
        ) -> gosync_status,
    >,
    /// Called once when `user_data` is no longer needed, from any thread. May be NULL.
    pub drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// How many calls of `read_at` may run at once. 0 means 4.
    pub threads: u32,
    /// 0.
    pub reserved: u32,
    /// What this is, for people, without credentials, in UTF-8. Copied. May be NULL.
    pub description: *const c_char,
}

sized!(gosync_source_ops, gosync_read_ops);

/// A source made of the caller's functions.
struct CallbackSource {
    ops: Ops,
    foreign: Arc<Foreign>,
    description: String,
}

/// The functions alone: unlike the structure that they came in, these may go to any thread.
#[derive(Clone, Copy)]
struct Ops {
    fetch: unsafe extern "C" fn(*mut c_void, *mut gosync_request),
    cancel: Option<unsafe extern "C" fn(*mut c_void, u64)>,
    resume: Option<unsafe extern "C" fn(*mut c_void, u64)>,
}

impl Source for CallbackSource {
    fn fetch(&self, request: Request) {
        let request = gosync_request::new(request, self.foreign.clone());
        // SAFETY: the function and its user data came together; the request is the callee's until it finishes it.
        unsafe { (self.ops.fetch)(self.foreign.user_data(), Box::into_raw(Box::new(request))) };
    }

    fn cancel(&self, id: u64) {
        if let Some(cancel) = self.ops.cancel {
            // SAFETY: as above.
            unsafe { cancel(self.foreign.user_data(), id) };
        }
    }

    fn resume(&self, id: u64) {
        if let Some(resume) = self.ops.resume {
            // SAFETY: as above.
            unsafe { resume(self.foreign.user_data(), id) };
        }
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// Content that the caller's `read_at` reads.
struct CallbackRead {
    read_at: unsafe extern "C" fn(*mut c_void, u64, *mut c_void, usize, *mut usize) -> gosync_status,
    foreign: Arc<Foreign>,
    description: String,
}

impl BlockingRead for CallbackRead {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut read = 0;
        // SAFETY: the function and its user data came together; the buffer has that many bytes.
        let status = unsafe {
            (self.read_at)(self.foreign.user_data(), offset, buffer.as_mut_ptr().cast(), buffer.len(), &mut read)
        };
        if status != GOSYNC_OK {
            return Err(crate::request::failure(status, None));
        }
        // That it is no more than the buffer holds is checked by the caller, as for every reader.
        Ok(read)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// Opens the content at `location` as a source: a path, a file: URL or an http(s): URL, in UTF-8.
///
/// `options` may be NULL. `*out` is the caller's, freed by gosync_source_free. No server is contacted yet.
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_NOT_FOUND, GOSYNC_E_PERMISSION, GOSYNC_E_IO. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_source_open(
    location: *const c_char,
    options: *const gosync_open_options,
    out: *mut *mut gosync_source,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            let options = open_options(options)?;
            out.check()?;
            out.put(gosync_source(open_source(text(location, "location")?, &options)?))
        })
    }
}

/// Makes a source of a copy of `length` bytes at `data`; (NULL, 0) is empty content.
///
/// `*out` is the caller's, freed by gosync_source_free.
/// Errors: GOSYNC_E_ARGUMENT. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_source_from_memory(
    data: *const c_void,
    length: usize,
    out: *mut *mut gosync_source,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            out.check()?;
            out.put(gosync_source(Arc::new(MemorySource::new(bytes(data, length)?.to_vec()))))
        })
    }
}

/// Makes a source of the caller's functions, which answer by completion; see gosync_source_ops for the contract.
///
/// `ops` is copied. On success `user_data` is the library's until it calls `drop`; a failed call took nothing and calls
/// nothing. `*out` is the caller's, freed by gosync_source_free.
/// Errors: GOSYNC_E_ARGUMENT (NULL, a bad struct_size, no `fetch`). Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_source_new(
    ops: *const gosync_source_ops,
    user_data: *mut c_void,
    out: *mut *mut gosync_source,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            out.check()?;
            let ops = sized::read(ops, "ops")?.ok_or_else(|| argument("ops", "is NULL"))?;
            let fetch = ops.fetch.ok_or_else(|| argument("ops.fetch", "is NULL"))?;
            let description = describe(ops.description)?;
            let foreign = Arc::new(Foreign::new(user_data, ops.drop));
            let ops = Ops { fetch, cancel: ops.cancel, resume: ops.resume };
            let source = Arc::new(CallbackSource { ops, foreign: foreign.clone(), description });
            foreign.take();
            out.put(gosync_source(source))
        })
    }
}

/// Makes a source of a function that blocks while it reads; the library calls it from threads of its own.
///
/// `ops` is copied. On success `user_data` is the library's until it calls `drop`: after the last call of `read_at` has
/// returned and the last handle and job were freed. A failed call took nothing and calls nothing. `*out` is the
/// caller's, freed by gosync_source_free.
/// Errors: GOSYNC_E_ARGUMENT (NULL, a bad struct_size, no `read_at`). Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_source_new_blocking(
    ops: *const gosync_read_ops,
    user_data: *mut c_void,
    out: *mut *mut gosync_source,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            out.check()?;
            let ops = sized::read(ops, "ops")?.ok_or_else(|| argument("ops", "is NULL"))?;
            let read_at = ops.read_at.ok_or_else(|| argument("ops.read_at", "is NULL"))?;
            if ops.reserved != 0 {
                return Err(argument("ops.reserved", "is not 0"));
            }
            let description = describe(ops.description)?;
            let foreign = Arc::new(Foreign::new(user_data, ops.drop));
            let reader = CallbackRead { read_at, foreign: foreign.clone(), description };
            let source = BlockingSource::new(reader, ops.threads as usize)?;
            foreign.take();
            out.put(gosync_source(Arc::new(source)))
        })
    }
}

/// # Safety
/// `description` is NULL or a NUL-terminated string.
unsafe fn describe(description: *const c_char) -> Result<String> {
    // SAFETY: as the caller says.
    let description = unsafe { optional_text(description, "ops.description") }?;
    Ok(description.unwrap_or("the caller's source").to_owned())
}

/// Frees a handle of a source. Jobs that were made with it go on. NULL is fine. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_source_free(source: *mut gosync_source) {
    // SAFETY: NULL or from a function above, and not used again, as the header asks.
    unsafe { free(source) }
}
