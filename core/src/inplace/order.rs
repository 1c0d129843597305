//! Makes the list of batches. See the head of `inplace` for what it is about.

use std::collections::HashMap;

use super::{Batch, Given, Moved, Order, Spill};
use crate::assemble::cover_of;
use crate::plan::{Origin, Piece};
use crate::ranges::RangeSet;
use crate::source::Range;

/// The order in which the units of a target are written in place.
pub fn order(given: Given) -> Order {
    let mut ordering = Ordering::new(given);
    while let Some(unit) = ordering.next() {
        ordering.place(unit);
    }
    ordering.finish()
}

/// How far a unit is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unchanged,
    Pending,
    /// In the batch that is being put together.
    Now,
    /// In the batch before.
    Before,
    Done,
}

/// An order in the making.
struct Ordering {
    given: Given,
    states: Vec<State>,
    /// The units that read from each unit's place, except itself: those of unit `u` from `first[u]` to `first[u + 1]`.
    readers: Vec<u32>,
    first: Vec<usize>,
    /// How many of those reads are of pending units.
    waits_for: Vec<u32>,
    /// Units whose place no pending unit reads from. Of those in `free` also none of this batch does.
    free: Vec<u32>,
    ready: Vec<u32>,
    /// Below this unit, none is pending.
    lowest: u32,
    /// The pieces of units that lost some.
    changed: HashMap<u32, Vec<Piece>>,
    moved: Moved,
    /// What pending units read from the journal that an earlier try left.
    pins: Vec<(Range, u32)>,
    /// Room in the journal.
    room: Vec<Range>,
    batch: Batch,
    spill: RangeSet,
    written: u64,
    made: Order,
}

impl Ordering {
    fn new(given: Given) -> Ordering {
        let count = given.length.div_ceil(given.unit_size) as u32;
        let state = |unit| match given.unchanged.get(unit as usize) {
            Some(true) => State::Unchanged,
            _ => State::Pending,
        };
        let mut ordering = Ordering {
            states: (0..count).map(state).collect(),
            readers: Vec::new(),
            first: vec![0; count as usize + 1],
            waits_for: vec![0; count as usize],
            free: Vec::new(),
            ready: Vec::new(),
            lowest: 0,
            changed: HashMap::new(),
            moved: Moved::default(),
            pins: Vec::new(),
            room: Vec::new(),
            batch: Batch::default(),
            spill: RangeSet::new(),
            written: 0,
            made: Order::default(),
            given,
        };
        ordering.connect(count);
        ordering.measure_room();
        ordering
    }

    /// Finds out who reads from whose place.
    fn connect(&mut self, count: u32) {
        for unit in 0..count {
            self.edges(unit).into_iter().for_each(|read| self.waits_for[read as usize] += 1);
        }
        for unit in 0..count as usize {
            self.first[unit + 1] = self.first[unit] + self.waits_for[unit] as usize;
        }
        self.readers = vec![0; self.first[count as usize]];
        let mut at = self.first.clone();
        for unit in 0..count {
            for read in self.edges(unit) {
                self.readers[at[read as usize]] = unit;
                at[read as usize] += 1;
            }
            if self.states[unit as usize] == State::Pending && self.given.held != Some(unit.into()) {
                let pieces = self.pieces(unit);
                let from_journal = |piece: &Piece| match piece.origin {
                    Origin::Seed { seed, offset } if Some(seed) == self.given.journal => {
                        Some((Range::new(offset, piece.target.length), unit))
                    }
                    _ => None,
                };
                self.pins.extend(pieces.iter().filter_map(from_journal));
            }
        }
        let is_free = |unit: &u32| self.states[*unit as usize] == State::Pending && self.waits_for[*unit as usize] == 0;
        // The last is taken first.
        self.free = (0..count).rev().filter(is_free).collect();
    }

