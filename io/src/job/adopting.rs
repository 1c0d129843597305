//! Going on with an output that is not empty: what of it is right already, at its own place, is found here, and stays. What
//! else it holds may help like any seed, and is the search's.
//!
//! It is checked by top blocks, which are here of any index, and where these are wrong by units, as far as their chaining
//! values are here. The rest is found, and written once more, by the search: less than a top block around each change.

use gosync_core::assemble::Verified;
use gosync_core::index::{Blocks, UNIT};
use gosync_core::matching::Found;
use gosync_core::{Index, Range, ReadAt, Result};
use rayon::prelude::*;

use super::Shared;
use crate::output::Output;
use crate::report::Level;

/// Bytes that are looked at in one go, at least.
const SECTION: u64 = 1 << 20;
/// Of a clone so many sections are looked at first; if less than a part of them is right, the clone does not pay.
const SAMPLE: u64 = 16;
const LEAST: u64 = 4;

/// Notes in `output` what it has already, and says so as found: in the target if it is a clone of that, otherwise in the
/// seed `own_part`.
pub(super) fn adopt(
    shared: &Shared,
    index: &Index,
    output: &mut Output,
    own_part: u32,
    pool: &rayon::ThreadPool,
) -> Result<Found> {
    let mut found = Found::new(index);
    let Some(reader) = output.begun()? else { return Ok(found) };
    let section = section(index);
    let count = index.length().div_ceil(section);
    if output.is_clone() && count > SAMPLE {
        let step = count / SAMPLE;
        let starts = (0..SAMPLE).map(|at| at * step * section).collect();
        let sample = pool.install(|| look(shared, index, &reader, starts, section, &|_| ()))?;
        let right: u64 = sample.iter().map(|range| range.length).sum();
        if right < SAMPLE * section / LEAST {
            output.clear(index)?;
            return Ok(found);
        }
    }
    let note = |verified: &Verified<'_>| {
        let bytes = output.adopt(verified);
        shared.meter.update(|progress| {
            progress.from_seeds += bytes;
            progress.written += bytes;
        });
    };
    let starts = (0..count).map(|at| at * section).collect();
    let right = pool.install(|| look(shared, index, &reader, starts, section, &note))?;
    let seed = if output.is_clone() { 0 } else { own_part };
    let bytes: u64 = right.iter().map(|range| range.length).sum();
    right.into_iter().for_each(|range| found.take(seed, range, range.offset));
    let (kind, text) = match output.is_clone() {
        true => ("cloned", "the new file begins as a clone of the old one"),
        false => ("resumed", "an earlier update left a partial file, which is gone on with"),
    };
    shared.observer.event(Level::Info, kind, text, &[("bytes", &bytes), ("total", &index.length())]);
    Ok(found)
}

/// Bytes of a section: whole top blocks.
pub(super) fn section(index: &Index) -> u64 {
    (SECTION / index.top_size()).max(1) * index.top_size()
}

/// What is right in the sections that begin at `starts`, ascending; `note` hears of it while it is in memory.
pub(super) fn look(
    shared: &Shared,
    index: &Index,
    reader: &dyn ReadAt,
    starts: Vec<u64>,
    section: u64,
    note: &(dyn Fn(&Verified<'_>) + Sync),
) -> Result<Vec<Range>> {
    let size = index.top_size();
    let look = |buffer: &mut Vec<u8>, start: u64| {
        shared.observer.cancel.check()?;
        buffer.resize(section.min(index.length() - start) as usize, 0);
        // What cannot be read is not there.
        let read = reader.read_at(start, buffer).unwrap_or(0);
        let tops = start / size..(start + read as u64).div_ceil(size);
        let mut right = Vec::new();
        for (top, bytes) in tops.zip(buffer[..read].chunks(size as usize)) {
            check(index, top, bytes, &mut |verified| {
                note(verified);
                right.push(Range::new(verified.offset(), verified.bytes().len() as u64));
            });
        }
        Ok(right)
    };
    let right: Vec<_> = starts.into_par_iter().map_init(Vec::new, look).collect::<Result<_>>()?;
    Ok(right.into_iter().flatten().collect())
}

/// Checks one top block, whole or, if that is wrong, unit by unit.
fn check(index: &Index, top: u64, bytes: &[u8], right: &mut dyn FnMut(&Verified<'_>)) {
    let mut whole = |level: Blocks<'_>, block: u64, bytes: &[u8]| {
        let is_whole = bytes.len() as u64 == level.range(block).length;
        let verified = Verified::check_block(level, block, bytes).filter(|_| is_whole);
        verified.inspect(|verified| right(verified)).is_some()
    };
    if whole(index.tops(), top, bytes) || index.top_size() == index.unit_size() || !index.has_values(top) {
        return;
    }
    for (unit, bytes) in index.top_units(top).zip(bytes.chunks(UNIT as usize)) {
        whole(index.units(), unit, bytes);
    }
}
