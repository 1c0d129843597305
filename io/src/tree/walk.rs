//! What is in a directory: every entry, in the order of a listing. Links are looked at, not followed.

use std::ffi::OsString;
use std::io;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, Metadata};
use gosync_core::listing::MAX_DEPTH;
use gosync_core::{Error, ErrorKind, ReadAt, Result};

use super::around::is_ours;
use super::ignored::{self, Ignored};
use super::{Folder, Stamp};
use crate::cancel::Cancel;

/// The largest file with patterns that is read.
const MAX_PATTERNS: u64 = 1 << 20;

/// An entry that is there.
#[derive(Debug)]
pub(crate) struct Found {
    /// Names with `/` between.
    pub(crate) path: String,
    pub(crate) is: Is,
}

impl Found {
    /// Bytes of a regular file.
    pub(crate) fn length(&self) -> Option<u64> {
        self.stamp().map(|stamp| stamp.length)
    }

    /// By what a regular file is known.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        match self.is {
            Is::File { stamp, .. } => Some(stamp),
            _ => None,
        }
    }
}

/// What it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Directory {
        mode: u16,
    },
    File {
        stamp: Stamp,
        /// Who may do what with it: the nine lowest bits of its mode. 0 where there are none, as for a directory.
        mode: u16,
        is_executable: bool,
        /// Whether it has other names, in the directory or elsewhere.
        is_shared: bool,
    },
    Symlink {
        target: String,
    },
    /// A pipe, a socket, a device; or a link whose target is not text.
    Other,
}

/// What a walk gives.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) found: Vec<Found>,
    /// Entries whose names are not text. They are in no listing.
    pub(crate) strange: Vec<Strange>,
}

/// An entry whose name is not text.
#[derive(Debug)]
pub(crate) struct Strange {
    /// The directory that it is in, as a path of an entry.
    pub(crate) folder: String,
    /// Its path as it can be shown.
    pub(crate) shown: String,
}

/// Everything in `folder`, but for what is `ignored`, and what lies there because it is updated.
pub(crate) fn walk(folder: &Folder<'_>, ignored: Option<Ignored>, cancel: &Cancel) -> Result<Walked> {
    let mut walk = Walk { folder, ignored, cancel, unreadable: None, walked: Walked::default() };
    walk.enter(&folder.dir, "", 0)?;
    Ok(walk.walked)
}

/// Everything in `folder` that can be read. What cannot is told to `unreadable` and left out.
pub(crate) fn walk_readable(folder: &Folder<'_>, cancel: &Cancel, unreadable: &dyn Fn(Error)) -> Result<Walked> {
    let mut walk = Walk { folder, ignored: None, cancel, unreadable: Some(unreadable), walked: Walked::default() };
    walk.enter(&folder.dir, "", 0)?;
    Ok(walk.walked)
}

struct Walk<'a> {
    folder: &'a Folder<'a>,
    ignored: Option<Ignored>,
    cancel: &'a Cancel,
    /// Who hears of what cannot be read. Without anybody, it ends the walk.
    unreadable: Option<&'a dyn Fn(Error)>,
    walked: Walked,
}

