//! The levels above the blocks, for an index of which only the top was read. Top blocks are looked for at every offset;
//! then, when more has been read, units beside what was found, and those that are not there at every offset of what is
//! left of the seeds. Each is verified in the buffer that it is written from, by its own chaining value, so that nothing
//! below it is needed.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::found::{Found, Place, Run};
use super::guard::Guard;
use super::scan::run_of;
use super::search::{Stretch, cut};
use super::telling::Telling;
use super::{Flow, Observe};
use crate::assemble::Verified;
use crate::error::Result;
use crate::index::{Blocks, Index, UNIT};
use crate::source::ReadAt;
use crate::weak::{self, Filter, Hit};

/// Bytes of a seed that are looked through in one go, at least; what follows is read twice, one block of it.
const SECTION: u64 = 1 << 20;
/// As much, in blocks.
const BLOCKS: u64 = 4;
/// Sections that are looked through side by side, whatever the number of threads, before the next ones hear what these
/// have found; and as many at first.
const WAVE: usize = 32;
const FIRST_WAVE: usize = 4;
/// Bytes that are scanned at once after a break, at least, and where nothing has been found for a while.
const PIECE: usize = 32 << 10;
const LARGEST: usize = 1 << 20;
/// How far from where it is expected a block is looked for first.
const NEAR: usize = 32 << 10;
/// Blocks behind a missing one that are looked for so.
const NEXT: usize = 3;

/// The full blocks of a level that are missing, by weak sum, hint and number. Those that equal one that was found too.
pub(super) struct Table {
    entries: Vec<(u64, u64, u64)>,
    pub(super) filter: Filter,
}

/// A block, and where in the seed it is.
type Spot = (u64, u64);

/// Where blocks of a level are looked for.
pub(super) enum Field<'a> {
    /// In all that is left of the seed; the observer hears of the bytes, and may say that it is enough.
    Counted,
    /// In all that is left of the seed.
    Everywhere,
    /// These blocks, in these stretches.
    Between(std::ops::Range<u64>, &'a [Stretch]),
}

/// Looks for the blocks of a level in one seed, and writes down in `found` where they are.
pub(super) fn find(
    level: Blocks<'_>,
    number: u32,
    seeds: &[&dyn ReadAt],
    found: &mut Found,
    observer: &dyn Observe,
    place: &Field<'_>,
) -> Result<Flow> {
    let Some(seed) = seeds.get(number as usize) else { return Ok(Flow::On) };
    let count = matches!(place, Field::Counted);
    let among = if let Field::Between(blocks, _) = place { blocks.clone() } else { 0..level.count() };
    let table = Table::new(level, found, among);
    if table.entries.is_empty() && !is_tail_missing(level, found) {
        observer.scanned(if count { seed.length() } else { 0 })?;
        return Ok(Flow::On);
    }
    let section = SECTION.max(BLOCKS * level.size());
    let stretches = match place {
        Field::Between(_, stretches) => cut(stretches, section),
        _ => cut(&found.untaken(number, seed.length()), section),
    };
    // Room for sections, one for each thread that has needed one.
    let rooms: Mutex<Vec<(Vec<u8>, Vec<Hit>)>> = Mutex::default();
    let kept = || rooms.lock().unwrap_or_else(PoisonError::into_inner);
    let look = |(data, hits): &mut (Vec<u8>, Vec<Hit>), (start, inside): Stretch, shift: Option<u64>| {
        let reach = (inside + level.size()).min(seed.length() - start) as usize;
        if data.len() < reach {
            data.resize(reach, 0);
        }
        let read = seed.read_at(start, &mut data[..reach]).unwrap_or_else(|error| {
            observer.unreadable(number, error);
            0
        });
        let data = &data[..read.min(reach)];
        let at_end = start + data.len() as u64 >= seed.length();
        let guard = Guard::new(level.size() as usize, inside as usize, false);
        let spots = Vec::new();
        let telling = Telling::new(observer, data);
        let mut section = Section { level, table: &table, data, start, at_end, shift, telling, guard, spots };
        section.search(inside as usize, hits)?;
        observer.scanned(if count { inside } else { 0 })?;
        Ok((section.spots, section.guard.work))
    };
    let (mut rest, mut wave, mut shift) = (&stretches[..], FIRST_WAVE, None);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(wave.min(rest.len()));
        let outcomes = now.par_iter().map(|stretch| {
            let mut room = kept().pop().unwrap_or_default();
            let outcome = look(&mut room, *stretch, shift);
            kept().push(room);
            outcome
        });
        for (spots, work) in outcomes.collect::<Result<Vec<_>>>()? {
            if let Some((block, offset)) = spots.last() {
                shift = Some(offset.wrapping_sub(level.range(*block).offset));
            }
            spots.into_iter().for_each(|spot| add(level, found, number, spot));
            found.work.add(work);
        }
        let passed = now.last().map_or(0, |(start, inside)| start + inside);
        if count && observer.passed(found, number, passed)? == Flow::Enough {
            return Ok(Flow::Enough);
        }
        (rest, wave) = (later, (wave * 4).min(WAVE));
    }
    table.spread(level, seeds, found, observer)?;
    Ok(Flow::On)
}

