//! What matching has found so far: for each block of the target, where in which seed it is.

use super::scan::Run;
use crate::index::{Index, UNIT};
use crate::plan::{Origin, Piece};
use crate::source::Range;

const MISSING: u64 = u64::MAX;

/// For each block where it is, and which units have been verified as a whole. 12 bytes a block.
pub struct Found {
    length: u64,
    block_size: u64,
    offsets: Vec<u64>,
    seeds: Vec<u32>,
    verified: Vec<bool>,
    missing: u64,
}

impl Found {
    /// Nothing found yet.
    pub fn new(index: &Index) -> Self {
        let blocks = index.block_count() as usize;
        Found {
            length: index.length(),
            block_size: u64::from(index.block_size()),
            offsets: vec![MISSING; blocks],
            seeds: vec![0; blocks],
            verified: vec![false; index.unit_count() as usize],
            missing: index.block_count(),
        }
    }

    /// Number of blocks that are nowhere in the seeds so far.
    pub fn missing_blocks(&self) -> u64 {
        self.missing
    }

    /// Whether no block of this unit was found.
    pub fn has_none(&self, unit: u64) -> bool {
        let blocks = UNIT / self.block_size;
        let first = ((unit * blocks) as usize).min(self.offsets.len());
        let end = (first + blocks as usize).min(self.offsets.len());
        self.offsets[first..end].iter().all(|offset| *offset == MISSING)
    }

    pub(super) fn has(&self, block: u32) -> bool {
        self.offsets[block as usize] != MISSING
    }

    /// Adds a run of blocks. The first place of a block stays, but a verified unit beats single blocks.
    pub(super) fn add(&mut self, seed: u32, run: &Run) {
        if run.verified {
            let unit = (run.block * self.block_size / UNIT) as usize;
            if std::mem::replace(&mut self.verified[unit], true) {
                return;
            }
        }
        for i in 0..run.count {
            let block = run.block + i;
            let unit = (block * self.block_size / UNIT) as usize;
            if run.verified || !self.verified[unit] {
                self.set(block as usize, seed, run.offset + i * self.block_size, run.verified);
            }
        }
    }

    fn set(&mut self, block: usize, seed: u32, offset: u64, replace: bool) {
        if self.offsets[block] == MISSING {
            self.missing -= 1;
        } else if !replace {
            return;
        }
        self.offsets[block] = offset;
        self.seeds[block] = seed;
    }

    /// Gives blocks that equal a found one its place.
    pub(super) fn spread(&mut self, equal: &[(u32, u32)]) {
        // Either of a pair may be the one that was found (a run may follow through the one that the table does not hold).
        for (block, entry) in equal {
            let (block, entry) = (*block as usize, *entry as usize);
            if self.offsets[entry] == MISSING && self.offsets[block] != MISSING {
                self.set(entry, self.seeds[block], self.offsets[block], false);
            }
        }
        for (block, entry) in equal {
            let (block, entry) = (*block as usize, *entry as usize);
            if self.offsets[block] == MISSING && self.offsets[entry] != MISSING {
                self.set(block, self.seeds[entry], self.offsets[entry], false);
            }
        }
    }

    /// The exact cover of the target: ascending, runs joined.
    pub fn cover(&self) -> Vec<Piece> {
        let mut cover: Vec<Piece> = Vec::new();
        for (block, (&offset, &seed)) in self.offsets.iter().zip(&self.seeds).enumerate() {
            let start = block as u64 * self.block_size;
            let length = self.block_size.min(self.length - start);
            let origin = if offset == MISSING { Origin::Missing } else { Origin::Seed { seed, offset } };
            match cover.last_mut() {
                Some(last) if continues(last, origin) => last.target.length += length,
                _ => cover.push(Piece { target: Range::new(start, length), origin }),
            }
        }
        cover
    }
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
