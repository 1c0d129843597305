//! What is in a directory before it is updated: its entries, and of every file what its content is. It is looked for while an
//! index is opened, where no update has left a record: the listing that it makes is like that of the version that is there,
//! and what needs no search is known then.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::thread::JoinHandle;

use gosync_core::listing::{Entry, EntryKind, Places};
use gosync_core::{Digest, ErrorKind, Listing, Result};
use rayon::prelude::*;

use super::walk::{self, Found, Is, Walked};
use super::{Folder, listing};
use crate::cancel::Cancel;
use crate::report::Observer;
use crate::verbs;

/// Bytes of files that are read to save one byte of a listing: that takes as long as the byte at a million a second.
const WORTH: u64 = 1 << 10;
/// About what an entry with an empty name takes in a listing.
const ENTRY: usize = 40;
/// The block size that the listing says; it is in its first bytes and nowhere else.
const BLOCK_SIZE: u32 = 1024;

/// What is in a directory.
pub(crate) struct Present {
    walked: Walked,
    /// By number in the order of the walk. `None` for what is no file, and what cannot be read.
    roots: Vec<Option<Digest>>,
}

impl Present {
    /// Looks at the directory at `path`; the files are read in parallel on the current pool. `None` if there is no directory, or
    /// if its listing is not worth it.
    fn look(path: &Path, cancel: &Cancel) -> Result<Option<Present>> {
        let Ok(folder) = Folder::open(path, "target") else { return Ok(None) };
        let walked = walk::walk_readable(&folder, cancel, &|_| ())?;
        let name = |found: &Found| found.path.len() - found.path.rfind('/').map_or(0, |slash| slash + 1);
        let listed: usize = walked.found.iter().map(|found| ENTRY + name(found)).sum();
        let bytes = walked.found.iter().filter_map(Found::length).fold(0u64, u64::saturating_add);
        if (listed as u64) <= listing::SHORT || bytes > listed as u64 * WORTH {
            return Ok(None);
        }
        let root = |found: &Found| match found.stamp() {
            None => Ok(None),
            Some(stamp) => {
                cancel.check()?;
                let Ok((file, now)) = folder.file(&found.path) else { return Ok(None) };
                match Digest::of_reader(&file, &|_| cancel.check()) {
                    Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
                    root => Ok(root.ok().filter(|_| now == stamp)),
                }
            }
        };
        let roots: Result<Vec<_>> = walked.found.par_iter().map(root).collect();
        Ok(Some(Present { roots: roots?, walked }))
    }

    /// The listing that the directory has. What cannot be in one, or cannot be read, is left out.
    pub(super) fn listing(&self) -> Option<Listing> {
        let (mut places, mut contents, mut length) = (Places::new(BLOCK_SIZE), HashSet::new(), 0);
        let mut entries = Vec::with_capacity(self.roots.len());
        for (Found { path, is }, root) in self.walked.found.iter().zip(&self.roots) {
            let kind = match (is, *root) {
                (Is::Directory, _) => EntryKind::Directory,
                (Is::Symlink { target }, _) => EntryKind::Symlink { target },
                (Is::File { stamp, is_executable, .. }, Some(root)) => {
                    let size = stamp.length;
                    if size > 0 && contents.insert(root) {
                        length = places.next(size).ok()?.end();
                    }
                    EntryKind::File { size, root, is_executable: *is_executable }
                }
                _ => continue,
            };
            entries.push((path.as_str(), kind));
        }
        Listing::new(BLOCK_SIZE, length, Digest::of(&[]), entries).ok()
    }

    /// For each entry of `listing` whether it is a file whose content is at its path, where in `walked` that file is what it was
    /// when it was read.
    pub(crate) fn right(&self, walked: &Walked, listing: &Listing) -> Vec<bool> {
        let now: HashMap<&str, _> =
            walked.found.iter().filter_map(|found| Some((&*found.path, found.stamp()?))).collect();
        let roots = self.walked.found.iter().zip(&self.roots).filter_map(|(found, root)| {
            let stamp = found.stamp()?;
            (now.get(&*found.path) == Some(&stamp)).then_some((&*found.path, (stamp.length, (*root)?)))
        });
        let roots: HashMap<&str, (u64, Digest)> = roots.collect();
        let is_right = |entry: Entry<'_>| match entry.kind {
            EntryKind::File { size, root, .. } => roots.get(&*entry.path) == Some(&(size, root)),
            _ => false,
        };
        listing.entries().map(is_right).collect()
    }
}

/// Somebody who looks at a directory meanwhile.
pub(crate) struct Looking {
    cancel: Cancel,
    thread: Option<JoinHandle<Option<Present>>>,
}

impl Looking {
    /// Begins, if `target` is a directory.
    pub(crate) fn begin(target: &Path, observer: &Observer) -> Option<Looking> {
        let target = std::fs::canonicalize(target).ok().filter(|target| target.is_dir())?;
        let cancel = observer.cancel.child();
        let token = cancel.clone();
        let look =
            move || verbs::pool(0).and_then(|pool| pool.install(|| Present::look(&target, &token))).ok().flatten();
        let thread = std::thread::Builder::new().name("gosync-present".into()).spawn(look).ok();
        thread.map(|thread| Looking { cancel, thread: Some(thread) })
    }

    /// Waits until that is done.
    pub(crate) fn finish(mut self) -> Option<Present> {
        self.thread.take().and_then(|thread| thread.join().ok()).flatten()
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
