//! Goes through seeds, wave by wave of sections. It begins along the diagonal, which needs no table; what is not there is
//! put off to the end of the seed, when little is missing and the table is small. Where too much has to be put off, whole
//! units are looked for at any offset (`coarse`); where that leaves too much, the table of blocks is made at once, and
//! every offset is looked at from there on.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::found::Found;
use super::section::{Outcome, Section};
use super::table::Table;
use super::telling::Telling;
use super::{Flow, Observe, Options, tops};
use crate::error::Result;
use crate::index::{Index, UNIT};
use crate::source::ReadAt;
use crate::weak::Hit;

/// Sections of a wave at most, whatever the number of threads. The first waves are smaller.
const WAVE: u64 = 64;
const FIRST_WAVE: u64 = 8;
/// Sections that are gone through one after another where units are looked for, each with what the one before it has
/// learned of how far things are from their own offsets.
const BUNDLE: usize = 4;
/// Blocks of a section at most.
const MOST_BLOCKS: u64 = 4096;
/// The share of a seed that may be put off.
const PUT_OFF: u64 = 16;

/// A search through seeds, one after another.
pub(super) struct Search<'a> {
    index: &'a Index,
    section: u64,
    observer: &'a dyn Observe,
    pub(super) found: Found,
    /// The units whose blocks are looked for.
    among: std::ops::Range<u32>,
    table: Option<Table>,
    /// The units, once these are looked for; only as long as there is no table of blocks.
    units: Option<tops::Table>,
    /// How far what was found last is from its own offset.
    shift: u64,
    /// Room for sections, one for each thread that has needed one.
    rooms: Mutex<Vec<Room>>,
}

#[derive(Default)]
struct Room {
    data: Vec<u8>,
    hits: Vec<Hit>,
}

/// A stretch of a seed.
pub(super) type Stretch = (u64, u64);

