//! What matching has found so far: for each block of the target, where in which seed it is.

use std::collections::BTreeMap;

use super::Work;
use crate::index::Index;
use crate::plan::{Origin, Piece};
use crate::source::Range;

/// Blocks of the target that lie one after another in a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first block.
    pub(super) block: u64,
    /// Number of blocks.
    pub(super) count: u64,
    /// Where in the seed.
    pub(super) offset: u64,
    /// The blocks are whole units, and these were verified.
    pub(super) verified: bool,
}

/// A stretch of the target that is missing between two things that a seed has, and what the seed has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The units that are missing.
    pub units: std::ops::Range<u64>,
    /// Which seed.
    pub seed: u32,
    /// Where in the seed the things around it leave room.
    pub place: Range,
}

/// Some blocks of one unit, and where they are.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// A bit for each block of the unit.
    blocks: u64,
    /// Where the unit would begin if all of it were there; for `still`, where the block is.
    offset: u64,
    seed: u32,
    /// The blocks are all at one and the same place, as equal ones may be.
    still: bool,
    verified: bool,
}

impl Part {
    /// Where in the seed block `slot` of the unit is.
    fn place(&self, slot: u32, size: u64) -> u64 {
        if self.still { self.offset } else { self.offset.wrapping_add(u64::from(slot) * size) }
    }
}

/// For each block where it is, and which units have been verified as a whole. 24 bytes for each unit, and as
/// many for each further place that blocks of one unit come from.
#[derive(Clone, Default)]
pub struct Found {
    length: u64,
    block_size: u64,
    /// Blocks of a unit.
    per_unit: u32,
    parts: Vec<Part>,
    /// Further parts, of units that have one already.
    more: BTreeMap<u32, Vec<Part>>,
    missing: u64,
    pub(super) work: Work,
}

impl Found {
    /// Nothing found yet.
    pub fn new(index: &Index) -> Self {
        Found {
            length: index.length(),
            block_size: u64::from(index.block_size()),
            per_unit: (index.unit_size() / u64::from(index.block_size())) as u32,
            parts: vec![Part::default(); index.unit_count() as usize],
            more: BTreeMap::new(),
            missing: index.block_count(),
            work: Work::default(),
        }
    }

    /// Writes down that whole units of the target, `target`, were verified in `seed` at `offset`. Nobody looks for them then.
    pub fn take(&mut self, seed: u32, target: Range, offset: u64) {
        let block = target.offset / self.block_size;
        let count = target.length.div_ceil(self.block_size);
        self.add(seed, &Run { block, count, offset, verified: true });
    }

    /// Number of blocks that are nowhere in the seeds so far.
    pub fn missing_blocks(&self) -> u64 {
        self.missing
    }

    /// What was not taken of a seed of `length` bytes, ascending: (offset, length).
    pub(super) fn untaken(&self, seed: u32, length: u64) -> Vec<(u64, u64)> {
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for (unit, part) in (0u64..).zip(&self.parts) {
            if part.verified && part.seed == seed {
                let size = u64::from(self.per_unit) * self.block_size;
                taken.push((part.offset, part.offset + size.min(self.length - unit * size)));
            }
        }
        taken.sort_unstable();
        let (mut untaken, mut end) = (Vec::new(), 0);
        for (from, to) in taken.into_iter().chain([(length, length)]) {
            if from > end {
                untaken.push((end, from - end));
            }
            end = end.max(to);
        }
        untaken
    }

    /// Whether no block of this unit was found.
    pub fn has_none(&self, unit: u64) -> bool {
        self.parts.get(unit as usize).is_none_or(|part| part.blocks == 0)
    }

    /// Whether any block of this unit was not found.
    pub fn lacks_any(&self, unit: u64) -> bool {
        let first = unit.saturating_mul(u64::from(self.per_unit));
        let blocks = self.length.div_ceil(self.block_size).saturating_sub(first);
        self.known(unit as u32) != low_bits(blocks.min(u64::from(self.per_unit)))
    }