/// Writes down a block that was verified.
fn add(level: Blocks<'_>, found: &mut Found, seed: u32, (block, offset): Spot) {
    let range = level.range(block);
    let size = u64::from(level.index().block_size());
    found.add(seed, &Run { block: range.offset / size, count: range.length.div_ceil(size), offset, verified: true });
}

/// The first unit of a block.
fn first_unit(level: Blocks<'_>, block: u64) -> u64 {
    level.range(block).offset / UNIT
}

/// Whether the last block is a short one that is not there yet.
fn is_tail_missing(level: Blocks<'_>, found: &Found) -> bool {
    let last = level.count().saturating_sub(1);
    level.range(last).length < level.size() && found.has_none(first_unit(level, last))
}

impl Table {
    /// Of these blocks.
    pub(super) fn new(level: Blocks<'_>, found: &Found, among: std::ops::Range<u64>) -> Table {
        let full = level.index().length() / level.size();
        let missing = (among.start..among.end.min(full)).filter(|block| found.has_none(first_unit(level, *block)));
        let mut entries: Vec<_> =
            missing.filter_map(|block| level.identity(block).map(|(weak, hint)| (weak, hint, block))).collect();
        entries.par_sort_unstable();
        let sums = |weak: u64| ((weak & 0xffff) as u32, (weak >> 16) as u32);
        let bits = entries.len().next_power_of_two();
        let words = (bits / 2).clamp(1 << 13, 1 << 20);
        let mut filter = Filter::with_check(words, 8 * words, sums(level.cut_weak(u32::MAX, u32::MAX)));
        for (weak, ..) in &entries {
            let (a, b) = sums(*weak);
            filter.insert(a, b);
        }
        Table { entries, filter }
    }

    /// Number of blocks that are looked for.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Those with this weak sum, ascending by hint.
    pub(super) fn with_weak(&self, weak: u64) -> &[(u64, u64, u64)] {
        let entries = &self.entries[self.entries.partition_point(|entry| entry.0 < weak)..];
        &entries[..entries.partition_point(|entry| entry.0 == weak)]
    }

    /// Gives units that look like one which was found that one's place; whoever puts them together checks that.
    pub(super) fn adopt(&self, index: &Index, found: &mut Found) {
        let per_unit = UNIT / u64::from(index.block_size());
        for class in self.entries.chunk_by(|one, next| (one.0, one.1) == (next.0, next.1)) {
            let Some(place) = class.iter().find_map(|(.., unit)| found.whole(*unit as u32)) else { continue };
            for (.., unit) in class {
                let (block, offset) = (unit * per_unit, place.offset);
                found.add(place.seed, &Run { block, count: per_unit, offset, verified: false });
            }
        }
    }

