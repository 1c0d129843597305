//! What a new file has of the one whose place it takes: access rights, owner, extended attributes, times. And whether what
//! is at the target is still what was there when the update began.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use gosync_core::{Error, ErrorKind, Result};

use crate::disk::DiskFile;

/// What is kept of the file that an update replaces, as far as the platform can and lets us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keep {
    /// The access rights: mode and access control lists; on Windows the read-only mark.
    pub mode: bool,
    /// The owner and the group.
    pub owner: bool,
    /// The extended attributes, but for those that say what the system may do with the content (`security.`).
    pub xattrs: bool,
    /// When the file was last changed and read.
    pub times: bool,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { mode: true, owner: true, xattrs: true, times: false }
    }
}

impl Keep {
    /// Nothing: the new file is as any that is made there.
    pub const NONE: Keep = Keep { mode: false, owner: false, xattrs: false, times: false };
    /// What all faces call the parts.
    pub const NAMES: &'static [&'static str] = &["mode", "owner", "xattrs", "times"];
}

impl std::str::FromStr for Keep {
    type Err = Error;

    /// Reads a list of names with commas between them, or `none`.
    fn from_str(text: &str) -> Result<Keep> {
        let mut keep = Keep::NONE;
        if text == "none" {
            return Ok(keep);
        }
        for name in text.split(',') {
            match name.trim() {
                "mode" => keep.mode = true,
                "owner" => keep.owner = true,
                "xattrs" => keep.xattrs = true,
                "times" => keep.times = true,
                _ => {
                    let text = "what is to be kept is `none`, or any of `mode`, `owner`, `xattrs`, `times` with commas between";
                    return Err(Error::new(ErrorKind::Argument, text).with("option", "keep"));
                }
            }
        }
        Ok(keep)
    }
}

/// A file whose place is taken.
#[derive(Clone, Copy)]
pub(crate) enum Old<'a> {
    /// At a path, if it is there.
    At(&'a Path),
    /// A file of a directory that is updated. Whether the new one may be executed is said elsewhere.
    Open(&'a fs::File, bool),
}

/// Gives `new` what is to be kept of `old`. The names of what could not be kept.
pub(crate) fn apply(keep: Keep, old: Old<'_>, new: &DiskFile) -> io::Result<Vec<&'static str>> {
    let about = match old {
        Old::At(path) => fs::metadata(path),
        Old::Open(file, _) => file.metadata(),
    };
    let about = match about {
        Ok(about) => about,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(cause),
    };
    let is_executable = if let Old::Open(_, is_executable) = old { Some(is_executable) } else { None };
    let mut lost = Vec::new();
    let mut note = |name, outcome: io::Result<()>| {
        if outcome.is_err() && !lost.contains(&name) {
            lost.push(name);
        }
        outcome.is_ok()
    };
    if keep.xattrs {
        note("xattrs", new.set_metadata("xattrs", |file| attributes(old, file, is_plain)));
    }
    let is_owned = !keep.owner || note("owner", new.set_metadata("owner", |file| owner(&about, file)));
    // What is read-only cannot be gone on with, nor be given its name, on Windows: of a directory's files, the mark goes.
    if keep.mode && (cfg!(unix) || is_executable.is_none()) {
        note("mode", new.set_metadata("mode", |file| attributes(old, file, is_access)));
        // After the owner: a change of that takes some bits away. And with another owner these would be too much.
        new.set_permissions(permissions(&about, is_owned, is_executable))?;
    }
    if keep.times {
        note("times", new.set_metadata("times", |file| times(&about, file)));
    }
    Ok(lost)
}

/// Who will own what takes the place of the file at `old`, if its owner is kept.
#[cfg(unix)]
pub(super) fn owner_of(keep: Keep, old: &Path) -> Option<u32> {
    let about = keep.owner.then(|| fs::metadata(old).ok()).flatten();
    about.map(|about| std::os::unix::fs::MetadataExt::uid(&about))
}

#[cfg(not(unix))]
pub(super) fn owner_of(_: Keep, _: &Path) -> Option<u32> {
    None
}

fn times(about: &Metadata, file: &fs::File) -> io::Result<()> {
    file.set_times(fs::FileTimes::new().set_modified(about.modified()?).set_accessed(about.accessed()?))
}

#[cfg(unix)]
fn permissions(about: &Metadata, is_owned: bool, is_executable: Option<bool>) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    const SET_ID: u32 = 0o6000;
    let mode = about.permissions().mode();
    fs::Permissions::from_mode(match is_executable {
        Some(true) if mode & 0o100 != 0 => mode & 0o777,
        // Whoever may read it may execute it, and its owner in any case.
        Some(true) => mode & 0o666 | (mode & 0o444) >> 2 | 0o100,
        Some(false) => mode & 0o666,
        None if is_owned => mode,
        None => mode & !SET_ID,
    })
}

#[cfg(not(unix))]
fn permissions(about: &Metadata, _: bool, _: Option<bool>) -> fs::Permissions {
    about.permissions()
}

#[cfg(unix)]
fn owner(about: &Metadata, file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let now = file.metadata()?;
    if (now.uid(), now.gid()) == (about.uid(), about.gid()) {
        return Ok(());
    }
    // Where the owner cannot be given, the group perhaps can.
    std::os::unix::fs::fchown(file, Some(about.uid()), Some(about.gid())).inspect_err(|_| {
        let _ = std::os::unix::fs::fchown(file, None, Some(about.gid()));
    })
}

#[cfg(not(unix))]
fn owner(_: &Metadata, _: &fs::File) -> io::Result<()> {
    Ok(())
}

/// Access control lists.
fn is_access(name: &[u8]) -> bool {
    name.starts_with(b"system.")
}

fn is_plain(name: &[u8]) -> bool {
    !is_access(name) && !name.starts_with(b"security.")
}

#[cfg(unix)]
fn attributes(old: Old<'_>, file: &fs::File, of: fn(&[u8]) -> bool) -> io::Result<()> {
    use xattr::FileExt;
    let names = match old {
        Old::At(path) => xattr::list(path),
        Old::Open(old, _) => old.list_xattr(),
    };
    let names = match names {
        Err(cause) if cause.kind() == io::ErrorKind::Unsupported => return Ok(()),
        names => names?,
    };
    let mut outcome = Ok(());
    for name in names.filter(|name| of(name.as_encoded_bytes())) {
        let value = match old {
            Old::At(path) => xattr::get(path, &name),
            Old::Open(old, _) => old.get_xattr(&name),
        };
        let set = value.and_then(|value| match value {
            Some(value) => file.set_xattr(&name, &value),
            // It has just gone away.
            None => Ok(()),
        });
        outcome = outcome.and(set);
    }
    outcome
}

#[cfg(not(unix))]
fn attributes(_: Old<'_>, _: &fs::File, _: fn(&[u8]) -> bool) -> io::Result<()> {
    Ok(())
}

/// Tells one file from another that has its name later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] (u64, Option<std::time::SystemTime>));

impl Identity {
    /// Of what is at `path`; `None` if there is nothing.
    pub(crate) fn at(path: &Path) -> Option<Identity> {
        fs::symlink_metadata(path).ok().map(|about| Identity::of(&about))
    }

    #[cfg(unix)]
    fn of(about: &Metadata) -> Identity {
        use std::os::unix::fs::MetadataExt;
        Identity((about.dev(), about.ino()))
    }

    /// There is no number that is always there. A file that took another's place within seconds even has its time of
    /// creation.
    #[cfg(not(unix))]
    fn of(about: &Metadata) -> Identity {
        Identity((about.len(), about.modified().ok()))
    }
}
