//! A target that is updated in place: opened for that, read as it was at first, and written unit by unit. The order is
//! core's (`gosync_core::inplace`), the steps are the job's (`job::inplace`).

mod inuse;
pub(crate) mod journal;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use gosync_core::assemble::{Ledger, Verified};
use gosync_core::index::UNIT;
use gosync_core::inplace::{Moved, Spill};
use gosync_core::matching::Found;
use gosync_core::{Error, ErrorKind, Index, Origin, Piece, ReadAt, Result};

use self::journal::{About, Journal};
use crate::cancel::Cancel;
use crate::disk::{Disk, DiskFile};
use crate::output::{check_room, is_zero, no_room, room_behind, taken};
use crate::seed::FileReader;

/// Bytes that are copied to the journal in one go.
const PIECE: usize = 1 << 20;
/// What is punched into a file rather than written, at least: less than that leaves no hole.
const HOLE: usize = 4096;

/// A target that is written in place.
pub(crate) struct InPlace {
    disk: Disk,
    file: DiskFile,
    path: PathBuf,
    journal_path: PathBuf,
    is_device: bool,
    old: Arc<OldBytes>,
    journal: OnceLock<Journal>,
    /// Whether anything may have been overwritten.
    begun: AtomicBool,
    ledger: OnceLock<Ledger>,
    /// The last unit, once it is proven, until it is written.
    last: Mutex<Last>,
}

/// The last unit of the target, which proves its length.
#[derive(Default)]
enum Last {
    /// It is like any other.
    #[default]
    Nothing,
    /// To be kept in memory when it comes.
    Wanted(u64),
    Here {
        unit: u64,
        bytes: Vec<u8>,
        /// How many of them were fetched.
        fetched: u64,
    },
}

/// The target's bytes as they were when it was opened: at their place, or in the journal.
pub(crate) struct OldBytes {
    target: FileReader,
    journal: OnceLock<FileReader>,
    moved: RwLock<Moved>,
}

impl Drop for InPlace {
    /// A thread that still reads old bytes, of a search that has ended, is no reason for the next update to fail.
    fn drop(&mut self) {
        if !self.is_device {
            inuse::unlock(self.file.file());
        }
    }
}

impl InPlace {
    /// Opens the file or block device at `path` to be changed, if it is not in use as far as can be told.
    pub(crate) fn open(disk: &Disk, path: &Path, journal: &Path, is_device: bool) -> Result<InPlace> {
        let mut options = OpenOptions::new();
        inuse::alone(&mut options, is_device);
        let file = disk.open(path, &mut options).map_err(|cause| inuse::cannot_open(cause, path))?;
        if !is_device {
            inuse::lock(disk, file.file(), path)?;
        }
        inuse::check(file.file(), path)?;
        let clone = file.file().try_clone().map_err(|cause| failed(cause, "open", path))?;
        let target = FileReader::new(clone, path, "target")?;
        let old = OldBytes { target, journal: OnceLock::new(), moved: RwLock::default() };
        Ok(InPlace {
            disk: disk.clone(),
            file,
            path: path.to_owned(),
            journal_path: journal.to_owned(),
            is_device,
            old: Arc::new(old),
            journal: OnceLock::new(),
            begun: AtomicBool::new(false),
            ledger: OnceLock::new(),
            last: Mutex::default(),
        })
    }

    /// The target as it was when it was opened.
    pub(crate) fn old(&self) -> Arc<OldBytes> {
        Arc::clone(&self.old)
    }

    /// `NO_SPACE` if the target cannot become as long as the index says.
    pub(crate) fn check_length(&self, index: &Index) -> Result<()> {
        let length = index.length();
        if length <= self.old.length() {
            return Ok(());
        }
        if !self.is_device {
            // An update that ended early may have reserved it.
            let about = self.file.file().metadata().map_err(|cause| failed(cause, "look at", &self.path))?;
            let spare = taken(&about).saturating_sub(about.len());
            return check_room(&self.path, room_behind(index, self.old.length()).saturating_sub(spare));
        }
        let error = Error::new(ErrorKind::NoSpace, "the device is too small for the new version");
        Err(error.with("path", self.path.display()).with("length", length).with("room", self.old.length()))
    }

    /// Whether the target has further names, under which it is changed too.
    #[cfg(unix)]
    pub(crate) fn names(&self) -> u64 {
        self.file.file().metadata().map_or(1, |about| std::os::unix::fs::MetadataExt::nlink(&about))
    }

    /// Whether the target has further names: not known here.
    #[cfg(not(unix))]
    pub(crate) fn names(&self) -> u64 {
        1
    }