    /// Blocks that look like one which was found are most likely the same bytes: they are read from there once more.
    fn spread(
        &self,
        level: Blocks<'_>,
        seeds: &[&dyn ReadAt],
        found: &mut Found,
        observer: &dyn Observe,
    ) -> Result<()> {
        let place =
            |block: u64| found.place((level.range(block).offset / u64::from(level.index().block_size())) as u32);
        let mut wanted = Vec::new();
        let classes = self.entries.chunk_by(|one, next| (one.0, one.1) == (next.0, next.1));
        for class in classes.filter(|class| class.len() > 1) {
            let Some(known) = class.iter().find_map(|(.., block)| place(*block)) else { continue };
            let missing = class.iter().map(|(.., block)| *block).filter(|block| place(*block).is_none());
            wanted.extend(missing.map(|block| (block, known)));
        }
        let size = level.size() as usize;
        let look = |buffer: &mut Vec<u8>, (block, known): (u64, Place)| {
            buffer.resize(size, 0);
            observer.scanned(0)?;
            let Some(seed) = seeds.get(known.seed as usize) else { return Ok(None) };
            let read = seed.read_at(known.offset, buffer).unwrap_or(0).min(size);
            let Some(verified) = Verified::check_block(level, block, &buffer[..read]) else { return Ok(None) };
            observer.unit(first_unit(level, block), verified)?;
            Ok(Some((block, known)))
        };
        let equal: Vec<_> = wanted.into_par_iter().map_init(Vec::new, look).collect::<Result<_>>()?;
        equal.into_iter().flatten().for_each(|(block, known)| add(level, found, known.seed, (block, known.offset)));
        Ok(())
    }
}

/// A stretch of a seed.
struct Section<'a> {
    level: Blocks<'a>,
    table: &'a Table,
    /// The section, and up to a block of what follows it.
    data: &'a [u8],
    /// Where in the seed it starts.
    start: u64,
    /// `data` ends where the seed ends.
    at_end: bool,
    /// How far what was found last is from its own offset.
    shift: Option<u64>,
    telling: Telling<'a>,
    guard: Guard,
    spots: Vec<Spot>,
}

