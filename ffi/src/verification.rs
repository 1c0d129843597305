//! `gosync_verification`: what a comparison of a file or directory with an index found.

use std::ffi::{CString, c_char};

use gosync_io::{Difference, Range, Result, Verification};

use crate::error::gosync_error;
use crate::guard::{argument, c_string, call, free, get, object, place};
use crate::status::gosync_status;

/// What gosync_index_verify found. Immutable, so that any thread may read it.
pub struct gosync_verification {
    found: Verification,
    /// Path and kind of each difference.
    texts: Vec<(CString, CString)>,
}

impl gosync_verification {
    pub(crate) fn new(found: Verification) -> Self {
        let texts = found.differences.iter();
        let texts = texts.map(|difference| (c_string(&difference.path), c_string(difference.what.name()))).collect();
        gosync_verification { found, texts }
    }
}

/// What `of` says of difference `i`, with its path and kind; `otherwise` for NULL, and if there is no such difference.
///
/// # Safety
/// NULL or live, as the header asks.
unsafe fn of_difference<T: Copy>(
    verification: *const gosync_verification,
    i: usize,
    otherwise: T,
    of: fn(&Difference, &(CString, CString)) -> T,
) -> T {
    // SAFETY: as the caller says.
    unsafe {
        get(verification, otherwise, |verification| {
            let difference = verification.found.differences.get(i).zip(verification.texts.get(i));
            difference.map_or(otherwise, |(difference, texts)| of(difference, texts))
        })
    }
}

/// Writes a range, which is the one that the argument `name` stands for.
///
/// # Safety
/// NULL, or valid for writing.
unsafe fn write_range(range: Option<&Range>, name: &'static str, offset: *mut u64, length: *mut u64) -> Result<()> {
    let range = range.ok_or_else(|| argument(name, "is not below the number of ranges"))?;
    // SAFETY: as the caller says.
    unsafe {
        let (offset, length) = (place(offset, "offset")?, place(length, "length")?);
        offset.write(range.offset);
        length.write(range.length);
    }
    Ok(())
}

/// Whether the file is exactly what the index says; of a directory, whether everything in the index is. What there is besides
/// in a directory is told as "extra" and does no harm. False for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_is_match(verification: *const gosync_verification) -> bool {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, false, |verification| verification.found.is_match()) }
}

/// Bytes that the file has; of a directory, those in files that are right. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_length(verification: *const gosync_verification) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, 0, |verification| verification.found.length) }
}

/// Bytes that the file should have; of a directory, those of all files in the index. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_expected_length(verification: *const gosync_verification) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, 0, |verification| verification.found.expected_length) }
}

/// Number of damaged ranges of a file; a directory has them by difference. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_damaged_count(verification: *const gosync_verification) -> usize {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, 0, |verification| verification.found.damaged.len()) }
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
            let damaged = &object(verification, "verification")?.found.damaged;
            write_range(damaged.get(i), "i", offset, length)
        })
    }
}

/// Number of entries in which a directory differs. 0 for a file, and for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_difference_count(verification: *const gosync_verification) -> usize {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, 0, |verification| verification.texts.len()) }
}

/// The path of difference `i`: names from the directory to the entry, with "/" between. In the order of the index, and what
/// that does not know last. NULL for NULL, and if there is no such difference. Borrowed until the verification is freed.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_difference_path(
    verification: *const gosync_verification,
    i: usize,
) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { of_difference(verification, i, std::ptr::null(), |_, (path, _)| path.as_ptr()) }
}

/// In what entry `i` differs: "missing", "changed", "type" (a directory instead of a file, for instance), "mode" (the
/// executable bit, or what else of a mode the index says), "time" (of its last change), "extra" (the index does not know it). NULL for NULL, and if there is no such difference.
/// Borrowed until the verification is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_difference_what(
    verification: *const gosync_verification,
    i: usize,
) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { of_difference(verification, i, std::ptr::null(), |_, (_, what)| what.as_ptr()) }
}

/// Number of ranges that the file of difference `i` does not have right. 0 for NULL, and if there is no such difference.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_difference_damaged_count(
    verification: *const gosync_verification,
    i: usize,
) -> usize {
    // SAFETY: NULL or live, as the header asks.
    unsafe { of_difference(verification, i, 0, |difference, _| difference.damaged.len()) }
}

/// Writes damaged range `j` of the file of difference `i` to `*offset` and `*length`. The ranges are ascending, in whole blocks.
///
/// Errors: GOSYNC_E_ARGUMENT (NULL, no such difference, or no such range). Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_difference_damaged_range(
    verification: *const gosync_verification,
    i: usize,
    j: usize,
    offset: *mut u64,
    length: *mut u64,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let differences = &object(verification, "verification")?.found.differences;
            let difference =
                differences.get(i).ok_or_else(|| argument("i", "is not below the number of differences"))?;
            write_range(difference.damaged.get(j), "j", offset, length)
        })
    }
}

/// Whether an update of the file in place, or of the directory, was not finished: it is neither an old version nor a new one.
/// False for NULL.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_unfinished(verification: *const gosync_verification) -> bool {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(verification, false, |verification| verification.found.unfinished) }
}

/// Frees a verification. NULL is fine. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_verification_free(verification: *mut gosync_verification) {
    // SAFETY: NULL or from `gosync_index_verify`, and not used again, as the header asks.
    unsafe { free(verification) }
}
