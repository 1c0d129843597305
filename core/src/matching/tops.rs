//! The levels above the blocks, for an index of which only the top was read: top blocks are looked for at every offset,
//! then, when more has been read, units beside what was found. Each is verified in the buffer that it is written from,
//! by its own chaining value, so that nothing below it is needed.

use std::collections::HashSet;

use rayon::prelude::*;

use super::Observe;
use super::found::{Found, Run};
use super::guard::Guard;
use super::scan::run_of;
use crate::assemble::Verified;
use crate::error::Result;
use crate::index::{Index, UNIT};
use crate::source::ReadAt;
use crate::weak::{self, Filter, Hit};

/// Bytes of a seed that are looked through in one go, in top blocks: what follows is read twice, one block of it.
const SECTION: u64 = 4;
/// Bytes that are scanned at once after a break, and where nothing has been found for a while.
const PIECE: usize = 128 << 10;
const LARGEST: usize = 1 << 20;

/// The full top blocks by weak sum, hint and number.
struct Tops {
    entries: Vec<(u64, u64, u64)>,
    filter: Filter,
}

/// A top block, and where in the seed it is.
type Place = (u64, u64);

/// Looks for the top blocks of `index` in one seed and writes down in `found` where they are.
pub(super) fn find(
    index: &Index,
    number: u32,
    seeds: &[&dyn ReadAt],
    found: &mut Found,
    observer: &dyn Observe,
) -> Result<()> {
    let Some(seed) = seeds.get(number as usize) else { return Ok(()) };
    let tops = Tops::new(index);
    let size = SECTION * index.top_size();
    let sections = 0..seed.length().div_ceil(size);
    let look = |(data, hits): &mut (Vec<u8>, Vec<Hit>), section: u64| {
        let start = section * size;
        let inside = size.min(seed.length() - start);
        let reach = (inside + index.top_size()).min(seed.length() - start) as usize;
        data.resize(reach, 0);
        let read = seed.read_at(start, data).unwrap_or_else(|error| {
            observer.unreadable(number, error);
            0
        });
        let data = &data[..read.min(reach)];
        let at_end = start + data.len() as u64 >= seed.length();
        let guard = Guard::new(index.top_size() as usize);
        let mut section = Section { index, tops: &tops, data, start, at_end, observer, guard, places: Vec::new() };
        section.search(inside as usize, hits)?;
        observer.scanned(inside)?;
        Ok((section.places, section.guard.work))
    };
    let outcomes: Vec<_> = sections.into_par_iter().map_init(Default::default, look).collect::<Result<_>>()?;
    for (places, work) in outcomes {
        places.into_iter().for_each(|place| add(index, found, number, place));
        found.work.add(work);
    }
    tops.spread(index, seeds, found, observer)
}

/// Writes down a top block that was verified.
fn add(index: &Index, found: &mut Found, seed: u32, (top, offset): Place) {
    let range = index.top_range(top);
    let size = u64::from(index.block_size());
    found.add(seed, &Run { block: range.offset / size, count: range.length.div_ceil(size), offset, verified: true });
}

impl Tops {
    fn new(index: &Index) -> Tops {
        let full = index.length() / index.top_size();
        let mut entries: Vec<_> = (0..full).map(|top| (index.top_weak(top), index.top_hint(top), top)).collect();
        entries.par_sort_unstable();
        let sums = |weak: u64| ((weak & 0xffff) as u32, (weak >> 16) as u32);
        let bits = entries.len().next_power_of_two();
        let words = (bits / 2).clamp(1 << 13, 1 << 20);
        let mut filter = Filter::with_check(words, 2 * words, sums(index.cut_top_weak(u32::MAX, u32::MAX)));
        for (weak, ..) in &entries {
            let (a, b) = sums(*weak);
            filter.insert(a, b);
        }
        Tops { entries, filter }
    }

    fn with_weak(&self, weak: u64) -> &[(u64, u64, u64)] {
        let entries = &self.entries[self.entries.partition_point(|entry| entry.0 < weak)..];
        &entries[..entries.partition_point(|entry| entry.0 == weak)]
    }

