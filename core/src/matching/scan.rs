//! Goes through a section of a seed offset by offset: what is not where it is expected is looked up in the table.

use std::collections::HashSet;

use super::guard::Guard;
use super::section::{Outcome, Section};
use super::table::Table;
use crate::error::Result;
use crate::weak::{self, Hit};

/// Bytes that are scanned at once after a break, at least: what broke is most likely a short edit.
const PIECE: usize = 4 << 10;
/// Bytes that are scanned at once where nothing has been found for a while, at most.
const LARGEST: usize = 256 << 10;

/// What is expected at the next position.
enum Expected {
    /// Nothing.
    Nothing,
    /// This block, if what came before goes on.
    Perhaps(u64),
    /// This block; it has been compared.
    Known(u64),
}

impl Section<'_> {
    /// Finds the runs of blocks that start in this section.
    pub(super) fn scan(&self, table: &Table, hits: &mut Vec<Hit>) -> Result<Outcome> {
        let size = self.index.block_size() as usize;
        let mut outcome = self.outcome(size);
        let inside = self.inside.min(self.data.len());
        let smallest = PIECE.max(2 * size);
        let (mut at, mut piece) = (0, smallest);
        let mut expected = self.on_diagonal(0).map_or(Expected::Nothing, Expected::Perhaps);
        let mut after_block = false;
        // Bytes whose runs have been looked up here, and sums of blocks that were found here, which would bring nothing
        // new: in content that repeats itself, other blocks start between two places of the same one.
        let mut runs = [false; 256];
        let mut seen = HashSet::new();
        while at < inside {
            let (block, known) = match std::mem::replace(&mut expected, Expected::Nothing) {
                Expected::Nothing => (None, false),
                Expected::Perhaps(block) => (Some(block), false),
                Expected::Known(block) => (Some(block), true),
            };
            if let Some(block) = block {
                let taken = self.follow(block, at, known, &mut outcome)?;
                if taken > 0 {
                    at += taken;
                    let next = block + taken.div_ceil(size) as u64;
                    if next < self.index.block_count() {
                        expected = Expected::Perhaps(next);
                    }
                    (piece, after_block) = (smallest, true);
                    continue;
                }
                if known {
                    // Only the part of its hash that is looked for was right: an index was made to say so.
                    piece = smallest;
                    outcome.guard.scans_again(piece);
                }
            }
            let Some(window) = self.data.get(at..at + size) else { break };
            if let Some(run) = run_of(&self.data[at..], size) {
                let byte = usize::from(window[0]);
                if !std::mem::replace(&mut runs[byte], true)
                    && let Some(block) = self.check(table, weak::sum(window), at, &mut outcome)
                {
                    expected = Expected::Known(block);
                    continue;
                }
                // All the windows of a run are the same.
                (at, expected) = self.pass(at, (at + run + 1 - size).min(inside));
                continue;
            }
            if std::mem::take(&mut after_block) {
                // Another block may follow as directly as the next one does: then there is nothing to scan.
                let sums = weak::sum(window);
                if table.filter.may_have(sums.0, sums.1)
                    && seen.insert(self.index.cut_weak(sums.0, sums.1))
                    && let Some(block) = self.check(table, sums, at, &mut outcome)
                {
                    expected = Expected::Known(block);
                    continue;
                }
            }
            let (stop, next) = self.pass(at, (at + piece).min(inside));
            let reach = (stop + size - 1).min(self.data.len());
            hits.clear();
            weak::scan(&self.data[at..reach], size, &table.filter, hits);
            outcome.guard.earn(stop - at);
            if let Some((place, block)) = self.first_block(table, at, hits, &mut seen, &mut outcome) {
                (at, expected) = (place, Expected::Known(block));
                continue;
            }
            piece = (2 * piece).min(LARGEST);
            (at, expected) = match Guard::left_out(hits.len(), stop - at) {
                0 => (stop, next),
                left_out => self.pass(stop, (stop + left_out).min(inside)),
            };
        }
        self.telling.end()?;
        self.tail(&mut outcome);
        Ok(outcome)
    }

    /// Where to go on from `at` if nothing is found up to `to`: there, or where a unit is at its own offset before that.
    fn pass(&self, at: usize, to: usize) -> (usize, Expected) {
        match self.next_on_diagonal(at + 1, to) {
            Some(place) => (place, self.on_diagonal(place).map_or(Expected::Nothing, Expected::Known)),
            None => (to, self.on_diagonal(to).map_or(Expected::Nothing, Expected::Perhaps)),
        }
    }

    /// The first of the `hits`, which are relative to `from`, that is a block, and which one.
    fn first_block(
        &self,
        table: &Table,
        from: usize,
        hits: &[Hit],
        seen: &mut HashSet<u64>,
        outcome: &mut Outcome,
    ) -> Option<(usize, u64)> {
        let size = self.index.block_size() as usize;
        let mut skip = 0;
        for hit in hits {
            let at = from + hit.at as usize;
            let weak = self.index.cut_weak(hit.a, hit.b);
            if at < skip || seen.contains(&weak) {
                continue;
            }
            if let Some(block) = self.check(table, (hit.a, hit.b), at, outcome) {
                seen.insert(weak);
                return Some((at, block));
            }
            if !outcome.guard.may_check() {
                return None;
            }
            if let Some(run) = run_of(&self.data[at..], size) {
                skip = at + run + 1 - size;
            }
        }
        None
    }

    /// Looks the sums of the window at `at` up; a hash decides, if there are means for one. What was found before is
    /// nothing: to go on from there would only find the same once more, and miss what else starts here.
    fn check(&self, table: &Table, (a, b): (u32, u32), at: usize, outcome: &mut Outcome) -> Option<u64> {
        if !outcome.guard.may_check() {
            return None;
        }
        let weak = self.index.cut_weak(a, b);
        let bucket = table.bucket(weak);
        let candidates = Table::candidates(self.index, bucket, weak);
        if candidates.is_empty() {
            outcome.guard.looked(bucket.len());
            return None;
        }
        let window = &self.data[at..at + self.index.block_size() as usize];
        // Free where it finds something: that is paid by the bytes that are skipped.
        let block = Table::pick(self.index, candidates, self.index.hint_of(window));
        let block = block.filter(|block| self.found.place(*block).is_none() && !outcome.has(u64::from(*block)));
        if block.is_none() {
            outcome.guard.looked(bucket.len());
            outcome.guard.checked();
        }
        block.map(u64::from)
    }
}

/// How often the first byte of `data` is repeated at its beginning, if it is at least `least` times.
pub(super) fn run_of(data: &[u8], least: usize) -> Option<usize> {
    const STEP: usize = 4096;
    let byte = *data.first()?;
    // Most data says no within a few bytes; a comparison with itself, one byte on, is fast on all the rest.
    let is_run = |data: &[u8]| data.iter().take(8).all(|other| *other == byte) && data[1..] == data[..data.len() - 1];
    if data.len() < least || !is_run(&data[..least]) {
        return None;
    }
    let mut end = least;
    while end < data.len() {
        let step = &data[end - 1..data.len().min(end + STEP)];
        if !is_run(step) {
            return Some(end + step[1..].iter().take_while(|other| **other == byte).count());
        }
        end += step.len() - 1;
    }
    Some(end)
}
