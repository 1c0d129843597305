//! The error of a call, taken apart: the C object does not leave this crate.

use std::fmt;

use gosync_ffi::gosync_error;

use crate::{Foreign, Kind, text};

/// Why a call failed.
pub struct BindingError {
    /// What went wrong, in one word.
    pub kind: Kind,
    /// One line, without the facts.
    pub message: String,
    /// The line with the facts, for people.
    pub text: String,
    /// The facts: `offset`, `block`, `path`, `os_error` and the like.
    pub context: Vec<(String, String)>,
    /// What caused it, if the library knows.
    pub cause: Option<Box<BindingError>>,
    /// What the language's own code raised, if that is what ended the call.
    pub foreign: Option<Foreign>,
}

impl BindingError {
    /// An error that the language module itself found.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        BindingError { kind, text: message.clone(), message, context: Vec::new(), cause: None, foreign: None }
    }

    /// Whether doing the same again later may help.
    pub fn retryable(&self) -> bool {
        self.kind.retryable()
    }

    /// Takes a C error apart and frees it. `status` stands in where the library gave no error object.
    ///
    /// # Safety
    /// `error` is NULL or an error that the caller owns and gives away.
    pub(crate) unsafe fn from_c(status: i32, error: *mut gosync_error) -> Self {
        if error.is_null() {
            let kind = Kind::from_status(status);
            return BindingError::new(kind, format!("the library reports {}", kind.name()));
        }
        // SAFETY: not NULL, and owned by the caller until it is freed in the next line.
        let read = unsafe { Self::read(error, 0) };
        // SAFETY: owned, and not used after this.
        unsafe { gosync_ffi::gosync_error_free(error) };
        read
    }

    /// # Safety
    /// `error` is a valid error.
    unsafe fn read(error: *const gosync_error, depth: u32) -> Self {
        // SAFETY: the error is valid; keys and values are asked for within the count; everything borrowed is copied at once.
        unsafe {
            let count = gosync_ffi::gosync_error_context_count(error);
            let fact = |i| {
                let key = text::copied(gosync_ffi::gosync_error_context_key(error, i))?;
                Some((key, text::copied(gosync_ffi::gosync_error_context_value(error, i))?))
            };
            let cause = gosync_ffi::gosync_error_cause(error);
            BindingError {
                kind: Kind::from_status(gosync_ffi::gosync_error_status(error)),
                message: text::copied(gosync_ffi::gosync_error_message(error)).unwrap_or_default(),
                text: text::copied(gosync_ffi::gosync_error_text(error)).unwrap_or_default(),
                context: (0..count).filter_map(fact).collect(),
                // A chain of causes is short; the bound only keeps a defect from becoming a stack overflow.
                cause: (!cause.is_null() && depth < 16).then(|| Box::new(Self::read(cause, depth + 1))),
                foreign: None,
            }
        }
    }
}

impl fmt::Display for BindingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for BindingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}

impl std::error::Error for BindingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
