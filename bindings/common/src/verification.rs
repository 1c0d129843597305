//! What a verification found.

use gosync_ffi::gosync_verification;

use crate::Observer;

/// How to verify a file. Zero means the default.
#[derive(Clone, Default)]
pub struct VerifyOptions {
    /// Worker threads.
    pub threads: u32,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// What a verification found. A file that differs is a finding, not an error.
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
    /// Whether an update of the file in place was not finished.
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
            let found = Verification {
                is_match: gosync_ffi::gosync_verification_is_match(from),
                length: gosync_ffi::gosync_verification_length(from),
                expected_length: gosync_ffi::gosync_verification_expected_length(from),
                damaged: (0..count).filter_map(range).collect(),
                unfinished: gosync_ffi::gosync_verification_unfinished(from),
            };
            gosync_ffi::gosync_verification_free(from);
            found
        }
    }
}
