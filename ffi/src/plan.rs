//! `gosync_plan`: what an update would do.

use std::ffi::{CString, c_char};
use std::time::Duration;

use gosync_io::{Change, Origin, Plan};

use crate::error::gosync_error;
use crate::guard::{argument, c_string, call, free, get, object, place};
use crate::sized::{self, sized};
use crate::status::gosync_status;

/// What an update would do: an exact cover of the target by seeds and missing ranges, and its cost.
/// Immutable, so that any thread may read it.
pub struct gosync_plan {
    plan: Plan,
    strategy: CString,
    reason: CString,
    changes: Vec<ChangeTexts>,
}

/// The texts of a change.
struct ChangeTexts {
    path: CString,
    what: CString,
    from: Option<CString>,
}

impl gosync_plan {
    pub(crate) fn new(plan: Plan) -> Self {
        let texts = |change: &Change| ChangeTexts {
            path: c_string(&change.path),
            what: c_string(change.what.name()),
            from: change.from.as_deref().map(c_string),
        };
        let changes = plan.changes.iter().map(texts).collect();
        gosync_plan { strategy: c_string(plan.strategy.name()), reason: c_string(&plan.reason), changes, plan }
    }
}

/// A run of the target that comes from one place. Start from GOSYNC_PIECE_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_piece {
    /// Bytes of this structure; set by the caller.
    pub struct_size: usize,
    /// Offset of the first byte in the target.
    pub target_offset: u64,
    /// Number of bytes.
    pub length: u64,
    /// 1 if the bytes are not here and would be fetched, 0 if a seed has them.
    pub is_missing: u32,
    /// Number of the seed: 0 is what is at the target, and those that were added count from 1. 0 if missing.
    pub seed: u32,
    /// Offset of the first byte in the seed. 0 if missing.
    pub seed_offset: u64,
}

sized!(gosync_piece);

/// Bytes of the target. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_total(plan: *const gosync_plan) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.total) }
}

/// Bytes that the seeds have. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_from_seeds(plan: *const gosync_plan) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.from_seeds) }
}

/// Bytes that are missing. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_missing(plan: *const gosync_plan) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.missing) }
}

/// Bytes that would be asked for: what is missing, and the gaps that are cheaper to fetch than to skip. 0 for NULL.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_to_fetch(plan: *const gosync_plan) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.to_fetch) }
}

/// Ranges that would be asked for. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_ranges(plan: *const gosync_plan) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.ranges) }
}

/// Bytes of the index that was read. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_index_size(plan: *const gosync_plan) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.index_size) }
}

/// Whether the target is the new version already. False for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_up_to_date(plan: *const gosync_plan) -> bool {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, false, |plan| plan.plan.up_to_date) }
}

/// Whether an update of the target, in place or of a directory, was not finished: it is neither an old version nor a new one.
/// False for NULL.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_unfinished(plan: *const gosync_plan) -> bool {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, false, |plan| plan.plan.unfinished) }
}

/// How the missing bytes would be fetched: "local" (nothing is fetched), "ranges" (the missing ranges) or "whole"
/// (everything from the first missing byte on, in one go). NULL for NULL. Borrowed until the plan is freed.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_strategy(plan: *const gosync_plan) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, std::ptr::null(), |plan| plan.strategy.as_ptr()) }
}

/// The round trip that the plan reckons with, measured or assumed, in milliseconds and fractions of them. 0 if it is
/// not known, and for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_round_trip_ms(plan: *const gosync_plan) -> f64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0.0, |plan| milliseconds(plan.plan.round_trip)) }
}

/// The rate that the plan reckons with, measured or assumed, in bytes per second. 0 if it is not known, and for NULL.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_rate(plan: *const gosync_plan) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.rate.unwrap_or(0)) }
}

/// How long fetching the missing ranges would take, in milliseconds. 0 if round trip or rate are not known, if nothing
/// is missing, and for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_time_ms(plan: *const gosync_plan) -> f64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0.0, |plan| milliseconds(plan.plan.time)) }
}