    /// Top blocks that look like one which was found are most likely the same bytes: they are read from there once more.
    fn spread(&self, index: &Index, seeds: &[&dyn ReadAt], found: &mut Found, observer: &dyn Observe) -> Result<()> {
        let place = |top: u64| found.place((index.top_range(top).offset / u64::from(index.block_size())) as u32);
        let mut wanted = Vec::new();
        for class in
            self.entries.chunk_by(|one, next| (one.0, one.1) == (next.0, next.1)).filter(|class| class.len() > 1)
        {
            let Some(known) = class.iter().find_map(|(.., top)| place(*top)) else { continue };
            wanted
                .extend(class.iter().map(|(.., top)| *top).filter(|top| place(*top).is_none()).map(|top| (top, known)));
        }
        let size = index.top_size() as usize;
        let look = |buffer: &mut Vec<u8>, (top, known): (u64, super::found::Place)| {
            buffer.resize(size, 0);
            observer.scanned(0)?;
            let Some(seed) = seeds.get(known.seed as usize) else { return Ok(None) };
            let read = seed.read_at(known.offset, buffer).unwrap_or(0);
            let Some(verified) = Verified::check_top(index, top, &buffer[..read]) else { return Ok(None) };
            observer.unit(index.top_units(top).start, verified)?;
            Ok(Some((top, known)))
        };
        let equal: Vec<_> = wanted.into_par_iter().map_init(Vec::new, look).collect::<Result<_>>()?;
        equal.into_iter().flatten().for_each(|(top, known)| add(index, found, known.seed, (top, known.offset)));
        Ok(())
    }
}

/// A stretch of a seed.
struct Section<'a> {
    index: &'a Index,
    tops: &'a Tops,
    /// The section, and up to a top block of what follows it.
    data: &'a [u8],
    /// Where in the seed it starts.
    start: u64,
    /// `data` ends where the seed ends.
    at_end: bool,
    observer: &'a dyn Observe,
    guard: Guard,
    places: Vec<Place>,
}

impl Section<'_> {
    /// Finds the top blocks that start at the first `inside` positions.
    fn search(&mut self, inside: usize, hits: &mut Vec<Hit>) -> Result<()> {
        let size = self.index.top_size() as usize;
        let inside = inside.min(self.data.len());
        // Whoever has an old version most likely has most at its own place; sections begin where blocks do.
        let mut expected = Some(self.start / size as u64);
        let (mut at, mut piece) = (0, PIECE);
        let mut seen = HashSet::new();
        while at < inside {
            if let Some(top) = expected.take() {
                // An edit in place leaves the next block where it was.
                if let Some((place, top)) = match self.take(top, at)? {
                    true => Some((at, top)),
                    false => self.take(top + 1, at + size)?.then_some((at + size, top + 1)),
                } {
                    at = place + self.index.top_range(top).length as usize;
                    (expected, piece) = (Some(top + 1), PIECE);
                    continue;
                }
            }
            if self.data.len() - at < size {
                break;
            }
            let end = (at + piece).min(inside).min(self.data.len() - size + 1);
            hits.clear();
            if let Some(run) = run_of(&self.data[at..], size) {
                // All the windows of a run are the same.
                let (a, b) = weak::sum(&self.data[at..at + size]);
                hits.push(Hit { at: 0, a, b });
                if let Some((place, top)) = self.first(at, hits, &mut seen)? {
                    (at, expected) = (place + size, Some(top + 1));
                } else {
                    at += run + 1 - size;
                }
                continue;
            }
            weak::scan(&self.data[at..end + size - 1], size, &self.tops.filter, hits);
            self.guard.earn(end - at);
            if let Some((place, top)) = self.first(at, hits, &mut seen)? {
                (at, expected, piece) = (place + size, Some(top + 1), PIECE);
                continue;
            }
            at = end + Guard::left_out(hits.len(), end - at);
            piece = (2 * piece).min(LARGEST);
        }
        self.tail()
    }

    /// The first of the `hits`, which are relative to `from`, that is a top block, and which one.
    fn first(&mut self, from: usize, hits: &[Hit], seen: &mut HashSet<u64>) -> Result<Option<(usize, u64)>> {
        let size = self.index.top_size() as usize;
        for hit in hits {
            let weak = self.index.cut_top_weak(hit.a, hit.b);
            let tops = self.tops;
            let candidates = tops.with_weak(weak);
            if candidates.is_empty() {
                self.guard.looked(tops.entries.len());
                continue;
            }
            if !self.guard.may_check() {
                break;
            }
            if !seen.insert(weak) {
                continue;
            }
            let at = from + hit.at as usize;
            let hint = self.index.top_hint_of(&self.data[at..at + size]);
            let first = candidates.partition_point(|(_, other, _)| *other < hint);
            if let Some((_, other, top)) = candidates.get(first)
                && *other == hint
                && self.take(*top, at)?
            {
                return Ok(Some((at, *top)));
            }
            self.guard.checked();
        }
        Ok(None)
    }

    /// Whether top block `top` is at `at`. If so, it is told.
    fn take(&mut self, top: u64, at: usize) -> Result<bool> {
        let length = self.index.top_range(top).length as usize;
        let Some(bytes) = self.data.get(at..at + length).filter(|bytes| !bytes.is_empty()) else { return Ok(false) };
        match Verified::check_top(self.index, top, bytes) {
            Some(verified) => {
                self.observer.unit(self.index.top_units(top).start, verified)?;
                self.places.push((top, self.start + at as u64));
                Ok(true)
            }
            None => {
                self.guard.work.hashed += length as u64;
                Ok(false)
            }
        }
    }

    /// The last top block may be shorter than the others; it is looked for at the end of the seed.
    fn tail(&mut self) -> Result<()> {
        let last = self.index.top_count().saturating_sub(1);
        let length = self.index.top_range(last).length as usize;
        let is_known = self.places.iter().any(|(top, _)| *top == last);
        if self.at_end && length < self.index.top_size() as usize && length <= self.data.len() && !is_known {
            self.take(last, self.data.len() - length)?;
        }
        Ok(())
    }
}

