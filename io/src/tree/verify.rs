//! Whether a directory is what an index of a tree says: entry by entry, and of a file that differs, where. Only names that
//! the system itself has told are opened.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use gosync_core::index::UNIT;
use gosync_core::listing::{Entry, EntryKind};
use gosync_core::{ChangeKind, Digest, Error, ErrorKind, Index, Range, ReadAt, Result, weak};
use rayon::prelude::*;

use super::around::Around;
use super::changes::attribute_fault;
use super::system_names::Here;
use super::walk::{self, Found, Is, Walked};
use super::{Folder, Spellings, switch};
use crate::in_part::InPart;
use crate::parts;
use crate::report::{Meter, Observer};
use crate::verbs::{Verification, share};

/// In what an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// It is not there.
    Missing,
    /// Its content, or what a link says, is another.
    Changed,
    /// It is there, but as something else: a directory instead of a file, for instance.
    Type,
    /// It may be executed and should not, or the other way round; or it has another mode than the index says.
    Mode,
    /// The index says another time of its last change.
    Time,
    /// The index does not know it. That alone does not make a directory differ.
    Extra,
}

impl What {
    /// The name that all faces share, for instance `missing`.
    pub const fn name(self) -> &'static str {
        match self {
            What::Missing => "missing",
            What::Changed => "changed",
            What::Type => "type",
            What::Mode => "mode",
            What::Time => "time",
            What::Extra => "extra",
        }
    }
}

/// An entry in which a directory is not what the index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Names from the directory to the entry, with `/` between. Of an extra one whose name is not text, how it is shown.
    pub path: String,
    /// In what it differs.
    pub what: What,
    /// The ranges that a file which has changed does not have right: ascending, in whole blocks, joined.
    pub damaged: Vec<Range>,
}

impl Difference {
    fn of(path: &str, what: What) -> Difference {
        Difference { path: path.to_owned(), what, damaged: Vec::new() }
    }
}

/// Compares the directory at `path` with the tree of `index`.
pub(crate) fn verify(
    path: &Path,
    index: &Index,
    observer: &Observer,
    meter: &Meter,
    pool: &rayon::ThreadPool,
) -> Result<Verification> {
    let listing = index.listing();
    let listing = listing.ok_or_else(|| Error::new(ErrorKind::Internal, "the index does not describe a directory"))?;
    let folder = Folder::open(path, "target")?;
    let Walked { mut found, strange } = walk::walk(&folder, None, &observer.cancel)?;
    let spellings = Spellings::settle(&mut found, listing, &folder);
    let here = Here::likely(Some(&folder), &found);
    let known: HashMap<&str, &Found> = found.iter().map(|entry| (entry.path.as_str(), entry)).collect();
    let renamed: BTreeMap<&str, &str> = spellings.renamed(here.keeps_form).collect();
    let total = listing.total();
    let (checked, right) = (AtomicU64::new(0), AtomicU64::new(0));
    let compare = |entry: &Entry<'_>| {
        observer.cancel.check()?;
        let size = if let EntryKind::File { size, .. } = entry.kind { size } else { 0 };
        let difference = compare(&folder, entry, known.get(entry.path.as_str()).copied(), here, observer)?;
        let is_there = |difference: &Difference| matches!(difference.what, What::Mode | What::Time);
        if difference.as_ref().is_none_or(is_there) {
            right.fetch_add(size, Ordering::Relaxed);
        }
        let checked = checked.fetch_add(size, Ordering::Relaxed) + size;
        meter.update(|progress| progress.fraction = share(checked, total));
        // What is there in other letters has not the name that it should have.
        let is_renamed = difference.is_none() && renamed.contains_key(entry.path.as_str());
        Ok(if is_renamed { Some(Difference::of(&entry.path, What::Missing)) } else { difference })
    };
    let entries: Vec<Entry<'_>> = listing.entries().collect();
    let compared: Result<Vec<Option<Difference>>> = pool.install(|| entries.par_iter().map(compare).collect());
    let mut compared = compared?;
    pool.install(|| say_where(&folder, index, &entries, &mut compared, observer))?;
    let mut differences: Vec<Difference> = compared.into_iter().flatten().collect();
    let listed: std::collections::HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    let extra = |path: &str| Difference::of(path, What::Extra);
    // Of a directory that is extra, itself and not all that is in it.
    let is_extra = |path: &str| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        !listed.contains(path) && (folder.is_empty() || listed.contains(folder))
    };
    differences.extend(found.iter().filter(|entry| is_extra(&entry.path)).map(|entry| extra(&entry.path)));
    differences.extend(strange.iter().map(|strange| extra(&strange.shown)));
    differences.extend(renamed.values().map(|there| extra(there)));
    Ok(Verification {
        length: right.into_inner(),
        expected_length: total,
        damaged: Vec::new(),
        differences,
        unfinished: is_unfinished(path),
    })
}

