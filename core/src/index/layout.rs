//! What an index is made of: its levels, how wide their entries are, and how many bytes all that takes.
//! Every size follows from the target's length and the levels; nothing here touches content or encoded bytes.

use super::UNIT;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Range;

/// The block sizes that an index can have, as powers of two.
pub(super) const BLOCK_LOG2: std::ops::RangeInclusive<u8> = 10..=15;
/// The sizes that the blocks of its top level can have.
pub(super) const TOP_LOG2: std::ops::RangeInclusive<u8> = UNIT_LOG2..=20;

const UNIT_LOG2: u8 = UNIT.trailing_zeros() as u8;

/// Content of up to two to this power of bytes has an index that one answer brings whole: no top to look for in it.
const WHOLE_LOG2: u32 = 23;
/// The size of the top's blocks is best for two to this power of changed places.
const PLACES_LOG2: u32 = 8;

/// Bytes of the check at the end of a group of a level with identities.
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
    /// The level of verified units where nothing is looked for by it: nothing but chaining values.
    pub(super) const UNITS: Level = Level { log2: UNIT_LOG2, strong: true, weak: 0, hint: 0 };

    /// Whether this is a level of larger blocks as this version reads them.
    pub(super) fn is_upper(&self) -> bool {
        TOP_LOG2.contains(&self.log2) && self.strong && (*self == Level::UNITS || self.has_identities())
    }

    /// Whether this is a level of identities as this version reads them.
    pub(super) fn is_fine(&self) -> bool {
        BLOCK_LOG2.contains(&self.log2) && !self.strong && self.has_identities()
    }

    fn has_identities(&self) -> bool {
        (4..=6).contains(&self.weak) && (2..=8).contains(&self.hint)
    }

    /// Bytes of an entry.
    pub(super) fn entry(&self) -> usize {
        usize::from(self.strong) * 32 + self.identity()
    }

    /// Bytes of weak sum and hint in an entry.
    pub(super) fn identity(&self) -> usize {
        usize::from(self.weak) + usize::from(self.hint)
    }

    /// Bytes of the check at the end of a group. Where there are chaining values and nothing else, these say it all.
    pub(super) fn check(&self) -> u64 {
        if self.identity() > 0 { GROUP_CHECK as u64 } else { 0 }
    }

    /// Bytes of a full block.
    pub(super) fn size(&self) -> u64 {
        1 << self.log2
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
    /// The level that is read first. Its blocks are units, or larger; then the level of units lies below it.
    pub(super) top: Level,
    /// The level of units: the top itself, or the next one below.
    pub(super) units: Level,
    pub(super) fine: Level,
}

impl Layout {
    /// The layout that this version writes. Sizes of 0 choose by length.
    pub(super) fn choose(length: u64, block_size: u32, top_size: u32) -> Result<Layout> {
        let given = |size: u32, allowed: &std::ops::RangeInclusive<u8>, wrong: &str, key| {
            let log2 = size.trailing_zeros() as u8;
            let is_right = size.is_power_of_two() && allowed.contains(&log2);
            is_right.then_some(log2).ok_or_else(|| Error::new(ErrorKind::Argument, wrong).with(key, size))
        };
        let wrong_block = "the block size is not a power of two from 1024 to 32768";
        let log2 = match block_size {
            0 => default_log2(length),
            size => given(size, &BLOCK_LOG2, wrong_block, "block_size")?,
        };
        let wrong_top = "the size of a top block is not a power of two from 65536 to 1048576";
        let (top_log2, is_scanned) = match top_size {
            0 => (default_top_log2(length), log2_ceil(length) > WHOLE_LOG2),
            size => (given(size, &TOP_LOG2, wrong_top, "top_size")?, true),
        };
        // One block for everything would say what the root says.
        let top_log2 = top_log2.min(log2_ceil(length).saturating_sub(1).max(UNIT_LOG2.into()) as u8);
        let weak = weak_bytes(length);
        let level = |log2, strong| Level { log2, strong, weak, hint: hint_bytes(length, log2, weak) };
        let top = if is_scanned && length > 1 << top_log2 { level(top_log2, true) } else { Level::UNITS };
        let units = if top == Level::UNITS { top } else { level(UNIT_LOG2, true) };
        Layout::new(length, top, units, level(log2, false))
    }