    /// Whether this unit was verified as a whole at its own place in the target as it is, which is seed 0.
    pub fn is_unchanged(&self, unit: u64) -> bool {
        let place = unit.saturating_mul(u64::from(self.per_unit) * self.block_size);
        self.parts.get(unit as usize).is_some_and(|part| part.verified && part.seed == 0 && part.offset == place)
    }

    /// The stretches of the target, in `size` bytes each (units, or larger blocks), that are missing and lie in `among` or
    /// beside it, as far as a seed has what is before and behind them about as far from each other: something was changed
    /// between, and is most likely nowhere else.
    pub fn gaps(&self, size: u64, among: std::ops::Range<u64>) -> Vec<Gap> {
        let unit = u64::from(self.per_unit) * self.block_size;
        let (units, count) = (size / unit, self.length.div_ceil(size));
        let is_missing = |stretch: u64| stretch < count && self.has_none(stretch * units);
        let (mut first, mut end) = (among.start / units, among.end.div_ceil(units).min(count));
        while first > 0 && is_missing(first - 1) {
            first -= 1;
        }
        while is_missing(end) {
            end += 1;
        }
        let (mut gaps, mut begin) = (Vec::new(), first);
        for stretch in first..count.min(end + 1) {
            if is_missing(stretch) {
                continue;
            }
            if begin < stretch {
                gaps.extend(self.gap(begin * units..stretch * units, unit).filter(|gap| {
                    let lacking = (stretch - begin) * size;
                    gap.place.length.abs_diff(lacking) <= size
                }));
            }
            begin = stretch + 1;
        }
        gaps
    }

    /// The missing `units` and what a seed has between their neighbours, if it has both in this order.
    fn gap(&self, units: std::ops::Range<u64>, unit: u64) -> Option<Gap> {
        let after = self.whole(units.end as u32)?;
        let begin = match units.start.checked_sub(1) {
            Some(last) => self.whole(last as u32).filter(|place| place.seed == after.seed)?.offset + unit,
            None => 0,
        };
        let length = after.offset.checked_sub(begin)?;
        Some(Gap { units, seed: after.seed, place: Range::new(begin, length) })
    }

    /// What it has cost by now.
    pub fn work(&self) -> Work {
        self.work
    }

    /// The full blocks of these units (ascending) that are missing.
    pub(super) fn missing_full(&self, units: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
        let full = self.length / self.block_size;
        units.flat_map(move |unit| {
            let first = u64::from(unit) * u64::from(self.per_unit);
            let inside = low_bits(full.saturating_sub(first).min(u64::from(self.per_unit)));
            bits(inside & !self.known(unit)).map(move |slot| first as u32 + slot)
        })
    }

    /// The blocks of these units that were found, as far as it is known what they look like, and where.
    pub(super) fn places(&self, index: &Index, units: std::ops::Range<u32>) -> impl Iterator<Item = (u32, Place)> {
        let units = units.filter(|unit| index.has_blocks((*unit).into()));
        units.flat_map(move |unit| {
            self.parts_of(unit).flat_map(move |part| {
                bits(part.blocks).map(move |slot| {
                    let place = Place { seed: part.seed, offset: part.place(slot, self.block_size) };
                    (unit * self.per_unit + slot, place)
                })
            })
        })
    }

    /// Where a block is.
    pub(super) fn place(&self, block: u32) -> Option<Place> {
        let (unit, slot) = (block / self.per_unit, block % self.per_unit);
        let part = self.parts_of(unit).find(|part| part.blocks >> slot & 1 != 0)?;
        Some(Place { seed: part.seed, offset: part.place(slot, self.block_size) })
    }

    /// Where a unit is, if it is in one piece.
    pub(super) fn whole(&self, unit: u32) -> Option<Place> {
        let part = self.parts.get(unit as usize)?;
        (part.blocks == low_bits(u64::from(self.per_unit)) && !part.still)
            .then_some(Place { seed: part.seed, offset: part.offset })
    }

