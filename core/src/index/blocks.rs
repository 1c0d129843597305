//! A level of larger blocks, as whoever looks for them sees it: the top, or the units below it.

use xxhash_rust::xxh3::xxh3_64;

use super::layout::Level;
use super::{Index, cut_weak, low_bytes, upper_hint};
use crate::source::Range;

/// The blocks of a level with chaining values.
#[derive(Clone, Copy)]
pub struct Blocks<'a> {
    pub(super) index: &'a Index,
    pub(super) is_top: bool,
}

impl<'a> Blocks<'a> {
    fn level(&self) -> &'a Level {
        if self.is_top { &self.index.layout.top } else { &self.index.layout.units }
    }

    /// The index that it is a level of.
    pub fn index(&self) -> &'a Index {
        self.index
    }

    /// Bytes of a block.
    pub fn size(&self) -> u64 {
        if self.is_top { self.index.top_size() } else { self.index.unit_size() }
    }

    /// Number of blocks.
    pub fn count(&self) -> u64 {
        self.index.length().div_ceil(self.size())
    }

    /// The range of the target that a block covers; empty behind the last one.
    pub fn range(&self, block: u64) -> Range {
        if self.is_top { self.index.top_range(block) } else { self.index.unit_range(block) }
    }

    /// Whether blocks have identities, so that they can be looked for where they are not expected.
    pub fn has_identities(&self) -> bool {
        self.level().weak > 0
    }

    /// Whether `bytes` is exactly this block of the target. One whose chaining value is not here is nothing.
    pub fn is(&self, block: u64, bytes: &[u8]) -> bool {
        if self.is_top { self.index.top_is(block, bytes) } else { self.index.unit_is(block, bytes) }
    }

    /// Weak sum and hint of a block, cut to the index's width. Nothing where there are none, or they are not here.
    pub fn identity(&self, block: u64) -> Option<(u64, u64)> {
        let level = self.level();
        if level.weak == 0 || block >= self.count() {
            return None;
        }
        let size = level.identity();
        let bytes = if self.is_top || self.index.layout.is_top_units() {
            self.index.top.get()?.identities.get(block as usize * size..)?
        } else {
            let full = self.index.layout.top_units();
            let (group, slot) = (block as usize / full, block as usize % full);
            self.index.unit_identities.from(group, full * size, slot * size)?
        };
        let (weak, rest) = bytes.split_at_checked(usize::from(level.weak))?;
        let field = |bytes: &[u8], width: usize| {
            let mut field = [0; 8];
            field[..width].copy_from_slice(bytes.get(..width)?);
            Some(u64::from_le_bytes(field))
        };
        Some((field(weak, weak.len())?, field(rest, usize::from(level.hint))?))
    }

    /// Cuts a full weak sum (A and B, mod 2^32 each) to the index's width.
    pub fn cut_weak(&self, a: u32, b: u32) -> u64 {
        cut_weak(self.level(), (a, b))
    }

    /// The hint of `bytes`, in the index's width.
    pub fn hint_of(&self, bytes: &[u8]) -> u64 {
        let hashes = bytes.chunks(1 << self.index.layout.fine.log2).map(xxh3_64);
        upper_hint(hashes) & low_bytes(self.level().hint)
    }
}
