//! Which files of a listing are at their paths, going by their roots alone: where little more than the listing is here of an
//! index.

use std::collections::HashMap;

use gosync_core::listing::{Entry, EntryKind};
use gosync_core::{Digest, ErrorKind, Listing, Result};
use rayon::prelude::*;

use super::Folder;
use super::walk::Walked;
use crate::cancel::Cancel;

/// For each entry whether it is a file of up to `most` bytes whose content is at its path: all that can be is read, in parallel
/// on the current pool. What cannot be read is not right.
pub(crate) fn right(
    folder: &Folder<'_>,
    walked: &Walked,
    listing: &Listing,
    most: u64,
    cancel: &Cancel,
) -> Result<Vec<bool>> {
    let stamps: HashMap<&str, _> =
        walked.found.iter().filter_map(|found| Some((&*found.path, found.stamp()?))).collect();
    let is_right = |entry: &Entry<'_>| {
        cancel.check()?;
        let EntryKind::File { size, root, .. } = entry.kind else { return Ok(false) };
        if size > most || stamps.get(&*entry.path).is_none_or(|stamp| stamp.length != size) {
            return Ok(false);
        }
        let Ok((file, _)) = folder.file(&entry.path) else { return Ok(false) };
        match Digest::of_reader(&file, &|_| cancel.check()) {
            Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
            digest => Ok(digest.is_ok_and(|digest| digest == root)),
        }
    };
    let entries: Vec<Entry<'_>> = listing.entries().collect();
    entries.par_iter().map(is_right).collect()
}
