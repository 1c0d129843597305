//! The call helpers: a C function with its status, error and output becomes a `Result`.

use std::ptr;

use gosync_ffi::{GOSYNC_OK, gosync_error};

use crate::{BindingError, Kind, Result};

/// Makes one fallible call that has no output.
pub(crate) fn call(function: impl FnOnce(*mut *mut gosync_error) -> i32) -> Result<()> {
    let mut error = ptr::null_mut();
    let status = function(&mut error);
    if status == GOSYNC_OK {
        return Ok(());
    }
    // SAFETY: a failed call leaves NULL or an error that now belongs to us.
    Err(unsafe { BindingError::from_c(status, error) })
}

/// Makes one fallible call whose output is a new object.
pub(crate) fn make<T>(function: impl FnOnce(*mut *mut T, *mut *mut gosync_error) -> i32) -> Result<*mut T> {
    let mut out = ptr::null_mut();
    call(|error| function(&mut out, error))?;
    if out.is_null() {
        return Err(BindingError::new(Kind::INTERNAL, "the library reported success without a result"));
    }
    Ok(out)
}
