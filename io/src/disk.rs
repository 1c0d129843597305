//! Every change that gosync makes on a disk goes through here: files made, written, cut, synced, renamed and removed.
//! What is written when, and why, is the caller's; reading is `seed`'s. The one exception is `spool`, whose files have no
//! name and are gone with the process.
//!
//! In tests a [`Watch`] can be put between, which hears of each change before and after it is made. It may make it fail
//! (a full disk, a broken one), and it may write it down, so that a power cut can be simulated by replaying a part of the
//! log: `Disk::watched(watch)`, and `Job::set_disk` for a job. The log says what a disk may have lost when:
//!
//! - `after` is called once a change is made, from the thread that made it, so changes made at the same time come in some
//!   order. What has no `after` was not made, or only partly (a failed write).
//! - A sync covers the changes of its file whose `after` came before the sync's `before`, and only once its own `after`
//!   came. A change that came in between may be lost even so.
//! - Names (create, rename, remove, of directories and links as well) are kept by the sync of their folder, in the same way. One that was not may be lost, or
//!   not, and in any order with what was written to the files.

mod clone;
mod folder;

use std::fmt::Debug;
#[cfg(unix)]
use std::fs::TryLockError;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::folder::{DiskFolder, Rights};

/// A change on a disk.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "only who watches reads it, and that is a test")]
pub(crate) enum Op<'a> {
    /// A file that was not there; empty.
    Create {
        file: u64,
        path: &'a Path,
    },
    /// A file that was there, opened to be changed. Nothing changes by that, but the number stands for it from here on.
    Open {
        file: u64,
        path: &'a Path,
    },
    Write {
        file: u64,
        offset: u64,
        bytes: &'a [u8],
    },
    /// A stretch that reads as zeros from here on, if possible without taking room. The length stays.
    Zero {
        file: u64,
        offset: u64,
        length: u64,
    },
    /// Room is taken for a stretch. What can be read does not change, nor does the length.
    Allocate {
        file: u64,
        offset: u64,
        length: u64,
    },
    SetLength {
        file: u64,
        length: u64,
    },
    /// The file has the content of another one from here on; the length too.
    Clone {
        file: u64,
        from: &'a File,
    },
    /// Mode, owner, times and the like.
    SetMetadata {
        file: u64,
        what: &'static str,
    },
    Sync {
        file: u64,
    },
    /// Whoever else locks the file has to wait. Changes nothing; refused, it is as if the file system had no locks.
    Lock {
        path: &'a Path,
    },
    Rename {
        from: &'a Path,
        to: &'a Path,
    },
    Remove {
        path: &'a Path,
    },
    SyncFolder {
        path: &'a Path,
    },
    /// A directory that was not there; empty.
    CreateFolder {
        path: &'a Path,
    },
    /// A directory goes, which is empty.
    RemoveFolder {
        path: &'a Path,
    },
    /// A symbolic link that was not there.
    Link {
        path: &'a Path,
        target: &'a str,
    },
    /// Everything on the file system is durable: all contents, all names.
    SyncAll,
}

/// Hears of every change; from any thread.
pub(crate) trait Watch: Debug + Send + Sync {
    /// It is about to be made. An error is what the caller sees instead.
    fn before(&self, op: &Op<'_>) -> io::Result<()>;
    /// It was made.
    fn after(&self, op: &Op<'_>);
}

/// Where changes are made. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    watch: Option<Arc<dyn Watch>>,
}

/// A file that is changed. Its number tells it apart from others in a log; numbers are not used again.
#[derive(Debug)]
pub(crate) struct DiskFile {
    disk: Disk,
    file: File,
    number: u64,
}

impl Disk {
    /// The system's, without anybody between.
    pub(crate) fn system() -> Disk {
        Disk::default()
    }

    #[cfg(test)]
    pub(crate) fn watched(watch: Arc<dyn Watch>) -> Disk {
        Disk { watch: Some(watch) }
    }

    /// Makes a change, which `op` describes.
    fn change<T>(&self, op: Op<'_>, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(watch) = &self.watch else { return make() };
        watch.before(&op)?;
        let made = make()?;
        watch.after(&op);
        Ok(made)
    }

    /// Makes the file at `path`, where nothing may be yet, as `options` say.
    pub(crate) fn create(&self, path: &Path, options: &mut OpenOptions) -> io::Result<DiskFile> {
        let number = next_number();
        let op = Op::Create { file: number, path };
        let file = self.change(op, || options.read(true).write(true).create_new(true).open(path))?;
        Ok(DiskFile { disk: self.clone(), file, number })
    }

