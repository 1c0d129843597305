//! Matching: finds, at any byte offset of any seed, the blocks of the target that are already here.
//!
//! Three steps per position, cheapest first: *follow* (after a block was found, or on the target's own offset, the
//! *diagonal*, try the expected block directly; whole verified units at the speed of BLAKE3), *scan* (a weak sum rolled
//! over every offset, a bit filter, a table), *check* (the hint decides). `search` goes through a seed, section by
//! section; `section` and `scan` through a section; `guard` bounds what hostile content can cost; `table` holds what is
//! looked for; `found` keeps what was found and turns it into a cover; `seam` fills in what two neighbours have together.
//!
//! Sections have a fixed size and know nothing of each other, and what is decided for a seed is decided between waves
//! of a fixed number of them, so the result does not depend on the number of threads.

mod between;
mod coarse;
mod found;
mod guard;
mod scan;
mod seam;
mod search;
mod section;
mod table;
mod telling;
mod tops;

use crate::assemble::Verified;
use crate::error::{Error, Result};
use crate::index::{Index, UNIT};
use crate::source::ReadAt;

pub use between::{find_blocks_between, find_units_between};
pub use found::{Found, Gap};
pub use seam::join_seams;

/// How to match.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of a seed that are looked through in one go (and the memory that each thread needs for it).
    pub section: usize,
}

impl Default for Options {
    fn default() -> Self {
        // What was read stays in the second-level cache until it has been hashed and written.
        Options { section: 1 << 20 }
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

/// What a search has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Offsets that a weak sum was rolled over.
    pub scanned: u64,
    /// Bytes that weak sums were made of for that: a block's where a scan begins, then one for each offset.
    pub summed: u64,
    /// Weak sums that were looked up in vain.
    pub looked: u64,
    /// Bytes that were hashed in vain.
    pub hashed: u64,
}

impl Work {
    fn add(&mut self, more: Work) {
        self.scanned += more.scanned;
        self.summed += more.summed;
        self.looked += more.looked;
        self.hashed += more.hashed;
    }
}

/// Who watches the matching.
pub trait Observe: Sync {
    /// A whole unit of the target was found, or several from this one on, and verified in this very buffer. The same
    /// unit may be told more than once.
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()>;
    /// So many more bytes of seeds have been looked through. An error stops the matching.
    fn scanned(&self, bytes: u64) -> Result<()>;
    /// So many bytes of this seed, from its beginning, have been looked through; `found` is what is known by now.
    /// Some short stretches in them may be looked at once more at the seed's end, when little is missing.
    /// What it finds by other means meanwhile, it may add.
    fn passed(&self, found: &mut Found, seed: u32, bytes: u64) -> Result<Flow> {
        let _ = (found, seed, bytes);
        Ok(Flow::On)
    }
    /// A part of this seed cannot be read; matching goes on with the rest.
    fn unreadable(&self, seed: u32, error: Error);
}

/// Looks through the seeds, in their order, for the top blocks of the target: all that an index can say of which only the
/// top is here. Most of what a seed has is found by that. `found` is what is known before. Also, whether the observer let
/// it come to its end.
pub fn find_tops(
    index: &Index,
    seeds: &[&dyn ReadAt],
    observer: &dyn Observe,
    mut found: Found,
) -> Result<(Found, Flow)> {
    for number in 0..seeds.len() as u32 {
        if found.missing_blocks() == 0 {
            break;
        }
        if tops::find(index.tops(), number, seeds, &mut found, observer, &tops::Field::Counted)? == Flow::Enough {
            return Ok((found, Flow::Enough));
        }
    }
    Ok((found, Flow::On))
}

/// Looks for those of the units `among` that are missing, as far as their chaining values are here, where they are expected:
/// beside what was found, and at their own offset.
pub fn find_beside(
    index: &Index,
    seeds: &[&dyn ReadAt],
    observer: &dyn Observe,
    found: &mut Found,
    among: impl IntoIterator<Item = u64>,
) -> Result<()> {
    tops::beside(index, seeds, found, observer, among.into_iter())
}

/// Looks for missing units, as far as their identities are here, at every offset of what is left of the seeds.
pub fn find_units(index: &Index, seeds: &[&dyn ReadAt], observer: &dyn Observe, found: &mut Found) -> Result<()> {
    if index.top_size() == UNIT {
        return Ok(());
    }
    for number in 0..seeds.len() as u32 {
        tops::find(index.units(), number, seeds, found, observer, &tops::Field::Everywhere)?;
    }
    Ok(())
}

/// Looks for missing blocks, as far as their identities are here, at every offset of what is left of the seeds.
pub fn find_blocks(
    index: &Index,
    seeds: &[&dyn ReadAt],
    options: &Options,
    observer: &dyn Observe,
    found: Found,
) -> Result<Found> {
    let mut search = search::Search::on(index, options, observer, found);
    for (number, seed) in (0u32..).zip(seeds) {
        if search.found.missing_blocks() == 0 || search.rest(number, *seed)? == Flow::Enough {
            break;
        }
    }
    Ok(search.found)
}

/// Looks through the seeds, in their order, each in parallel on the current rayon pool.
/// Stops as soon as nothing is missing any more.
pub fn find(index: &Index, seeds: &[&dyn ReadAt], options: &Options, observer: &dyn Observe) -> Result<Found> {
    find_rest(index, seeds, options, observer, Found::new(index))
}

/// As [`find`], where something is known before: only what `found` lacks is looked for.
pub fn find_rest(
    index: &Index,
    seeds: &[&dyn ReadAt],
    options: &Options,
    observer: &dyn Observe,
    found: Found,
) -> Result<Found> {
    let mut search = search::Search::on(index, options, observer, found);
    for (number, seed) in (0u32..).zip(seeds) {
        if search.found.missing_blocks() == 0 || search.seed(number, *seed)? == Flow::Enough {
            break;
        }
    }
    Ok(search.found)
}
