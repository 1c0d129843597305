//! The log of every change that a job makes on a disk: when each began and when it was made.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use crate::disk::{Op, Watch};

/// What a change is, kept.
#[derive(Clone, Debug)]
pub(in crate::tests) enum Change {
    Create { file: u64, path: PathBuf },
    Open { file: u64, path: PathBuf },
    Write { file: u64, offset: u64, bytes: Vec<u8> },
    Zero { file: u64, offset: u64, length: u64 },
    SetLength { file: u64, length: u64 },
    Clone { file: u64, content: Vec<u8> },
    Sync { file: u64 },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    SyncFolder { path: PathBuf },
    CreateFolder { path: PathBuf },
    RemoveFolder { path: PathBuf },
    Link { path: PathBuf, target: String },
    SyncAll,
}

/// One change, with the moments between which it was made. The last moments of a log are its length.
#[derive(Clone, Debug)]
pub(in crate::tests) struct Entry {
    pub(in crate::tests) change: Change,
    pub(in crate::tests) begun: usize,
    /// `None`: it failed, or was under way when the log ended.
    pub(in crate::tests) made: Option<usize>,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(in crate::tests) struct Log {
    /// In the order in which they began.
    pub(in crate::tests) entries: Vec<Entry>,
    /// The number of moments: each beginning is one, and each end.
    pub(in crate::tests) length: usize,
    /// What each thread is doing.
    open: BTreeMap<String, usize>,
}

/// Writes the log.
#[derive(Debug, Default)]
pub(in crate::tests) struct Recorder(Mutex<Log>);

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written, which begins anew.
    pub(in crate::tests) fn take(&self) -> Log {
        std::mem::take(&mut *self.lock())
    }
}

fn key(thread: ThreadId) -> String {
    format!("{thread:?}")
}

impl Watch for Recorder {
    fn before(&self, op: &Op<'_>) -> io::Result<()> {
        let Some(change) = kept(op)? else { return Ok(()) };
        let mut log = self.lock();
        let (begun, number) = (log.length, log.entries.len());
        log.entries.push(Entry { change, begun, made: None });
        log.open.insert(key(std::thread::current().id()), number);
        log.length += 1;
        Ok(())
    }

    fn after(&self, op: &Op<'_>) {
        if matches!(op, Op::Allocate { .. } | Op::SetMetadata { .. } | Op::Lock { .. }) {
            return;
        }
        let mut log = self.lock();
        let made = log.length;
        let number = log.open.remove(&key(std::thread::current().id()));
        if let Some(entry) = number.and_then(|number| log.entries.get_mut(number)) {
            entry.made = Some(made);
        }
        log.length += 1;
    }
}

/// What of a change is kept; nothing of one that changes neither content nor names.
fn kept(op: &Op<'_>) -> io::Result<Option<Change>> {
    let owned = |path: &Path| path.to_path_buf();
    Ok(Some(match *op {
        Op::Create { file, path } => Change::Create { file, path: owned(path) },
        Op::Open { file, path } => Change::Open { file, path: owned(path) },
        Op::Write { file, offset, bytes } => Change::Write { file, offset, bytes: bytes.to_vec() },
        Op::Zero { file, offset, length } => Change::Zero { file, offset, length },
        Op::SetLength { file, length } => Change::SetLength { file, length },
        Op::Clone { file, from } => Change::Clone { file, content: content(from)? },
        Op::Sync { file } => Change::Sync { file },
        Op::Rename { from, to } => Change::Rename { from: owned(from), to: owned(to) },
        Op::Remove { path } => Change::Remove { path: owned(path) },
        Op::SyncFolder { path } => Change::SyncFolder { path: owned(path) },
        Op::CreateFolder { path } => Change::CreateFolder { path: owned(path) },
        Op::RemoveFolder { path } => Change::RemoveFolder { path: owned(path) },
        Op::Link { path, target } => Change::Link { path: owned(path), target: target.to_owned() },
        Op::SyncAll => Change::SyncAll,
        Op::Allocate { .. } | Op::SetMetadata { .. } | Op::Lock { .. } => return Ok(None),
    }))
}

fn content(file: &File) -> io::Result<Vec<u8>> {
    let mut content = vec![0; file.metadata()?.len() as usize];
    let reader = crate::seed::FileReader::new(file.try_clone()?, Path::new("clone"), "clone");
    let read = reader.and_then(|reader| gosync_core::ReadAt::read_at(&reader, 0, &mut content));
    content.truncate(read.map_err(io::Error::other)?);
    Ok(content)
}