/// Says of files that have changed, where. What of the index that takes is read in one go.
fn say_where(
    folder: &Folder<'_>,
    index: &Index,
    entries: &[Entry<'_>],
    compared: &mut [Option<Difference>],
    observer: &Observer,
) -> Result<()> {
    let changed = entries.iter().zip(compared).filter_map(|(entry, difference)| {
        let is_file = matches!(entry.kind, EntryKind::File { .. });
        difference.as_mut().filter(|difference| is_file && difference.what == What::Changed).map(|it| (entry, it))
    });
    let changed: Vec<(&Entry<'_>, &mut Difference)> = changed.collect();
    let units = |place: Range| place.offset / UNIT..place.end().div_ceil(UNIT);
    let options = InPart::options(index, observer);
    parts::with_blocks_of(index, changed.iter().flat_map(|(entry, _)| units(entry.place)), &options)?;
    changed.into_par_iter().try_for_each(|(entry, difference)| {
        observer.cancel.check()?;
        let (file, stamp) = match folder.file(&entry.path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let size = entry.place.length;
        difference.damaged = damaged(&file, index, entry.place)?;
        // Blocks are told apart by sums and hints, the whole by its root, which is right.
        if difference.damaged.is_empty() && stamp.length <= size && size > 0 {
            difference.damaged = vec![Range::new(0, size)];
        }
        Ok(())
    })
}

/// Whether an update of the directory has begun to switch to its version and was not finished.
fn is_unfinished(path: &Path) -> bool {
    let around = std::fs::canonicalize(path).ok().and_then(|path| Around::of(&path).ok());
    around.is_some_and(|around| switch::unfinished(&around).is_some())
}

/// In what an entry differs from what was found at its path.
fn compare(
    folder: &Folder<'_>,
    entry: &Entry<'_>,
    found: Option<&Found>,
    here: Here,
    observer: &Observer,
) -> Result<Option<Difference>> {
    let differs = |what| Ok(Some(Difference::of(&entry.path, what)));
    let Some(found) = found else {
        return differs(What::Missing);
    };
    let attributes = || match attribute_fault(entry, &found.is, here.has_modes) {
        Some(ChangeKind::Time) => differs(What::Time),
        Some(_) => differs(What::Mode),
        None => Ok(None),
    };
    match (entry.kind, &found.is) {
        (EntryKind::Directory, Is::Directory { .. }) => attributes(),
        (EntryKind::Symlink { target }, Is::Symlink { target: other }) if target == other => Ok(None),
        (EntryKind::Symlink { .. }, Is::Symlink { .. }) => differs(What::Changed),
        (EntryKind::File { size, root, .. }, Is::File { stamp, .. }) => {
            let file = match folder.file(&entry.path) {
                Ok((file, _)) => file,
                // It was there a moment ago.
                Err(error) if error.kind() == ErrorKind::NotFound => return differs(What::Missing),
                Err(error) => return Err(error),
            };
            if stamp.length != size || Digest::of_reader(&file, &|_| observer.cancel.check())? != root {
                return differs(What::Changed);
            }
            attributes()
        }
        _ => differs(What::Type),
    }
}

/// The ranges of a file that its blocks in the payload do not have like this.
fn damaged(file: &dyn ReadAt, index: &Index, place: Range) -> Result<Vec<Range>> {
    let block_size = u64::from(index.block_size());
    let mut damaged: Vec<Range> = Vec::new();
    let mut buffer = vec![0; block_size as usize];
    for offset in (0..place.length).step_by(block_size as usize) {
        let block = (place.offset + offset) / block_size;
        // The last block of a file goes on with zeros, unless the payload ends with it.
        let length = index.block_range(block).length as usize;
        let part = Range::new(offset, block_size.min(place.length - offset));
        buffer.fill(0);
        let mut read = 0;
        while read < part.length as usize {
            match file.read_at(offset + read as u64, &mut buffer[read..part.length as usize])? {
                0 => break,
                count => read += count,
            }
        }
        let bytes = buffer.get(..length).unwrap_or(&buffer);
        let (a, b) = weak::sum(bytes);
        let is_right = read == part.length as usize
            && (index.weak(block), index.hint(block)) == (index.cut_weak(a, b), index.hint_of(bytes));
        if is_right {
            continue;
        }
        match damaged.last_mut().filter(|last| last.end() == offset) {
            Some(last) => last.length += part.length,
            None => damaged.push(part),
        }
    }
    Ok(damaged)
}
