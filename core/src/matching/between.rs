//! What lies between two things that were found: most likely something was changed there, and whatever of it is old lies
//! between the same two things in the seed. So it can be looked for there alone, before everything else has been looked
//! through.

use std::ops::Range;

use super::found::{Found, Gap};
use super::search::{Search, Stretch};
use super::{Observe, Options, tops};
use crate::error::Result;
use crate::index::{Index, UNIT};
use crate::source::ReadAt;

/// Looks for the missing units of gaps, as far as their identities are here, at every offset of what the seeds have there.
pub fn find_units_between(
    index: &Index,
    seeds: &[&dyn ReadAt],
    observer: &dyn Observe,
    found: &mut Found,
    gaps: &[Gap],
) -> Result<()> {
    if index.top_size() == UNIT {
        return Ok(());
    }
    for (seed, units, stretches) in by_seed(gaps) {
        tops::find(index.units(), seed, seeds, found, observer, &tops::Field::Between(units, &stretches))?;
    }
    Ok(())
}

/// Looks for the missing blocks of gaps, as far as their identities are here, at every offset of what the seeds have there.
pub fn find_blocks_between(
    index: &Index,
    seeds: &[&dyn ReadAt],
    options: &Options,
    observer: &dyn Observe,
    found: &mut Found,
    gaps: &[Gap],
) -> Result<()> {
    for (number, units, stretches) in by_seed(gaps) {
        let Some(seed) = seeds.get(number as usize) else { continue };
        let mut search = Search::on(index, options, observer, std::mem::take(found)).among(units);
        let outcome = search.between(*seed, number, stretches);
        *found = search.found;
        outcome?;
    }
    Ok(())
}

/// Of each seed that has any of the gaps: the units from the first of these to the last, and the places in the seed.
fn by_seed(gaps: &[Gap]) -> Vec<(u32, Range<u64>, Vec<Stretch>)> {
    let mut seeds: Vec<(u32, Range<u64>, Vec<Stretch>)> = Vec::new();
    for gap in gaps {
        let place = (gap.place.offset, gap.place.length);
        match seeds.iter_mut().find(|(seed, ..)| *seed == gap.seed) {
            Some((_, units, places)) => {
                *units = units.start.min(gap.units.start)..units.end.max(gap.units.end);
                places.push(place);
            }
            None => seeds.push((gap.seed, gap.units.clone(), vec![place])),
        }
    }
    seeds
}
