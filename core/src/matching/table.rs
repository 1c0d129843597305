//! What is looked for: the blocks still missing, by weak sum. A filter that rejects nearly every offset, then a compact
//! table. Equal blocks stand beside each other, found by one hash.

use std::ops::Range;

use rayon::prelude::*;

use super::found::{Found, Place};
use crate::index::Index;
use crate::weak::Filter;

/// The blocks in play, in 8 bytes each or less, filters included.
pub(super) struct Table {
    /// What is asked at every offset.
    pub(super) filter: Filter,
    /// For each bucket the first of its entries; one more at the end.
    starts: Vec<u32>,
    /// How far a key is shifted to be the number of a bucket.
    shift: u32,
    /// Block numbers by bucket, in each by weak sum, hint and number.
    entries: Vec<u32>,
    /// A bit for each entry: it equals the one before.
    equal: Vec<u64>,
    has_equal: bool,
}

/// Parts that the buckets are put in order in, side by side.
const SHARES: usize = 64;
/// Entries of a bucket from which on all threads order it. An index may have been made to have any number in one.
const LARGE: usize = 1 << 14;

/// Spreads a weak sum over 64 bits (Fibonacci hashing).
fn spread(weak: u64) -> u64 {
    weak.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The sums that a cut weak sum is made of, as far as it has them.
fn sums(weak: u64) -> (u32, u32) {
    ((weak & 0xffff) as u32, (weak >> 16) as u32)
}

/// An empty filter for so many blocks. Every offset looks into the first step, so what decides is the cache that it
/// fits; the second step saves looks into the table, which are dear, as long as it is small itself.
fn filter(index: &Index, blocks: usize) -> Filter {
    let bits = (blocks - blocks / 4).next_power_of_two();
    let (words, check_words) = match blocks {
        0..=8192 => (1 << 13, 1 << 14),
        8193..=131_072 => (1 << 17, bits),
        131_073..=1_048_576 => (1 << 19, bits),
        _ => (bits / 4, bits),
    };
    Filter::with_check(words, check_words, sums(index.cut_weak(u32::MAX, u32::MAX)))
}

impl Table {
    /// The full blocks of these units of `index` that `found` lacks, as far as it is known what they look like.
    pub(super) fn new(index: &Index, found: &Found, units: Range<u32>) -> Table {
        // Looked at once: while this goes on, more of the index may be read.
        let known: Vec<u32> = units.filter(|unit| index.has_blocks((*unit).into())).collect();
        let missing = || found.missing_full(known.iter().copied());
        let count = missing().count();
        let buckets = (count / 4).next_power_of_two().max(16);
        let mut table = Table {
            filter: filter(index, count),
            starts: vec![0; buckets + 1],
            shift: u64::BITS - buckets.trailing_zeros(),
            entries: vec![0; count],
            equal: vec![0; count.div_ceil(64)],
            has_equal: false,
        };
        // Counted, then dealt out: each bucket's start moves to its end, which is the next one's start.
        for block in missing() {
            let weak = index.weak(block.into());
            let (a, b) = sums(weak);
            table.filter.insert(a, b);
            table.starts[(spread(weak) >> table.shift) as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut table.starts {
            sum += std::mem::replace(start, sum);
        }
        for block in missing() {
            let start = &mut table.starts[(spread(index.weak(block.into())) >> table.shift) as usize];
            table.entries[*start as usize] = block;
            *start += 1;
        }
        table.starts.copy_within(..buckets, 1);
        table.starts[0] = 0;
        table.order(index);
        table
    }

    /// Orders the entries of each bucket and marks the equal ones.
    fn order(&mut self, index: &Index) {
        let buckets = self.starts.len() - 1;
        let mut shares = Vec::new();
        let mut rest = self.entries.as_mut_slice();
        for first in (0..buckets).step_by(buckets.div_ceil(SHARES)) {
            let end = (first + buckets.div_ceil(SHARES)).min(buckets);
            let starts = &self.starts[first..=end];
            let (share, behind) = rest.split_at_mut((starts[end - first] - starts[0]) as usize);
            shares.push((starts, share));
            rest = behind;
        }
        let key = |block: &u32| (index.weak(u64::from(*block)), index.hint(u64::from(*block)));
        let equal = |(starts, share): (&[u32], &mut [u32])| {
            let mut equal = Vec::new();
            for bounds in starts.windows(2) {
                let (first, end) = ((bounds[0] - starts[0]) as usize, (bounds[1] - starts[0]) as usize);
                let bucket = &mut share[first..end];
                match bucket.len() {
                    0 | 1 => continue,
                    LARGE.. => bucket.par_sort_unstable_by_key(|block| (key(block), *block)),
                    _ => bucket.sort_unstable_by_key(|block| (key(block), *block)),
                }
                let pairs = (bounds[0] + 1..).zip(bucket.windows(2));
                equal.extend(pairs.filter(|(_, pair)| key(&pair[0]) == key(&pair[1])).map(|(at, _)| at));
            }
            equal
        };
        let equal: Vec<Vec<u32>> = shares.into_par_iter().map(equal).collect();
        for at in equal.into_iter().flatten() {
            self.equal[at as usize / 64] |= 1 << (at % 64);
            self.has_equal = true;
        }
    }

    /// The blocks among which one with this weak sum would be.
    pub(super) fn bucket(&self, weak: u64) -> &[u32] {
        let bucket = (spread(weak) >> self.shift) as usize;
        &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize]
    }

    /// Those of a bucket with this weak sum, ascending by hint. Searched by halves: an index may have been made to have
    /// any number of blocks in one bucket.
    pub(super) fn candidates<'a>(index: &Index, bucket: &'a [u32], weak: u64) -> &'a [u32] {
        let weak_of = |entry: &u32| index.weak(u64::from(*entry));
        let entries = &bucket[bucket.partition_point(|entry| weak_of(entry) < weak)..];
        &entries[..entries.partition_point(|entry| weak_of(entry) == weak)]
    }

    /// The first of the `candidates` with this hint.
    pub(super) fn pick(index: &Index, candidates: &[u32], hint: u64) -> Option<u32> {
        let hint_of = |block: &u32| index.hint(u64::from(*block));
        let first = candidates.get(candidates.partition_point(|block| hint_of(block) < hint))?;
        (hint_of(first) == hint).then_some(*first)
    }

    /// Number of blocks that are looked for.
    pub(super) fn blocks(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Gives the blocks of the table that equal a block of these units which was found before the table was made that one's
    /// place.
    pub(super) fn adopt(&self, index: &Index, found: &mut Found, units: Range<u32>) {
        let equal = |(block, place): (u32, Place)| {
            let weak = index.weak(block.into());
            let (a, b) = sums(weak);
            if !self.filter.may_have(a, b) {
                return None;
            }
            let entry =
                Table::pick(index, Table::candidates(index, self.bucket(weak), weak), index.hint(block.into()))?;
            found.place(entry).is_none().then_some((entry, place))
        };
        let equal: Vec<(u32, Place)> = found.places(index, units).filter_map(equal).collect();
        for (entry, place) in equal {
            found.add_equal(entry, place);
        }
    }

    /// Gives blocks that equal a found one its place.
    pub(super) fn spread(&self, index: &Index, found: &mut Found) {
        if !self.has_equal {
            return;
        }
        let mut at = 0;
        while let Some(first) = self.next_equal(at) {
            let count = (first + 1..self.entries.len()).take_while(|at| self.is_equal(*at)).count();
            at = first + 1 + count;
            // The one before the first that equals it belongs to them.
            spread_class(index, &self.entries[first - 1..at], found);
        }
    }

    fn is_equal(&self, at: usize) -> bool {
        self.equal[at / 64] >> (at % 64) & 1 != 0
    }

    /// The first entry from `at` on that equals the one before it.
    fn next_equal(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let mut bits = self.equal.get(word)? & (u64::MAX << (at % 64));
        while bits == 0 {
            word += 1;
            bits = *self.equal.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }
}

/// Gives all of `class`, equal blocks in ascending order, a place if one of them has one. Where a whole unit of them lies
/// in one piece, whole units get that.
fn spread_class(index: &Index, class: &[u32], found: &mut Found) {
    let Some(place) = class.iter().find_map(|block| found.place(*block)) else { return };
    let size = u64::from(index.block_size());
    let per_unit = (index.unit_size() / size) as u32;
    let units = class
        .windows(per_unit as usize)
        .filter(|blocks| blocks[0].is_multiple_of(per_unit) && blocks[blocks.len() - 1] == blocks[0] + per_unit - 1);
    let whole = units.map(|blocks| blocks[0] / per_unit).find_map(|unit| found.whole(unit));
    for block in class {
        match whole {
            Some(whole) => {
                let offset = whole.offset + u64::from(block % per_unit) * size;
                found.add(whole.seed, &super::found::Run { block: (*block).into(), count: 1, offset, verified: false });
            }
            None => found.add_equal(*block, place),
        }
    }
}