    /// Adds a run of blocks. The first place of a block stays, but a verified unit beats single blocks.
    pub(super) fn add(&mut self, seed: u32, run: &Run) {
        let per_unit = u64::from(self.per_unit);
        let (mut block, end) = (run.block, run.block + run.count);
        while block < end {
            let (unit, slot) = (block / per_unit, block % per_unit);
            let count = (per_unit - slot).min(end - block);
            let offset = run.offset.wrapping_add((block - run.block) * self.block_size);
            let part = Part {
                blocks: low_bits(count) << slot,
                offset: offset.wrapping_sub(slot * self.block_size),
                seed,
                still: false,
                verified: run.verified,
            };
            self.put(unit as u32, part);
            block += count;
        }
    }

    /// Says where a block is that equals one which is there.
    pub(super) fn add_equal(&mut self, block: u32, place: Place) {
        let (unit, slot) = (block / self.per_unit, block % self.per_unit);
        let part = Part { blocks: 1 << slot, offset: place.offset, seed: place.seed, still: true, verified: false };
        self.put(unit, part);
    }

    fn put(&mut self, unit: u32, mut part: Part) {
        let known = self.known(unit);
        let Some(first) = self.parts.get_mut(unit as usize) else { return };
        if part.verified {
            if !first.verified {
                self.missing -= u64::from((part.blocks & !known).count_ones());
                *first = part;
                self.more.remove(&unit);
            }
            return;
        }
        part.blocks &= !known;
        if part.blocks == 0 {
            return;
        }
        self.missing -= u64::from(part.blocks.count_ones());
        if first.blocks == 0 {
            *first = part;
            return;
        }
        let same = |other: &&mut Part| {
            (other.seed, other.offset, other.still, other.verified) == (part.seed, part.offset, part.still, false)
        };
        let more = self.more.get_mut(&unit);
        match std::iter::once(first).chain(more.into_iter().flatten()).find(same) {
            Some(other) => other.blocks |= part.blocks,
            None => self.more.entry(unit).or_default().push(part),
        }
    }

    fn parts_of(&self, unit: u32) -> impl Iterator<Item = &Part> {
        self.parts.get(unit as usize).into_iter().chain(self.more.get(&unit).into_iter().flatten())
    }

    /// The blocks of a unit that were found, a bit for each.
    fn known(&self, unit: u32) -> u64 {
        self.parts_of(unit).fold(0, |known, part| known | part.blocks)
    }

    /// The exact cover of the target: ascending, runs joined.
    pub fn cover(&self) -> Vec<Piece> {
        self.cover_of(0..self.parts.len() as u64)
    }

    /// The same of some units.
    pub fn cover_of(&self, units: std::ops::Range<u64>) -> Vec<Piece> {
        let mut cover: Vec<Piece> = Vec::new();
        let per_unit = u64::from(self.per_unit);
        for unit in units.start..units.end.min(self.parts.len() as u64) {
            let place = self.whole(unit as u32);
            let step = if place.is_some() || self.has_none(unit) { per_unit } else { 1 };
            for block in (unit * per_unit..(unit + 1) * per_unit).step_by(step as usize) {
                let start = block * self.block_size;
                if start >= self.length {
                    break;
                }
                let place = place.or_else(|| self.place(block as u32));
                let origin = place.map_or(Origin::Missing, |Place { seed, offset }| Origin::Seed { seed, offset });
                let length = (step * self.block_size).min(self.length - start);
                match cover.last_mut() {
                    Some(last) if continues(last, origin) => last.target.length += length,
                    _ => cover.push(Piece { target: Range::new(start, length), origin }),
                }
            }
        }
        cover
    }
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seed: u32,
    pub(super) offset: u64,
}

fn continues(last: &Piece, origin: Origin) -> bool {
    match (last.origin, origin) {
        (Origin::Missing, Origin::Missing) => true,
        (Origin::Seed { seed, offset }, Origin::Seed { seed: next_seed, offset: next }) => {
            seed == next_seed && offset + last.target.length == next
        }
        _ => false,
    }
}

/// The lowest `count` bits, 64 at most.
fn low_bits(count: u64) -> u64 {
    if count == 0 { 0 } else { u64::MAX >> (64 - count.min(64)) }
}

/// The numbers of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (set != 0).then(|| set.trailing_zeros())?;
        set &= set - 1;
        Some(bit)
    })
}