impl Section<'_> {
    /// Finds the blocks that start at the first `inside` positions.
    fn search(&mut self, inside: usize, hits: &mut Vec<Hit>) -> Result<()> {
        let size = self.level.size() as usize;
        let inside = inside.min(self.data.len());
        let smallest = size.clamp(PIECE, 4 * PIECE);
        let (mut at, mut piece) = (0, smallest);
        // What is expected next; and where blocks begin, or not far from there, if nothing but a few bytes more or less
        // are in between, and how many of these places are left to look at.
        let (mut expected, mut near) = (None, None);
        // Most likely most is as far from its own place as what was found before, or where that is not known, not at all.
        let target = self.start.wrapping_sub(self.shift.unwrap_or(0));
        let first = (target.wrapping_neg() % size as u64) as usize;
        match self.shift {
            // The one before may have been moved into the section.
            Some(_) if first + NEAR > size => near = Some((first as i64 - size as i64, NEXT + 1)),
            Some(_) => near = Some((first as i64, NEXT)),
            None => {
                let block = target.wrapping_add(first as u64) / size as u64;
                if first < inside && self.take(block, first)? {
                    at = first + self.level.range(block).length as usize;
                    expected = Some(block + 1);
                }
            }
        }
        let mut seen = HashSet::new();
        while at < inside {
            if let Some(block) = expected.take() {
                if self.take(block, at)? {
                    at += self.level.range(block).length as usize;
                    (expected, piece) = (Some(block + 1), smallest);
                    continue;
                }
                near = Some(((at + size) as i64, NEXT));
            }
            if self.data.len() - at < size {
                break;
            }
            let last = inside.min(self.data.len() - size + 1);
            let around = |place: i64| (place - NEAR as i64).max(at as i64)..(place + NEAR as i64).min(last as i64);
            let guess = near.map(|(place, _)| around(place)).filter(|guess| !guess.is_empty());
            let guess = guess.map(|guess| (guess.start as usize, guess.end as usize));
            let next = |(place, left): (i64, usize)| (place + size as i64, left - 1);
            near = near.filter(|(_, left)| guess.is_some() && *left > 1).map(next);
            let run = if guess.is_none() { run_of(&self.data[at..], size) } else { None };
            // All the windows of a run are the same.
            let (from, end) = guess.unwrap_or((at, if run.is_some() { at + 1 } else { (at + piece).min(last) }));
            hits.clear();
            weak::scan(&self.data[from..end + size - 1], size, &self.table.filter, hits);
            self.guard.earn(end - from);
            if let Some((place, block)) = self.first(from, hits, &mut seen)? {
                (at, expected, piece, near) = (place + size, Some(block + 1), smallest, None);
                continue;
            }
            if guess.is_none() {
                at = run.map_or(end + Guard::left_out(hits.len(), end - at), |run| at + run + 1 - size);
                piece = (2 * piece).min(LARGEST);
            }
        }
        self.tail()
    }

    /// The first of the `hits`, which are relative to `from`, that is a block, and which one.
    fn first(&mut self, from: usize, hits: &[Hit], seen: &mut HashSet<u64>) -> Result<Option<(usize, u64)>> {
        let size = self.level.size() as usize;
        let table = self.table;
        for hit in hits {
            let weak = self.level.cut_weak(hit.a, hit.b);
            let candidates = table.with_weak(weak);
            if candidates.is_empty() {
                self.guard.looked(table.entries.len());
                continue;
            }
            if !self.guard.may_check() {
                break;
            }
            if !seen.insert(weak) {
                continue;
            }
            let at = from + hit.at as usize;
            let hint = self.level.hint_of(&self.data[at..at + size]);
            let first = candidates.partition_point(|(_, other, _)| *other < hint);
            if let Some((_, other, block)) = candidates.get(first)
                && *other == hint
                && self.take(*block, at)?
            {
                return Ok(Some((at, *block)));
            }
            self.guard.checked();
        }
        Ok(None)
    }

    /// Whether this block is at `at`. If so, it is told.
    fn take(&mut self, block: u64, at: usize) -> Result<bool> {
        let length = self.level.range(block).length as usize;
        let Some(bytes) = self.data.get(at..at + length).filter(|bytes| !bytes.is_empty()) else { return Ok(false) };
        match Verified::check_block(self.level, block, bytes) {
            Some(verified) => {
                self.telling.unit(first_unit(self.level, block), verified)?;
                self.spots.push((block, self.start + at as u64));
                Ok(true)
            }
            None => {
                self.guard.work.hashed += length as u64;
                Ok(false)
            }
        }
    }

    /// The last block may be shorter than the others; it is looked for at the end of the seed.
    fn tail(&mut self) -> Result<()> {
        let last = self.level.count().saturating_sub(1);
        let length = self.level.range(last).length as usize;
        let is_known = self.spots.iter().any(|(block, _)| *block == last);
        if self.at_end && length < self.level.size() as usize && length <= self.data.len() && !is_known {
            self.take(last, self.data.len() - length)?;
        }
        self.telling.end()
    }
}

