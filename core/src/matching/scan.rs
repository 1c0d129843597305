//! Goes through one section of a seed: follows runs of blocks, rolls the weak sum over the rest.

use super::Observe;
use super::table::Table;
use crate::assemble::Verified;
use crate::error::Result;
use crate::index::{Index, UNIT};
use crate::weak;

/// Blocks of the target that lie one after another in the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first block.
    pub(super) block: u64,
    /// Number of blocks.
    pub(super) count: u64,
    /// Where in the seed.
    pub(super) offset: u64,
    /// The blocks are one whole unit, and it was verified.
    pub(super) verified: bool,
}

/// Bytes that checks may cost beyond what was scanned, per byte scanned. XXH3 is an order of magnitude faster
/// than the scan, so that this bounds the time for hostile input without hurting any other.
const REFILL: i64 = 8;
/// What a section may spend at once, in blocks.
const RESERVE: i64 = 64;
/// Units of which only the first block was there: so many are compared whole in a section, and [`FRUITLESS`] more for
/// each unit's length of it. Further ones are taken block by block.
const FRUITLESS_RESERVE: usize = 16;
const FRUITLESS: usize = 4;

/// A section of a seed.
pub(super) struct Section<'a> {
    pub(super) index: &'a Index,
    pub(super) table: &'a Table,
    /// The section, and up to a unit of what follows it.
    pub(super) data: &'a [u8],
    /// Where in the seed it starts.
    pub(super) start: u64,
    /// How many positions of `data` belong to the section; what follows is only looked at by runs that began before.
    pub(super) inside: usize,
    /// `data` ends where the seed ends.
    pub(super) at_end: bool,
}

