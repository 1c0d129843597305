//! The output: written beside the target under a temporary name, published by one atomic rename.
//! Takes only verified bytes. What was at the target stays untouched until the rename.

mod replace;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gosync_core::assemble::{Ledger, Verified};
use gosync_core::index::UNIT;
use gosync_core::{Error, ErrorKind, Index, Result};

use crate::cancel::Cancel;
use crate::disk::{Disk, DiskFile};

pub(crate) use replace::{Replacing, tidy_up};

/// How long an old index that another program holds is waited for: whoever waits cannot cancel that.
const PATIENCE: Duration = Duration::from_secs(2);

/// A result in the making. Dropping it unpublished removes it.
pub(crate) struct Output {
    file: DiskFile,
    path: Temporary,
    target: PathBuf,
    ledger: Ledger,
}

impl Output {
    /// Makes an empty output for `target`, of the length that `index` says.
    pub(crate) fn create(disk: &Disk, target: &Path, index: &Index) -> Result<Output> {
        let target = real_target(target)?;
        let (file, path) = temporary_beside(disk, &target)?;
        file.set_length(index.length())
            .map_err(|cause| Error::from_io(cause, "cannot reserve the new file", target.display()))?;
        Ok(Output { file, path, target, ledger: Ledger::new(index) })
    }

    /// Writes verified bytes to their place; from any thread. How many of them are the first for their unit.
    pub(crate) fn write(&self, verified: Verified<'_>) -> Result<u64> {
        let mut offset = verified.offset();
        let same = |one: &[u8], next: &[u8]| is_zero(one) == is_zero(next);
        let units: Vec<&[u8]> = verified.bytes().chunks(UNIT as usize).collect();
        for units in units.chunk_by(|one, next| same(one, next)) {
            let length: usize = units.iter().map(|unit| unit.len()).sum();
            // The file was made of zeros: nothing but a hole, which stays one.
            if !is_zero(units[0]) {
                let start = (offset - verified.offset()) as usize;
                let bytes = &verified.bytes()[start..start + length];
                self.file.write_all_at(bytes, offset).map_err(|cause| {
                    Error::from_io(cause, "cannot write the new file", self.target.display()).with("offset", offset)
                })?;
            }
            offset += length as u64;
        }
        Ok(self.ledger.note(&verified))
    }

    /// Where the bytes are until they are published.
    pub(crate) fn temporary(&self) -> &Path {
        &self.path.path
    }

    /// Whether this unit has been written.
    pub(crate) fn has(&self, unit: u64) -> bool {
        self.ledger.has(unit)
    }

    /// Makes the result durable, then visible under the target's name, in one step. Returns where the old file is now, if
    /// it had to be moved aside.
    pub(crate) fn publish(self, how: &Replacing<'_>) -> Result<Option<PathBuf>> {
        if !self.ledger.is_complete() {
            return Err(Error::new(ErrorKind::Internal, "the new file was to be published before it was complete"));
        }
        self.file.sync().map_err(|cause| Error::from_io(cause, "cannot sync the new file", self.target.display()))?;
        // Windows renames only what nobody holds open.
        drop(self.file);
        persist(self.path, &self.target, how)
    }
}

/// Writes what `give` hands over, piece by piece, to `path`: beside it first, then by one rename.
pub(crate) fn write_file(
    disk: &Disk,
    path: &Path,
    give: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let target = real_target(path)?;
    let (file, temporary) = temporary_beside(disk, &target)?;
    let failed = |cause| Error::from_io(cause, "cannot write", target.display());
    let mut length = 0;
    give(&mut |bytes| {
        file.write_all_at(bytes, length).map_err(failed)?;
        length += bytes.len() as u64;
        Ok(())
    })?;
    file.sync().map_err(failed)?;
    // Windows renames only what nobody holds open.
    drop(file);
    let how = Replacing { timeout: PATIENCE, move_aside: false, cancel: &Cancel::new(), waiting: &|_| () };
    persist(temporary, &target, &how).map(drop)
}

/// Where the target really is: a symbolic link is followed, never replaced. A directory is no target, nor is a device.
pub(crate) fn real_target(target: &Path) -> Result<PathBuf> {
    let failed = |cause| Error::from_io(cause, "cannot look at the target", target.display());
    match fs::symlink_metadata(target) {
        Ok(about) if about.is_symlink() => {
            let real = fs::canonicalize(target).map_err(failed)?;
            check_file(&fs::metadata(&real).map_err(failed)?, target)?;
            Ok(real)
        }
        Ok(about) => check_file(&about, target).map(|()| target.to_path_buf()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(target.to_path_buf()),
        Err(cause) => Err(failed(cause)),
    }
}

fn check_file(about: &fs::Metadata, path: &Path) -> Result<()> {
    let problem = match () {
        () if about.is_file() => return Ok(()),
        () if about.is_dir() => "the target is a directory",
        () => "the target is not a regular file",
    };
    Err(Error::new(ErrorKind::Argument, problem).with("path", path.display()))
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file that is removed when this is dropped.
struct Temporary {
    disk: Disk,
    path: PathBuf,
    is_kept: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// A temporary file in the target's folder, with the access rights that the target has or would get.
fn temporary_beside(disk: &Disk, target: &Path) -> Result<(DiskFile, Temporary)> {
    let name = target
        .file_name()
        .ok_or_else(|| Error::new(ErrorKind::Argument, "the target has no file name").with("path", target.display()))?;
    // Long names are cut so that the temporary one still fits.
    let prefix: String = name.to_string_lossy().chars().take(40).collect();
    let prefix = format!(".{prefix}.");
    let old = fs::metadata(target).ok();
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    // Nobody is to open it in the moment before it gets the old file's mode.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if old.is_some() { 0o600 } else { 0o666 });
    let folder = folder_of(target);
    let failed = |cause| Error::from_io(plain(cause), "cannot write in the target's folder", folder.display());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".gosync-part");
    let made = builder.make_in(folder, |path| disk.create(path, &mut options)).map_err(failed)?;
    let (file, path) = made.into_parts();
    // From here on it is removed by us, if at all.
    let path =
        path.keep().map_err(|failed| Error::from_io(failed.error, "cannot keep the new file", target.display()))?;
    let temporary = Temporary { disk: disk.clone(), path, is_kept: false };
    if let Some(about) = old {
        let kept = file.set_permissions(about.permissions());
        kept.map_err(|cause| Error::from_io(cause, "cannot give the new file the old one's mode", target.display()))?;
    }
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

fn persist(mut temporary: Temporary, target: &Path, how: &Replacing<'_>) -> Result<Option<PathBuf>> {
    let disk = temporary.disk.clone();
    let aside = replace::replace(&disk, &temporary.path, target, how)?;
    temporary.is_kept = true;
    let folder = folder_of(target);
    disk.sync_folder(folder)
        .map_err(|cause| Error::from_io(cause, "cannot sync the target's folder", folder.display()))?;
    Ok(aside)
}

/// Whether there is nothing but zeros: if each byte is as the one before it.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|first| *first == 0 && bytes[1..] == bytes[..bytes.len() - 1])
}
