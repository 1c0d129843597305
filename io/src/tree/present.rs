//! The listing that a directory has as it is now: what an older listing is where no update has left one. It is made while an
//! index is opened, and nothing of it is believed: it only says what of a new listing need not be read, and the new one is
//! compared with its root. What was read of the files is kept with the index, so that an update does not read them again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

use gosync_core::listing::{EntryKind, Places, path_fault};
use gosync_core::{Digest, ErrorKind, Index, Listing, Result};
use rayon::prelude::*;

use super::walk::{self, Found, Is, Walked};
use super::{Folder, Record, listing, stamp_of};
use crate::cancel::Cancel;
use crate::collect::TICK;
use crate::in_part::InPart;
use crate::report::Observer;
use crate::verbs;

/// Bytes of files that are read to save one byte of a listing: that takes as long as the byte at a million a second.
const WORTH: u64 = 1 << 10;
/// About what an entry with an empty name takes in a listing.
const ENTRY: usize = 40;
/// The block size that the listing says; it is in its first bytes and nowhere else.
const BLOCK_SIZE: u32 = 1024;
/// How long what was read of a file counts as long as its size and its time are the same: for the update that an index is
/// opened for, not for one some day.
const FRESH: Duration = Duration::from_secs(60);

/// What was in a directory while an index was opened.
pub(crate) struct Seen {
    /// Without links on the way.
    target: PathBuf,
    when: Instant,
    record: Record,
}

impl Seen {
    /// What was just seen of `target` while `index` was opened for it.
    pub(crate) fn with<'a>(index: &'a Index, target: &Path) -> Option<&'a Seen> {
        let seen = InPart::of(index)?.seen()?;
        let is_it =
            seen.when.elapsed() < FRESH && std::fs::canonicalize(target).is_ok_and(|target| target == seen.target);
        is_it.then_some(seen)
    }

    /// The files, and when they were changed last.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
}

/// A thread that looks at a directory meanwhile. It ends soon after this.
pub(crate) struct Looking {
    cancel: Cancel,
    told: Receiver<Told>,
}

/// What it says.
enum Told {
    /// What is there is worth to be read.
    Begun,
    /// This is what there is, if it has a listing.
    Done(Option<Box<Seen>>),
}

impl Looking {
    /// Begins, if `target` is a directory.
    pub(crate) fn begin(target: &Path, threads: usize, observer: &Observer) -> Option<Looking> {
        let target = std::fs::canonicalize(target).ok().filter(|target| target.is_dir())?;
        let (cancel, (tell, told)) = (observer.cancel.child(), mpsc::channel());
        let token = cancel.clone();
        let look = move || {
            let when = Instant::now();
            let record = record_of(&target, threads, &token, &tell).ok().flatten();
            let _ = tell.send(Told::Done(record.map(|record| Box::new(Seen { target, when, record }))));
        };
        let thread = std::thread::Builder::new().name("gosync-present".into()).spawn(look);
        thread.is_ok().then_some(Looking { cancel, told })
    }

    /// Whether it will most likely have a listing.
    pub(super) fn is_worth_while(&self) -> Result<bool> {
        Ok(matches!(self.wait()?, Some(Told::Begun)))
    }

    /// Waits for what there is.
    pub(super) fn finish(self) -> Result<Option<Seen>> {
        loop {
            match self.wait()? {
                Some(Told::Begun) => {}
                Some(Told::Done(seen)) => return Ok(seen.map(|seen| *seen)),
                None => return Ok(None),
            }
        }
    }

    /// What it says next; nothing if it has come to a bad end. A disk that does not answer keeps nobody who is cancelled.
    fn wait(&self) -> Result<Option<Told>> {
        loop {
            match self.told.recv_timeout(TICK) {
                Ok(told) => return Ok(Some(told)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.cancel.check()?,
            }
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The listing of the directory at `path`, with the times of its files: nothing if it is not worth it. What cannot be in one,
/// or cannot be read, is left out.
fn record_of(path: &Path, threads: usize, cancel: &Cancel, tell: &Sender<Told>) -> Result<Option<Record>> {
    let folder = Folder::open(path, "target")?;
    let walked = walk::walk_readable(&folder, cancel, &|_| ())?;
    if !is_worth_while(&walked) {
        return Ok(None);
    }
    let _ = tell.send(Told::Begun);
    let roots = verbs::pool(threads)?.install(|| {
        let roots = walked.found.par_iter().map(|found| root_of(&folder, found, cancel));
        roots.collect::<Result<Vec<Option<Digest>>>>()
    })?;
    let (mut places, mut contents, mut length) = (Places::new(BLOCK_SIZE), HashSet::new(), 0);
    let (mut entries, mut times) = (Vec::with_capacity(walked.found.len()), Vec::with_capacity(walked.found.len()));
    for (found, root) in walked.found.iter().zip(roots).filter(|(found, _)| path_fault(&found.path).is_none()) {
        let (kind, time): (_, Option<SystemTime>) = match &found.is {
            Is::Directory { .. } => (EntryKind::Directory, None),
            Is::Symlink { target } => (EntryKind::Symlink { target }, None),
            Is::File { stamp, is_executable, .. } => {
                let Some(root) = root else { continue };
                let size = stamp.length;
                if size > 0 && contents.insert(root) {
                    length = places.next(size)?.end();
                }
                (EntryKind::File { size, root, is_executable: *is_executable }, stamp.modified)
            }
            Is::Other => continue,
        };
        entries.push((found.path.as_str(), kind));
        times.push(time);
    }
    let listing = Listing::new(BLOCK_SIZE, length, Digest::of(&[]), entries)?;
    Ok(Some(Record::new(listing, times)))
}

/// Whether a listing of this is long, and little is to be read for it.
fn is_worth_while(walked: &Walked) -> bool {
    let name = |found: &Found| found.path.len() - found.path.rfind('/').map_or(0, |slash| slash + 1);
    let listed = walked.found.iter().map(|found| (ENTRY + name(found)) as u64).sum::<u64>();
    let bytes = walked.found.iter().filter_map(Found::length).fold(0u64, u64::saturating_add);
    listed > listing::SHORT && bytes <= listed.saturating_mul(WORTH)
}

/// The hash of a file that stays as it was found meanwhile; nothing of what is none.
fn root_of(folder: &Folder<'_>, found: &Found, cancel: &Cancel) -> Result<Option<Digest>> {
    cancel.check()?;
    if found.stamp().is_none() {
        return Ok(None);
    }
    let Ok((file, _)) = folder.file(&found.path) else { return Ok(None) };
    match Digest::of_reader(&file, &|_| cancel.check()) {
        Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
        root => Ok(root.ok().filter(|_| stamp_of(&file).ok() == found.stamp())),
    }
}