    /// The units whose place a pending unit reads from, one for each read, itself left out.
    fn edges(&self, unit: u32) -> Vec<u32> {
        let mut read = Vec::new();
        if self.states[unit as usize] == State::Unchanged || self.given.held == Some(unit.into()) {
            return read;
        }
        // As they were at first: what a unit has lost since still counts, to be taken back as often as it was counted.
        for piece in cover_of(&self.given.cover, self.range(unit)) {
            let Some(old) = moved(&piece) else { continue };
            let size = self.given.unit_size;
            let units = old.offset / size..old.end().div_ceil(size).min(self.states.len() as u64);
            let counts = |at: &u32| *at != unit && self.states[*at as usize] != State::Unchanged;
            read.extend(units.map(|at| at as u32).filter(counts));
        }
        read
    }

    fn range(&self, unit: u32) -> Range {
        let (size, length) = (self.given.unit_size, self.given.length);
        let offset = u64::from(unit) * size;
        Range::new(offset, size.min(length - offset))
    }

    /// What a unit is made of.
    fn pieces(&self, unit: u32) -> Vec<Piece> {
        if self.given.held == Some(unit.into()) {
            return vec![Piece { target: self.range(unit), origin: Origin::Missing }];
        }
        let changed = self.changed.get(&unit);
        changed.cloned().unwrap_or_else(|| cover_of(&self.given.cover, self.range(unit)))
    }

    /// What is written of a unit.
    fn writes(&self, unit: u32) -> RangeSet {
        let mut writes = RangeSet::new();
        self.pieces(unit).iter().filter(|piece| !is_in_place(piece)).for_each(|piece| writes.insert(piece.target));
        writes
    }

    fn is_live(&self, unit: u32) -> bool {
        matches!(self.states[unit as usize], State::Pending | State::Now)
    }

    /// The units that read from the place of `unit`, itself included.
    fn readers_of(&self, unit: u32) -> Vec<u32> {
        let mut readers = self.readers[self.first[unit as usize]..self.first[unit as usize + 1]].to_vec();
        readers.dedup();
        readers.push(unit);
        readers
    }

    /// What must be copied to the journal before `unit` is written: what it overwrites and what is still read, in whole
    /// blocks, so that each of them can be found after a kill, at its place or in the journal.
    fn need(&self, unit: u32) -> RangeSet {
        let mut need = RangeSet::new();
        self.endangered(unit, |_, old| need.insert(old));
        need
    }

    /// Tells of each run of blocks that is lost if `unit` is written now: the unit that needs it, and where it is.
    fn endangered(&self, unit: u32, mut tell: impl FnMut(u32, Range)) {
        let writes = self.writes(unit);
        for reader in self.readers_of(unit).into_iter().filter(|reader| self.is_live(*reader)) {
            for piece in self.pieces(reader) {
                let Some(old) = moved(&piece).filter(|old| writes.touches(*old)) else { continue };
                for write in writes.iter() {
                    let (low, high) = (write.offset.max(old.offset), write.end().min(old.end()));
                    if low >= high {
                        continue;
                    }
                    let blocks = self.blocks(&piece, old, low, high);
                    if !self.moved.holds(blocks) && !self.spill.contains(blocks) {
                        tell(reader, blocks);
                    }
                }
            }
        }
    }

    /// The blocks of `piece`, which is at `old`, that something between `low` and `high` belongs to.
    fn blocks(&self, piece: &Piece, old: Range, low: u64, high: u64) -> Range {
        let size = self.given.block_size;
        let target = |at: u64| piece.target.offset + (at - old.offset);
        let from = (target(low) / size * size).max(piece.target.offset);
        let to = (target(high).div_ceil(size) * size).min(piece.target.end());
        Range::new(old.offset + (from - piece.target.offset), to - from)
    }

    /// The unit that is best written next.
    fn next(&mut self) -> Option<u32> {
        while self.states.get(self.lowest as usize).is_some_and(|state| *state != State::Pending) {
            self.lowest += 1;
        }
        let lowest = ((self.lowest as usize) < self.states.len()).then_some(self.lowest)?;
        if self.given.in_order {
            return Some(lowest);
        }
        while let Some(unit) = self.free.pop() {
            if self.need(unit).is_empty() {
                return Some(unit);
            }
            self.ready.push(unit);
        }
        // All that comes next needs the journal: a sync may be cheaper.
        if self.written >= self.given.batch {
            self.close();
            return self.next();
        }
        // The one that became ready last, so that chains are followed to their end.
        Some(self.ready.pop().unwrap_or(lowest))
    }

