//! Changes below a directory that is held by a handle: one name at a time, never by a path, and no link is followed. So
//! nothing outside is changed, whatever is in the directory and whoever swaps what meanwhile.
//!
//! A folder's path is for messages and for the log of a [`Watch`](super::Watch); nothing is opened by it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions};

use super::{Disk, DiskFile, Op, next_number};

/// A directory that is changed.
#[derive(Debug)]
pub(crate) struct DiskFolder {
    disk: Disk,
    dir: Dir,
    path: PathBuf,
}

impl Disk {
    /// Opens the directory at `path`, where links are followed: it is the caller's word.
    pub(crate) fn folder(&self, path: &Path) -> io::Result<DiskFolder> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(DiskFolder { disk: self.clone(), dir, path: path.to_owned() })
    }

    /// Makes the directory at `path`, where nothing may be yet: for this user alone, or as new directories are.
    pub(crate) fn create_folder(&self, path: &Path, is_private: bool) -> io::Result<()> {
        #[cfg_attr(not(unix), expect(unused_mut))]
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, if is_private { 0o700 } else { 0o777 });
        #[cfg(not(unix))]
        let _ = is_private;
        self.change(Op::CreateFolder { path }, || builder.create(path))
    }
}

impl DiskFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// To be looked at.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// What has a name in it; a link itself, not what it leads to.
    pub(crate) fn look(&self, name: &str) -> io::Result<Option<Metadata>> {
        match self.dir.symlink_metadata(one(name)?) {
            Ok(about) => Ok(Some(about)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// Opens a directory in it. A link to one is none.
    pub(crate) fn below(&self, name: &str) -> io::Result<DiskFolder> {
        let dir = self.dir.open_dir_nofollow(one(name)?)?;
        Ok(DiskFolder { disk: self.disk.clone(), dir, path: self.path.join(name) })
    }

    /// Makes a directory in it, where nothing may be yet.
    pub(crate) fn make(&self, name: &str) -> io::Result<DiskFolder> {
        let path = self.path.join(name);
        self.disk.change(Op::CreateFolder { path: &path }, || self.dir.create_dir(one(name)?))?;
        self.below(name)
    }

    /// Makes a file in it, where nothing may be yet. `mode` is what the system's mask is taken from; only Unix knows it.
    pub(crate) fn create(&self, name: &str, mode: u32) -> io::Result<DiskFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).follow(FollowSymlinks::No);
        #[cfg(unix)]
        cap_std::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        let (file, path) = (next_number(), self.path.join(name));
        let op = Op::Create { file, path: &path };
        let opened = self.disk.change(op, || self.dir.open_with(one(name)?, &options))?;
        Ok(DiskFile { disk: self.disk.clone(), file: opened.into_std(), number: file })
    }

    /// Opens a regular file in it to change it.
    pub(crate) fn open(&self, name: &str) -> io::Result<DiskFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).follow(FollowSymlinks::No).nonblock(true);
        let (file, path) = (next_number(), self.path.join(name));
        let op = Op::Open { file, path: &path };
        let opened = self.disk.change(op, || self.dir.open_with(one(name)?, &options))?.into_std();
        if !opened.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(DiskFile { disk: self.disk.clone(), file: opened, number: file })
    }

    /// Opens a file in it to change what is known about it, and nothing of its content: on Windows, only whoever may write sets
    /// times.
    pub(crate) fn open_as_it_is(&self, name: &str) -> io::Result<DiskFile> {
        let (number, path) = (next_number(), self.path.join(name));
        let file = self.disk.change(Op::Open { file: number, path: &path }, || self.regular(name, cfg!(windows)))?;
        Ok(DiskFile { disk: self.disk.clone(), file, number })
    }

    /// Opens a regular file in it to be read. A link is not followed, a pipe not waited for.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        self.regular(name, false)
    }

    fn regular(&self, name: &str, is_writable: bool) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(is_writable).follow(FollowSymlinks::No).nonblock(true);
        let opened = self.dir.open_with(one(name)?, &options)?.into_std();
        if opened.metadata()?.is_file() { Ok(opened) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Makes `bytes` the content of a file in it, in place of what has the name, durably. Only one may do that at a time.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let part = format!("{name}.gosync-part");
        match self.remove(&part) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        let file = self.create(&part, 0o600)?;
        let written = file.write_all_at(bytes, 0).and_then(|()| file.sync());
        // Windows renames only what nobody holds open.
        drop(file);
        let done = written.and_then(|()| self.rename(&part, self, name));
        if done.is_err() {
            let _ = self.remove(&part);
        }
        done.and_then(|()| self.sync())
    }

    /// Gives what has a name in it a name in another folder (or in this one), in place of the file or link that has that.
    pub(crate) fn rename(&self, name: &str, to: &DiskFolder, to_name: &str) -> io::Result<()> {
        let (from_path, to_path) = (self.path.join(name), to.path.join(to_name));
        let op = Op::Rename { from: &from_path, to: &to_path };
        self.disk.change(op, || self.dir.rename(one(name)?, &to.dir, one(to_name)?))
    }

    /// Removes a file or a link.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        self.disk.change(Op::Remove { path: &path }, || self.dir.remove_file_or_symlink(one(name)?))
    }

    /// Removes a directory, which is empty.
    pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        self.disk.change(Op::RemoveFolder { path: &path }, || self.dir.remove_dir(one(name)?))
    }

    /// Makes a symbolic link that says `target`, where nothing may be yet. Windows has two kinds of links.
    pub(crate) fn link(&self, name: &str, target: &str, to_folder: bool) -> io::Result<()> {
        let path = self.path.join(name);
        self.disk.change(Op::Link { path: &path, target }, || link(&self.dir, one(name)?, target, to_folder))
    }

    /// Removes what has a name that is no text, with all that is in it.
    pub(crate) fn remove_strange(&self, name: &OsStr) -> io::Result<()> {
        let path = self.path.join(name);
        let remove = || match self.dir.symlink_metadata(name)?.is_dir() {
            true => self.dir.remove_dir_all(name),
            false => self.dir.remove_file(name),
        };
        self.disk.change(Op::Remove { path: &path }, remove)
    }

    /// Gives a file other rights, then another time of its last change, durably if that is wanted. `false`: it is no file any more, or
    /// one that has other names, by which it may be another's.
    pub(crate) fn set_attributes(
        &self,
        name: &str,
        rights: Rights,
        time: Option<SystemTime>,
        is_durable: bool,
    ) -> io::Result<bool> {
        let mut options = OpenOptions::new();
        // On Windows, only whoever may write sets times.
        options.read(true).write(cfg!(windows)).follow(FollowSymlinks::No).nonblock(true);
        let file = self.dir.open_with(one(name)?, &options)?.into_std();
        if !is_alone(&file.metadata()?) {
            return Ok(false);
        }
        let op = Op::SetMetadata { file: next_number(), what: "attributes" };
        self.disk.change(op, || {
            // What cannot be had of one is no reason not to have the other.
            let given = rights.give(&file);
            let set = time.map_or(Ok(()), |time| file.set_modified(time));
            given.and(set)?;
            if is_durable { file.sync_all() } else { Ok(()) }
        })?;
        Ok(true)
    }

    /// Gives the folder itself a mode, durable with its names. Only Unix knows it.
    pub(crate) fn set_mode(&self, mode: u16) -> io::Result<()> {
        let op = Op::SetMetadata { file: next_number(), what: "mode" };
        self.disk.change(op, || set_mode(&self.dir, mode))
    }

    /// Takes the read-only mark from a file.
    pub(crate) fn make_writable(&self, name: &str) -> io::Result<()> {
        let op = Op::SetMetadata { file: next_number(), what: "mode" };
        self.disk.change(op, || {
            let mut permissions = self.dir.symlink_metadata(one(name)?)?.permissions();
            permissions.set_readonly(false);
            self.dir.set_permissions(name, permissions)
        })
    }

    /// The same folder once more.
    pub(crate) fn same(&self) -> io::Result<DiskFolder> {
        Ok(DiskFolder { disk: self.disk.clone(), dir: self.dir.try_clone()?, path: self.path.clone() })
    }

    /// Makes the names in it durable. Where the system cannot, they are as durable as the file system makes them.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.change(Op::SyncFolder { path: &self.path }, || sync(&self.dir))
    }

    /// Makes everything durable that was done on the file system that it is on. `false`: this system cannot, and each
    /// file and folder is to be synced by itself.
    pub(crate) fn sync_all(&self) -> io::Result<bool> {
        if !cfg!(target_os = "linux") {
            return Ok(false);
        }
        match self.disk.change(Op::SyncAll, || sync_all(&self.dir)) {
            Err(cause) if cause.kind() == io::ErrorKind::Unsupported => Ok(false),
            synced => synced.map(|()| true),
        }
    }
}

