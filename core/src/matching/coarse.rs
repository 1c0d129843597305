//! Goes through a section by whole units at any offset, and by the blocks right before and behind those. Units are few:
//! what is asked at every offset fits the first cache, and their table is made in no time. So this comes before the
//! blocks are looked for at every offset, and where most of a seed is in the target, only little is left for that.

use std::collections::HashSet;

use super::found::Run;
use super::guard::Guard;
use super::scan::run_of;
use super::section::{Outcome, Section};
use super::tops::Table;
use crate::assemble::Verified;
use crate::error::Result;
use crate::index::UNIT;
use crate::weak::{self, Hit};

/// Bytes that are scanned at once after a break, and where nothing has been found for a while.
const PIECE: usize = 32 << 10;
const LARGEST: usize = 256 << 10;
/// How far from where it is expected a unit is looked for first.
const NEAR: usize = 2 << 10;
/// How many equal units are asked whether they are missing.
const MOST_EQUAL: usize = 16;

/// A unit that was found, by its first block; nothing if it, and what equals it, has been found before.
type New<'a> = Option<(u64, Verified<'a>)>;

impl<'a> Section<'a> {
    /// Finds runs of blocks that start in this section. Most likely they are `shift` away from their own offset.
    pub(super) fn coarse(&self, units: &Table, shift: u64, hits: &mut Vec<Hit>) -> Result<Outcome> {
        let mut outcome = self.outcome(UNIT as usize);
        let inside = self.inside.min(self.data.len());
        let (mut at, mut gap, mut piece) = (0, 0, PIECE);
        // What is expected next; and where a unit begins, or not far from there, if nothing but a few bytes more or less
        // are in between.
        let (mut expected, mut near) = (None, None);
        let mut lies = HashSet::new();
        for shift in [shift, 0] {
            let Some((block, place)) = self.first_at(shift).filter(|(_, place)| *place < inside) else { continue };
            let taken = self.follow(block, place, false, &mut outcome)?;
            if taken > 0 {
                // What is before it is the end of the block that belongs there, if that is in the section before.
                (at, gap, expected) = (place + taken, place + taken, Some(block + self.blocks_in(taken)));
                break;
            }
            near = near.or(Some(place + self.to_unit(block)));
        }
        while at < inside {
            if let Some(block) = expected.take().filter(|block| *block < self.index.block_count()) {
                let taken = self.follow(block, at, false, &mut outcome)?;
                if taken > 0 {
                    outcome.gap(self.start, gap, at);
                    (at, gap, piece) = (at + taken, at + taken, PIECE);
                    expected = Some(block + self.blocks_in(taken));
                    continue;
                }
                near = Some(at + self.to_unit(block));
            }
            if self.data.len() - at < UNIT as usize {
                break;
            }
            let last = inside.min(self.data.len() - UNIT as usize + 1);
            // Before that place there is no room for a unit, but for the few bytes that are more.
            let guess = near.take().map(|place| (place.saturating_sub(NEAR).max(at), (place + NEAR).min(last)));
            let guess = guess.filter(|(from, end)| from < end);
            let run = if guess.is_none() { run_of(&self.data[at..], UNIT as usize) } else { None };
            // All the windows of a run are the same.
            let (from, end) = guess.unwrap_or((at, if run.is_some() { at + 1 } else { (at + piece).min(last) }));
            hits.clear();
            weak::scan(&self.data[from..end + UNIT as usize - 1], UNIT as usize, &units.filter, hits);
            outcome.guard.earn(end - from);
            let Some((place, new)) = self.first_unit(units, from, hits, &mut lies, &mut outcome) else {
                if guess.is_none() {
                    at = run.map_or(end + Guard::left_out(hits.len(), end - at), |run| at + run + 1 - UNIT as usize);
                    piece = (2 * piece).min(LARGEST);
                }
                continue;
            };
            let Some((block, verified)) = new else {
                // What it says again need not be looked through once more.
                outcome.gap(self.start, gap, place);
                (at, gap, piece) = (place + UNIT as usize, place + UNIT as usize, PIECE);
                continue;
            };
            let before = self.blocks_before(block, place, gap);
            let first = place - before as usize * self.index.block_size() as usize;
            outcome.gap(self.start, gap, first);
            if before > 0 {
                let offset = self.start + first as u64;
                outcome.push(self.index, Run { block: block - before, count: before, offset, verified: false });
            }
            let (count, offset) = (self.blocks_in(UNIT as usize), self.start + place as u64);
            outcome.push(self.index, Run { block, count, offset, verified: true });
            self.telling.unit(block / count, verified)?;
            (at, gap, piece) = (place + UNIT as usize, place + UNIT as usize, PIECE);
            expected = Some(block + count);
        }
        outcome.gap(self.start, gap, inside);
        self.telling.end()?;
        self.tail(&mut outcome);
        Ok(outcome)
    }