    /// A layout with these levels, if its blocks can be counted.
    pub(super) fn new(length: u64, top: Level, units: Level, fine: Level) -> Result<Layout> {
        if fine.count(length) > u64::from(u32::MAX) {
            return Err(Error::new(ErrorKind::Limit, "the target has too many blocks for one index")
                .with("length", length)
                .with("block_size", 1u64 << fine.log2)
                .with("limit", u32::MAX));
        }
        Ok(Layout { length, top, units, fine })
    }

    /// The levels, top first.
    pub(super) fn levels(&self) -> Vec<Level> {
        let units = (!self.is_top_units()).then_some(self.units);
        [Some(self.top), units, Some(self.fine)].into_iter().flatten().collect()
    }

    /// Whether the blocks of the top are the units.
    pub(super) fn is_top_units(&self) -> bool {
        self.top.log2 == UNIT_LOG2
    }

    /// Number of entries of the top level: none where the root says it all.
    pub(super) fn top_count(&self) -> u64 {
        match self.top.count(self.length) {
            0 | 1 => 0,
            count => count,
        }
    }

    /// Units in a full top block.
    pub(super) fn top_units(&self) -> usize {
        1 << (self.top.log2 - UNIT_LOG2)
    }

    /// Blocks in a full group of the level of identities: those of one unit.
    pub(super) fn group_blocks(&self) -> usize {
        1 << (UNIT_LOG2 - self.fine.log2)
    }

    /// Bytes of each level's section, top first.
    /// Cannot overflow: there are at most 2^32 blocks, none of them smaller than 1 KiB.
    pub(super) fn section_sizes(&self) -> Vec<u64> {
        let units = Level::UNITS.count(self.length);
        let entries = self.fine.count(self.length) * self.fine.entry() as u64;
        let groups = self.top.count(self.length);
        let below = (!self.is_top_units()).then(|| units * self.units.entry() as u64 + groups * self.units.check());
        let top = self.top_count() * self.top.entry() as u64 + self.top.check();
        [Some(top), below, Some(entries + units * self.fine.check())].into_iter().flatten().collect()
    }

    /// Where in its section the group of units under a top block is.
    pub(super) fn unit_group(&self, top: u64) -> Range {
        let range = self.top.range(self.length, top);
        let (entry, check) = (self.units.entry() as u64, self.units.check());
        let full = self.top_units() as u64 * entry + check;
        Range::new(top * full, range.length.div_ceil(UNIT) * entry + check)
    }

    /// Where in its section the group of blocks of a unit is, with its check.
    pub(super) fn fine_group(&self, unit: u64) -> Range {
        let unit_range = Level::UNITS.range(self.length, unit);
        let (entry, check) = (self.fine.entry() as u64, self.fine.check());
        let full = self.group_blocks() as u64 * entry + check;
        Range::new(unit * full, unit_range.length.div_ceil(self.fine.size()) * entry + check)
    }
}

/// Smaller blocks find more but cost more index, of which only the part under what has changed is read where the file is
/// large.
pub(super) fn default_log2(length: u64) -> u8 {
    match log2_ceil(length) {
        0..=27 => 10,
        28..=36 => 11,
        _ => 12,
    }
}

/// Everybody reads the top, and an entry for each unit of a top block that something changed in: together fewest where the
/// block's size squared is `length * UNIT / places`. The logarithm is rounded up.
fn default_top_log2(length: u64) -> u8 {
    let twice = length.max(1).ilog2() + u32::from(UNIT_LOG2) - PLACES_LOG2;
    twice.div_ceil(2).clamp((*TOP_LOG2.start()).into(), (*TOP_LOG2.end()).into()) as u8
}

/// The smallest `k` with two to the power of `k` at least `length`.
fn log2_ceil(length: u64) -> u32 {
    length.checked_sub(1).map_or(0, |below| u64::BITS - below.leading_zeros())
}

/// Wide enough that a scan hashes in vain about as many bytes as it looks at, at most.
fn weak_bytes(length: u64) -> u8 {
    log2_ceil(length).div_ceil(8).clamp(4, 6) as u8
}

