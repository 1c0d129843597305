//! `gosync_status`: the numbers that fallible functions return, their names, and whether a retry may help.
//! The list is `gosync_core::ErrorKind`; the constants are written out because the header generator reads them,
//! and the assertions below them fail the build when the two differ.

use std::ffi::c_char;

use gosync_io::ErrorKind;

use crate::guard::value;

/// How a call ended: GOSYNC_OK or one of GOSYNC_E_.... New numbers may be added; treat an unknown one as a failure.
pub type gosync_status = i32;

/// The call did what it says.
pub const GOSYNC_OK: gosync_status = 0;
/// A value that the caller passed is not usable.
pub const GOSYNC_E_ARGUMENT: gosync_status = 1;
/// The object is not in a state in which this call makes sense.
pub const GOSYNC_E_STATE: gosync_status = 2;
/// The caller asked for the work to stop.
pub const GOSYNC_E_CANCELLED: gosync_status = 3;
/// A local file could not be read or written.
pub const GOSYNC_E_IO: gosync_status = 20;
/// A local file or folder does not exist.
pub const GOSYNC_E_NOT_FOUND: gosync_status = 21;
/// The operating system refuses access.
pub const GOSYNC_E_PERMISSION: gosync_status = 22;
/// The disk (or the quota) is full.
pub const GOSYNC_E_NO_SPACE: gosync_status = 23;
/// The source failed for good.
pub const GOSYNC_E_SOURCE: gosync_status = 40;
/// The source failed in a way that usually passes.
pub const GOSYNC_E_SOURCE_TEMPORARY: gosync_status = 41;
/// The source's content changed while it was being read.
pub const GOSYNC_E_SOURCE_CHANGED: gosync_status = 42;
/// The source cannot do what is needed.
pub const GOSYNC_E_SOURCE_UNSUPPORTED: gosync_status = 43;
/// No answer came in time.
pub const GOSYNC_E_TIMEOUT: gosync_status = 44;
/// The bytes are not what they claim to be: damaged, cut off, or of another format.
pub const GOSYNC_E_FORMAT: gosync_status = 60;
/// A format version or feature that this library does not read.
pub const GOSYNC_E_VERSION: gosync_status = 61;
/// A size is above a limit, which the caller or the format sets.
pub const GOSYNC_E_LIMIT: gosync_status = 62;
/// Content is not what the index says, or the index is not what was demanded.
pub const GOSYNC_E_MISMATCH: gosync_status = 63;
/// A defect in gosync.
pub const GOSYNC_E_INTERNAL: gosync_status = 80;
/// Not an error, and only returned by gosync_request_supply: nothing was taken, offer the same bytes again later.
pub const GOSYNC_AGAIN: gosync_status = 100;

/// The constants above, each with the kind that it stands for.
const PAIRS: &[(gosync_status, ErrorKind)] = &[
    (GOSYNC_E_ARGUMENT, ErrorKind::Argument),
    (GOSYNC_E_STATE, ErrorKind::State),
    (GOSYNC_E_CANCELLED, ErrorKind::Cancelled),
    (GOSYNC_E_IO, ErrorKind::Io),
    (GOSYNC_E_NOT_FOUND, ErrorKind::NotFound),
    (GOSYNC_E_PERMISSION, ErrorKind::Permission),
    (GOSYNC_E_NO_SPACE, ErrorKind::NoSpace),
    (GOSYNC_E_SOURCE, ErrorKind::Source),
    (GOSYNC_E_SOURCE_TEMPORARY, ErrorKind::SourceTemporary),
    (GOSYNC_E_SOURCE_CHANGED, ErrorKind::SourceChanged),
    (GOSYNC_E_SOURCE_UNSUPPORTED, ErrorKind::SourceUnsupported),
    (GOSYNC_E_TIMEOUT, ErrorKind::Timeout),
    (GOSYNC_E_FORMAT, ErrorKind::Format),
    (GOSYNC_E_VERSION, ErrorKind::Version),
    (GOSYNC_E_LIMIT, ErrorKind::Limit),
    (GOSYNC_E_MISMATCH, ErrorKind::Mismatch),
    (GOSYNC_E_INTERNAL, ErrorKind::Internal),
];

const _: () = {
    assert!(PAIRS.len() == ErrorKind::ALL.len(), "each kind has its constant");
    let mut i = 0;
    while i < PAIRS.len() {
        assert!(PAIRS[i].0 == PAIRS[i].1.number(), "a constant differs from its kind's number");
        assert!(PAIRS[i].0 != GOSYNC_AGAIN && PAIRS[i].0 != GOSYNC_OK);
        i += 1;
    }
};

/// A name as C reads it, in memory that lives as long as the process.
pub(crate) const fn padded(name: &str) -> [u8; 24] {
    let mut padded = [0; 24];
    let bytes = name.as_bytes();
    assert!(bytes.len() < padded.len(), "a name leaves room for its NUL");
    let mut i = 0;
    while i < bytes.len() {
        padded[i] = bytes[i];
        i += 1;
    }
    padded
}

static NAMES: [[u8; 24]; ErrorKind::ALL.len()] = {
    let mut names = [[0; 24]; ErrorKind::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = padded(ErrorKind::ALL[i].name());
        i += 1;
    }
    names
};

/// The name of a status without its prefix, for instance "MISMATCH", "OK" or "AGAIN"; "UNKNOWN" for a number that
/// has no name. Never NULL; the text lives as long as the process. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn gosync_status_name(status: gosync_status) -> *const c_char {
    value(c"UNKNOWN".as_ptr(), || match status {
        GOSYNC_OK => c"OK".as_ptr(),
        GOSYNC_AGAIN => c"AGAIN".as_ptr(),
        _ => match ErrorKind::ALL.iter().position(|kind| kind.number() == status) {
            Some(position) => NAMES[position].as_ptr().cast(),
            None => c"UNKNOWN".as_ptr(),
        },
    })
}

/// Whether doing the same again later may help: true for instance for GOSYNC_E_TIMEOUT and GOSYNC_AGAIN, false for
/// GOSYNC_OK and for unknown numbers. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn gosync_status_retryable(status: gosync_status) -> bool {
    value(false, || status == GOSYNC_AGAIN || ErrorKind::from_number(status).is_some_and(ErrorKind::retryable))
}
