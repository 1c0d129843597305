//! `gosync_verification`: what a comparison of a file with an index found.

use gosync_io::Verification;

use crate::error::gosync_error;
use crate::guard::{argument, call, free, get, object, place};
use crate::status::gosync_status;

/// What gosync_index_verify found. Immutable, so that any thread may read it.
pub struct gosync_verification(pub(crate) Verification);

/// Whether the file is exactly what the index says. False for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_is_match(verification: *const gosync_verification) -> bool {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, false, |verification| verification.0.is_match()) }
}

/// Bytes that the file has. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_length(verification: *const gosync_verification) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, 0, |verification| verification.0.length) }
}

/// Bytes that the file should have. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_expected_length(verification: *const gosync_verification) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, 0, |verification| verification.0.expected_length) }
}

/// Number of damaged ranges. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_damaged_count(verification: *const gosync_verification) -> usize {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, 0, |verification| verification.0.damaged.len()) }
}

/// Writes damaged range `i` to `*offset` and `*length`. The ranges are ascending, in whole units.
///
/// Errors: GOSYNC_E_ARGUMENT (NULL, or no such range). Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_damaged_range(
    verification: *const gosync_verification,
    i: usize,
    offset: *mut u64,
    length: *mut u64,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let damaged = &object(verification, "verification")?.0.damaged;
            let range = damaged.get(i).ok_or_else(|| argument("i", "is not below the number of ranges"))?;
            let (offset, length) = (place(offset, "offset")?, place(length, "length")?);
            offset.write(range.offset);
            length.write(range.length);
            Ok(())
        })
    }
}

/// Whether an update of the file in place was not finished: it is neither an old version nor a new one. False for NULL.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_unfinished(verification: *const gosync_verification) -> bool {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, false, |verification| verification.0.unfinished) }
}

/// Frees a verification. NULL is fine. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_free(verification: *mut gosync_verification) {
    // SAFETY: NULL or from `gosync_index_verify`, and not used again, as the header asks.
    unsafe { free(verification) }
}