    /// As [`Disk::create`]; where the file system can, the file begins as a clone of the one at `from`, with which it shares
    /// its room until one of them is changed. Whether it does.
    pub(crate) fn create_clone(
        &self,
        path: &Path,
        options: &mut OpenOptions,
        from: &Path,
    ) -> io::Result<(DiskFile, bool)> {
        // What cannot be read, or cloned for whatever reason, is made the usual way.
        let from = File::open(from).ok().filter(|_| clone::is_possible(from, path));
        let Some(from) = from else { return self.create(path, options).map(|file| (file, false)) };
        clone::create(self, path, options, &from)
    }

    /// Opens the file at `path` to change it. It must be there.
    pub(crate) fn open(&self, path: &Path, options: &mut OpenOptions) -> io::Result<DiskFile> {
        let number = next_number();
        let op = Op::Open { file: number, path };
        let file = self.change(op, || options.read(true).write(true).open(path))?;
        Ok(DiskFile { disk: self.clone(), file, number })
    }

    /// Locks a file that was opened at `path`, at once or not at all.
    #[cfg(unix)]
    pub(crate) fn lock(&self, file: &File, path: &Path) -> Result<(), TryLockError> {
        let mut outcome = Ok(());
        let asked = self.change(Op::Lock { path }, || {
            outcome = file.try_lock();
            Ok(())
        });
        asked.map_err(TryLockError::Error).and(outcome)
    }

    /// Gives a file another name, in place of what has it.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Op::Rename { from, to }, || std::fs::rename(from, to))
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(Op::Remove { path }, || std::fs::remove_file(path))
    }

    /// Makes the names in a folder durable. Where the system cannot, they are as durable as the file system makes them.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.change(Op::SyncFolder { path }, || sync_folder(path))
    }
}

impl DiskFile {
    /// The file itself: to be read, locked and looked at.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The file alone, not to be changed any more.
    #[cfg(unix)]
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// Writes all of `bytes` from `offset` on.
    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let op = Op::Write { file: self.number, offset, bytes };
        self.disk.change(op, || write_all_at(&self.file, bytes, offset))
    }

    /// Makes a stretch zeros, within the file's length; as a hole, where the file system has such.
    pub(crate) fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        let op = Op::Zero { file: self.number, offset, length };
        self.disk.change(op, || zero(&self.file, offset, length))
    }

    /// Takes room for a stretch, within the file's length. `false`: this file system cannot.
    pub(crate) fn allocate(&self, offset: u64, length: u64) -> io::Result<bool> {
        let op = Op::Allocate { file: self.number, offset, length };
        self.disk.change(op, || allocate(&self.file, offset, length))
    }

    pub(crate) fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.change(Op::SetLength { file: self.number, length }, || self.file.set_len(length))
    }

    pub(crate) fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.set_metadata("mode", |file| file.set_permissions(permissions))
    }

    /// Changes what is known about the file, by `set`.
    pub(crate) fn set_metadata(&self, what: &'static str, set: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        self.disk.change(Op::SetMetadata { file: self.number, what }, || set(&self.file))
    }

    /// Makes everything that was written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.change(Op::Sync { file: self.number }, || self.file.sync_all())
    }
}

fn next_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether an error says that a file system, or a system, cannot do such a thing at all.
#[cfg(target_os = "linux")]
fn is_unable(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno as E;
    [E::OPNOTSUPP, E::NOTSUP, E::NOSYS, E::INVAL].contains(&error)
}

#[cfg(target_os = "linux")]
fn zero(file: &File, offset: u64, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if length == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, length) {
        Err(error) if is_unable(error) => write_zeros(file, offset, length),
        done => done.map_err(io::Error::from),
    }
}

#[cfg(not(target_os = "linux"))]
fn zero(file: &File, offset: u64, length: u64) -> io::Result<()> {
    write_zeros(file, offset, length)
}

fn write_zeros(file: &File, offset: u64, length: u64) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; 64 << 10];
    let mut done = 0;
    while done < length {
        let count = (length - done).min(ZEROS.len() as u64);
        write_all_at(file, &ZEROS[..count as usize], offset + done)?;
        done += count;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, offset: u64, length: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    if length == 0 {
        return Ok(true);
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, offset, length) {
        Err(error) if is_unable(error) => Ok(false),
        done => done.map(|()| true).map_err(io::Error::from),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// A rename is durable only once its folder is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    unless_unable(File::open(path).and_then(|folder| folder.sync_all()))
}

/// What came of syncing a folder.
#[cfg(unix)]
fn unless_unable(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        // Some file systems cannot sync a folder, and some folders may be written but not read.
        Err(cause)
            if matches!(
                cause.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

/// Windows has no such call.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
