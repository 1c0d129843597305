//! Going on with an output that is not empty: what of it is right already, at its own place, is found here, and stays. What
//! else it holds may help like any seed, and is the search's.
//!
//! It is checked by top blocks, which are here of any index, and where these are wrong by units, as far as their chaining
//! values are here. The rest is found, and written once more, by the search: less than a top block around each change.

use gosync_core::assemble::Verified;
use gosync_core::index::{Blocks, UNIT};
use gosync_core::matching::Found;
use gosync_core::ranges::RangeSet;
use gosync_core::{Index, Origin, Piece, Range, ReadAt, Result};
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
/// seed `own_part`; and how many bytes that is.
pub(super) fn adopt(
    shared: &Shared,
    index: &Index,
    output: &mut Output,
    own_part: u32,
    pool: &rayon::ThreadPool,
) -> Result<(Found, u64)> {
    let mut found = Found::new(index);
    let Some(reader) = output.begun()? else { return Ok((found, 0)) };
    let section = section(index);
    let count = index.length().div_ceil(section);
    if output.is_clone() && count > SAMPLE {
        let step = count / SAMPLE;
        let starts = (0..SAMPLE).map(|at| at * step * section).collect();
        let sample = pool.install(|| look(shared, index, &reader, starts, section, &|_| ()))?;
        let right: u64 = sample.iter().map(|range| range.length).sum();
        if right < SAMPLE * section / LEAST {
            output.clear(index)?;
            return Ok((found, 0));
        }
    }
    let note = |verified: &Verified<'_>| {
        let bytes = output.adopt(verified);
        shared.meter.update(|progress| progress.from_seeds += bytes);
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
    Ok((found, bytes))
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

/// The cover, with what it takes from the output itself, the seed `own`, only where that is there still when its turn comes:
/// at its own place, or where the output is right already. Everything else may have been written to by then; above all
/// zeros, which are all over an output that has holes. Where its own place has the same bytes, they are taken from there.
pub(super) fn lasting(cover: Vec<Piece>, own: u32, output: &dyn ReadAt) -> Vec<Piece> {
    let from_own = |piece: &Piece| match piece.origin {
        Origin::Seed { seed, offset } if seed == own => Some(Range::new(offset, piece.target.length)),
        _ => None,
    };
    let mut stays = RangeSet::new();
    let at_home = cover.iter().filter_map(|piece| from_own(piece).filter(|range| *range == piece.target));
    at_home.for_each(|range| stays.insert(range));
    let is_there = |target: Range, from: Range| {
        let read = |range: Range| {
            let mut bytes = vec![0; range.length as usize];
            output.read_at(range.offset, &mut bytes).is_ok_and(|read| read == bytes.len()).then_some(bytes)
        };
        read(target).is_some_and(|bytes| read(from) == Some(bytes))
    };
    let mut lasting: Vec<Piece> = Vec::with_capacity(cover.len());
    let mut add = |piece: Piece| match lasting.last_mut() {
        Some(last) if follows(last, &piece) => last.target.length += piece.target.length,
        _ => lasting.push(piece),
    };
    for piece in cover {
        let Some(mut from) = from_own(&piece).filter(|range| *range != piece.target && !stays.contains(*range)) else {
            add(piece);
            continue;
        };
        let mut target = piece.target;
        // Unit by unit of where it lies now: each is written as a whole.
        while from.length > 0 {
            let length = from.length.min(UNIT - from.offset % UNIT);
            let (now, at) = (Range::new(from.offset, length), Range::new(target.offset, length));
            let origin = match () {
                () if stays.contains(now) => Origin::Seed { seed: own, offset: now.offset },
                () if is_there(at, now) => Origin::Seed { seed: own, offset: at.offset },
                () => Origin::Missing,
            };
            add(Piece { target: at, origin });
            (from, target) =
                (Range::new(now.end(), from.length - length), Range::new(at.end(), target.length - length));
        }
    }
    lasting
}

/// Whether a piece goes on where the one before it ends, here as in the target.
fn follows(before: &Piece, piece: &Piece) -> bool {
    match (before.origin, piece.origin) {
        (Origin::Missing, Origin::Missing) => true,
        (Origin::Seed { seed, offset }, Origin::Seed { seed: same, offset: next }) => {
            seed == same && offset.checked_add(before.target.length) == Some(next)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u64, length: u64, origin: Option<(u32, u64)>) -> Piece {
        let origin = origin.map_or(Origin::Missing, |(seed, offset)| Origin::Seed { seed, offset });
        Piece { target: Range::new(offset, length), origin }
    }

    #[test]
    fn what_will_have_been_overwritten_is_not_taken() {
        const OWN: u32 = 3;
        // Right, then a hole that reads as zeros, then something that is wrong where it is.
        let output: Vec<u8> =
            (0..6 * UNIT).map(|at| if at < UNIT { 1 } else { u8::from(at >= 5 * UNIT) * 2 }).collect();
        let cover = vec![
            piece(0, UNIT, Some((OWN, 0))),
            // From what is right; zeros from elsewhere, where zeros are; from another seed.
            piece(UNIT, 1000, Some((OWN, 5))),
            piece(UNIT + 1000, 1000, Some((OWN, 3 * UNIT))),
            piece(UNIT + 2000, 1000, Some((0, 3 * UNIT))),
            piece(UNIT + 3000, UNIT - 3000, None),
            // What is to be overwritten, in part by what it is to be overwritten with.
            piece(2 * UNIT, 1000, Some((OWN, 5 * UNIT))),
            piece(2 * UNIT + 1000, 3 * UNIT - 1000, None),
            piece(5 * UNIT, 1000, Some((OWN, UNIT - 400))),
            piece(5 * UNIT + 1000, UNIT - 1000, Some((OWN, 5 * UNIT + 1000))),
        ];
        let expected = vec![
            piece(0, UNIT, Some((OWN, 0))),
            piece(UNIT, 1000, Some((OWN, 5))),
            piece(UNIT + 1000, 1000, Some((OWN, UNIT + 1000))),
            piece(UNIT + 2000, 1000, Some((0, 3 * UNIT))),
            piece(UNIT + 3000, 4 * UNIT - 3000, None),
            piece(5 * UNIT, 400, Some((OWN, UNIT - 400))),
            piece(5 * UNIT + 400, 600, None),
            piece(5 * UNIT + 1000, UNIT - 1000, Some((OWN, 5 * UNIT + 1000))),
        ];
        assert_eq!(lasting(cover, OWN, &output), expected);
    }
}