/// Looks for those of the units `among` that are missing and can be checked where they are expected: beside what was found,
/// and at their own offset.
pub(super) fn beside(
    index: &Index,
    seeds: &[&dyn ReadAt],
    found: &mut Found,
    observer: &dyn Observe,
    among: impl Iterator<Item = u64>,
) -> Result<()> {
    let mut stretches: Vec<std::ops::Range<u64>> = Vec::new();
    for unit in among.filter(|unit| *unit < index.unit_count() && found.has_none(*unit)) {
        match stretches.last_mut() {
            Some(last) if last.end == unit => last.end += 1,
            _ => stretches.push(unit..unit + 1),
        }
    }
    let known = &*found;
    let look = |buffer: &mut Vec<u8>, stretch: std::ops::Range<u64>| {
        observer.scanned(0)?;
        Neighbours { index, seeds, observer, buffer, found: Vec::new() }.look(known, stretch)
    };
    let places: Vec<Vec<(u64, Seat)>> = stretches.into_par_iter().map_init(Vec::new, look).collect::<Result<_>>()?;
    let size = u64::from(index.block_size());
    for (unit, (seed, offset)) in places.into_iter().flatten() {
        let range = index.unit_range(unit);
        let (block, count) = (range.offset / size, range.length.div_ceil(size));
        found.add(seed, &Run { block, count, offset, verified: true });
    }
    Ok(())
}

/// A seed, and where in it.
type Seat = (u32, u64);

/// The search for a stretch of missing units.
struct Neighbours<'a> {
    index: &'a Index,
    seeds: &'a [&'a dyn ReadAt],
    observer: &'a dyn Observe,
    buffer: &'a mut Vec<u8>,
    found: Vec<(u64, Seat)>,
}

impl Neighbours<'_> {
    fn look(mut self, known: &Found, stretch: std::ops::Range<u64>) -> Result<Vec<(u64, Seat)>> {
        let per_unit = UNIT / u64::from(self.index.block_size());
        let place = |unit: u64| known.place((unit * per_unit) as u32).map(|place| (place.seed, place.offset));
        // Forwards, behind what is known; backwards, before what is known; and what is left in the middle at its own offset.
        let (mut start, mut end) = (stretch.start, stretch.end);
        let mut next = start.checked_sub(1).and_then(place).map(|(seed, offset)| (seed, offset + UNIT));
        while let Some(spot) = next.filter(|_| start < end)
            && self.take(start, spot)?
        {
            (start, next) = (start + 1, Some((spot.0, spot.1 + UNIT)));
        }
        let before = |(seed, offset): Seat| Some((seed, offset.checked_sub(UNIT)?));
        let mut last = if end < self.index.unit_count() { place(end).and_then(before) } else { None };
        while let Some(spot) = last.filter(|_| start < end)
            && self.take(end - 1, spot)?
        {
            (end, last) = (end - 1, before(spot));
        }
        for unit in start..end {
            let tried = [next.filter(|_| unit == start), last.filter(|_| unit + 1 == end)];
            self.diagonal(unit, tried)?;
        }
        Ok(self.found)
    }

    /// Looks for a unit at its own offset, but for what was tried already.
    fn diagonal(&mut self, unit: u64, tried: [Option<Seat>; 2]) -> Result<()> {
        for seed in 0..self.seeds.len() as u32 {
            let spot = (seed, unit * UNIT);
            if !tried.contains(&Some(spot)) && self.take(unit, spot)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether a unit is there. If so, it is told.
    fn take(&mut self, unit: u64, spot: Seat) -> Result<bool> {
        let length = self.index.unit_range(unit).length as usize;
        let Some(seed) = self.seeds.get(spot.0 as usize) else { return Ok(false) };
        if !self.index.can_check(unit) || spot.1.saturating_add(length as u64) > seed.length() {
            return Ok(false);
        }
        self.buffer.resize(length, 0);
        let read = seed.read_at(spot.1, self.buffer).unwrap_or_else(|error| {
            self.observer.unreadable(spot.0, error);
            0
        });
        let Some(verified) = Verified::check(self.index, unit, &self.buffer[..read.min(length)]) else {
            return Ok(false);
        };
        self.observer.unit(unit, verified)?;
        self.found.push((unit, spot));
        Ok(true)
    }
}
