//! The output: written beside the target as a partial file, published by one atomic rename.
//! Takes only verified bytes. What was at the target stays untouched until the rename.
//!
//! A partial file that an earlier update left is gone on with: it is what the output begins as. What it holds is believed
//! only where `Job` has checked it (`adopt`). One that is not published stays for the next update, if anything in it is
//! worth it. What is named how is in `names`; that nobody else does the same at the same time, in `lock`.

mod keep;
mod lock;
pub(crate) mod names;
mod replace;
mod room;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gosync_core::assemble::{Ledger, Verified};
use gosync_core::index::UNIT;
use gosync_core::{Error, ErrorKind, Index, Result};

use crate::cancel::Cancel;
use crate::disk::{Disk, DiskFile};
use crate::seed::{FileReader, Kind};

pub use keep::Keep;
pub(crate) use keep::{Identity, Old, apply as keep_of};
pub(crate) use lock::Lock;
pub(crate) use names::folder_of;
pub(crate) use replace::{Replacing, is_held, tidy_up, while_held};
pub(crate) use room::{Room, check_room, failed as no_room, room_behind, taken};

/// How long an old index that another program holds is waited for: whoever waits cannot cancel that.
const PATIENCE: Duration = Duration::from_secs(2);

/// A result in the making. Dropped unpublished, it is kept if anything was verified in it.
pub(crate) struct Output {
    file: DiskFile,
    part: Part,
    target: PathBuf,
    ledger: Ledger,
    /// Whether it is a hole, and so zeros, wherever nothing was written.
    is_blank: bool,
    /// Whether it began as a clone of the old target, with which it shares its room until it is written to.
    is_clone: bool,
}

impl Output {
    /// The output for `target`, of the length that `index` says: the partial file of this version, or a clone of `old` where
    /// the file system can do that, or an empty one. Whoever asks holds the target's lock.
    pub(crate) fn open(disk: &Disk, target: &Path, index: &Index, keep: Keep, old: Option<&Path>) -> Result<Output> {
        let target = target.to_owned();
        let path = names::part(&target, index)?;
        // There a clone has everything of the old file, so it will do only where that is to be kept.
        let old = old.filter(|_| !cfg!(target_os = "macos") || keep.mode && keep.xattrs);
        let opening = Opening { is_replacing: keep.mode && target.exists(), old, owner: keep::owner_of(keep, &target) };
        let (file, begun) = open_part(disk, &path, &opening).map_err(|cause| {
            Error::from_io(plain(cause), "cannot write in the target's folder", folder_of(&target).display())
        })?;
        let (is_blank, is_clone) = (begun == Begun::Empty, begun == Begun::Clone);
        let part = Part { disk: disk.clone(), path, is_kept: AtomicBool::new(begun == Begun::Partial) };
        file.set_length(index.length()).map_err(|cause| room::failed(cause, &target, index.length()))?;
        Ok(Output { file, part, target, ledger: Ledger::new(index), is_blank, is_clone })
    }

    /// What is to be looked through because it may be right already: nothing if the output began empty.
    pub(crate) fn begun(&self) -> Result<Option<FileReader>> {
        (!self.is_blank).then(|| self.reader()).transpose()
    }

    /// Whether what it began with is the old target.
    pub(crate) fn is_clone(&self) -> bool {
        self.is_clone
    }

    /// Makes the output empty again: what it began with is of no use.
    pub(crate) fn clear(&mut self, index: &Index) -> Result<()> {
        let cleared = self.file.set_length(0).and_then(|()| self.file.set_length(index.length()));
        cleared.map_err(|cause| room::failed(cause, &self.target, index.length()))?;
        (self.is_blank, self.is_clone) = (true, false);
        Ok(())
    }

    /// The output as it is now, to be read.
    pub(crate) fn reader(&self) -> Result<FileReader> {
        let file = self.file.file().try_clone();
        let file = file.map_err(|cause| Error::from_io(cause, "cannot read the new file", self.target.display()))?;
        FileReader::new(file, &self.part.path, "new file")
    }

    /// Notes that these bytes were read from the output itself, at their own place. How many are the first for their unit.
    pub(crate) fn adopt(&self, verified: &Verified<'_>) -> u64 {
        self.ledger.note(verified)
    }

    /// Writes verified bytes to their place; from any thread. How many of them are the first for their unit.
    pub(crate) fn write(&self, verified: Verified<'_>) -> Result<u64> {
        let mut offset = verified.offset();
        let same = |one: &[u8], next: &[u8]| is_zero(one) == is_zero(next);
        let units: Vec<&[u8]> = verified.bytes().chunks(UNIT as usize).collect();
        for units in units.chunk_by(|one, next| same(one, next)) {
            let length: usize = units.iter().map(|unit| unit.len()).sum();
            let written = if !is_zero(units[0]) {
                let start = (offset - verified.offset()) as usize;
                self.file.write_all_at(&verified.bytes()[start..start + length], offset)
            } else if self.is_blank {
                // Nothing but a hole, which stays one.
                Ok(())
            } else {
                self.file.zero(offset, length as u64)
            };
            written.map_err(|cause| {
                Error::from_io(cause, "cannot write the new file", self.target.display()).with("offset", offset)
            })?;
            offset += length as u64;
        }
        self.part.is_kept.store(true, Ordering::Release);
        Ok(self.ledger.note(&verified))
    }

