//! Where old bytes of the target are: still at their place, or in the journal.

use std::collections::BTreeMap;

use crate::source::Range;

/// Old bytes that are copied to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spill {
    /// Where in the old target they are.
    pub old: Range,
    /// Where in the journal they go.
    pub at: u64,
}

/// The old bytes that lie in the journal. Some may lie there twice, where blocks that have to stay whole overlap.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    /// By their place in the old target: in each layer, runs do not overlap.
    layers: Vec<BTreeMap<u64, Spill>>,
    /// Their layers and beginnings, by their place in the journal.
    places: BTreeMap<u64, (usize, u64)>,
}

impl Moved {
    /// Notes that bytes were copied. What lay at that place of the journal before is gone.
    pub fn insert(&mut self, spill: Spill) {
        let (at, end) = (spill.at, spill.at + spill.old.length);
        while let Some((&place, &(layer, old))) = self.places.range(..end).next_back() {
            let length = self.layers.get(layer).and_then(|runs| runs.get(&old)).map_or(0, |run| run.old.length);
            if place + length <= at {
                break;
            }
            self.remove(layer, old);
        }
        for layer in 0..self.layers.len() {
            let inside = self.layers[layer].range(spill.old.offset..spill.old.end());
            let inside: Vec<u64> =
                inside.filter(|(_, run)| run.old.end() <= spill.old.end()).map(|(old, _)| *old).collect();
            inside.into_iter().for_each(|old| self.remove(layer, old));
        }
        let is_free = |runs: &BTreeMap<u64, Spill>| {
            let last = runs.range(..spill.old.end()).next_back();
            last.is_none_or(|(_, run)| run.old.end() <= spill.old.offset)
        };
        let layer = self.layers.iter().position(is_free).unwrap_or(self.layers.len());
        if layer == self.layers.len() {
            self.layers.push(BTreeMap::new());
        }
        self.layers[layer].insert(spill.old.offset, spill);
        self.places.insert(spill.at, (layer, spill.old.offset));
    }

    fn remove(&mut self, layer: usize, old: u64) {
        if let Some(run) = self.layers.get_mut(layer).and_then(|runs| runs.remove(&old)) {
            self.places.remove(&run.at);
        }
    }

    /// Forgets what `is_needed` says no to.
    pub(super) fn retain(&mut self, is_needed: impl Fn(Range) -> bool) {
        let gone = self.iter().filter(|run| !is_needed(run.old)).map(|run| run.at).collect::<Vec<u64>>();
        for (layer, old) in gone.into_iter().filter_map(|at| self.places.get(&at).copied()).collect::<Vec<_>>() {
            self.remove(layer, old);
        }
    }

    /// What is in the journal.
    pub fn iter(&self) -> impl Iterator<Item = Spill> + '_ {
        self.layers.iter().flat_map(|runs| runs.values().copied())
    }

    /// Whether all of `range` is in the journal, in one piece.
    pub fn holds(&self, range: Range) -> bool {
        self.reaching(range.offset) >= range.end()
    }

    /// How far the bytes from `offset` on lie in the journal in one piece.
    fn reaching(&self, offset: u64) -> u64 {
        self.at(offset).map_or(offset, |run| run.old.end())
    }

    /// The run with the byte at `offset` that goes furthest.
    fn at(&self, offset: u64) -> Option<Spill> {
        let runs = self.layers.iter().filter_map(|runs| runs.range(..=offset).next_back());
        runs.map(|(_, run)| *run).filter(|run| run.old.end() > offset).max_by_key(|run| run.old.end())
    }

    /// Cuts `range` of the old target into what is in the journal (and where) and what is at its place.
    pub fn pieces(&self, range: Range) -> Vec<(Range, Option<u64>)> {
        let (mut pieces, mut at) = (Vec::new(), range.offset);
        while at < range.end() {
            let (end, place) = match self.at(at) {
                Some(run) => (run.old.end(), Some(run.at + (at - run.old.offset))),
                None => {
                    let next = |runs: &BTreeMap<u64, Spill>| runs.range(at..range.end()).next().map(|(old, _)| *old);
                    (self.layers.iter().filter_map(next).min().unwrap_or(range.end()), None)
                }
            };
            let end = end.min(range.end());
            pieces.push((Range::new(at, end - at), place));
            at = end;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is said to be in the journal is what was copied there last.
        #[test]
        fn knows_what_lies_where(spills in proptest::collection::vec((0u64..40, 1u64..12, 0u64..40), 1..30), from in 0u64..30, length in 0u64..30) {
            let mut moved = Moved::default();
            let mut journal = [None; 64];
            for (offset, length, at) in spills {
                moved.insert(Spill { old: Range::new(offset, length), at });
                for i in 0..length {
                    journal[(at + i) as usize] = Some(offset + i);
                }
            }
            let mut at = from;
            for (range, place) in moved.pieces(Range::new(from, length)) {
                prop_assert_eq!(range.offset, at);
                prop_assert!(range.length > 0);
                at = range.end();
                for (i, place) in place.into_iter().flat_map(|place| place..place + range.length).enumerate() {
                    prop_assert_eq!(journal[place as usize], Some(range.offset + i as u64));
                }
                prop_assert!(place.is_none() || moved.holds(range));
            }
            prop_assert_eq!(at, from + length);
            // No two of them are at one place.
            let runs: Vec<Spill> = moved.iter().collect();
            prop_assert_eq!(runs.len(), moved.places.len());
            for run in &runs {
                prop_assert_eq!(moved.places.get(&run.at).map(|(_, old)| *old), Some(run.old.offset));
            }
        }
    }
}
