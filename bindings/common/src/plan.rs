//! What an update would do.

use std::ptr;

use gosync_ffi::{GOSYNC_OK, gosync_piece, gosync_plan};

use crate::text;

/// Where the bytes of a piece are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// At `offset` of the seed with this number (the target itself comes first).
    Seed {
        /// Number of the seed.
        seed: u32,
        /// Offset in the seed.
        offset: u64,
    },
    /// Not here: to be fetched.
    Missing,
}

/// A run of the target that comes from one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset in the target.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
    /// Where its bytes are.
    pub seen: Seen,
}

/// An entry of a directory that would change, or be kept although the index has it otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Names from the directory to the entry, with `/` between; a directory ends with one too.
    pub path: String,
    /// What becomes of it: `added`, `changed`, `renamed`, `removed`, `kept`, `mode` or `link`.
    pub what: String,
    /// The path that a renamed file has now.
    pub from: Option<String>,
    /// Bytes of the file.
    pub size: u64,
}

/// An exact cover of the target, and its cost.
pub struct Plan(*mut gosync_plan);

// SAFETY: the C side allows every call on `const gosync_plan *` from any thread at any time.
unsafe impl Send for Plan {}
// SAFETY: as above.
unsafe impl Sync for Plan {}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $function:ident;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&self) -> $type {
                // SAFETY: the plan is valid until it is dropped.
                unsafe { gosync_ffi::$function(self.0) }
            }
        )*
    };
}

impl Plan {
    /// # Safety
    /// `raw` is a plan that the caller owns and gives away.
    pub(crate) unsafe fn from_raw(raw: *mut gosync_plan) -> Self {
        Plan(raw)
    }

    getters! {
        /// Bytes of the target.
        total: u64 = gosync_plan_total;
        /// Bytes that the seeds have.
        from_seeds: u64 = gosync_plan_from_seeds;
        /// Bytes that are missing.
        missing: u64 = gosync_plan_missing;
        /// Bytes that would be asked for.
        to_fetch: u64 = gosync_plan_to_fetch;
        /// Ranges that would be asked for.
        ranges: u64 = gosync_plan_ranges;
        /// Bytes of the index that was read.
        index_size: u64 = gosync_plan_index_size;
        /// Whether the target is the new version already.
        up_to_date: bool = gosync_plan_up_to_date;
        /// Whether an update of the target, in place or of a directory, was not finished.
        unfinished: bool = gosync_plan_unfinished;
        /// Number of pieces.
        piece_count: usize = gosync_plan_piece_count;
        /// Number of changes.
        change_count: usize = gosync_plan_change_count;
    }

    /// How the missing bytes would be fetched: `local`, `ranges` or `whole`.
    pub fn strategy(&self) -> String {
        // SAFETY: the plan is valid until it is dropped; the text is copied at once.
        unsafe { text::copied(gosync_ffi::gosync_plan_strategy(self.0)) }.unwrap_or_default()
    }

    /// The bytes per second that the plan reckons with, if known.
    pub fn rate(&self) -> Option<u64> {
        // SAFETY: the plan is valid until it is dropped; so in the functions below.
        Some(unsafe { gosync_ffi::gosync_plan_rate(self.0) }).filter(|rate| *rate > 0)
    }

    /// The round trip that the plan reckons with, in milliseconds, if known.
    pub fn round_trip_ms(&self) -> Option<f64> {
        // SAFETY: see `rate`.
        known(unsafe { gosync_ffi::gosync_plan_round_trip_ms(self.0) })
    }

    /// Milliseconds that fetching the missing ranges would take, if known.
    pub fn time_ms(&self) -> Option<f64> {
        // SAFETY: see `rate`.
        known(unsafe { gosync_ffi::gosync_plan_time_ms(self.0) })
    }

    /// Milliseconds that fetching everything in one go would take, if known.
    pub fn time_whole_ms(&self) -> Option<f64> {
        // SAFETY: see `rate`.
        known(unsafe { gosync_ffi::gosync_plan_time_whole_ms(self.0) })
    }

    /// Why it would be done this way, one line.
    pub fn reason(&self) -> String {
        // SAFETY: the plan is valid until it is dropped; the text is copied at once.
        unsafe { text::copied(gosync_ffi::gosync_plan_reason(self.0)) }.unwrap_or_default()
    }

    /// The piece with this number, in the order of the target.
    pub fn piece(&self, i: usize) -> Option<Piece> {
        let mut piece = gosync_piece::default();
        // SAFETY: the plan is valid until it is dropped, the piece valid for writing; a number out of range is refused.
        let status = unsafe { gosync_ffi::gosync_plan_piece(self.0, i, &mut piece, ptr::null_mut()) };
        let seen = match piece.is_missing {
            0 => Seen::Seed { seed: piece.seed, offset: piece.seed_offset },
            _ => Seen::Missing,
        };
        (status == GOSYNC_OK).then_some(Piece { offset: piece.target_offset, length: piece.length, seen })
    }

    /// The change with this number, in the order of paths.
    pub fn change(&self, i: usize) -> Option<Change> {
        // SAFETY: the plan is valid until it is dropped; the texts are copied at once.
        unsafe {
            Some(Change {
                path: text::copied(gosync_ffi::gosync_plan_change_path(self.0, i))?,
                what: text::copied(gosync_ffi::gosync_plan_change_what(self.0, i))?,
                from: text::copied(gosync_ffi::gosync_plan_change_from(self.0, i)),
                size: gosync_ffi::gosync_plan_change_size(self.0, i),
            })
        }
    }
}

/// A time that the C side knows: there, zero means that it does not.
fn known(milliseconds: f64) -> Option<f64> {
    (milliseconds > 0.0).then_some(milliseconds)
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { gosync_ffi::gosync_plan_free(self.0) };
    }
}