    /// Where the bytes are until they are published.
    pub(crate) fn path(&self) -> &Path {
        &self.part.path
    }

    /// Whether this unit is in its place.
    pub(crate) fn has(&self, unit: u64) -> bool {
        self.ledger.has(unit)
    }

    /// Throws the output away: it is of no use to anybody.
    pub(crate) fn discard(self) {
        self.part.is_kept.store(false, Ordering::Release);
    }

    /// Makes the result durable, with what is kept of the old file; what could not be kept comes along by name. It is
    /// published by [`Part::publish`].
    pub(crate) fn finish(self, keep: Keep) -> Result<(Part, Vec<&'static str>)> {
        if !self.ledger.is_complete() {
            return Err(Error::new(ErrorKind::Internal, "the new file was to be published before it was complete"));
        }
        // From here on it is complete.
        self.part.is_kept.store(true, Ordering::Release);
        let shown = self.target.display();
        let failed = |cause| Error::from_io(cause, "cannot give the new file the old one's mode", &shown);
        let lost = keep::apply(keep, keep::Old::At(&self.target), &self.file).map_err(failed)?;
        let failed = |cause| Error::from_io(cause, "cannot sync the new file", &shown);
        self.file.sync().map_err(failed)?;
        // Windows renames only what nobody holds open.
        drop(self.file);
        Ok((self.part, lost))
    }
}

/// A file beside the target that is to take its place. Dropped, it is removed unless it is to be kept.
pub(crate) struct Part {
    disk: Disk,
    path: PathBuf,
    is_kept: AtomicBool,
}

impl Part {
    /// Gives the file, which is closed, the name of the target, in one step. Returns where the old file is now, if it had to
    /// be moved aside.
    pub(crate) fn publish(&self, target: &Path, how: &Replacing<'_>) -> Result<Option<PathBuf>> {
        let aside = replace::replace(&self.disk, &self.path, target, how)?;
        self.is_kept.store(true, Ordering::Release);
        let folder = folder_of(target);
        self.disk
            .sync_folder(folder)
            .map_err(|cause| Error::from_io(cause, "cannot sync the target's folder", folder.display()))?;
        Ok(aside)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_kept.load(Ordering::Acquire) {
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// What a partial file begins as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Empty,
    /// A clone of the old target.
    Clone,
    /// What an earlier update left.
    Partial,
}

/// How a partial file is opened.
struct Opening<'a> {
    /// Whether it is to have another file's mode in the end.
    is_replacing: bool,
    /// What it may begin as a clone of.
    old: Option<&'a Path>,
    /// Who will own it in the end, if that is kept.
    owner: Option<u32>,
}

/// Opens the partial file at `path`, or makes it.
fn open_part(disk: &Disk, path: &Path, how: &Opening<'_>) -> io::Result<(DiskFile, Begun)> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Nobody is to open it before it gets the old file's mode.
        options.mode(if how.is_replacing { 0o600 } else { 0o666 });
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    #[cfg(windows)]
    {
        let _ = how.is_replacing;
        // Nobody else writes to it; reading and removing it is harmless.
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 1 | 4);
    }
    // Whoever may write in the folder could put something in the way again and again.
    for _ in 0..3 {
        let made = match how.old {
            Some(old) => disk.create_clone(path, &mut options, old),
            None => disk.create(path, &mut options).map(|file| (file, false)),
        };
        match made {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|(file, is_clone)| (file, if is_clone { Begun::Clone } else { Begun::Empty })),
        }
        let mut options = options.clone();
        match disk.open(path, options.create_new(false)) {
            Ok(file) if is_ours(file.file(), how.owner)? => return Ok((file, Begun::Partial)),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            // It was about to be published, with the mode of a target that is read-only.
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied && make_writable(path) => {
                match disk.open(path, &mut options) {
                    Ok(file) if is_ours(file.file(), how.owner)? => return Ok((file, Begun::Partial)),
                    _ => {}
                }
            }
            // Whatever it is, a link for instance, it is none of ours.
            Err(_) => {}
        }
        disk.remove(path)?;
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Takes the read-only mark from a partial file. Whether that was possible.
fn make_writable(path: &Path) -> bool {
    let Ok(about) = fs::symlink_metadata(path) else { return false };
    let mut permissions = about.permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    #[cfg(not(unix))]
    #[expect(clippy::permissions_set_readonly_false, reason = "on Windows it only takes the mark away")]
    permissions.set_readonly(false);
    about.is_file() && fs::set_permissions(path, permissions).is_ok()
}

/// Whether a partial file can be gone on with. Another user's cannot: it may be changed after it was checked. Unless it is of
/// `owner`, who may change the new version too: an update that was about to be published has given it to them already.
#[cfg(unix)]
pub(crate) fn is_ours(file: &fs::File, owner: Option<u32>) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let about = file.metadata()?;
    let is_known = about.uid() == rustix::process::geteuid().as_raw() || Some(about.uid()) == owner;
    Ok(about.is_file() && about.nlink() == 1 && is_known)
}

