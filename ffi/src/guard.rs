//! The border itself: catches panics, turns NULL into `GOSYNC_E_ARGUMENT`, hands objects in and out.
//! Every exported function goes through one of [`call`], [`value`] and [`quiet`].

use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use gosync_io::{Error, ErrorKind, Result};

use crate::error::gosync_error;
use crate::status::{GOSYNC_OK, gosync_status};

/// Runs the body of a fallible function and reports how it ended.
///
/// # Safety
/// `error` is NULL or points to a pointer that may be written.
pub(crate) unsafe fn call(error: *mut *mut gosync_error, body: impl FnOnce() -> Result<()>) -> gosync_status {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(defect(&*payload)));
    let (status, report) = match result {
        Ok(()) => (GOSYNC_OK, None),
        Err(failure) => (failure.kind().number(), Some(failure)),
    };
    if !error.is_null() {
        let report =
            report.map_or(std::ptr::null_mut(), |failure| Box::into_raw(Box::new(gosync_error::new(&failure))));
        // SAFETY: not NULL, and the caller says that it may be written.
        unsafe { error.write(report) };
    }
    status
}

/// Runs the body of a function that returns a plain value; a panic becomes `fallback`.
pub(crate) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// Runs the body of a function that returns nothing.
pub(crate) fn quiet(body: impl FnOnce()) {
    value((), body);
}

/// The error that a panic becomes.
fn defect(payload: &(dyn std::any::Any + Send)) -> Error {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::new(ErrorKind::Internal, "a defect in gosync stopped the call").with("panic", text)
}

/// `GOSYNC_E_ARGUMENT` about one named argument.
pub(crate) fn argument(name: &'static str, problem: &str) -> Error {
    Error::new(ErrorKind::Argument, format!("`{name}` {problem}")).with("argument", name)
}

/// The object behind a pointer that must not be NULL.
///
/// # Safety
/// `pointer` is NULL or points to a live `T`.
pub(crate) unsafe fn object<'a, T>(pointer: *const T, name: &'static str) -> Result<&'a T> {
    // SAFETY: as the caller says.
    unsafe { pointer.as_ref() }.ok_or_else(|| argument(name, "is NULL"))
}

/// What `get` says about the object behind `pointer`; `fallback` if there is none.
///
/// # Safety
/// `pointer` is NULL or points to a live `T`.
pub(crate) unsafe fn get<T, V: Copy>(pointer: *const T, fallback: V, get: impl FnOnce(&T) -> V) -> V {
    // SAFETY: as the caller says.
    value(fallback, || unsafe { pointer.as_ref() }.map_or(fallback, get))
}

/// Takes an object back from C and drops it; NULL is fine.
///
/// # Safety
/// `pointer` is NULL or came from [`Out::put`] (or `Box::into_raw`) and is not used again.
pub(crate) unsafe fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: as the caller says.
        quiet(|| drop(unsafe { Box::from_raw(pointer) }));
    }
}

/// Where a function puts the object that it makes: NULL until [`Out::put`].
pub(crate) struct Out<T>(*mut *mut T);

impl<T> Out<T> {
    /// Sets the place to NULL, so that a failure leaves NULL there.
    ///
    /// # Safety
    /// `place` is NULL or points to a pointer that may be written until the call returns.
    pub(crate) unsafe fn new(place: *mut *mut T) -> Self {
        if !place.is_null() {
            // SAFETY: as the caller says.
            unsafe { place.write(std::ptr::null_mut()) };
        }
        Out(place)
    }

    /// Fails if there is no place; called before the work is done.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.is_null() { Err(argument("out", "is NULL")) } else { Ok(()) }
    }

    /// Hands the object to the caller.
    pub(crate) fn put(self, object: T) -> Result<()> {
        self.check()?;
        // SAFETY: not NULL, and `Out::new` was promised that it may be written.
        unsafe { self.0.write(Box::into_raw(Box::new(object))) };
        Ok(())
    }
}

/// Fails if a place for a plain value is NULL.
pub(crate) fn place<T>(pointer: *mut T, name: &'static str) -> Result<*mut T> {
    if pointer.is_null() { Err(argument(name, "is NULL")) } else { Ok(pointer) }
}

/// The bytes at `data`; (NULL, 0) is an empty slice.
///
/// # Safety
/// `data` is NULL or points to `length` readable bytes that stay as they are for `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, length: usize) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(argument("data", "is NULL, and the length is not 0"));
    }
    if isize::try_from(length).is_err() {
        return Err(argument("length", "is larger than any object in memory"));
    }
    // SAFETY: not NULL, of a possible length, and the caller says that it is readable.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), length) })
}

/// The text at `pointer`, which must be UTF-8; `None` for NULL.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string that stays as it is for `'a`.
pub(crate) unsafe fn optional_text<'a>(pointer: *const c_char, name: &'static str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the caller says that it is NUL-terminated.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map(Some).map_err(|cause| argument(name, "is not UTF-8").caused_by(cause))
}

/// The text at `pointer`, which must be there and be UTF-8.
///
/// # Safety
/// As [`optional_text`].
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &'static str) -> Result<&'a str> {
    // SAFETY: as the caller says.
    unsafe { optional_text(pointer, name) }?.ok_or_else(|| argument(name, "is NULL"))
}

/// The `count` things at `first`; (NULL, 0) is an empty slice.
///
/// # Safety
/// `first` is NULL or points to `count` readable things that stay as they are for `'a`.
pub(crate) unsafe fn list<'a, T>(first: *const T, count: usize, name: &'static str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(argument(name, "is NULL, and the count is not 0"));
    }
    if count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(argument(name, "has more than fits into memory"));
    }
    // SAFETY: not NULL, of a possible length, and the caller says that it is readable.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

/// The path at `pointer`, as [`path`]; `None` for NULL.
///
/// # Safety
/// As [`optional_text`].
pub(crate) unsafe fn optional_path(pointer: *const c_char, name: &'static str) -> Result<Option<PathBuf>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: as the caller says.
    unsafe { path(pointer, name) }.map(Some)
}

/// The path at `pointer`: any bytes on Unix, UTF-8 elsewhere.
///
/// # Safety
/// As [`optional_text`].
pub(crate) unsafe fn path(pointer: *const c_char, name: &'static str) -> Result<PathBuf> {
    if pointer.is_null() {
        return Err(argument(name, "is NULL"));
    }
    #[cfg(unix)]
    let path = {
        use std::os::unix::ffi::OsStrExt as _;
        // SAFETY: not NULL, and the caller says that it is NUL-terminated.
        let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
        PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
    };
    #[cfg(not(unix))]
    // SAFETY: as the caller says.
    let path = PathBuf::from(unsafe { text(pointer, name) }?);
    if path.as_os_str().is_empty() { Err(argument(name, "is empty")) } else { Ok(path) }
}

/// A C string of `text`. Text from outside may hold a NUL, which no C string can: it becomes U+FFFD.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}
