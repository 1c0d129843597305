//! What is looked for: the blocks still missing, by weak sum. A bit filter that rejects nearly every offset,
//! then a compact table. Equal blocks are one entry, found by one hash.

use rayon::prelude::*;

use super::found::Found;
use crate::index::Index;

/// The blocks in play. About 12 bytes a block, plus the filters.
pub(super) struct Table {
    /// Bit filter; see [`Table::may_have`].
    filter: Vec<u32>,
    word_mask: u32,
    /// A second one for what passes the first: 32 bits a block, by other bits.
    second: Vec<u32>,
    /// For each bucket the first of its entries; one more at the end.
    buckets: Vec<u32>,
    shift: u32,
    /// Block numbers, by bucket.
    entries: Vec<u32>,
    /// Blocks that equal an entry: (block, entry).
    equal: Vec<(u32, u32)>,
}

/// Words of the first filter at most: every offset looks into it, so it has to stay in the second-level cache.
const FIRST_FILTER: usize = 1 << 17;

/// Spreads a weak sum over 64 bits (Fibonacci hashing).
fn spread(weak: u64) -> u64 {
    weak.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Table {
    /// The full blocks of `index` that `found` lacks.
    pub(super) fn new(index: &Index, found: &Found) -> Table {
        let full = (index.length() / u64::from(index.block_size().max(1))) as u32;
        let mut keyed: Vec<(u64, u32)> = (0..full)
            .into_par_iter()
            .filter(|block| !found.has(*block))
            .map(|block| (spread(index.weak(u64::from(block))), block))
            .collect();
        keyed.par_sort_unstable_by(|x, y| {
            x.0.cmp(&y.0).then_with(|| index.hint(x.1.into()).cmp(&index.hint(y.1.into()))).then(x.1.cmp(&y.1))
        });
        let mut equal = Vec::new();
        keyed.dedup_by(|later, first| {
            let same = later.0 == first.0 && index.hint(later.1.into()) == index.hint(first.1.into());
            if same {
                equal.push((later.1, first.1));
            }
            same
        });
        let bits = (usize::BITS - keyed.len().leading_zeros()).clamp(4, 32);
        let mut table = Table {
            filter: Vec::new(),
            word_mask: 0,
            second: Vec::new(),
            buckets: vec![0; (1usize << bits) + 1],
            shift: 64 - bits,
            entries: keyed.iter().map(|(_, block)| *block).collect(),
            equal,
        };
        for (key, _) in &keyed {
            table.buckets[(key >> table.shift) as usize + 1] += 1;
        }
        for bucket in 1..table.buckets.len() {
            table.buckets[bucket] += table.buckets[bucket - 1];
        }
        drop(keyed);
        table.fill_filters(index);
        table
    }

    /// The first filter is addressed by nothing but bits of the sums that the index kept, the second by all of them.
    fn fill_filters(&mut self, index: &Index) {
        let kept = index.cut_weak(u32::MAX, u32::MAX) >> 16;
        let words = self.entries.len().next_power_of_two().clamp(1 << 12, FIRST_FILTER).min(kept as usize + 1);
        self.filter = vec![0; words];
        self.second = vec![0; self.entries.len().next_power_of_two()];
        self.word_mask = words as u32 - 1;
        for &entry in &self.entries {
            let weak = index.weak(entry.into());
            let word = (weak >> 16) as u32 & self.word_mask;
            self.filter[word as usize] |= 1 << (weak & 31);
            let (word, bit) = self.second_slot(spread(weak));
            self.second[word] |= bit;
        }
    }

    /// Whether a block with these sums may be in the table. Low bits of B choose the word, of A the bit:
    /// no multiplication, since every offset pays for it.
    #[inline(always)]
    pub(super) fn may_have(&self, a: u32, b: u32) -> bool {
        // The word is masked by the filter's length, a power of two, so that `get` always finds it.
        self.filter.get((b & self.word_mask) as usize).is_some_and(|bits| (bits >> (a & 31)) & 1 != 0)
    }

    fn second_slot(&self, key: u64) -> (usize, u32) {
        ((key >> 13) as usize & (self.second.len() - 1), 1 << (key >> 8 & 31))
    }

    /// The blocks with this weak sum, ascending by hint. Searched by halves: an index may have been made to have any
    /// number of blocks in one bucket.
    pub(super) fn candidates(&self, index: &Index, weak: u64) -> &[u32] {
        let key = spread(weak);
        let (word, bit) = self.second_slot(key);
        if self.second[word] & bit == 0 {
            return &[];
        }
        let bucket = (key >> self.shift) as usize;
        let entries = &self.entries[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize];
        let key_of = |entry: &u32| spread(index.weak(u64::from(*entry)));
        let entries = &entries[entries.partition_point(|entry| key_of(entry) < key)..];
        &entries[..entries.partition_point(|entry| key_of(entry) == key)]
    }

    /// Number of blocks that are looked for.
    pub(super) fn blocks(&self) -> u64 {
        (self.entries.len() + self.equal.len()) as u64
    }

    /// Blocks that equal an entry of the table: (block, entry).
    pub(super) fn equal_blocks(&self) -> &[(u32, u32)] {
        &self.equal
    }
}