/// A name, if it is one: nothing that leads anywhere else.
fn one(name: &str) -> io::Result<&str> {
    let is_one = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
    // A stream, a drive, a path.
    let is_one = is_one && !(cfg!(windows) && name.contains([':', '\\']));
    if is_one { Ok(name) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "what must be a name is a path")) }
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// It may be executed by whoever may read it, or by nobody.
    Executable(bool),
    /// The nine lowest bits of a mode.
    Mode(u16),
}

impl Rights {
    #[cfg(unix)]
    pub(crate) fn give(self, file: &File) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let there = file.metadata()?.permissions().mode() & 0o7777;
        let mode = there & 0o777;
        let mode = match self {
            Rights::Executable(true) => mode | (mode & 0o444) >> 2,
            Rights::Executable(false) => mode & !0o111,
            Rights::Mode(mode) => mode.into(),
        };
        if mode == there {
            return Ok(());
        }
        file.set_permissions(PermissionsExt::from_mode(mode))
    }

    /// There are no such bits there.
    #[cfg(not(unix))]
    pub(crate) fn give(self, _: &File) -> io::Result<()> {
        Ok(())
    }
}

/// Whether it is a file that has no other name.
#[cfg(unix)]
fn is_alone(about: &std::fs::Metadata) -> bool {
    about.is_file() && std::os::unix::fs::MetadataExt::nlink(about) == 1
}

