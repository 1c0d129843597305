//! What was changed in place, followed from the top down to its blocks while the search for top blocks goes on: what lies
//! between two blocks that a seed has as far from each other as they should be is most likely nowhere else. The groups of
//! the index under it are read, its units and then its blocks are looked for where the seed has something between the same
//! two, and what is new after that is asked for. So at the end of the search only its last steps are still to be waited for,
//! and not all that was found on the way.
//!
//! Unless most of it is new: then something else was put in its place, which may be further on in a seed.

use std::collections::HashSet;

use gosync_core::index::UNIT;
use gosync_core::matching::{self, Found, Gap};
use gosync_core::{Index, Origin, Piece, Range, ReadAt, Result};

use super::work::Watcher;
use crate::parts::{Reading, Wanted};

/// A change is followed while the search goes on up to so many top blocks: what is longer has most likely been moved.
const LONGEST: u64 = 8;

/// The changes that are being followed.
pub(super) struct Changed<'a, 'scope, 'env> {
    index: &'a Index,
    readers: &'a [&'a dyn ReadAt],
    watcher: &'a Watcher<'a>,
    pub(super) reading: Reading<'scope, 'env>,
    /// Top blocks that were seen to be changed, and those of them whose units have not been looked for yet.
    tops: HashSet<u64>,
    open_tops: Vec<u64>,
    /// Gaps whose blocks have not been looked for yet.
    open_gaps: Vec<Gap>,
    /// Units of which everything that is missing has been asked for.
    pub(super) asked: HashSet<u64>,
}

impl<'a, 'scope, 'env> Changed<'a, 'scope, 'env> {
    pub(super) fn new(
        index: &'a Index,
        readers: &'a [&'a dyn ReadAt],
        watcher: &'a Watcher<'a>,
        reading: Reading<'scope, 'env>,
    ) -> Self {
        let (tops, asked) = (HashSet::new(), HashSet::new());
        Changed { index, readers, watcher, reading, tops, open_tops: Vec::new(), open_gaps: Vec::new(), asked }
    }

    /// Has what lies under changed top blocks read.
    pub(super) fn heed(&mut self, found: &Found) -> Result<()> {
        let units = self.index.top_size() / UNIT;
        let mut gaps = found.gaps(self.index.top_size(), 0..self.index.unit_count());
        gaps.retain(|gap| gap.units.end - gap.units.start <= LONGEST * units);
        let tops = gaps.into_iter().flat_map(|gap| gap.units.start / units..gap.units.end.div_ceil(units));
        self.open(tops.collect(), found, false)
    }

    fn open(&mut self, mut tops: Vec<u64>, found: &Found, deep: bool) -> Result<()> {
        tops.retain(|top| self.tops.insert(*top));
        self.reading.begin(Wanted::values(self.index, tops.iter().copied(), Some(found)), deep)?;
        self.open_tops.append(&mut tops);
        Ok(())
    }

    /// Goes on as far as what has been read by now allows.
    pub(super) fn follow(&mut self, found: &mut Found) -> Result<()> {
        self.reading.look()?;
        let is_here = |top: &u64| self.index.has_values(*top);
        let (tops, open) = std::mem::take(&mut self.open_tops).into_iter().partition::<Vec<u64>, _>(is_here);
        self.open_tops = open;
        self.look_for_units(&tops, found)?;
        let has_blocks = |gap: &Gap| gap.units.clone().all(|unit| self.index.has_blocks(unit));
        let (gaps, open) = std::mem::take(&mut self.open_gaps).into_iter().partition::<Vec<Gap>, _>(has_blocks);
        self.open_gaps = open;
        self.look_for_blocks(&gaps, found)
    }

    /// The search is over: follows all that is missing under top blocks to its end.
    pub(super) fn follow_to_end(&mut self, found: &mut Found) -> Result<()> {
        let lacks = |top: &u64| self.index.top_units(*top).any(|unit| found.has_none(unit));
        self.open((0..self.index.top_count()).filter(lacks).collect(), found, true)?;
        loop {
            self.follow(found)?;
            if !self.reading.wait()? {
                return Ok(());
            }
        }
    }

    /// Of top blocks whose groups are here. Has the groups of blocks under the units read that are not there.
    fn look_for_units(&mut self, tops: &[u64], found: &mut Found) -> Result<()> {
        if tops.is_empty() {
            return Ok(());
        }
        let units = tops.iter().flat_map(|top| self.index.top_units(*top));
        matching::find_beside(self.index, self.readers, self.watcher, found, units)?;
        // Two changes near each other leave units between them that are neither at their place nor beside anything.
        let several: Vec<Gap> =
            self.gaps(tops, found).into_iter().filter(|gap| gap.units.end - gap.units.start > 1).collect();
        matching::find_units_between(self.index, self.readers, self.watcher, found, &several)?;
        let mut gaps = self.gaps(tops, found);
        let units = gaps.iter().flat_map(|gap| gap.units.clone());
        self.reading.begin(Wanted::blocks(self.index, units, Some(found)), false)?;
        self.open_gaps.append(&mut gaps);
        Ok(())
    }

    /// The gaps between units in these top blocks, as far as all of their units can be checked.
    fn gaps(&self, tops: &[u64], found: &Found) -> Vec<Gap> {
        let gaps = tops.iter().flat_map(|top| found.gaps(UNIT, self.index.top_units(*top)));
        let can_check = |gap: &Gap| gap.units.clone().all(|unit| self.index.can_check(unit));
        let mut gaps: Vec<Gap> = gaps.filter(can_check).collect();
        // One that reaches from one top block into the next is seen from both.
        gaps.sort_unstable_by_key(|gap| gap.units.start);
        gaps.dedup();
        gaps
    }

    /// Of gaps whose groups are here. What is new is asked for, where content is fetched at all.
    fn look_for_blocks(&mut self, gaps: &[Gap], found: &mut Found) -> Result<()> {
        if gaps.is_empty() {
            return Ok(());
        }
        let options = matching::Options::default();
        matching::find_blocks_between(self.index, self.readers, &options, self.watcher, found, gaps)?;
        let Some(site) = self.watcher.site().filter(|site| site.takes_parts()) else { return Ok(()) };
        let mut parts: Vec<Range> = Vec::new();
        for gap in gaps {
            let around = gap.units.start.saturating_sub(1)..gap.units.end + 1;
            let cover = matching::join_seams(self.index, self.readers, found.cover_of(around));
            let is_missing = |piece: &&Piece| piece.origin == Origin::Missing;
            let missing: u64 = cover.iter().filter(is_missing).map(|piece| piece.target.length).sum();
            let length: u64 = gap.units.clone().map(|unit| self.index.unit_range(unit).length).sum();
            if missing <= length / 2 {
                parts.extend(cover.iter().filter(is_missing).map(|piece| piece.target));
                self.asked.extend(gap.units.clone());
            }
        }
        site.want_parts(&parts);
        Ok(())
    }
}
