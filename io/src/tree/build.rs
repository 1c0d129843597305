//! The index of a directory: what is in it, then its files' contents in one pass.

use std::collections::HashMap;
use std::path::Path;
use std::time::SystemTime;

use gosync_core::listing::{Attributes, EntryKind, FILE_MODE, FOLDER_MODE, Folded, TIMES_END, portable_fault};
use gosync_core::{Digest, Error, ErrorKind, Index, Listing, ReadAt, Result};
use rayon::prelude::*;

use super::ignored::Ignored;
use super::packs;
use super::payload::{Payload, changed};
use super::walk::{self, Found, Is};
use super::{Folder, Stamp};
use crate::folding::folded;
use crate::options::IndexOptions;
use crate::report::{Level, Meter, Observer};

/// Reads the directory at `path`, and puts its contents into packs if the options say so, of which some may be in those of
/// `previous`. `build` makes an index of a payload with blocks of a size, on a pool of its own.
pub(crate) fn describe(
    path: &Path,
    options: &IndexOptions,
    previous: Option<&Index>,
    (observer, meter): (&Observer, &Meter),
    pool: &rayon::ThreadPool,
    build: impl FnOnce(&dyn ReadAt, u32) -> Result<Index>,
) -> Result<Index> {
    let folder = Folder::open(path, "directory")?;
    if options.modes && cfg!(not(unix)) {
        return Err(
            Error::new(ErrorKind::Argument, "this system has no modes that an index could say").with("option", "modes")
        );
    }
    options.content.iter().try_for_each(|content| check_outside(content, &folder))?;
    let mut found = walk::walk(&folder, Some(Ignored::new(&options.exclude)?), &observer.cancel)?.found;
    found.retain(|entry| is_describable(entry, &folder, observer));
    tell_of_names(&found, observer);
    let total = files(&found).fold(0u64, |total, (_, stamp)| total.saturating_add(stamp.length));
    let block_size = if options.block_size == 0 { Index::default_block_size(total) } else { options.block_size };
    if !block_size.is_power_of_two() {
        return Err(Error::new(ErrorKind::Argument, "the block size is not a power of two from 1024 to 32768")
            .with("block_size", block_size));
    }
    let known = pool.install(|| same_size(&folder, &found, observer))?;
    let mut payload = Payload::new(&folder, block_size);
    let (mut contents, mut content_of) = (HashMap::new(), HashMap::new());
    for (path, stamp) in files(&found).filter(|(_, stamp)| stamp.length > 0) {
        // A content that is the only one of its size is not another one's.
        let content = match known.get(path) {
            None => payload.add(path, stamp)?,
            Some(root) => match contents.get(root) {
                Some(content) => *content,
                None => {
                    let content = payload.add(path, stamp)?;
                    contents.insert(*root, content);
                    content
                }
            },
        };
        content_of.insert(path, content);
    }
    let index = build(&payload, block_size)?;
    let root_of = |path: &str| {
        let Some(content) = content_of.get(path) else { return Ok(Digest::of(&[])) };
        let root = payload.root(*content)?;
        // What was read first, to see which contents are equal, may be another version.
        if known.get(path).is_some_and(|known| *known != root) { Err(changed(&folder, path)) } else { Ok(root) }
    };
    let mut entries = Vec::with_capacity(found.len());
    for Found { path, is } in &found {
        let kind = match is {
            Is::Directory { .. } => EntryKind::Directory,
            Is::File { stamp, is_executable, .. } => {
                EntryKind::File { size: stamp.length, root: root_of(path)?, is_executable: *is_executable }
            }
            Is::Symlink { target } => EntryKind::Symlink { target },
            Is::Other => continue,
        };
        entries.push((path.as_str(), kind));
    }
    let root = index.root().ok_or_else(|| Error::new(ErrorKind::Internal, "the payload has no root"))?;
    let listing =
        Listing::new(block_size, index.length(), root, entries)?.with_attributes(attributes(&found, options))?;
    let index = index.with_listing(listing)?;
    match &options.content {
        Some(content) => {
            let packs = packs::pack(&folder, &index, content, previous, (observer, meter), pool)?;
            index.with_packs(packs)
        }
        None => Ok(index),
    }
}

