//! Matching: finds, at any byte offset of any seed, the blocks of the target that are already here.
//!
//! Three steps per position, cheapest first: *follow* (after a block was found, or on the target's own offset,
//! try the expected block directly; whole verified units at the speed of BLAKE3), *scan* (a weak sum rolled over
//! every offset, a bit filter, a table), *check* (the hint decides). `table` holds what is looked for, `scan` goes
//! through one section of a seed, `found` keeps what was found and turns it into a cover.
//!
//! Sections have a fixed size and know nothing of each other, so the result does not depend on the number of threads.

mod found;
mod scan;
mod table;

use rayon::prelude::*;

use crate::assemble::Verified;
use crate::error::{Error, Result};
use crate::index::{Index, UNIT};
use crate::source::ReadAt;

pub use found::Found;
use scan::{Run, Section};
use table::Table;

/// How to match.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of a seed that are looked through in one go (and the memory that each thread needs for it).
    pub section: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { section: 4 << 20 }
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There is more to find.
    On,
    /// What is found by now will do.
    Enough,
}

/// Who watches the matching.
pub trait Observe: Sync {
    /// A whole unit of the target was found, and verified in this very buffer. The same unit may be told more than once.
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()>;
    /// So many more bytes of seeds have been looked through. An error stops the matching.
    fn scanned(&self, bytes: u64) -> Result<()>;
    /// So many bytes of this seed, from its beginning, have been looked through; `found` is what is known by now.
    fn passed(&self, found: &Found, seed: u32, bytes: u64) -> Result<Flow> {
        let _ = (found, seed, bytes);
        Ok(Flow::On)
    }
    /// A part of this seed cannot be read; matching goes on with the rest.
    fn unreadable(&self, seed: u32, error: Error);
}

/// Looks through the seeds, in their order, each in parallel on the current rayon pool.
/// Stops as soon as nothing is missing any more.
pub fn find(index: &Index, seeds: &[&dyn ReadAt], options: &Options, observer: &dyn Observe) -> Result<Found> {
    let mut found = Found::new(index);
    let mut table: Option<Table> = None;
    for (number, seed) in (0u32..).zip(seeds) {
        if found.missing_blocks() == 0 {
            break;
        }
        // The table keeps blocks that have been found since it was made; it is made anew once they are half of it.
        let stale = table.as_ref().is_none_or(|table| found.missing_blocks() < table.blocks() / 2);
        if stale {
            drop(table.take());
            table = Some(Table::new(index, &found));
        }
        if let Some(table) = &table {
            let flow = match_seed(index, table, number, *seed, options, observer, &mut found)?;
            found.spread(table.equal_blocks());
            if flow == Flow::Enough {
                break;
            }
        }
    }
    Ok(found)
}

/// Looks through one seed and adds what it has to `found`.
fn match_seed(
    index: &Index,
    table: &Table,
    number: u32,
    seed: &dyn ReadAt,
    options: &Options,
    observer: &dyn Observe,
    found: &mut Found,
) -> Result<Flow> {
    let length = seed.length();
    let section = options.section.max(1) as u64;
    let count = length.div_ceil(section);
    // A bounded number of sections at a time, so that what they found does not pile up.
    let wave = 4 * rayon::current_num_threads() as u64;
    for first in (0..count).step_by(wave as usize) {
        let runs: Vec<Result<Vec<Run>>> = (first..count.min(first + wave))
            .into_par_iter()
            .map_init(Vec::new, |buffer, at| {
                let start = at * section;
                let inside = section.min(length - start);
                let reach = (inside + UNIT).min(length - start);
                buffer.resize(reach as usize, 0);
                let read = seed.read_at(start, buffer).unwrap_or_else(|error| {
                    observer.unreadable(number, error);
                    0
                });
                let at_end = start + read as u64 >= length || read < buffer.len();
                let section = Section { index, table, data: &buffer[..read], start, inside: inside as usize, at_end };
                let runs = section.scan(observer)?;
                observer.scanned(inside)?;
                Ok(runs)
            })
            .collect();
        for section in runs {
            for run in section? {
                found.add(number, &run);
            }
        }
        let passed = (first + wave).saturating_mul(section).min(length);
        if observer.passed(found, number, passed)? == Flow::Enough {
            return Ok(Flow::Enough);
        }
    }
    Ok(Flow::On)
}
