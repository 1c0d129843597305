//! The one list of error kinds and the error that every fallible call returns.
//! Faces translate from here; nothing else in the project numbers or names errors.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of a fallible gosync call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $retryable:literal;)*) => {
        /// What went wrong, in one word. Numbers are grouped by whose fault it is, and only ever appended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum ErrorKind { $($(#[$doc])* $variant = $number,)* }

        impl ErrorKind {
            /// Every kind, in the order of the numbers.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$variant),*];

            /// The name that all faces share, for instance `MISMATCH`.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorKind::$variant => $name),* }
            }

            /// Whether doing the same again later may help.
            pub const fn retryable(self) -> bool {
                match self { $(ErrorKind::$variant => $retryable),* }
            }

            /// The kind with this number, if there is one.
            pub const fn from_number(number: i32) -> Option<ErrorKind> {
                match number { $($number => Some(ErrorKind::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A value that the caller passed is not usable.
    Argument = 1, "ARGUMENT", false;
    /// The object is not in a state in which this call makes sense.
    State = 2, "STATE", false;
    /// The caller asked for the work to stop.
    Cancelled = 3, "CANCELLED", false;
    /// A local file could not be read or written.
    Io = 20, "IO", false;
    /// A local file or folder does not exist.
    NotFound = 21, "NOT_FOUND", false;
    /// The operating system refuses access.
    Permission = 22, "PERMISSION", false;
    /// The disk (or the quota) is full.
    NoSpace = 23, "NO_SPACE", true;
    /// The source failed for good.
    Source = 40, "SOURCE", false;
    /// The source failed in a way that usually passes.
    SourceTemporary = 41, "SOURCE_TEMPORARY", true;
    /// The source's content changed while it was being read.
    SourceChanged = 42, "SOURCE_CHANGED", true;
    /// The source cannot do what is needed.
    SourceUnsupported = 43, "SOURCE_UNSUPPORTED", false;
    /// No answer came in time.
    Timeout = 44, "TIMEOUT", true;
    /// The bytes are not what they claim to be: damaged, cut off, or of another format.
    Format = 60, "FORMAT", false;
    /// A format version or feature that this library does not read.
    Version = 61, "VERSION", false;
    /// A size is above a limit, which the caller or the format sets.
    Limit = 62, "LIMIT", false;
    /// Content is not what the index says, or the index is not what was demanded.
    Mismatch = 63, "MISMATCH", false;
    /// A defect in gosync.
    Internal = 80, "INTERNAL", false;
}

impl ErrorKind {
    /// The number, as the C face reports it.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call failed: a kind, one line, the facts around it, and what caused it.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
    pause: Option<Duration>,
}

impl Error {
    /// An error of `kind`; `message` is one impersonal line without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), context: Vec::new(), cause: None, pause: None }))
    }

    /// An operating-system error met while doing `what` (for instance "cannot open the seed") to `path`.
    pub fn from_io(cause: std::io::Error, what: &str, path: impl fmt::Display) -> Self {
        use std::io::ErrorKind as K;
        let kind = match cause.kind() {
            K::NotFound => ErrorKind::NotFound,
            K::PermissionDenied | K::ReadOnlyFilesystem => ErrorKind::Permission,
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        let os_error = cause.raw_os_error();
        let mut error = Error::new(kind, format!("{what}: {cause}")).with("path", path);
        if let Some(number) = os_error {
            error = error.with("os_error", number);
        }
        error.caused_by(cause)
    }

    /// Adds a fact, for instance `("offset", 4096)`. Never a secret.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Sets what caused this error.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// Says how long whoever failed asks to be left alone.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.0.pause = Some(pause);
        self
    }

    /// How long whoever failed asks to be left alone, if it said so.
    pub fn pause(&self) -> Option<Duration> {
        self.0.pause
    }

    /// What went wrong, in one word.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// One line that says what went wrong, without the facts of [`Error::context`].
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts around the failure: `offset`, `block`, `path`, `url` (without credentials), `os_error` and the like.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Whether doing the same again later may help.
    pub fn retryable(&self) -> bool {
        self.0.kind.retryable()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let facts = self.0.context.iter().filter(|(key, _)| *key != "os_error");
        for (i, (key, value)) in facts.enumerate() {
            write!(f, "{}{key}: {value}", if i == 0 { " (" } else { ", " })?;
        }
        if self.0.context.iter().any(|(key, _)| *key != "os_error") {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|cause| cause.as_ref() as _)
    }
}