    /// Puts a unit into the batch, or into the next one if this is full.
    fn place(&mut self, unit: u32) {
        let mut need = self.need(unit);
        if !need.is_empty() {
            let is_full = self.spill.total() + need.total() > self.given.batch && !self.batch.units.is_empty();
            if is_full || !self.fits(&need) {
                self.close();
                need = self.need(unit);
            }
            if !self.fits(&need) {
                // What the batch before needs of the journal is free once that is on the disk.
                self.settle();
                self.batch.apart = true;
            }
            if !self.fits(&need) {
                self.lose(unit);
                need = self.need(unit);
            }
        }
        need.iter().for_each(|range| self.spill.insert(range));
        self.written += self.writes(unit).total();
        self.states[unit as usize] = State::Now;
        self.batch.units.push(unit);
        for read in self.edges(unit) {
            self.waits_for[read as usize] -= 1;
            if self.waits_for[read as usize] == 0 && self.states[read as usize] == State::Pending {
                self.ready.push(read);
            }
        }
    }

    /// Whether there is room for what is to be copied, however it has to be cut.
    fn fits(&self, need: &RangeSet) -> bool {
        let room: u64 = self.room.iter().map(|range| range.length).sum();
        let cuts = self.room.len() as u64 * self.given.block_size;
        need.is_empty() || self.spill.total() + need.total() + cuts <= room
    }

    /// What cannot be kept when `unit` is written is missing from now on.
    fn lose(&mut self, unit: u32) {
        let mut lost: Vec<(u32, Range)> = Vec::new();
        self.endangered(unit, |reader, old| lost.push((reader, old)));
        for (reader, old) in lost {
            let pieces = self.pieces(reader);
            let without = pieces.into_iter().flat_map(|piece| without(piece, old)).collect();
            self.changed.insert(reader, without);
        }
    }

    /// Ends the batch.
    fn close(&mut self) {
        if self.batch.units.is_empty() {
            return;
        }
        let runs: Vec<Range> = self.spill.iter().collect();
        for run in runs {
            self.allocate(run);
        }
        self.spill = RangeSet::new();
        self.written = 0;
        let mut batch = std::mem::take(&mut self.batch);
        batch.units.sort_unstable();
        self.settle();
        batch.units.iter().for_each(|unit| self.states[*unit as usize] = State::Before);
        self.measure_room();
        self.made.batches.push(batch);
        // Those that read from their places are on the disk before the next batch is written.
        self.free.append(&mut self.ready);
        self.free.retain(|unit| self.states[*unit as usize] == State::Pending);
        self.free.sort_unstable_by(|one, next| next.cmp(one));
    }

    /// The batch before is on the disk.
    fn settle(&mut self) {
        if let Some(before) = self.made.batches.last() {
            before.units.iter().for_each(|unit| self.states[*unit as usize] = State::Done);
            self.measure_room();
        }
    }

    /// Gives a run of old bytes its place in the journal: in one piece, or cut, with a block twice at each cut, so that
    /// none is cut in two.
    fn allocate(&mut self, mut run: Range) {
        loop {
            let whole = self.room.iter().position(|room| room.length >= run.length);
            let largest = || (0..self.room.len()).max_by_key(|at| self.room[*at].length);
            let Some(at) = whole.or_else(largest) else { return };
            let room = &mut self.room[at];
            let length = run.length.min(room.length);
            let spill = Spill { old: Range::new(run.offset, length), at: room.offset };
            *room = Range::new(room.offset + length, room.length - length);
            self.moved.insert(spill);
            self.made.journal_end = self.made.journal_end.max(spill.at + length);
            self.batch.spills.push(spill);
            if length == run.length {
                return;
            }
            let next = run.offset + length - self.given.block_size;
            run = Range::new(next, run.end() - next);
        }
    }