impl Section<'_> {
    /// Finds the runs of blocks that start in this section.
    pub(super) fn scan(&self, observer: &dyn Observe) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        let block_size = self.index.block_size() as usize;
        let inside = self.inside.min(self.data.len());
        let mut budget = RESERVE * block_size as i64;
        let mut at = 0;
        let mut fruitless = 0;
        // Whoever has an old version most likely has most blocks at their own place: try that first of all.
        let mut expected = self.diagonal(0);
        while at < inside {
            if let Some(block) = expected.take() {
                let followed = self.follow(block, at, &mut runs, &mut fruitless, observer)?;
                if followed > 0 {
                    at += followed;
                    let next = block + (followed as u64).div_ceil(block_size as u64);
                    expected = (next < self.index.block_count()).then_some(next);
                    continue;
                }
            }
            match self.roll(&mut at, inside, &mut budget) {
                Some(block) => expected = Some(block),
                // Nothing up to here; a place where a unit would start by its own offset is worth a direct try.
                None => expected = self.diagonal(at),
            }
        }
        self.tail(&mut runs);
        Ok(runs)
    }

    /// The block that starts at position `at` if the seed is aligned with the target there and a unit starts.
    fn diagonal(&self, at: usize) -> Option<u64> {
        let offset = self.start + at as u64;
        let aligned = offset.is_multiple_of(UNIT) && offset < self.index.length();
        aligned.then(|| offset / u64::from(self.index.block_size()))
    }

    /// Takes `block` at position `at` if it is there, with the whole unit if that is there too. Returns the bytes taken.
    fn follow(
        &self,
        block: u64,
        at: usize,
        runs: &mut Vec<Run>,
        fruitless: &mut usize,
        observer: &dyn Observe,
    ) -> Result<usize> {
        let range = self.index.block_range(block);
        let Some(bytes) = self.data.get(at..at + range.length as usize) else { return Ok(0) };
        if !self.is_block(block, bytes) {
            return Ok(0);
        }
        if range.offset.is_multiple_of(UNIT) && *fruitless < FRUITLESS_RESERVE + FRUITLESS * (at / UNIT as usize) {
            let unit = range.offset / UNIT;
            let length = self.index.unit_range(unit).length;
            let whole = self.data.get(at..at + length as usize);
            if let Some(verified) = whole.and_then(|whole| Verified::check(self.index, unit, whole)) {
                let count = length.div_ceil(u64::from(self.index.block_size()));
                self.push(runs, Run { block, count, offset: self.start + at as u64, verified: true });
                observer.unit(unit, verified)?;
                return Ok(length as usize);
            }
            *fruitless += 1;
        }
        self.push(runs, Run { block, count: 1, offset: self.start + at as u64, verified: false });
        Ok(range.length as usize)
    }

    /// Whether the identity of `block` is that of `bytes`: the hint first, it is the faster of the two.
    fn is_block(&self, block: u64, bytes: &[u8]) -> bool {
        if self.index.hint_of(bytes) != self.index.hint(block) {
            return false;
        }
        let (a, b) = weak::sum(bytes);
        self.index.cut_weak(a, b) == self.index.weak(block)
    }

    /// Rolls from `at` to the first block that is there, or to the next place of interest. At a block, `at` stays on it.
    fn roll(&self, at: &mut usize, inside: usize, budget: &mut i64) -> Option<u64> {
        let size = self.index.block_size() as usize;
        // Positions that have a whole block before them, up to the next place where a unit starts on the diagonal.
        let until_unit = (UNIT - (self.start + *at as u64) % UNIT) as usize;
        let stop = inside.min(*at + until_unit);
        let last = self.data.len().saturating_sub(size).min(stop.saturating_sub(1));
        if *at > last || self.data.len() < size {
            *at = stop;
            return None;
        }
        *budget = (*budget + REFILL * (stop - *at) as i64).min(RESERVE * size as i64 + REFILL * UNIT as i64);
        let (mut a, mut b) = weak::sum(&self.data[*at..*at + size]);
        // Two views of the same data, one block apart, walked together.
        let leaving = &self.data[*at..];
        let entering = &self.data[*at + size..];
        for step in 0..=(last - *at) {
            if self.table.may_have(a, b) {
                let here = *at + step;
                if let Some(block) = self.check(a, b, &self.data[here..here + size], budget) {
                    // What was not rolled over is not paid for.
                    *budget -= REFILL * (stop - here) as i64;
                    *at = here;
                    return Some(block);
                }
            }
            if let (Some(&out), Some(&new)) = (leaving.get(step), entering.get(step)) {
                (a, b) = weak::roll((a, b), out, new, size as u32);
            }
        }
        *at = stop;
        None
    }

    /// Looks the sums up; a hash decides, if the budget allows one.
    #[cold]
    fn check(&self, a: u32, b: u32, bytes: &[u8], budget: &mut i64) -> Option<u64> {
        let candidates = self.table.candidates(self.index, self.index.cut_weak(a, b));
        if candidates.is_empty() || *budget < bytes.len() as i64 {
            return None;
        }
        let hint = self.index.hint_of(bytes);
        let hint_of = |block: &u32| self.index.hint(u64::from(*block));
        match candidates.get(candidates.partition_point(|block| hint_of(block) < hint)) {
            // Free: a block that is there is paid by the bytes that are skipped.
            Some(block) if hint_of(block) == hint => Some(u64::from(*block)),
            _ => {
                *budget -= bytes.len() as i64;
                None
            }
        }
    }

    /// The target's last block may be shorter than the others; it is looked for at the end of the seed.
    fn tail(&self, runs: &mut Vec<Run>) {
        let short = self.index.length() % u64::from(self.index.block_size());
        if !self.at_end || short == 0 || self.data.len() < short as usize {
            return;
        }
        let at = self.data.len() - short as usize;
        let block = self.index.block_count() - 1;
        if self.is_block(block, &self.data[at..]) {
            self.push(runs, Run { block, count: 1, offset: self.start + at as u64, verified: false });
        }
    }

    /// Adds a run, joined to the one before where they continue each other.
    fn push(&self, runs: &mut Vec<Run>, run: Run) {
        let size = u64::from(self.index.block_size());
        match runs.last_mut() {
            Some(last)
                if !last.verified
                    && !run.verified
                    && last.block + last.count == run.block
                    && last.offset + last.count * size == run.offset =>
            {
                last.count += run.count;
            }
            _ => runs.push(run),
        }
    }
}
