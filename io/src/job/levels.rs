//! The search where only the beginning of an index is here: from the top down, of each level what lies under what was not
//! found above. What was changed in place is followed down to its blocks while the search goes on (`changed`).

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use gosync_core::assemble::Verified;
use gosync_core::matching::{self, Flow, Found, Observe};
use gosync_core::{Error, Index, ReadAt, Result};

use super::ahead::SAMPLE;
use super::changed::Changed;
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
    reading: Reading<'_, '_>,
    begun: Found,
) -> Result<Option<Found>> {
    let changed = Changed::new(index, readers, watcher, reading);
    let above = Above { index, watcher, state: Mutex::new(State { changed, passed: 0 }) };
    let (mut found, flow) = pool.install(|| matching::find_tops(index, readers, &above, begun))?;
    let State { mut changed, passed } = above.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if flow == Flow::Enough {
        // Changes may be everywhere, but small: then most units are where they were.
        let sample = 0..(passed / index.top_size()).clamp(1, index.top_count());
        changed.reading.begin(Wanted::values(index, sample.clone(), None), false)?;
        changed.reading.finish()?;
        let units = 0..index.unit_count();
        pool.install(|| matching::find_beside(index, readers, watcher, &mut found, units))?;
        if !is_worth_while(index, &found, sample) {
            parts::complete(index, options)?;
            return Ok(None);
        }
    }
    pool.install(|| changed.follow_to_end(&mut found))?;
    // Nothing leads to what is left.
    let Changed { mut reading, asked, .. } = changed;
    let is_left = |unit: &u64| found.lacks_any(*unit) && !asked.contains(unit);
    let left: Vec<u64> = (0..index.unit_count()).filter(is_left).collect();
    if left.is_empty() {
        return Ok(Some(found));
    }
    pool.install(|| matching::find_beside(index, readers, watcher, &mut found, left.iter().copied()))?;
    pool.install(|| matching::find_units(index, readers, watcher, &mut found))?;
    reading.begin(Wanted::blocks(index, left, Some(&found)), false)?;
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

/// Watches the search for top blocks: what was changed in place is followed at once, and where hardly anything is found, top
/// blocks are too large to look for.
struct Above<'a, 'scope, 'env> {
    index: &'a Index,
    watcher: &'a Watcher<'a>,
    state: Mutex<State<'a, 'scope, 'env>>,
}

struct State<'a, 'scope, 'env> {
    changed: Changed<'a, 'scope, 'env>,
    /// Bytes of the last seed that were looked through.
    passed: u64,
}

impl Observe for Above<'_, '_, '_> {
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()> {
        self.watcher.unit(unit, bytes)
    }

    fn scanned(&self, bytes: u64) -> Result<()> {
        self.watcher.scanned(bytes)
    }

    fn passed(&self, found: &mut Found, seed: u32, bytes: u64) -> Result<Flow> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.passed = bytes;
        state.changed.heed(found)?;
        // What an earlier seed has not may be in a later one.
        if self.watcher.last == Some(seed as usize) {
            state.changed.follow(found)?;
        }
        let (scanned, all) = (self.watcher.scanned.load(Ordering::Relaxed), self.watcher.seed_bytes);
        let seen = scanned >= SAMPLE.max(all / 16).min(all);
        let known = (self.index.block_count() - found.missing_blocks()) * u64::from(self.index.block_size());
        Ok(if seen && known < scanned / MOST_TOPS.1 * MOST_TOPS.0 { Flow::Enough } else { Flow::On })
    }

    fn unreadable(&self, seed: u32, error: Error) {
        self.watcher.unreadable(seed, error);
    }
}
