//! A section of a seed: the steps that every way through it takes. *Follow* takes the block that is expected at a place,
//! the whole unit where that is there; `diagonal` goes through a section by that alone, `scan` looks at every offset.

use super::found::{Found, Run};
use super::guard::Guard;
use super::telling::Telling;
use crate::assemble::Verified;
use crate::error::Result;
use crate::index::Index;
use crate::weak;

/// Units of which only both ends were there: so many are hashed whole in a section, and [`FRUITLESS`] more for each
/// unit's length of it. Further ones are taken block by block.
const FRUITLESS_RESERVE: usize = 2;
const FRUITLESS: usize = 1;

/// A section of a seed.
pub(super) struct Section<'a> {
    pub(super) index: &'a Index,
    /// The section, and up to a unit of what follows it.
    pub(super) data: &'a [u8],
    /// Where in the seed it starts.
    pub(super) start: u64,
    /// How many positions of `data` belong to the section; what follows is only looked at by runs that began before.
    pub(super) inside: usize,
    /// `data` ends where the seed ends.
    pub(super) at_end: bool,
    /// What was found before this wave.
    pub(super) found: &'a Found,
    pub(super) telling: Telling<'a>,
}

/// What became of a section.
pub(super) struct Outcome {
    /// The runs of blocks that start in it.
    pub(super) runs: Vec<Run>,
    /// Positions that were not looked at, and that only a scan can say more about: (offset in the seed, length).
    pub(super) gaps: Vec<(u64, u64)>,
    pub(super) guard: Guard,
    fruitless: usize,
}

impl Outcome {
    fn new(guard: Guard) -> Outcome {
        Outcome { runs: Vec::new(), gaps: Vec::new(), guard, fruitless: 0 }
    }
}

impl<'a> Section<'a> {
    /// Nothing yet; the guard is for checks of blocks of this size.
    pub(super) fn outcome(&self, size: usize) -> Outcome {
        Outcome::new(Guard::new(size, self.inside, self.index.has_slow_hints()))
    }

    /// Goes through the section along the diagonal: whoever has an old version most likely has most blocks at their own
    /// place, and needs no table for that. What is not there is a gap.
    pub(super) fn diagonal(&self) -> Result<Outcome> {
        let size = self.index.block_size() as usize;
        let mut outcome = self.outcome(size);
        let inside = self.inside.min(self.data.len());
        let (mut at, mut gap, mut misses) = (0, 0, 0);
        while at < inside {
            let offset = self.start + at as u64;
            if offset >= self.index.length() {
                break;
            }
            let block = offset / size as u64;
            let taken = match offset % size as u64 {
                0 => self.follow(block, at, false, &mut outcome)?,
                _ => 0,
            };
            if taken > 0 {
                outcome.gap(self.start, gap, at);
                at += taken;
                (gap, misses) = (at, 0);
                continue;
            }
            // An edit in place leaves the next block where it was; after another miss, that is not what this is.
            misses += 1;
            let step = if misses < 3 { size as u64 } else { self.index.unit_size() };
            at += (step - offset % step) as usize;
        }
        outcome.gap(self.start, gap, inside);
        self.telling.end()?;
        self.tail(&mut outcome);
        Ok(outcome)
    }

    /// The block that starts at position `at` if the seed is aligned with the target there and a unit starts.
    pub(super) fn on_diagonal(&self, at: usize) -> Option<u64> {
        let offset = self.start + at as u64;
        let aligned = offset.is_multiple_of(self.index.unit_size()) && offset < self.index.length();
        aligned.then(|| offset / u64::from(self.index.block_size()))
    }

    /// The first position from `from` up to `to` where a unit's first block is at its own offset.
    pub(super) fn next_on_diagonal(&self, from: usize, to: usize) -> Option<usize> {
        let unit = self.index.unit_size();
        let first = from + (unit - 1 - (self.start + from as u64 + unit - 1) % unit) as usize;
        (first..to).step_by(unit as usize).find(|at| {
            let range = self.on_diagonal(*at).map(|block| (block, self.index.block_range(block)));
            range.is_some_and(|(block, range)| {
                self.data.get(*at..at + range.length as usize).is_some_and(|bytes| self.is_block(block, bytes))
            })
        })
    }