/// What the index is to say of the entries. Whoever installs it can read every file and change every directory in it.
fn attributes(found: &[Found], options: &IndexOptions) -> Attributes {
    let mode = |entry: &Found| match entry.is {
        Is::Directory { mode } => mode | FOLDER_MODE,
        Is::File { mode, .. } => mode | FILE_MODE,
        Is::Symlink { .. } | Is::Other => 0,
    };
    let time = |entry: &Found| {
        let since = entry.stamp()?.modified?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(since.as_secs().min(TIMES_END - 1))
    };
    // Where nothing has one, nothing is said.
    let has_modes =
        options.modes && found.iter().any(|entry| matches!(entry.is, Is::Directory { .. } | Is::File { .. }));
    let has_times = options.times && found.iter().any(|entry| matches!(entry.is, Is::File { .. }));
    let modes = found.iter().filter(|_| has_modes).map(mode).collect();
    // What is older than a listing can say is as old as it can say.
    let times = found.iter().filter(|_| has_times).map(|entry| time(entry).unwrap_or_default()).collect();
    Attributes { modes, times }
}

/// An error if packs would be put into the directory that they are made of.
fn check_outside(content: &Path, folder: &Folder<'_>) -> Result<()> {
    // One that is not there yet is in the one that will have it.
    let real = content.ancestors().find_map(|path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        path.canonicalize().ok()
    });
    let is_inside = real.zip(folder.path.canonicalize().ok()).is_some_and(|(real, folder)| real.starts_with(folder));
    if !is_inside {
        return Ok(());
    }
    let text = "the folder for packs is in the directory that is described";
    Err(Error::new(ErrorKind::Argument, text).with("option", "content").with("path", content.display()))
}

/// The files, each with what it is known by.
fn files(found: &[Found]) -> impl Iterator<Item = (&str, Stamp)> {
    found.iter().filter_map(|entry| match entry.is {
        Is::File { stamp, .. } => Some((entry.path.as_str(), stamp)),
        _ => None,
    })
}

/// Whether an index can hold an entry. What it cannot, a pipe for instance, is left out and told.
fn is_describable(entry: &Found, folder: &Folder<'_>, observer: &Observer) -> bool {
    let is_right = entry.is != Is::Other;
    if !is_right {
        let path = folder.path.join(&entry.path);
        let text = "what is neither file, directory nor link is left out";
        observer.event(Level::Warning, "left_out", text, &[("path", &path.display())]);
    }
    is_right
}

/// The hash of each file that has the size of another one: only these can be equal.
fn same_size<'a>(folder: &Folder<'_>, found: &'a [Found], observer: &Observer) -> Result<HashMap<&'a str, Digest>> {
    let mut sizes: HashMap<u64, u32> = HashMap::new();
    files(found).for_each(|(_, stamp)| *sizes.entry(stamp.length).or_default() += 1);
    let shared: Vec<_> = files(found)
        .filter(|(_, stamp)| stamp.length > 0 && sizes.get(&stamp.length).is_some_and(|count| *count > 1))
        .collect();
    let hash = |(path, stamp): &(&'a str, Stamp)| {
        let (file, before) = folder.file(path)?;
        if before != *stamp {
            return Err(changed(folder, path));
        }
        let root = Digest::of_reader(&file, &|_| observer.cancel.check())?;
        Ok((*path, root))
    };
    shared.par_iter().map(hash).collect()
}

/// Says which names make trouble on other systems. They are in the index all the same.
fn tell_of_names(found: &[Found], observer: &Observer) {
    let (mut known, mut count, mut first) = (Folded::default(), 0usize, None);
    for entry in found {
        let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        let fault = match known.add(folder, folded(name), name) {
            Some(other) => Some(format!("differs from `{other}` by case or form of letters alone")),
            None => portable_fault(name).map(str::to_owned),
        };
        if let Some(fault) = fault {
            count += 1;
            first.get_or_insert((&entry.path, fault));
        }
    }
    if let Some((path, fault)) = first {
        let text = format!("{count} names cannot be written on every system; the first {fault}");
        observer.event(Level::Warning, "not_portable", text, &[("path", path), ("names", &count)]);
    }
}
