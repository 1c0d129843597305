//! The search where only the beginning of an index is here: from the top down, of each level what lies under what was not
//! found above. What is known to be needed is read while the search goes on.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use gosync_core::assemble::Verified;
use gosync_core::index::UNIT;
use gosync_core::matching::{self, Flow, Found, Observe};
use gosync_core::{Error, Index, ReadAt, Result};

use super::ahead::SAMPLE;
use super::work::Watcher;
use crate::options::OpenOptions;
use crate::parts::{self, Reading, Wanted};

/// Where less of what was looked through is found as top blocks, units are asked whether the index is to be read in part.
const MOST_TOPS: (u64, u64) = (2, 3);
/// If less of them are at their own places, or beside what was found, it is read whole: that is little beside the content
/// that is missing then, and one search for everything takes less time than several.
const MOST_UNITS: (u64, u64) = (3, 4);

/// What the seeds have besides what is in `begun`; or nothing, if the index had better be read whole, and is by now.
pub(super) fn search(
    pool: &rayon::ThreadPool,
    index: &Index,
    readers: &[&dyn ReadAt],
    watcher: &Watcher<'_>,
    options: &OpenOptions,
    reading: &mut Reading<'_, '_>,
    begun: Found,
) -> Result<Option<Found>> {
    let above = Above { index, watcher, state: Mutex::new(State { reading, passed: 0 }) };
    let (mut found, flow) = pool.install(|| matching::find_tops(index, readers, &above, begun))?;
    let State { reading, passed } = above.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if flow == Flow::Enough {
        // Changes may be everywhere, but small: then most units are where they were.
        let sample = 0..(passed / index.top_size()).clamp(1, index.top_count());
        reading.begin(Wanted::values(index, sample.clone(), None), false)?;
        reading.finish()?;
        pool.install(|| matching::find_beside(index, readers, watcher, &mut found))?;
        if !is_worth_while(index, &found, sample) {
            parts::complete(index, options)?;
            return Ok(None);
        }
    }
    reading.begin(Wanted::values(index, 0..index.top_count(), Some(&found)), true)?;
    // Once while the last of them are on their way, then for these.
    pool.install(|| matching::find_beside(index, readers, watcher, &mut found))?;
    reading.finish()?;
    pool.install(|| matching::find_beside(index, readers, watcher, &mut found))?;
    reading.begin(Wanted::blocks(index, found.enclosed(UNIT), Some(&found)), false)?;
    pool.install(|| matching::find_units(index, readers, watcher, &mut found))?;
    reading.begin(Wanted::blocks(index, 0..index.unit_count(), Some(&found)), false)?;
    reading.finish()?;
    let options = matching::Options::default();
    pool.install(|| matching::find_blocks(index, readers, &options, watcher, found)).map(Some)
}

/// Whether enough of the units below these top blocks was found to do without the identities of their blocks.
fn is_worth_while(index: &Index, found: &Found, tops: Range<u64>) -> bool {
    let units: Vec<u64> = tops.flat_map(|top| index.top_units(top)).collect();
    let known = units.iter().filter(|unit| !found.has_none(**unit)).count() as u64;
    known * MOST_UNITS.1 >= units.len() as u64 * MOST_UNITS.0
}

/// Watches the search for top blocks: what was changed in place is read of the index at once, and where hardly anything is
/// found, top blocks are too large to look for.
struct Above<'a, 'r, 'scope, 'env> {
    index: &'a Index,
    watcher: &'a Watcher<'a>,
    state: Mutex<State<'r, 'scope, 'env>>,
}

struct State<'r, 'scope, 'env> {
    reading: &'r mut Reading<'scope, 'env>,
    /// Bytes of the last seed that were looked through.
    passed: u64,
}

impl Observe for Above<'_, '_, '_, '_> {
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()> {
        self.watcher.unit(unit, bytes)
    }

    fn scanned(&self, bytes: u64) -> Result<()> {
        self.watcher.scanned(bytes)
    }

    fn passed(&self, found: &Found, _seed: u32, bytes: u64) -> Result<Flow> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.passed = bytes;
        let wanted = Wanted::values(self.index, found.enclosed(self.index.top_size()), Some(found));
        state.reading.begin(wanted, false)?;
        let (scanned, all) = (self.watcher.scanned.load(Ordering::Relaxed), self.watcher.seed_bytes);
        let seen = scanned >= SAMPLE.max(all / 16).min(all);
        let known = (self.index.block_count() - found.missing_blocks()) * u64::from(self.index.block_size());
        Ok(if seen && known < scanned / MOST_TOPS.1 * MOST_TOPS.0 { Flow::Enough } else { Flow::On })
    }

    fn unreadable(&self, seed: u32, error: Error) {
        self.watcher.unreadable(seed, error);
    }
}
