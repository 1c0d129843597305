//! What the fuzz targets reach of what is written down of a switch. Behind the feature `fuzzing`, and no part of the API.

use gosync_core::listing::path_fault;

use super::wire::Steps;
use crate::tree::fuzzing::with_hash;

/// Any bytes as what is to be done: nothing, or steps inside the directory that are read again as they are.
pub fn switch(input: &[u8]) {
    for bytes in [input.to_vec(), with_hash(input)] {
        let Some(steps) = Steps::decode(&bytes) else { continue };
        let count = steps.record.listing().count();
        assert!(steps.placings.iter().all(|placing| u64::from(placing.entry) < count));
        assert!(steps.removals.iter().all(|removal| removal.path().is_empty() || path_fault(removal.path()).is_none()));
        assert!(Steps::decode(&steps.encode()) == Some(steps));
    }
}
