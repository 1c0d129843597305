//! A set of byte ranges: what is still lacking, what was asked for. Knows nothing of blocks or requests.

use std::collections::BTreeMap;

use crate::source::Range;

/// Disjoint, non-adjacent byte ranges, ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// First offset to the offset after the last.
    runs: BTreeMap<u64, u64>,
    total: u64,
}

impl RangeSet {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes in the set.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Number of separate ranges.
    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.runs.iter().map(|(&start, &end)| Range::new(start, end - start))
    }

    /// The lowest range.
    pub fn first(&self) -> Option<Range> {
        self.iter().next()
    }

    /// The offset after the last byte, 0 if there is none.
    pub fn end(&self) -> u64 {
        self.runs.last_key_value().map_or(0, |(_, &end)| end)
    }

    /// Whether any byte of `range` is in the set.
    pub fn touches(&self, range: Range) -> bool {
        self.runs.range(..range.end()).next_back().is_some_and(|(_, &end)| end > range.offset)
    }

    /// Whether every byte of `range` is in the set.
    pub fn contains(&self, range: Range) -> bool {
        self.runs.range(..=range.offset).next_back().is_some_and(|(_, &end)| end >= range.end())
    }

    /// Adds a range; what is in the set already stays.
    pub fn insert(&mut self, range: Range) {
        let (mut start, mut end) = (range.offset, range.end());
        if start >= end {
            return;
        }
        // Swallow every run that overlaps or touches.
        while let Some((&run, &run_end)) = self.runs.range(..=end).next_back() {
            if run_end < start {
                break;
            }
            self.runs.remove(&run);
            self.total -= run_end - run;
            start = start.min(run);
            end = end.max(run_end);
        }
        self.runs.insert(start, end);
        self.total += end - start;
    }

    /// Takes a range out and returns the parts of it that were in the set, ascending.
    pub fn remove(&mut self, range: Range) -> Vec<Range> {
        let (start, end) = (range.offset, range.end());
        let mut taken = Vec::new();
        if start >= end {
            return taken;
        }
        while let Some((&run, &run_end)) = self.runs.range(..end).next_back() {
            if run_end <= start {
                break;
            }
            self.runs.remove(&run);
            let (low, high) = (run.max(start), run_end.min(end));
            self.total -= high - low;
            taken.push(Range::new(low, high - low));
            if run < low {
                self.runs.insert(run, low);
            }
            if high < run_end {
                self.runs.insert(high, run_end);
            }
        }
        taken.reverse();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every insert and remove does to the set what it does to a plain array of flags.
        #[test]
        fn behaves_like_flags(steps in proptest::collection::vec((any::<bool>(), 0u64..64, 0u64..20), 1..60)) {
            let mut set = RangeSet::new();
            let mut flags = [false; 96];
            for (insert, offset, length) in steps {
                let range = Range::new(offset, length);
                let span = offset as usize..(offset + length) as usize;
                if insert {
                    set.insert(range);
                    flags[span].fill(true);
                } else {
                    let had = flags[span.clone()].iter().filter(|flag| **flag).count() as u64;
                    let taken = set.remove(range);
                    prop_assert_eq!(taken.iter().map(|r| r.length).sum::<u64>(), had);
                    prop_assert!(taken.windows(2).all(|w| w[0].end() < w[1].offset));
                    flags[span].fill(false);
                }
                prop_assert_eq!(set.touches(Range::new(30, 9)), flags[30..39].contains(&true));
                prop_assert_eq!(set.total(), flags.iter().filter(|flag| **flag).count() as u64);
                let mut back = [false; 96];
                for run in set.iter() {
                    prop_assert!(run.length > 0);
                    back[run.offset as usize..run.end() as usize].fill(true);
                }
                prop_assert_eq!(back, flags);
                let runs: Vec<Range> = set.iter().collect();
                prop_assert!(runs.windows(2).all(|w| w[0].end() < w[1].offset), "runs touch");
            }
        }
    }
}
