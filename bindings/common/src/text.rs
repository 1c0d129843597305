//! Strings and paths across the border: NUL-terminated UTF-8 (paths: bytes on Unix).

use std::ffi::{CStr, CString, c_char};
use std::path::Path;

use crate::{BindingError, Kind, Result};

/// A borrowed C string as text; `None` for NULL. What is not UTF-8 (a path on Unix) is shown with replacement characters.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string that lives as long as the process.
pub(crate) unsafe fn borrowed(pointer: *const c_char) -> Option<&'static str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL; the rest is what the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok()
}

/// A C string, copied; `None` for NULL.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string that stays valid during the call.
pub(crate) unsafe fn copied(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL; the rest is what the caller promises.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// Text for the C side; `what` names it in the error when it cannot be passed.
pub(crate) fn c_text(text: &str, what: &str) -> Result<CString> {
    c_bytes(text.as_bytes(), what)
}

/// A path for the C side.
pub(crate) fn c_path(path: &Path, what: &str) -> Result<CString> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        c_bytes(path.as_os_str().as_bytes(), what)
    }
    #[cfg(not(unix))]
    match path.to_str() {
        Some(text) => c_text(text, what),
        None => Err(BindingError::new(Kind::ARGUMENT, format!("{what} is not valid Unicode"))),
    }
}

fn c_bytes(bytes: &[u8], what: &str) -> Result<CString> {
    CString::new(bytes).map_err(|_| BindingError::new(Kind::ARGUMENT, format!("{what} contains a NUL character")))
}