    /// The first block that starts in the section, and where, if everything in it is `shift` away from its own offset.
    fn first_at(&self, shift: u64) -> Option<(u64, usize)> {
        let size = u64::from(self.index.block_size());
        let target = self.start.wrapping_sub(shift);
        let place = target.wrapping_neg() % size;
        let block = target.wrapping_add(place) / size;
        (block < self.index.block_count()).then_some((block, place as usize))
    }

    /// Bytes from the start of `block` to that of the next unit.
    fn to_unit(&self, block: u64) -> usize {
        let offset = self.index.block_range(block).offset;
        (UNIT - offset % UNIT) as usize
    }

    /// Number of blocks in so many bytes of the target, from the start of a block on.
    fn blocks_in(&self, bytes: usize) -> u64 {
        (bytes as u64).div_ceil(u64::from(self.index.block_size()))
    }

    /// The first of the `hits`, which are relative to `from`, that is a unit. One that only looks like it is among `lies`
    /// from then on: what has the same sum is not hashed again.
    fn first_unit(
        &self,
        units: &Table,
        from: usize,
        hits: &[Hit],
        lies: &mut HashSet<u64>,
        outcome: &mut Outcome,
    ) -> Option<(usize, New<'a>)> {
        let level = self.index.units();
        let per_unit = self.blocks_in(UNIT as usize);
        for hit in hits {
            let weak = level.cut_weak(hit.a, hit.b);
            let candidates = units.with_weak(weak);
            if candidates.is_empty() {
                outcome.guard.looked(units.count());
                continue;
            }
            if !outcome.guard.may_check() {
                return None;
            }
            if lies.contains(&weak) {
                continue;
            }
            let at = from + hit.at as usize;
            let bytes = &self.data[at..at + UNIT as usize];
            let hint = level.hint_of(bytes);
            let first = candidates.partition_point(|(_, other, _)| *other < hint);
            let same = candidates[first..].iter().take_while(|(_, other, _)| *other == hint);
            let mut blocks = same.map(|(.., unit)| *unit * per_unit).take(MOST_EQUAL).peekable();
            if blocks.peek().is_some() {
                let is_known = |block: u64| self.found.whole((block / per_unit) as u32).is_some() || outcome.has(block);
                let mut new = blocks.filter(|block| !is_known(*block)).peekable();
                if new.peek().is_none() {
                    return Some((at, None));
                }
                // The first block costs little; whoever makes up both has the whole hashed once more.
                let first = new.find(|block| self.is_block(*block, &bytes[..self.index.block_size() as usize]));
                if let Some(block) = first {
                    if let Some(verified) = Verified::check(self.index, block / per_unit, bytes) {
                        return Some((at, Some((block, verified))));
                    }
                    outcome.guard.checked();
                }
                lies.insert(weak);
            }
            outcome.guard.checked();
        }
        None
    }

    /// How many blocks lie right before `block`, which is at `place`, as they do in the target; not before `least`.
    fn blocks_before(&self, block: u64, place: usize, least: usize) -> u64 {
        let size = self.index.block_size() as usize;
        let ends = (0..=place).rev().step_by(size).take_while(|end| end.saturating_sub(least) >= size);
        let is_there = |(block, end): &(u64, usize)| self.is_block(*block, &self.data[end - size..*end]);
        (0..block).rev().zip(ends).take_while(is_there).count() as u64
    }
}
