//! Going on with an output that is not empty: what of it is right already, at its own place, is found here, and stays. What
//! else it holds may help like any seed, and is the search's.
//!
//! It is checked by top blocks, which are here of any index, and where these are wrong by units, as far as their chaining
//! values are here. The rest is found, and written once more, by the search: less than a top block around each change.

use std::sync::{Mutex, PoisonError};

use gosync_core::assemble::Verified;
use gosync_core::index::{Blocks, UNIT};
use gosync_core::matching::Found;
use gosync_core::{Index, Range, ReadAt, Result};
use rayon::prelude::*;

use super::Shared;
use crate::output::Output;
use crate::report::Level;
use crate::verbs::share;

/// Bytes that are looked at in one go, at least.
const SECTION: u64 = 1 << 20;

/// Notes in `output` what it has already, and says so as found in `seed`.
pub(super) fn adopt(
    shared: &Shared,
    index: &Index,
    output: &Output,
    seed: u32,
    pool: &rayon::ThreadPool,
) -> Result<Found> {
    let mut found = Found::new(index);
    let Some(reader) = output.begun()? else { return Ok(found) };
    let right: Mutex<Vec<Range>> = Mutex::default();
    let note = |verified: &Verified<'_>| {
        let bytes = output.adopt(verified);
        shared.meter.update(|progress| {
            progress.from_seeds += bytes;
            progress.written += bytes;
            progress.fraction = progress.fraction.max(share(progress.written, index.length()) * 0.999);
        });
        let range = Range::new(verified.offset(), verified.bytes().len() as u64);
        right.lock().unwrap_or_else(PoisonError::into_inner).push(range);
    };
    let size = index.top_size();
    let section = (SECTION / size).max(1) * size;
    pool.install(|| {
        (0..index.length().div_ceil(section)).into_par_iter().try_for_each_init(Vec::new, |buffer: &mut Vec<u8>, at| {
            shared.observer.cancel.check()?;
            let start = at * section;
            buffer.resize(section.min(index.length() - start) as usize, 0);
            // What cannot be read is not there.
            let read = reader.read_at(start, buffer).unwrap_or(0);
            let tops = start / size..(start + read as u64).div_ceil(size);
            for (top, bytes) in tops.zip(buffer[..read].chunks(size as usize)) {
                check(index, top, bytes, &note);
            }
            Ok(())
        })
    })?;
    let mut right = right.into_inner().unwrap_or_else(PoisonError::into_inner);
    right.sort_unstable();
    let bytes: u64 = right.iter().map(|range| range.length).sum();
    right.into_iter().for_each(|range| found.take(seed, range, range.offset));
    let text = "an earlier update left a partial file, which is gone on with";
    shared.observer.event(Level::Info, "resumed", text, &[("bytes", &bytes), ("total", &index.length())]);
    Ok(found)
}

/// Checks one top block, whole or, if that is wrong, unit by unit.
fn check(index: &Index, top: u64, bytes: &[u8], note: &dyn Fn(&Verified<'_>)) {
    let whole = |level: Blocks<'_>, block: u64, bytes: &[u8]| {
        let is_whole = bytes.len() as u64 == level.range(block).length;
        Verified::check_block(level, block, bytes).filter(|_| is_whole).inspect(|verified| note(verified)).is_some()
    };
    if whole(index.tops(), top, bytes) || index.top_size() == index.unit_size() || !index.has_values(top) {
        return;
    }
    for (unit, bytes) in index.top_units(top).zip(bytes.chunks(UNIT as usize)) {
        whole(index.units(), unit, bytes);
    }
}