    /// Takes `block` at position `at` if it is there (which may be known already), with the whole unit if that is there
    /// too. Returns the bytes taken.
    pub(super) fn follow(&self, block: u64, at: usize, known: bool, outcome: &mut Outcome) -> Result<usize> {
        let range = self.index.block_range(block);
        let Some(bytes) = self.data.get(at..at + range.length as usize) else { return Ok(0) };
        let size = self.index.unit_size();
        if size == u64::from(self.index.block_size()) {
            return self.follow_unit(block, at, known, bytes, outcome);
        }
        if !known && !self.is_block(block, bytes) {
            return Ok(0);
        }
        if range.offset.is_multiple_of(size) && outcome.fruitless < FRUITLESS_RESERVE + FRUITLESS * at / size as usize {
            let unit = range.offset / size;
            let length = self.index.unit_range(unit).length;
            let last = block + length.div_ceil(u64::from(self.index.block_size())) - 1;
            let skip = (self.index.block_range(last).offset - range.offset) as usize;
            // What was shifted within the unit shows at its end, for much less than the whole of it costs.
            let whole = self.data.get(at..at + length as usize);
            let whole = whole.filter(|whole| last == block || self.is_block(last, &whole[skip..]));
            if let Some(whole) = whole {
                if let Some(verified) = Verified::check(self.index, unit, whole) {
                    let count = last + 1 - block;
                    outcome.push(self.index, Run { block, count, offset: self.start + at as u64, verified: true });
                    self.telling.unit(unit, verified)?;
                    return Ok(length as usize);
                }
                outcome.fruitless += 1;
                outcome.guard.work.hashed += length;
            }
        }
        outcome.push(self.index, Run { block, count: 1, offset: self.start + at as u64, verified: false });
        Ok(range.length as usize)
    }

    /// As [`Section::follow`], where each block is a unit: the hash that says what it is proves it.
    fn follow_unit(&self, block: u64, at: usize, known: bool, bytes: &'a [u8], outcome: &mut Outcome) -> Result<usize> {
        if !known && !self.has_weak(block, bytes) {
            return Ok(0);
        }
        let Some(verified) = Verified::check(self.index, block, bytes) else {
            outcome.guard.checked();
            return Ok(0);
        };
        outcome.push(self.index, Run { block, count: 1, offset: self.start + at as u64, verified: true });
        self.telling.unit(block, verified)?;
        Ok(bytes.len())
    }

    /// Whether the identity of `block` is that of `bytes`: first the faster one of hint and weak sum.
    pub(super) fn is_block(&self, block: u64, bytes: &[u8]) -> bool {
        if self.index.has_slow_hints() {
            return self.has_weak(block, bytes) && self.index.hint_of(bytes) == self.index.hint(block);
        }
        self.index.hint_of(bytes) == self.index.hint(block) && self.has_weak(block, bytes)
    }

    fn has_weak(&self, block: u64, bytes: &[u8]) -> bool {
        let (a, b) = weak::sum(bytes);
        self.index.cut_weak(a, b) == self.index.weak(block)
    }

    /// The target's last block may be shorter than the others; it is looked for at the end of the seed.
    pub(super) fn tail(&self, outcome: &mut Outcome) {
        let short = self.index.length() % u64::from(self.index.block_size());
        if !self.at_end || short == 0 || self.data.len() < short as usize {
            return;
        }
        let at = self.data.len() - short as usize;
        let block = self.index.block_count() - 1;
        if self.is_block(block, &self.data[at..]) {
            outcome.push(self.index, Run { block, count: 1, offset: self.start + at as u64, verified: false });
        }
    }
}

impl Outcome {
    /// Whether this block was found in the section.
    pub(super) fn has(&self, block: u64) -> bool {
        self.runs.iter().any(|run| (run.block..run.block + run.count).contains(&block))
    }

    /// Adds a run, joined to the one before where they continue each other.
    pub(super) fn push(&mut self, index: &Index, run: Run) {
        let size = u64::from(index.block_size());
        match self.runs.last_mut() {
            Some(last)
                if last.verified == run.verified
                    && last.block + last.count == run.block
                    && last.offset + last.count * size == run.offset =>
            {
                last.count += run.count;
            }
            _ => self.runs.push(run),
        }
    }

    pub(super) fn gap(&mut self, start: u64, from: usize, to: usize) {
        if from < to {
            self.gaps.push((start + from as u64, (to - from) as u64));
        }
    }
}