#[cfg(not(unix))]
pub(crate) fn is_ours(file: &fs::File, _: Option<u32>) -> io::Result<bool> {
    Ok(file.metadata()?.is_file())
}

/// Writes what `give` hands over, piece by piece, to `path`: beside it first, then by one rename.
pub(crate) fn write_file(
    disk: &Disk,
    path: &Path,
    give: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let target = real_target(path, false, Expected::File)?;
    let (file, temporary) = temporary_beside(disk, &target)?;
    let failed = |cause| Error::from_io(cause, "cannot write", target.display());
    let mut length = 0;
    give(&mut |bytes| {
        file.write_all_at(bytes, length).map_err(failed)?;
        length += bytes.len() as u64;
        Ok(())
    })?;
    keep::apply(Keep::default(), keep::Old::At(&target), &file).map_err(failed)?;
    file.sync().map_err(failed)?;
    // Windows renames only what nobody holds open.
    drop(file);
    let how = Replacing { timeout: PATIENCE, move_aside: false, cancel: &Cancel::new(), waiting: &|_| () };
    temporary.publish(&target, &how).map(drop)
}

/// What a target has to be, if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    File,
    FileOrDevice,
    Folder,
}

/// Where the target really is: a symbolic link is followed, or refused, and never replaced.
pub(crate) fn real_target(target: &Path, refuse_symlink: bool, expected: Expected) -> Result<PathBuf> {
    let failed = |cause| Error::from_io(cause, "cannot look at the target", target.display());
    match fs::symlink_metadata(target) {
        Ok(about) if about.is_symlink() && refuse_symlink => {
            let error = Error::new(ErrorKind::Argument, "the target is a symbolic link, which is refused");
            Err(error.with("path", target.display()))
        }
        Ok(about) if about.is_symlink() => {
            let real = fs::canonicalize(target).map_err(failed)?;
            check_kind(&fs::metadata(&real).map_err(failed)?, target, expected)?;
            Ok(real)
        }
        Ok(about) => {
            check_kind(&about, target, expected)?;
            // `.` has no name of its own.
            match target.file_name() {
                None if about.is_dir() => fs::canonicalize(target).map_err(failed),
                _ => Ok(target.to_path_buf()),
            }
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(target.to_path_buf()),
        Err(cause) => Err(failed(cause)),
    }
}

fn check_kind(about: &fs::Metadata, path: &Path, expected: Expected) -> Result<()> {
    let problem = match (Kind::of(about), expected) {
        (Kind::Folder, Expected::Folder) | (Kind::File, Expected::File | Expected::FileOrDevice) => return Ok(()),
        (Kind::BlockDevice, Expected::FileOrDevice) => return Ok(()),
        (Kind::Folder, _) => "the target is a directory, and the index describes a file",
        (Kind::File, Expected::Folder) => "the target is a file, and the index describes a directory",
        (_, Expected::Folder) => "the target is not a directory",
        _ => "the target is not a regular file",
    };
    Err(Error::new(ErrorKind::Argument, problem).with("path", path.display()))
}

/// A temporary file in the target's folder, which nobody else can read if there is a target already.
fn temporary_beside(disk: &Disk, target: &Path) -> Result<(DiskFile, Part)> {
    let name = target
        .file_name()
        .ok_or_else(|| Error::new(ErrorKind::Argument, "the target has no file name").with("path", target.display()))?;
    // Long names are cut so that the temporary one still fits.
    let prefix: String = name.to_string_lossy().chars().take(40).collect();
    let prefix = format!(".{prefix}.");
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    // Nobody is to open it in the moment before it gets the old file's mode.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if target.exists() { 0o600 } else { 0o666 });
    let folder = folder_of(target);
    let failed = |cause| Error::from_io(plain(cause), "cannot write in the target's folder", folder.display());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(names::PART);
    names::remove_stale(disk, target, &prefix);
    let made = builder.make_in(folder, |path| disk.create(path, &mut options)).map_err(failed)?;
    let (file, path) = made.into_parts();
    // From here on it is removed by us, if at all.
    let path =
        path.keep().map_err(|failed| Error::from_io(failed.error, "cannot keep the new file", target.display()))?;
    let temporary = Part { disk: disk.clone(), path, is_kept: AtomicBool::new(false) };
    Ok((file, temporary))
}

/// The error without the temporary name that tempfile adds to it: it would mean nothing to anybody.
fn plain(cause: io::Error) -> io::Error {
    use io::ErrorKind as K;
    match cause.kind() {
        kind @ (K::NotFound | K::PermissionDenied | K::ReadOnlyFilesystem | K::StorageFull | K::QuotaExceeded) => {
            kind.into()
        }
        _ => cause,
    }
}

/// Whether there is nothing but zeros: if each byte is as the one before it.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|first| *first == 0 && bytes[1..] == bytes[..bytes.len() - 1])
}
