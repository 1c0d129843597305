//! What a verification found.

use std::path::PathBuf;

use gosync_ffi::gosync_verification;

use crate::{Observer, text};

/// How to verify a file or directory. Zero means the default.
#[derive(Clone, Default)]
pub struct VerifyOptions {
    /// Worker threads.
    pub threads: u32,
    /// Where the journal of an update in place is.
    pub journal: Option<PathBuf>,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// An entry in which a directory differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Names from the directory to the entry, with `/` between.
    pub path: String,
    /// In what it differs: `missing`, `changed`, `type`, `mode` or `extra`.
    pub what: String,
    /// The damaged ranges of a file, as offset and length.
    pub damaged: Vec<(u64, u64)>,
}

/// What a verification found. What differs is a finding, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Whether the file is exactly what the index says.
    pub is_match: bool,
    /// Bytes that the file has.
    pub length: u64,
    /// Bytes that it should have.
    pub expected_length: u64,
    /// The damaged ranges of the target, as offset and length.
    pub damaged: Vec<(u64, u64)>,
    /// The entries in which a directory differs.
    pub differences: Vec<Difference>,
    /// Whether an update of the file in place, or of the directory, was not finished.
    pub unfinished: bool,
}

impl Verification {
    /// Copies what a C verification says, and frees it.
    ///
    /// # Safety
    /// `from` is a valid verification that the caller owns and gives away.
    pub(crate) unsafe fn take(from: *mut gosync_verification) -> Self {
        // SAFETY: valid until it is freed at the end; ranges are asked for within the count.
        unsafe {
            let count = gosync_ffi::gosync_verification_damaged_count(from);
            let range = |i| {
                let (mut offset, mut length) = (0, 0);
                let status = gosync_ffi::gosync_verification_damaged_range(
                    from,
                    i,
                    &mut offset,
                    &mut length,
                    std::ptr::null_mut(),
                );
                (status == gosync_ffi::GOSYNC_OK).then_some((offset, length))
            };
            let of_entry = |i, j| {
                let (mut offset, mut length) = (0, 0);
                let status = gosync_ffi::gosync_verification_difference_damaged_range(
                    from,
                    i,
                    j,
                    &mut offset,
                    &mut length,
                    std::ptr::null_mut(),
                );
                (status == gosync_ffi::GOSYNC_OK).then_some((offset, length))
            };
            let difference = |i| {
                let path = text::copied(gosync_ffi::gosync_verification_difference_path(from, i))?;
                let what = text::copied(gosync_ffi::gosync_verification_difference_what(from, i))?;
                let count = gosync_ffi::gosync_verification_difference_damaged_count(from, i);
                Some(Difference { path, what, damaged: (0..count).filter_map(|j| of_entry(i, j)).collect() })
            };
            let differences = gosync_ffi::gosync_verification_difference_count(from);
            let found = Verification {
                is_match: gosync_ffi::gosync_verification_is_match(from),
                length: gosync_ffi::gosync_verification_length(from),
                expected_length: gosync_ffi::gosync_verification_expected_length(from),
                damaged: (0..count).filter_map(range).collect(),
                differences: (0..differences).filter_map(difference).collect(),
                unfinished: gosync_ffi::gosync_verification_unfinished(from),
            };
            gosync_ffi::gosync_verification_free(from);
            found
        }
    }
}