impl<'a> Search<'a> {
    /// A search for what `found` lacks.
    pub(super) fn on(index: &'a Index, options: &Options, observer: &'a dyn Observe, found: Found) -> Search<'a> {
        let among = 0..index.unit_count() as u32;
        // What has been found in a section is looked through at every hit. And a block that is larger than a section would
        // be read again for each of them.
        let block = u64::from(index.block_size());
        let most = (MOST_BLOCKS * block).max(UNIT);
        let section = (options.section.max(1) as u64).min(most).max(block);
        Search { index, section, observer, found, among, table: None, units: None, shift: 0, rooms: Mutex::default() }
    }

    /// The same, for blocks of these units alone.
    pub(super) fn among(self, units: std::ops::Range<u64>) -> Search<'a> {
        Search { among: units.start as u32..units.end as u32, ..self }
    }

    /// Looks through one seed, until its end or until nothing is missing.
    pub(super) fn seed(&mut self, number: u32, seed: &dyn ReadAt) -> Result<Flow> {
        let length = seed.length();
        if self.is_stale() {
            self.table = None;
        }
        (self.units, self.shift) = (None, 0);
        let mut put_off: Vec<Stretch> = Vec::new();
        let open = self.found.untaken(number, length);
        let (mut at, mut wave, mut spread_at) = (0, FIRST_WAVE, 0);
        while at < length && self.found.missing_blocks() > 0 {
            let end = at.saturating_add(wave.saturating_mul(self.section)).min(length);
            // What was taken before the search began is not looked at again.
            let here = within(&open, at, end);
            self.observer.scanned(end - at - here.iter().map(|(_, length)| length).sum::<u64>())?;
            self.look_and_put_off(seed, number, &cut(&here, self.section), true, &mut put_off)?;
            at = end;
            wave = (2 * wave).min(WAVE);
            let is_too_much =
                |put_off: &[Stretch]| put_off.iter().map(|(_, length)| length).sum::<u64>() > at / PUT_OFF;
            if is_too_much(&put_off) && self.is_along_the_diagonal() {
                self.units = Some(tops::Table::new(self.index.units(), &self.found, 0..u64::MAX));
                // What is shorter than a unit lies between things that were found: no unit has been put there.
                let (again, short) =
                    std::mem::take(&mut put_off).into_iter().partition::<Vec<_>, _>(|(_, length)| *length >= UNIT);
                self.look_and_put_off(seed, number, &cut(&again, self.section), false, &mut put_off)?;
                put_off.extend(short);
                put_off.sort_unstable();
            }
            if is_too_much(&put_off) {
                self.look_again(seed, number, &mut put_off)?;
            }
            // What equals something that was found is not missing. To find it takes a look at all blocks, so not each time.
            if (self.table.is_some() || self.units.is_some()) && at >= 2 * spread_at {
                self.spread();
                spread_at = at;
                if self.is_stale() {
                    self.make_table();
                }
            }
            if self.observer.passed(&mut self.found, number, at)? == Flow::Enough {
                self.spread();
                return Ok(Flow::Enough);
            }
        }
        if length > 0 && self.found.missing_blocks() > 0 {
            self.look_again(seed, number, &mut put_off)?;
            self.spread();
        }
        Ok(Flow::On)
    }

    /// Whether units could be looked for at any offset, and are not yet.
    fn is_along_the_diagonal(&self) -> bool {
        let can_be_found = self.index.units().has_identities() && self.index.unit_size() == UNIT;
        self.table.is_none() && self.units.is_none() && can_be_found
    }

    /// Goes through stretches; what a scan may say more about is put off.
    fn look_and_put_off(
        &mut self,
        seed: &dyn ReadAt,
        number: u32,
        stretches: &[Stretch],
        count: bool,
        put_off: &mut Vec<Stretch>,
    ) -> Result<()> {
        for outcome in self.look(seed, number, stretches, count)? {
            self.take(number, &outcome);
            outcome.gaps.into_iter().for_each(|gap| put_off_more(put_off, gap));
        }
        Ok(())
    }

    /// Looks at every offset of what larger blocks have not taken of a seed.
    pub(super) fn rest(&mut self, number: u32, seed: &dyn ReadAt) -> Result<Flow> {
        let stretches = cut(&self.found.untaken(number, seed.length()), self.section);
        for wave in stretches.chunks(WAVE as usize) {
            if self.found.missing_blocks() == 0 {
                break;
            }
            if self.table.is_none() || self.is_stale() {
                self.make_table();
            }
            for outcome in self.look(seed, number, wave, false)? {
                self.take(number, &outcome);
            }
            // What equals something that was found is not missing, and not to be fetched ahead.
            self.spread();
            let passed = wave.last().map_or(0, |(start, length)| start + length);
            if self.observer.passed(&mut self.found, number, passed)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::On)
    }

    /// Whether the table is much larger than it has to be: it keeps blocks that have been found since it was made.
    fn is_stale(&self) -> bool {
        self.table.as_ref().is_some_and(|table| self.found.missing_blocks() < table.blocks() / 2)
    }

    /// Looks at every offset of these stretches of a seed.
    pub(super) fn between(&mut self, seed: &dyn ReadAt, number: u32, mut stretches: Vec<Stretch>) -> Result<()> {
        self.look_again(seed, number, &mut stretches)?;
        self.spread();
        Ok(())
    }

    /// Looks at every offset of what was put off, with a table of what is missing now.
    fn look_again(&mut self, seed: &dyn ReadAt, number: u32, put_off: &mut Vec<Stretch>) -> Result<()> {
        if self.table.is_none() || self.is_stale() {
            self.make_table();
        }
        let stretches = cut(&std::mem::take(put_off), self.section);
        for wave in stretches.chunks(WAVE as usize) {
            if self.found.missing_blocks() == 0 {
                break;
            }
            for outcome in self.look(seed, number, wave, false)? {
                self.take(number, &outcome);
            }
        }
        Ok(())
    }

    fn make_table(&mut self) {
        // Not both at once.
        (self.table, self.units) = (None, None);
        let table = Table::new(self.index, &self.found, self.among.clone());
        table.adopt(self.index, &mut self.found, self.among.clone());
        self.table = Some(table);
    }

    fn spread(&mut self) {
        if let Some(table) = &self.table {
            table.spread(self.index, &mut self.found);
        }
        if let Some(units) = &self.units {
            units.adopt(self.index, &mut self.found);
        }
    }

    fn take(&mut self, number: u32, outcome: &Outcome) {
        for run in &outcome.runs {
            self.found.add(number, run);
        }
        self.shift = self.shift_of(outcome).unwrap_or(self.shift);
        self.found.work.add(outcome.guard.work);
    }

    /// Goes through stretches of a seed side by side; `count` tells the observer of them.
    fn look(&self, seed: &dyn ReadAt, number: u32, stretches: &[Stretch], count: bool) -> Result<Vec<Outcome>> {
        let bundle = if self.table.is_none() && self.units.is_some() { BUNDLE } else { 1 };
        let look = |bundle: &[Stretch]| {
            let mut room = self.rooms().pop().unwrap_or_default();
            let mut shift = self.shift;
            let outcomes = bundle.iter().map(|(start, inside)| {
                let outcome = self.look_at(seed, number, (*start, *inside), shift, &mut room)?;
                shift = self.shift_of(&outcome).unwrap_or(shift);
                self.observer.scanned(if count { *inside } else { 0 })?;
                Ok(outcome)
            });
            let outcomes: Result<Vec<Outcome>> = outcomes.collect();
            self.rooms().push(room);
            outcomes
        };
        let outcomes: Result<Vec<Vec<Outcome>>> = stretches.par_chunks(bundle).map(look).collect();
        Ok(outcomes?.into_iter().flatten().collect())
    }

    /// How far what was found last is from its own offset.
    fn shift_of(&self, outcome: &Outcome) -> Option<u64> {
        let run = outcome.runs.last()?;
        Some(run.offset.wrapping_sub(run.block * u64::from(self.index.block_size())))
    }

    fn look_at(
        &self,
        seed: &dyn ReadAt,
        number: u32,
        (start, inside): Stretch,
        shift: u64,
        room: &mut Room,
    ) -> Result<Outcome> {
        let length = seed.length();
        let reach = (inside + self.index.unit_size()).min(length - start) as usize;
        if room.data.len() < reach {
            room.data.resize(reach, 0);
        }
        let read = seed.read_at(start, &mut room.data[..reach]).unwrap_or_else(|error| {
            self.observer.unreadable(number, error);
            0
        });
        let data = &room.data[..read.min(reach)];
        let at_end = start + data.len() as u64 >= length || data.len() < reach;
        let section = Section {
            index: self.index,
            data,
            start,
            inside: inside as usize,
            at_end,
            found: &self.found,
            telling: Telling::new(self.observer, data),
        };
        match (&self.table, &self.units) {
            (Some(table), _) => section.scan(table, &mut room.hits),
            (None, Some(units)) => section.coarse(units, shift, &mut room.hits),
            (None, None) => section.diagonal(),
        }
    }

    fn rooms(&self) -> std::sync::MutexGuard<'_, Vec<Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts stretches into sections.
pub(super) fn cut(stretches: &[Stretch], section: u64) -> Vec<Stretch> {
    let cut = |(start, length): &Stretch| {
        let (start, end) = (*start, start + length);
        (start..end).step_by(section as usize).map(move |at| (at, section.min(end - at)))
    };
    stretches.iter().flat_map(cut).collect()
}

/// The parts of ascending stretches that lie between two offsets.
fn within(stretches: &[Stretch], from: u64, to: u64) -> Vec<Stretch> {
    let first = stretches.partition_point(|(start, length)| start + length <= from);
    let inside = stretches[first..].iter().take_while(|(start, _)| *start < to);
    let part = |(start, length): &Stretch| {
        let begin = (*start).max(from);
        (begin, (start + length).min(to) - begin)
    };
    inside.map(part).collect()
}

/// Adds a stretch, joined to the last one where it continues that.
fn put_off_more(put_off: &mut Vec<Stretch>, (start, length): Stretch) {
    match put_off.last_mut() {
        Some((last, so_far)) if *last + *so_far == start => *so_far += length,
        _ => put_off.push((start, length)),
    }
}
