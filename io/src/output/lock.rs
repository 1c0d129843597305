//! One update of a target at a time, whatever the version and whoever runs it.
//!
//! The lock is on a file of its own beside the target: the target is replaced, and may not be there yet. The system lets
//! go of it when the process ends, however it ends; what a kill leaves is the empty file, which the next update takes. On
//! Windows nobody else may open the file while it is held, and it goes away with its last handle.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use gosync_core::{Error, ErrorKind, Result};

use super::names;
use crate::disk::Disk;

/// How often a lock file is opened that goes away in that very moment.
const TRIES: u32 = 100;

/// Holds a target. Dropping it lets go.
#[derive(Debug)]
pub(crate) struct Lock {
    disk: Disk,
    path: PathBuf,
    /// `None` where the file system has no locks.
    file: Option<File>,
}

/// What came of trying to lock.
enum Tried {
    Locked(File),
    Held,
    /// Whoever had it has removed it in the meantime.
    Gone,
    #[cfg_attr(windows, expect(dead_code, reason = "there, every file system can"))]
    Unable,
}

impl Lock {
    /// Takes the lock of `target`, at once or not at all: if another update of it is running, that is `STATE`.
    pub(crate) fn take(disk: &Disk, target: &Path) -> Result<Lock> {
        let path = names::lock(target)?;
        let failed = |cause| {
            let folder = names::folder_of(target);
            Error::from_io(cause, "cannot write in the target's folder", folder.display())
        };
        for _ in 0..TRIES {
            let file = match try_lock(disk, &path).map_err(failed)? {
                Tried::Locked(file) => Some(file),
                Tried::Unable => None,
                Tried::Gone => continue,
                Tried::Held => break,
            };
            return Ok(Lock { disk: disk.clone(), path, file });
        }
        let error = Error::new(ErrorKind::State, "another update of the target is running");
        Err(error.with("path", target.display()))
    }

    /// Whether it keeps others out; otherwise the file system cannot.
    pub(crate) fn is_real(&self) -> bool {
        self.file.is_some()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held: whoever opened the file before then finds that it is gone, and makes another.
        if cfg!(unix) && self.file.is_some() {
            let _ = self.disk.remove(&self.path);
        }
    }
}

#[cfg(unix)]
fn try_lock(disk: &Disk, path: &Path) -> io::Result<Tried> {
    use std::fs::TryLockError;
    use std::os::unix::fs::MetadataExt;
    let file = open(disk, path)?;
    match disk.lock(&file, path) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Tried::Held),
        // ENOLCK, ENOSYS, EOPNOTSUPP: this file system cannot.
        Err(TryLockError::Error(_)) => {
            let _ = disk.remove(path);
            return Ok(Tried::Unable);
        }
    }
    let locked = file.metadata()?;
    let is_there =
        std::fs::symlink_metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (locked.dev(), locked.ino()));
    Ok(if is_there { Tried::Locked(file) } else { Tried::Gone })
}

/// Opens the lock file, or makes it. It is never written to, and a link by its name not followed.
#[cfg(unix)]
fn open(disk: &Disk, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32).mode(0o666);
    loop {
        match disk.create(path, &mut options) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(crate::disk::DiskFile::into_file),
        }
        let mut readable = OpenOptions::new();
        readable.read(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        // Some network file systems lock only what may be written; others' files may perhaps only be read.
        let opened = match readable.clone().write(true).open(path) {
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => readable.open(path),
            opened => opened,
        };
        match opened {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
    }
}

#[cfg(windows)]
fn try_lock(_: &Disk, path: &Path) -> io::Result<Tried> {
    use std::os::windows::fs::OpenOptionsExt;
    const DELETE_ON_CLOSE: u32 = 0x0400_0000;
    const READ_WRITE_DELETE: u32 = 0xC000_0000 | 0x0001_0000;
    let mut options = OpenOptions::new();
    options.create(true).write(true).access_mode(READ_WRITE_DELETE).share_mode(0).custom_flags(DELETE_ON_CLOSE);
    match options.open(path) {
        Ok(file) => Ok(Tried::Locked(file)),
        // A sharing violation: somebody has it.
        Err(cause) if cause.raw_os_error() == Some(32) => Ok(Tried::Held),
        // What is about to go away cannot be opened.
        Err(cause) if cause.raw_os_error() == Some(5) && path.exists() => {
            std::thread::sleep(std::time::Duration::from_millis(1));
            Ok(Tried::Gone)
        }
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time_and_nothing_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, target) = (Disk::system(), folder.path().join("target"));
        let held = Lock::take(&disk, &target).expect("nobody holds it");
        assert!(held.is_real());
        let error = Lock::take(&disk, &target).expect_err("it is held");
        assert_eq!(error.kind(), ErrorKind::State);
        // Another target is another matter.
        drop(Lock::take(&disk, &folder.path().join("other")).expect("nobody holds that"));
        drop(held);
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
        // What a killed process leaves is taken.
        std::fs::write(names::lock(&target).expect("a name"), "").expect("a file");
        drop(Lock::take(&disk, &target).expect("nobody holds it"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }

    #[test]
    fn never_two_at_a_time_however_often_it_is_taken() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let folder = tempfile::tempdir().expect("a folder");
        let (target, holders, taken) = (folder.path().join("target"), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let Ok(lock) = Lock::take(&Disk::system(), &target) else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::AcqRel), 0);
                        taken.fetch_add(1, Ordering::Relaxed);
                        holders.fetch_sub(1, Ordering::AcqRel);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }
}