/// How long fetching everything in one go would take, in milliseconds. 0 if round trip or rate are not known, if
/// nothing is missing, and for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_time_whole_ms(plan: *const gosync_plan) -> f64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0.0, |plan| milliseconds(plan.plan.time_whole)) }
}

fn milliseconds(time: Option<Duration>) -> f64 {
    time.unwrap_or_default().as_secs_f64() * 1000.0
}

/// Why it would be done this way, one line. NULL for NULL. Borrowed until the plan is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_reason(plan: *const gosync_plan) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, std::ptr::null(), |plan| plan.reason.as_ptr()) }
}

/// Number of pieces: ascending, without gaps, they cover the target. 0 for NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_piece_count(plan: *const gosync_plan) -> usize {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.pieces.len()) }
}

/// Writes piece `i` to `*out`, whose `struct_size` the caller has set.
///
/// Errors: GOSYNC_E_ARGUMENT (NULL, a bad struct_size, or no such piece). Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_piece(
    plan: *const gosync_plan,
    i: usize,
    out: *mut gosync_piece,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let pieces = &object(plan, "plan")?.plan.pieces;
            let piece = pieces.get(i).ok_or_else(|| argument("i", "is not below the number of pieces"))?;
            let (is_missing, seed, seed_offset) = match piece.origin {
                Origin::Seed { seed, offset } => (0, seed, offset),
                Origin::Missing => (1, 0, 0),
            };
            let (target_offset, length) = (piece.target.offset, piece.target.length);
            let piece = gosync_piece { target_offset, length, is_missing, seed, seed_offset, ..Default::default() };
            sized::write(place(out, "out")?, &piece, "out")
        })
    }
}

/// Number of entries of a directory that would change, or be kept although the index has them otherwise. 0 for a file, and for
/// NULL. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_change_count(plan: *const gosync_plan) -> usize {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.changes.len()) }
}

/// The path of change `i`: names from the directory to the entry, with "/" between; a directory ends with one too. In the
/// order of paths. NULL for NULL, and if there is no such change. Borrowed until the plan is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_change_path(plan: *const gosync_plan, i: usize) -> *const c_char {
    let null = std::ptr::null();
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, null, |plan| plan.changes.get(i).map_or(null, |change| change.path.as_ptr())) }
}

/// What becomes of entry `i`: "added", "changed" (another content, or another kind of entry), "renamed" (its content is that of
/// an old file, which goes), "removed", "kept" (it is the user's: it stays, or is moved beside the target where something else
/// takes its place, which is a change of its own), "mode" (the executable bit, or what else of a mode the index says), "link" (what
/// a link says), "time" (of its last change). NULL for NULL, and if there is no such change. Borrowed until the plan is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_change_what(plan: *const gosync_plan, i: usize) -> *const c_char {
    let null = std::ptr::null();
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, null, |plan| plan.changes.get(i).map_or(null, |change| change.what.as_ptr())) }
}

/// The path that the file of change `i` has now, if it is "renamed". NULL otherwise, for NULL, and if there is no such change.
/// Borrowed until the plan is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_change_from(plan: *const gosync_plan, i: usize) -> *const c_char {
    let null = std::ptr::null();
    let from = |change: &ChangeTexts| change.from.as_ref().map_or(null, |from| from.as_ptr());
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, null, |plan| plan.changes.get(i).map_or(null, from)) }
}

/// Bytes of the file of change `i`: of the new one, or for "removed" and "kept" of the old one. 0 for what is no file, for NULL,
/// and if there is no such change. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_change_size(plan: *const gosync_plan, i: usize) -> u64 {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(plan, 0, |plan| plan.plan.changes.get(i).map_or(0, |change| change.size)) }
}

/// Frees a plan. NULL is fine. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_plan_free(plan: *mut gosync_plan) {
    // SAFETY: NULL or from `gosync_job_plan`, and not used again, as the header asks.
    unsafe { free(plan) }
}