/// Looks for the units that are missing and can be checked where they are expected: beside what was found, and at their
/// own offset.
pub(super) fn beside(index: &Index, seeds: &[&dyn ReadAt], found: &mut Found, observer: &dyn Observe) -> Result<()> {
    let mut stretches: Vec<std::ops::Range<u64>> = Vec::new();
    for unit in (0..index.unit_count()).filter(|unit| found.has_none(*unit)) {
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
    let places: Vec<Vec<(u64, Spot)>> = stretches.into_par_iter().map_init(Vec::new, look).collect::<Result<_>>()?;
    let size = u64::from(index.block_size());
    for (unit, (seed, offset)) in places.into_iter().flatten() {
        let range = index.unit_range(unit);
        let (block, count) = (range.offset / size, range.length.div_ceil(size));
        found.add(seed, &Run { block, count, offset, verified: true });
    }
    Ok(())
}

/// A seed, and where in it.
type Spot = (u32, u64);

/// The search for a stretch of missing units.
struct Neighbours<'a> {
    index: &'a Index,
    seeds: &'a [&'a dyn ReadAt],
    observer: &'a dyn Observe,
    buffer: &'a mut Vec<u8>,
    found: Vec<(u64, Spot)>,
}

impl Neighbours<'_> {
    fn look(mut self, known: &Found, stretch: std::ops::Range<u64>) -> Result<Vec<(u64, Spot)>> {
        let per_unit = UNIT / u64::from(self.index.block_size());
        let place = |unit: u64| known.place((unit * per_unit) as u32).map(|place| (place.seed, place.offset));
        // Forwards, behind what is known.
        let mut before = stretch.start.checked_sub(1).and_then(place);
        for unit in stretch.clone() {
            let next = before.map(|(seed, offset)| (seed, offset + UNIT));
            before = match next {
                Some(spot) if self.take(unit, spot)? => Some(spot),
                _ => self.diagonal(unit, next)?,
            };
        }
        // Backwards, before what is known.
        let mut after = if stretch.end < self.index.unit_count() { place(stretch.end) } else { None };
        for unit in stretch.rev() {
            if let Some((_, spot)) = self.found.iter().find(|(other, _)| *other == unit) {
                after = Some(*spot);
                continue;
            }
            after = match after.and_then(|(seed, offset)| Some((seed, offset.checked_sub(UNIT)?))) {
                Some(spot) if self.take(unit, spot)? => Some(spot),
                _ => None,
            };
        }
        Ok(self.found)
    }

    /// Where a unit is at its own offset, but for what was tried already.
    fn diagonal(&mut self, unit: u64, tried: Option<Spot>) -> Result<Option<Spot>> {
        for seed in 0..self.seeds.len() as u32 {
            let spot = (seed, unit * UNIT);
            if Some(spot) != tried && self.take(unit, spot)? {
                return Ok(Some(spot));
            }
        }
        Ok(None)
    }

    /// Whether a unit is there. If so, it is told.
    fn take(&mut self, unit: u64, spot: Spot) -> Result<bool> {
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