    /// Forgets what lies in the journal for nobody, and looks where room is.
    fn measure_room(&mut self) {
        let Ordering { moved: in_journal, states, readers, first, given, changed, .. } = self;
        let is_needed = |unit: u32| matches!(states[unit as usize], State::Pending | State::Now | State::Before);
        let reads = |unit: u32, run: Range| {
            let pieces = changed.get(&unit).cloned();
            let range = Range::new(u64::from(unit) * given.unit_size, given.unit_size);
            let pieces = pieces.unwrap_or_else(|| cover_of(&given.cover, range));
            pieces.iter().filter_map(moved).any(|old| old.offset < run.end() && run.offset < old.end())
        };
        in_journal.retain(|run| {
            let last = (states.len() as u64).min(run.end().div_ceil(given.unit_size));
            (run.offset / given.unit_size..last).any(|unit| {
                let readers = &readers[first[unit as usize]..first[unit as usize + 1]];
                let is_read =
                    |reader: u32| is_needed(reader) && given.held != Some(reader.into()) && reads(reader, run);
                readers.iter().any(|reader| is_read(*reader)) || is_read(unit as u32)
            })
        });
        let mut room = RangeSet::new();
        room.insert(self.given.room);
        self.moved.iter().for_each(|run| drop(room.remove(Range::new(run.at, run.old.length))));
        let Ordering { pins, states, .. } = self;
        pins.retain(|(_, unit)| matches!(states[*unit as usize], State::Pending | State::Now | State::Before));
        pins.iter().for_each(|(range, _)| drop(room.remove(*range)));
        // What is smaller than that would only cut things to pieces.
        let least = 2 * self.given.block_size;
        self.room = room.iter().filter(|range| range.length >= least).collect();
    }

    fn finish(mut self) -> Order {
        self.close();
        let mut made = std::mem::take(&mut self.made);
        if self.changed.is_empty() {
            made.cover = self.given.cover;
            return made;
        }
        let missing = |cover: &[Piece]| -> u64 {
            cover.iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target.length).sum()
        };
        for unit in 0..self.states.len() as u32 {
            let changed = self.changed.remove(&unit);
            let pieces = changed.unwrap_or_else(|| cover_of(&self.given.cover, self.range(unit)));
            pieces.into_iter().for_each(|piece| join(&mut made.cover, piece));
        }
        made.lost = missing(&made.cover) - missing(&self.given.cover);
        made
    }
}

/// Adds a piece to a cover, as one with the last where it continues that.
fn join(cover: &mut Vec<Piece>, piece: Piece) {
    let continues = |last: &Piece| match (last.origin, piece.origin) {
        (Origin::Missing, Origin::Missing) => true,
        (Origin::Seed { seed, offset }, Origin::Seed { seed: next_seed, offset: next }) => {
            seed == next_seed && offset + last.target.length == next
        }
        _ => false,
    };
    match cover.last_mut() {
        Some(last) if continues(last) => last.target.length += piece.target.length,
        _ => cover.push(piece),
    }
}

/// Where in the old target a piece is, if it is not at its place.
fn moved(piece: &Piece) -> Option<Range> {
    match piece.origin {
        Origin::Seed { seed: 0, offset } if offset != piece.target.offset => {
            Some(Range::new(offset, piece.target.length))
        }
        _ => None,
    }
}

/// Whether a piece is where it shall be.
pub(super) fn is_in_place(piece: &Piece) -> bool {
    piece.origin == Origin::Seed { seed: 0, offset: piece.target.offset }
}

/// A piece, where what lies at `lost` in the old target is missing.
fn without(piece: Piece, lost: Range) -> Vec<Piece> {
    let Some(old) = moved(&piece).filter(|old| old.offset < lost.end() && lost.offset < old.end()) else {
        return vec![piece];
    };
    let (low, high) = (lost.offset.max(old.offset), lost.end().min(old.end()));
    let part = |from: u64, to: u64, origin: Origin| Piece {
        target: Range::new(piece.target.offset + (from - old.offset), to - from),
        origin,
    };
    let kept = |from: u64, to: u64| part(from, to, Origin::Seed { seed: 0, offset: from });
    let parts = [kept(old.offset, low), part(low, high, Origin::Missing), kept(high, old.end())];
    parts.into_iter().filter(|piece| piece.target.length > 0).collect()
}