impl Walk<'_> {
    fn enter(&mut self, dir: &Dir, path: &str, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(self.fault(ErrorKind::Limit, "a path in the directory is too long", path));
        }
        let failed = |cause, path: &str| self.failed(cause, path);
        let mut names = Vec::new();
        for entry in dir.entries().map_err(|cause| failed(cause, path))? {
            names.push(entry.map_err(|cause| failed(cause, path))?.file_name());
        }
        let mut entries: Vec<String> = Vec::with_capacity(names.len());
        for name in names {
            match name.into_string() {
                Ok(name) if depth == 0 && is_ours(&name) => {}
                Ok(name) => entries.push(name),
                Err(name) => self.strange(path, name)?,
            }
        }
        entries.sort_unstable();
        let patterns = self.patterns(&entries, path)?;
        if let Some(ignored) = &mut self.ignored {
            ignored.enter(path, patterns.as_deref())?;
        }
        for name in entries {
            self.cancel.check()?;
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match (self.entry(dir, &name, path, depth), self.unreadable) {
                (Err(error), Some(tell)) if error.kind() != ErrorKind::Cancelled => tell(error),
                (done, _) => done?,
            }
        }
        if let Some(ignored) = &mut self.ignored {
            ignored.leave();
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Dir, name: &str, path: String, depth: usize) -> Result<()> {
        let metadata = match dir.symlink_metadata(name) {
            Ok(metadata) => metadata,
            // It was removed meanwhile.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(self.failed(cause, &path)),
        };
        if self.ignored.as_ref().is_some_and(|ignored| ignored.is_out(&path, metadata.is_dir())) {
            return Ok(());
        }
        if !metadata.is_dir() {
            let is = self.what(dir, name, &metadata, &path)?;
            self.walked.found.push(Found { path, is });
            return Ok(());
        }
        let below = dir.open_dir_nofollow(name).map_err(|cause| self.failed(cause, &path))?;
        self.walked.found.push(Found { path: path.clone(), is: Is::Directory { mode: mode(&metadata) } });
        self.enter(&below, &path, depth + 1)
    }

    fn what(&self, dir: &Dir, name: &str, metadata: &Metadata, path: &str) -> Result<Is> {
        if metadata.is_file() {
            let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
            let stamp = Stamp { length: metadata.len(), modified };
            let (mode, is_executable, is_shared) = (mode(metadata), is_executable(metadata), is_shared(metadata));
            return Ok(Is::File { stamp, mode, is_executable, is_shared });
        }
        if !metadata.is_symlink() {
            return Ok(Is::Other);
        }
        let target = dir.read_link_contents(name).map_err(|cause| self.failed(cause, path))?;
        Ok(target.into_os_string().into_string().map_or(Is::Other, |target| Is::Symlink { target: listed(target) }))
    }

    /// A name that no listing can hold. Where the tree is to be described, that is an error.
    fn strange(&mut self, folder: &str, name: OsString) -> Result<()> {
        let shown = self.folder.path.join(folder).join(name);
        if self.ignored.is_some() {
            let text = "a name in the directory is not UTF-8, which the index of a directory cannot hold";
            return Err(Error::new(ErrorKind::Argument, text).with("path", shown.display()));
        }
        let (folder, shown) = (folder.to_owned(), shown.display().to_string());
        self.walked.strange.push(Strange { folder, shown });
        Ok(())
    }

    /// The file with patterns among these entries, if patterns count.
    fn patterns(&self, entries: &[String], path: &str) -> Result<Option<String>> {
        if self.ignored.is_none() || entries.binary_search_by(|name| name.as_str().cmp(ignored::FILE)).is_err() {
            return Ok(None);
        }
        let path = if path.is_empty() { ignored::FILE.to_owned() } else { format!("{path}/{}", ignored::FILE) };
        let (file, stamp) = self.folder.file(&path)?;
        if stamp.length > MAX_PATTERNS {
            return Err(self.fault(ErrorKind::Limit, "a .gosyncignore is larger than 1 MiB", &path));
        }
        let mut text = vec![0; stamp.length as usize];
        let length = file.read_at(0, &mut text)?;
        text.truncate(length);
        let wrong = |_| self.fault(ErrorKind::Argument, "a .gosyncignore is not UTF-8", &path);
        String::from_utf8(text).map(Some).map_err(wrong)
    }

    fn failed(&self, cause: io::Error, path: &str) -> Error {
        Error::from_io(cause, &format!("cannot read the {}", self.folder.what), self.folder.path.join(path).display())
    }

    fn fault(&self, kind: ErrorKind, text: &str, path: &str) -> Error {
        Error::new(kind, text).with("path", self.folder.path.join(path).display())
    }
}

/// What a link says, as listings have it: Windows keeps the slashes of a path turned round.
fn listed(target: String) -> String {
    if cfg!(windows) { target.replace('\\', "/") } else { target }
}

#[cfg(unix)]
pub(super) fn is_executable(metadata: &Metadata) -> bool {
    const OWNER: u32 = 0o100;
    cap_std::fs::MetadataExt::mode(metadata) & OWNER != 0
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u16 {
    const ALL: u32 = 0o777;
    (cap_std::fs::MetadataExt::mode(metadata) & ALL) as u16
}

#[cfg(not(unix))]
fn mode(_: &Metadata) -> u16 {
    0
}

/// Files have no such bit there.
#[cfg(not(unix))]
pub(super) fn is_executable(_: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn is_shared(metadata: &Metadata) -> bool {
    cap_std::fs::MetadataExt::nlink(metadata) > 1
}

/// There it is not told of a file that is not open.
#[cfg(not(unix))]
fn is_shared(_: &Metadata) -> bool {
    false
}