/// There it is not told how many names a file has.
#[cfg(not(unix))]
fn is_alone(about: &std::fs::Metadata) -> bool {
    about.is_file()
}

#[cfg(unix)]
fn set_mode(dir: &Dir, mode: u16) -> io::Result<()> {
    // What a folder passes on to what is made in it, and who may remove that, is not what a tree says.
    let others = cap_std::fs::MetadataExt::mode(&dir.dir_metadata()?) & 0o7000;
    // The handle may be one that names are looked up by and nothing else.
    let mode = rustix::fs::Mode::from_raw_mode((others | u32::from(mode)) as rustix::fs::RawMode);
    Ok(rustix::fs::chmodat(dir, ".", mode, rustix::fs::AtFlags::empty())?)
}

#[cfg(not(unix))]
fn set_mode(_: &Dir, _: u16) -> io::Result<()> {
    Ok(())
}

#[cfg(not(windows))]
fn link(dir: &Dir, name: &str, target: &str, _: bool) -> io::Result<()> {
    dir.symlink_contents(target, name)
}

#[cfg(windows)]
fn link(dir: &Dir, name: &str, target: &str, to_folder: bool) -> io::Result<()> {
    let target = target.replace('/', "\\");
    if to_folder { dir.symlink_dir(target, name) } else { dir.symlink_file(target, name) }
}

#[cfg(unix)]
fn sync(dir: &Dir) -> io::Result<()> {
    // The handle may be one that names are looked up by and nothing else.
    let folder = dir.open_with(".", OpenOptions::new().read(true));
    super::unless_unable(folder.and_then(|folder| folder.sync_all()))
}

/// Windows has no such call.
#[cfg(not(unix))]
fn sync(_: &Dir) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn sync_all(dir: &Dir) -> io::Result<()> {
    let folder = dir.open_with(".", OpenOptions::new().read(true))?;
    Ok(rustix::fs::syncfs(folder)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_all(_: &Dir) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
