//! What an index is made of: its levels, how wide their entries are, and how many bytes all that takes.
//! Every size follows from the target's length and the levels; nothing here touches content or encoded bytes.

use super::UNIT;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Range;

/// The block sizes that an index can have, as powers of two.
pub(super) const BLOCK_LOG2: std::ops::RangeInclusive<u8> = 10..=15;

const UNIT_LOG2: u8 = UNIT.trailing_zeros() as u8;

/// Bytes of the check at the end of a group of a level without strong hashes.
pub(super) const GROUP_CHECK: usize = 4;

/// One level: blocks of one size, and what an entry says of each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// The block size is two to this power.
    pub(super) log2: u8,
    /// Whether entries carry the 32 bytes of a BLAKE3 chaining value.
    pub(super) strong: bool,
    /// Bytes of the weak sum in an entry.
    pub(super) weak: u8,
    /// Bytes of the hint in an entry.
    pub(super) hint: u8,
}

impl Level {
    /// The level of verified units, the top one of every index.
    pub(super) const TOP: Level = Level { log2: UNIT_LOG2, strong: true, weak: 0, hint: 0 };

    /// Whether this is a level of identities as this version reads them.
    pub(super) fn is_fine(&self) -> bool {
        BLOCK_LOG2.contains(&self.log2) && !self.strong && (4..=6).contains(&self.weak) && (2..=8).contains(&self.hint)
    }

    /// Bytes of an entry.
    pub(super) fn entry(&self) -> usize {
        usize::from(self.strong) * 32 + usize::from(self.weak) + usize::from(self.hint)
    }

    /// Number of blocks of content of `length` bytes.
    pub(super) fn count(&self, length: u64) -> u64 {
        length.div_ceil(1 << self.log2)
    }

    /// The range of content of `length` bytes that block `block` covers; empty behind the end.
    pub(super) fn range(&self, length: u64, block: u64) -> Range {
        let size = 1u64 << self.log2;
        let offset = block.saturating_mul(size).min(length);
        Range::new(offset, size.min(length - offset))
    }
}

/// The length of the target and the levels of its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) length: u64,
    pub(super) fine: Level,
}

impl Layout {
    /// The layout that this version writes. `block_size` 0 chooses by length.
    pub(super) fn choose(length: u64, block_size: u32) -> Result<Layout> {
        let log2 = match block_size {
            0 => default_log2(length),
            size if size.is_power_of_two() && BLOCK_LOG2.contains(&(size.trailing_zeros() as u8)) => {
                size.trailing_zeros() as u8
            }
            _ => {
                return Err(Error::new(ErrorKind::Argument, "the block size is not a power of two from 1024 to 32768")
                    .with("block_size", block_size));
            }
        };
        let weak = weak_bytes(length);
        Layout::new(length, Level { log2, strong: false, weak, hint: hint_bytes(length, log2, weak) })
    }

    /// A layout with this level of identities, if its blocks can be counted.
    pub(super) fn new(length: u64, fine: Level) -> Result<Layout> {
        if fine.count(length) > u64::from(u32::MAX) {
            return Err(Error::new(ErrorKind::Limit, "the target has too many blocks for one index")
                .with("length", length)
                .with("block_size", 1u64 << fine.log2)
                .with("limit", u32::MAX));
        }
        Ok(Layout { length, fine })
    }

    /// The levels, top first.
    pub(super) fn levels(&self) -> [Level; 2] {
        [Level::TOP, self.fine]
    }

    /// Number of chaining values in the top level: none where the root says it all.
    pub(super) fn value_count(&self) -> u64 {
        match Level::TOP.count(self.length) {
            0 | 1 => 0,
            count => count,
        }
    }

    /// Blocks in a full group of the level of identities: those of one unit.
    pub(super) fn group_blocks(&self) -> usize {
        1 << (UNIT_LOG2 - self.fine.log2)
    }

    /// Bytes of each level's section, top first.
    /// Cannot overflow: there are at most 2^32 blocks, none of them smaller than 1 KiB.
    pub(super) fn section_sizes(&self) -> [u64; 2] {
        let entries = self.fine.count(self.length) * self.fine.entry() as u64;
        let groups = Level::TOP.count(self.length);
        [self.value_count() * Level::TOP.entry() as u64, entries + groups * GROUP_CHECK as u64]
    }
}

/// Smaller blocks find more but cost more index; the steps keep an index near 1 % of the target or below.
fn default_log2(length: u64) -> u8 {
    if length <= 4 << 20 {
        10
    } else if length <= 4 << 30 {
        11
    } else {
        12
    }
}

/// The smallest `k` with two to the power of `k` at least `length`.
fn log2_ceil(length: u64) -> u32 {
    length.checked_sub(1).map_or(0, |below| u64::BITS - below.leading_zeros())
}

/// Wide enough that a scan hashes in vain at most about one byte in 128.
fn weak_bytes(length: u64) -> u8 {
    (log2_ceil(length) + 7).div_ceil(8).clamp(4, 6) as u8
}

/// Wide enough that weak sum and hint together mistake a block for another about once in 65,536 scans.
fn hint_bytes(length: u64, block_log2: u8, weak: u8) -> u8 {
    let wanted = 2 * log2_ceil(length) + 16 - u32::from(block_log2);
    wanted.saturating_sub(8 * u32::from(weak)).div_ceil(8).clamp(2, 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log2_is_rounded_up() {
        let cases =
            [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 33, 33), ((1 << 33) + 1, 34), (u64::MAX, 64)];
        for (length, log2) in cases {
            assert_eq!(log2_ceil(length), log2, "length {length}");
        }
    }

    #[test]
    fn widths_grow_with_the_length() {
        let widths = |length| {
            let fine = Layout::choose(length, 0).unwrap().fine;
            (1u32 << fine.log2, fine.weak, fine.hint)
        };
        assert_eq!(widths(0), (1024, 4, 2));
        assert_eq!(widths(4 << 20), (1024, 4, 3));
        assert_eq!(widths((4 << 20) + 1), (2048, 4, 3));
        assert_eq!(widths(64 << 20), (2048, 5, 3));
        assert_eq!(widths(4 << 30), (2048, 5, 4));
        assert_eq!(widths((4 << 30) + 1), (4096, 5, 4));
        assert_eq!(widths(1 << 40), (4096, 6, 5));
    }

    #[test]
    fn blocks_are_counted_in_32_bits() {
        let most = u64::from(u32::MAX) << 15;
        assert!(Layout::choose(most, 32_768).is_ok());
        assert_eq!(Layout::choose(most + 1, 32_768).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(Layout::choose(u64::MAX, 0).unwrap_err().kind(), ErrorKind::Limit);
    }
}
