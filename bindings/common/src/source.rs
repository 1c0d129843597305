//! Sources: opened by name, from memory, or implemented by the language.

use std::ffi::{CString, c_void};
use std::ptr;

use gosync_ffi::{GOSYNC_OK, gosync_read_ops, gosync_request, gosync_source, gosync_source_ops};

use crate::call::make;
use crate::observer::contained;
use crate::{Kind, Location, OpenOptions, Request, Result, text};

/// Why a foreign source could not answer; the error object itself goes into the call's [`crate::ErrorSlot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignError {
    /// What went wrong; a retryable kind makes the library ask again.
    pub kind: Kind,
    /// One line.
    pub message: String,
}

/// A source that answers by completion. Called from library-owned threads only; every call returns soon.
pub trait ForeignSource: Send + Sync + 'static {
    /// Takes a request; the answer may come now, later, from any thread.
    fn fetch(&self, request: Request);

    /// The answer to this request is no longer wanted. It must still be finished (or dropped).
    fn cancel(&self, id: u64) {
        let _ = id;
    }

    /// A request that was told [`crate::Supply::Again`] may go on.
    fn resume(&self, id: u64) {
        let _ = id;
    }

    /// What this is, for people, without credentials.
    fn describe(&self) -> String {
        String::from("source")
    }
}

/// A source that is read by a call that blocks; the library calls it from threads of its own.
pub trait ForeignRead: Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer, or none, only at the end of the content.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, ForeignError>;

    /// What this is, for people, without credentials.
    fn describe(&self) -> String {
        String::from("source")
    }
}

/// Where bytes that are not here come from.
pub struct Source(*mut gosync_source);

// SAFETY: the C side allows every call on `const gosync_source *` from any thread at any time.
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}

impl Source {
    /// Opens the content at a path or URL.
    pub fn open(location: &Location, options: &OpenOptions) -> Result<Self> {
        let location = location.to_c("the source")?;
        let options = options.for_c()?;
        // SAFETY: every pointer is valid during the call.
        make(|out, error| unsafe { gosync_ffi::gosync_source_open(location.as_ptr(), options.as_ptr(), out, error) })
            .map(Source)
    }

    /// A source that answers from a copy of `content`.
    pub fn from_memory(content: &[u8]) -> Result<Self> {
        let (data, length) = (content.as_ptr().cast(), content.len());
        // SAFETY: every pointer is valid during the call, which copies the bytes.
        make(|out, error| unsafe { gosync_ffi::gosync_source_from_memory(data, length, out, error) }).map(Source)
    }

    /// A source that the language implements, answering by completion.
    pub fn from_foreign(source: impl ForeignSource) -> Result<Self> {
        let description = describe(source.describe());
        let ops = gosync_source_ops {
            fetch: Some(fetch),
            cancel: Some(cancel),
            resume: Some(resume),
            drop: Some(drop_source),
            description: description.as_ptr(),
            ..Default::default()
        };
        // Two boxes: a trait object has two words, user data one.
        let user_data = Box::into_raw(Box::new(Box::new(source) as Box<dyn ForeignSource>));
        // SAFETY: every pointer is valid during the call; the library owns the user data when the call succeeds.
        let made = make(|out, error| unsafe { gosync_ffi::gosync_source_new(&ops, user_data.cast(), out, error) });
        if made.is_err() {
            // SAFETY: a constructor that fails took nothing, so the box is still ours.
            drop(unsafe { Box::from_raw(user_data) });
        }
        made.map(Source)
    }

    /// A source that the language implements by a blocking read; at most `threads` (0 means 4) reads at the same time.
    pub fn from_foreign_read(reader: impl ForeignRead, threads: u32) -> Result<Self> {
        let description = describe(reader.describe());
        let ops = gosync_read_ops {
            read_at: Some(read_at),
            drop: Some(drop_reader),
            threads,
            description: description.as_ptr(),
            ..Default::default()
        };
        let user_data = Box::into_raw(Box::new(Box::new(reader) as Box<dyn ForeignRead>));
        // SAFETY: as in `from_foreign`.
        let made =
            make(|out, error| unsafe { gosync_ffi::gosync_source_new_blocking(&ops, user_data.cast(), out, error) });
        if made.is_err() {
            // SAFETY: as in `from_foreign`.
            drop(unsafe { Box::from_raw(user_data) });
        }
        made.map(Source)
    }

    pub(crate) fn as_ptr(&self) -> *const gosync_source {
        self.0
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { gosync_ffi::gosync_source_free(self.0) };
    }
}

fn describe(description: String) -> CString {
    text::c_text(&description, "the description").unwrap_or_else(|_| c"source".to_owned())
}

/// # Safety
/// `user_data` is that of `from_foreign`, alive until `drop_source`.
unsafe fn foreign<'a>(user_data: *mut c_void) -> &'a dyn ForeignSource {
    // SAFETY: what the caller promises.
    unsafe { &**user_data.cast::<Box<dyn ForeignSource>>() }
}

unsafe extern "C" fn fetch(user_data: *mut c_void, request: *mut gosync_request) {
    // SAFETY: the library passes the user data of `from_foreign`, and gives the request away.
    let (source, request) = unsafe { (foreign(user_data), Request::from_raw(request)) };
    // A panic drops the request, which answers it.
    contained(|| source.fetch(request));
}

unsafe extern "C" fn cancel(user_data: *mut c_void, id: u64) {
    // SAFETY: the library passes the user data of `from_foreign`.
    let source = unsafe { foreign(user_data) };
    contained(|| source.cancel(id));
}

unsafe extern "C" fn resume(user_data: *mut c_void, id: u64) {
    // SAFETY: the library passes the user data of `from_foreign`.
    let source = unsafe { foreign(user_data) };
    contained(|| source.resume(id));
}

unsafe extern "C" fn drop_source(user_data: *mut c_void) {
    // SAFETY: the library owns the user data of `from_foreign` and calls this once, last.
    let source = unsafe { Box::from_raw(user_data.cast::<Box<dyn ForeignSource>>()) };
    contained(|| drop(source));
}

unsafe extern "C" fn read_at(
    user_data: *mut c_void,
    offset: u64,
    buffer: *mut c_void,
    length: usize,
    read: *mut usize,
) -> i32 {
    // SAFETY: the library passes the user data of `from_foreign_read`.
    let reader = unsafe { &**user_data.cast::<Box<dyn ForeignRead>>() };
    let buffer: &mut [u8] = if length == 0 || buffer.is_null() {
        &mut []
    } else {
        // A reader may look at the buffer before it writes, so it gets one that is written.
        // SAFETY: the library passes a buffer of this length that nobody else uses during the call.
        unsafe {
            ptr::write_bytes(buffer.cast::<u8>(), 0, length);
            std::slice::from_raw_parts_mut(buffer.cast(), length)
        }
    };
    match contained(|| reader.read_at(offset, buffer)) {
        Some(Ok(count)) if count <= length => {
            // SAFETY: the library passes a place for the count.
            unsafe { *read = count };
            GOSYNC_OK
        }
        Some(Ok(_)) | None => gosync_ffi::GOSYNC_E_SOURCE,
        Some(Err(error)) => error.kind.number(),
    }
}

unsafe extern "C" fn drop_reader(user_data: *mut c_void) {
    // SAFETY: the library owns the user data of `from_foreign_read` and calls this once, last.
    let reader = unsafe { Box::from_raw(user_data.cast::<Box<dyn ForeignRead>>()) };
    contained(|| drop(reader));
}
