//! Error kinds as the language modules see them: numbers and names of the C face, nothing of their own.

use crate::text;

/// What went wrong, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(i32);

macro_rules! kinds {
    ($($name:ident = $constant:ident;)*) => {
        impl Kind {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                pub const $name: Kind = Kind(gosync_ffi::$constant);
            )*

            /// Every kind, in the order of the numbers.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];
        }
    };
}

kinds! {
    ARGUMENT = GOSYNC_E_ARGUMENT;
    STATE = GOSYNC_E_STATE;
    CANCELLED = GOSYNC_E_CANCELLED;
    IO = GOSYNC_E_IO;
    NOT_FOUND = GOSYNC_E_NOT_FOUND;
    PERMISSION = GOSYNC_E_PERMISSION;
    NO_SPACE = GOSYNC_E_NO_SPACE;
    SOURCE = GOSYNC_E_SOURCE;
    SOURCE_TEMPORARY = GOSYNC_E_SOURCE_TEMPORARY;
    SOURCE_CHANGED = GOSYNC_E_SOURCE_CHANGED;
    SOURCE_UNSUPPORTED = GOSYNC_E_SOURCE_UNSUPPORTED;
    TIMEOUT = GOSYNC_E_TIMEOUT;
    FORMAT = GOSYNC_E_FORMAT;
    VERSION = GOSYNC_E_VERSION;
    LIMIT = GOSYNC_E_LIMIT;
    MISMATCH = GOSYNC_E_MISMATCH;
    INTERNAL = GOSYNC_E_INTERNAL;
}

impl Kind {
    /// The kind with this number. A number that this build does not know stays what it is.
    pub(crate) const fn from_status(status: i32) -> Kind {
        Kind(status)
    }

    /// The kind with this name, for instance `MISMATCH`.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The number that all faces share.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The name that all faces share, for instance `MISMATCH`.
    pub fn name(self) -> &'static str {
        // SAFETY: any number is allowed; the string that comes back lives as long as the process.
        unsafe { text::borrowed(gosync_ffi::gosync_status_name(self.0)) }.unwrap_or("INTERNAL")
    }

    /// Whether doing the same again later may help.
    pub fn retryable(self) -> bool {
        gosync_ffi::gosync_status_retryable(self.0)
    }
}
