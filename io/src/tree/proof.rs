//! Which files of a listing are at their paths, going by their roots alone: where little more than the listing is here of an
//! index. What was read just before (`present`) is not read again.

use std::collections::HashMap;

use gosync_core::listing::{Entry, EntryKind};
use gosync_core::{Digest, ErrorKind, Listing, Result};
use rayon::prelude::*;

use super::Folder;
use super::walk::Walked;
use crate::cancel::Cancel;

/// For each entry whether it is a file of up to `most` bytes whose content is at its path: all that can be is read, in parallel
/// on the current pool. Of files that have just been read, whatever their length, `roots` has the roots, by their numbers in
/// `walked`. What cannot be read is not right.
pub(crate) fn right(
    folder: &Folder<'_>,
    walked: &Walked,
    listing: &Listing,
    most: u64,
    roots: &[Option<Digest>],
    cancel: &Cancel,
) -> Result<Vec<bool>> {
    let roots = roots.iter().copied().chain(std::iter::repeat(None));
    let there = walked.found.iter().zip(roots);
    let there: HashMap<&str, _> =
        there.filter_map(|(found, root)| Some((&*found.path, (found.length()?, root)))).collect();
    let is_right = |entry: &Entry<'_>| {
        cancel.check()?;
        let EntryKind::File { size, root, .. } = entry.kind else { return Ok(false) };
        match there.get(&*entry.path) {
            Some((length, seen)) if *length == size => match seen {
                Some(seen) => return Ok(*seen == root),
                None if size > most => return Ok(false),
                None => {}
            },
            _ => return Ok(false),
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