/// Wide enough that weak sum and hint together mistake a block for another about once in a scan where nothing is known.
fn hint_bytes(length: u64, block_log2: u8, weak: u8) -> u8 {
    let wanted = (2 * log2_ceil(length)).saturating_sub(block_log2.into());
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
    fn levels_grow_with_the_length() {
        let levels = |length| {
            let layout = Layout::choose(length, 0, 0).unwrap();
            let level = |level: Level| (level.size(), level.weak, level.hint);
            (level(layout.top), level(layout.fine))
        };
        let units = (65_536, 0, 0);
        assert_eq!(levels(0), (units, (1024, 4, 2)));
        assert_eq!(levels(4 << 20), (units, (1024, 4, 2)));
        assert_eq!(levels(8 << 20), (units, (1024, 4, 2)));
        assert_eq!(levels((8 << 20) + 1), ((65_536, 4, 2), (1024, 4, 2)));
        assert_eq!(levels((32 << 20) - 1), ((65_536, 4, 2), (1024, 4, 2)));
        assert_eq!(levels(32 << 20), ((131_072, 4, 2), (1024, 4, 2)));
        assert_eq!(levels((128 << 20) + 1), ((262_144, 4, 2), (2048, 4, 2)));
        assert_eq!(levels((512 << 20) - 1), ((262_144, 4, 2), (2048, 4, 2)));
        assert_eq!(levels(512 << 20), ((524_288, 4, 2), (2048, 4, 2)));
        assert_eq!(levels(1 << 30), ((524_288, 4, 2), (2048, 4, 3)));
        assert_eq!(levels(2 << 30), ((1 << 20, 4, 2), (2048, 4, 3)));
        assert_eq!(levels(8 << 30), ((1 << 20, 5, 2), (2048, 5, 2)));
        assert_eq!(levels(1 << 40), ((1 << 20, 5, 3), (4096, 5, 4)));
    }

    /// docs/format.md: at most as many bytes hashed in vain as are scanned, and at most one mistake.
    #[test]
    fn widths_are_enough_at_every_length() {
        for length_log2 in 0..=40 {
            let length = 1u64 << length_log2;
            for block_log2 in BLOCK_LOG2 {
                // One byte less has the same logarithm, one more has the next.
                for (length, log2) in [(length, length_log2), (length + 1, length_log2 + 1), (length - 1, length_log2)]
                {
                    let layout = Layout::choose(length, 1 << block_log2, 0).unwrap();
                    for level in layout.levels().iter().filter(|level| level.has_identities()) {
                        let (weak, both) = (8 * u32::from(level.weak), 8 * level.identity() as u32);
                        assert!(weak >= log2, "{length} bytes: {level:?}");
                        assert!(both + u32::from(level.log2) >= 2 * log2, "{length} bytes: {level:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_given_top_has_more_than_one_block() {
        let top = |length| Layout::choose(length, 0, 1 << 20).unwrap().top.size();
        assert_eq!(
            [0, 1, 65_537, 131_073, 1 << 20, (1 << 20) + 1].map(top),
            [65_536, 65_536, 65_536, 131_072, 524_288, 1 << 20]
        );
        for wrong in [1, 1 << 15, 65_537, 1 << 21] {
            assert_eq!(Layout::choose(1 << 30, 0, wrong).unwrap_err().kind(), ErrorKind::Argument);
        }
    }

    #[test]
    fn groups_fill_their_sections() {
        for length in [131_073, 400_000, 1 << 20, 5_000_001] {
            let layout = Layout::choose(length, 0, 1 << 17).unwrap();
            let sizes = layout.section_sizes();
            let end = |ranges: Vec<Range>| {
                ranges.iter().fold(0, |end, range| {
                    assert_eq!(range.offset, end);
                    range.end()
                })
            };
            assert_eq!(end((0..layout.top_count()).map(|top| layout.unit_group(top)).collect()), sizes[1]);
            let units = Level::UNITS.count(length);
            assert_eq!(end((0..units).map(|unit| layout.fine_group(unit)).collect()), sizes[2]);
        }
    }

    #[test]
    fn blocks_are_counted_in_32_bits() {
        let most = u64::from(u32::MAX) << 15;
        assert!(Layout::choose(most, 32_768, 0).is_ok());
        assert_eq!(Layout::choose(most + 1, 32_768, 0).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(Layout::choose(u64::MAX, 0, 0).unwrap_err().kind(), ErrorKind::Limit);
    }
}