    /// What was found at its place will not be written.
    pub(crate) fn keep(&self, index: &Index, found: &Found) {
        let _ = self.ledger.set(Ledger::with(index, |unit| found.is_unchanged(unit)));
    }

    /// What is written next is `unit`, and is kept in memory.
    pub(crate) fn want_last(&self, unit: u64) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Last::Wanted(unit);
    }

    /// Whether the last unit is in memory: how many of its bytes were fetched.
    pub(crate) fn last(&self) -> Option<u64> {
        match *self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            Last::Here { fetched, .. } => Some(fetched),
            _ => None,
        }
    }

    /// Makes the journal and takes all room that will be needed, `journal_end` bytes of it for the journal, so that a full
    /// disk is known while the target is what it was. From here on that is going to change.
    pub(crate) fn begin(&self, index: &Index, journal_end: u64) -> Result<()> {
        let was_there = journal::is_there(&self.journal_path)?;
        let has = std::fs::metadata(&self.journal_path).map_or(0, |about| taken(&about));
        check_room(&self.journal_path, journal_end.saturating_sub(has))?;
        let journal = Journal::begin(&self.disk, &self.journal_path, &About::new(index, self.old.length()))?;
        let reserved = journal.reserve(journal_end).and_then(|()| self.reserve(index.length()));
        let reader = reserved.and_then(|()| journal.reader());
        match reader {
            Ok(reader) => {
                let _ = self.old.journal.set(reader);
                let _ = self.journal.set(journal);
                Ok(())
            }
            Err(error) => {
                if !was_there {
                    self.release();
                    let _ = journal.remove();
                }
                Err(error)
            }
        }
    }

    fn reserve(&self, length: u64) -> Result<()> {
        let old = self.old.length();
        if self.is_device || length <= old {
            return Ok(());
        }
        let more = length - old;
        let reserved = self.file.allocate(old, more).map(drop);
        reserved.map_err(|cause| no_room(cause, &self.path, more))
    }

    /// Gives back what was reserved: the file gets no longer by it.
    fn release(&self) {
        let is_longer = self.file.file().metadata().is_ok_and(|about| about.len() > self.old.length());
        if !self.is_device && is_longer {
            let _ = self.file.set_length(self.old.length());
        }
    }

    /// Nothing was overwritten, and nothing will be: the journal goes, unless it was there before.
    pub(crate) fn give_up(&self, was_there: bool) {
        if let (Some(journal), false, false) = (self.journal.get(), was_there, self.begun.load(Ordering::Acquire)) {
            self.release();
            let _ = journal.remove();
        }
    }

    /// Copies old bytes to the journal, durably: from here on they may be overwritten.
    pub(crate) fn spill(&self, spills: &[Spill], cancel: &Cancel) -> Result<()> {
        if spills.is_empty() {
            return Ok(());
        }
        let journal = self.journal()?;
        let mut buffer = vec![0; PIECE];
        for spill in spills {
            let mut done = 0;
            while done < spill.old.length {
                cancel.check()?;
                let buffer = &mut buffer[..(spill.old.length - done).min(PIECE as u64) as usize];
                self.old.read_at(spill.old.offset + done, buffer)?;
                journal.write(buffer, spill.at + done)?;
                done += buffer.len() as u64;
            }
            self.old.moved.write().unwrap_or_else(PoisonError::into_inner).insert(*spill);
        }
        journal.sync()
    }

    /// Old bytes are overwritten from here on. The last look whether that is wanted is the caller's.
    pub(crate) fn overwrite(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// Whether anything may have been overwritten.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether this unit is at its place.
    pub(crate) fn has(&self, unit: u64) -> bool {
        self.ledger.get().is_some_and(|ledger| ledger.has(unit))
    }

    /// Writes a unit, except what of it was read from its own place. How many bytes were written, and how many were there.
    pub(crate) fn write(&self, verified: Verified<'_>, pieces: &[Piece]) -> Result<(u64, u64)> {
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Last::Wanted(unit) = *last {
                let fetched = pieces.iter().filter(|piece| piece.origin == Origin::Missing);
                let fetched = fetched.map(|piece| piece.target.length).sum();
                *last = Last::Here { unit, bytes: verified.bytes().to_vec(), fetched };
                return Ok((0, 0));
            }
        }
        if !self.has_begun() {
            return Err(Error::new(ErrorKind::Internal, "a unit was to be written before its time"));
        }
        let is_there = |piece: &Piece| piece.origin == (Origin::Seed { seed: 0, offset: piece.target.offset });
        let mut written = 0;
        for pieces in pieces.chunk_by(|one, next| is_there(one) == is_there(next)) {
            let (Some(first), Some(end)) = (pieces.first(), pieces.last()) else { continue };
            if !is_there(first) {
                let from = (first.target.offset - verified.offset()) as usize;
                let to = (end.target.end() - verified.offset()) as usize;
                self.put(first.target.offset, verified.bytes().get(from..to).unwrap_or_default())?;
                written += (to - from) as u64;
            }
        }
        if let Some(ledger) = self.ledger.get() {
            ledger.note(&verified);
        }
        Ok((written, verified.bytes().len() as u64 - written))
    }

    /// Writes the last unit, which is in memory.
    pub(crate) fn write_last(&self, index: &Index) -> Result<u64> {
        let last = std::mem::take(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner));
        let Last::Here { unit, bytes, .. } = last else {
            return Err(Error::new(ErrorKind::Internal, "the last unit was to be written before it was there"));
        };
        let verified = Verified::check(index, unit, &bytes)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the last unit changed in memory"))?;
        let whole = Piece { target: index.unit_range(unit), origin: Origin::Missing };
        self.write(verified, &[whole]).map(|(written, _)| written)
    }

    /// Writes bytes; zeros as a hole, where there can be such.
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let (mut offset, mut rest) = (offset, bytes);
        let zeros = |bytes: &[u8]| bytes.len() >= HOLE && is_zero(bytes);
        let pieces: Vec<&[u8]> = bytes.chunks(UNIT as usize).collect();
        for pieces in pieces.chunk_by(|one, next| zeros(one) == zeros(next)) {
            let length: usize = pieces.iter().map(|piece| piece.len()).sum();
            let (now, later) = rest.split_at(length.min(rest.len()));
            let done = if zeros(pieces[0]) {
                self.file.zero(offset, length as u64)
            } else {
                self.file.write_all_at(now, offset)
            };
            done.map_err(|cause| failed(cause, "write", &self.path).with("offset", offset))?;
            offset += length as u64;
            rest = later;
        }
        Ok(())
    }

    /// What was written is on the disk when this returns.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|cause| failed(cause, "sync", &self.path))
    }

    /// Everything is at its place: the target gets its length.
    pub(crate) fn set_length(&self, index: &Index) -> Result<()> {
        if !self.ledger.get().is_some_and(Ledger::is_complete) {
            return Err(Error::new(ErrorKind::Internal, "the target was to be finished before it was complete"));
        }
        if !self.is_device {
            let length = self.file.set_length(index.length());
            length.map_err(|cause| failed(cause, "set the length of", &self.path))?;
        }
        Ok(())
    }

    /// The target is what it shall be: once that is on the disk, the journal goes.
    pub(crate) fn finish(&self) -> Result<()> {
        self.sync()?;
        self.journal()?.remove()
    }

    /// The target as it is now.
    pub(crate) fn now(&self) -> Result<FileReader> {
        let clone = self.file.file().try_clone().map_err(|cause| failed(cause, "open", &self.path))?;
        FileReader::new(clone, &self.path, "target")
    }

    /// Whether the target has the length of the new version, as far as it can have one.
    pub(crate) fn may_be(&self, length: u64) -> bool {
        if self.is_device { self.old.length() >= length } else { self.old.length() == length }
    }

    fn journal(&self) -> Result<&Journal> {
        self.journal.get().ok_or_else(|| Error::new(ErrorKind::Internal, "there is no journal"))
    }
}

impl ReadAt for OldBytes {
    fn length(&self) -> u64 {
        self.target.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let Some(journal) = self.journal.get() else { return self.target.read_at(offset, buffer) };
        let range = gosync_core::Range::new(offset, buffer.len() as u64);
        // Not held while reading: the same bytes stay where they are said to be for as long as anybody needs them.
        let pieces = self.moved.read().unwrap_or_else(PoisonError::into_inner).pieces(range);
        let mut done = 0;
        for (range, at) in pieces {
            let Some(buffer) = buffer.get_mut(done..done + range.length as usize) else { break };
            let count = match at {
                Some(at) => journal.read_at(at, buffer)?,
                None => self.target.read_at(range.offset, buffer)?,
            };
            done += count;
            if count < buffer.len() {
                break;
            }
        }
        Ok(done)
    }
}

fn failed(cause: std::io::Error, what: &str, path: &Path) -> Error {
    Error::from_io(cause, &format!("cannot {what} the target"), path.display())
}
