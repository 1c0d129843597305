//! The journal of an update in place: a file that says that the target is neither the old version nor the new one, and
//! that keeps the old bytes which were overwritten and are still needed.
//!
//! A header of 4 KiB, then old bytes as they were, in whole blocks. That is all: whoever goes on looks for blocks in it as
//! in any other seed, and believes nothing. What the header says is told to people.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gosync_core::{Digest, Error, ErrorKind, Index, Range, Result};

use crate::disk::{Disk, DiskFile};
use crate::output::{folder_of, no_room};
use crate::seed::FileReader;

/// Bytes of the header.
pub(crate) const HEADER: u64 = 4096;
/// What a journal may have beside a hundredth of the target.
const FIXED: u64 = 64 << 20;

const MAGIC: &[u8; 16] = b"gosync-journal\x01\n";
/// Magic, root, length of the new version, length of what was there.
const FIELDS: usize = 16 + 32 + 8 + 8;

/// The part of the journal that old bytes may be in, for a target of `length` bytes.
pub(crate) fn room(length: u64) -> Range {
    Range::new(HEADER, FIXED + length / 100 - HEADER)
}

/// What a journal says of its update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// The root of the version that it was going to. A legacy index has none.
    pub(crate) root: Option<Digest>,
    pub(crate) length: u64,
    pub(crate) old_length: u64,
}

impl About {
    pub(crate) fn new(index: &Index, old_length: u64) -> About {
        About { root: index.root(), length: index.length(), old_length }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.root.map_or([0; 32], |root| root.0));
        bytes.extend_from_slice(&self.length.to_le_bytes());
        bytes.extend_from_slice(&self.old_length.to_le_bytes());
        let check = Digest::of(&bytes);
        bytes.extend_from_slice(&check.0);
        bytes.resize(HEADER as usize, 0);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<About> {
        let (fields, rest) = bytes.split_at_checked(FIELDS)?;
        let is_right = fields.starts_with(MAGIC) && rest.get(..32)? == Digest::of(fields).0;
        let number = |at: usize| fields.get(at..at + 8)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let root = Digest(*fields.get(16..)?.first_chunk()?);
        let root = Some(root).filter(|root| root.0 != [0; 32]);
        is_right.then_some(About { root, length: number(48)?, old_length: number(56)? })
    }
}

/// What the journal at `path` says, if there is one: nothing if its header is damaged.
pub(crate) fn look(path: &Path) -> Option<Option<About>> {
    is_there(path).ok().filter(|is_there| *is_there)?;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADER).read_to_end(&mut bytes));
    Some(read.ok().and_then(|_| About::decode(&bytes)))
}

/// Whether there is a journal. Anything but a file by that name is an error: it is not ours, and not to be written to.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => Ok(true),
        Ok(_) => {
            Err(Error::new(ErrorKind::State, "what is in the journal's place is no file").with("path", path.display()))
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(failed(cause, "look at", path)),
    }
}

/// The journal of an update, open.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: Disk,
    file: DiskFile,
    path: PathBuf,
}

impl Journal {
    /// Makes the journal, or goes on with the one that is there, durably. Nothing of what is in that is lost.
    pub(crate) fn begin(disk: &Disk, path: &Path, about: &About) -> Result<Journal> {
        let was_there = is_there(path)?;
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        {
            // It has parts of the target, which perhaps not everybody may read.
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        }
        let file = if was_there { disk.open(path, &mut options) } else { disk.create(path, &mut options) };
        let file = file.map_err(|cause| failed(cause, "make", path))?;
        let journal = Journal { disk: disk.clone(), file, path: path.to_owned() };
        let written = journal.write(&about.encode(), 0).and_then(|()| journal.sync()).and_then(|()| {
            disk.sync_folder(folder_of(path)).map_err(|cause| failed(cause, "sync the folder of", path))
        });
        match written {
            Err(error) if !was_there => {
                let _ = disk.remove(path);
                Err(error)
            }
            written => written.map(|()| journal),
        }
    }

    /// Takes room for it up to `end`, if it can be had.
    pub(crate) fn reserve(&self, end: u64) -> Result<()> {
        self.file.allocate(0, end).map(drop).map_err(|cause| no_room(cause, &self.path, end))
    }

    pub(crate) fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).map_err(|cause| failed(cause, "write", &self.path))
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(|cause| failed(cause, "sync", &self.path))
    }

    /// Another way to read it.
    pub(crate) fn reader(&self) -> Result<FileReader> {
        let file = self.file.file().try_clone().map_err(|cause| failed(cause, "open", &self.path))?;
        FileReader::new(file, &self.path, "journal")
    }

    /// The target is in order: nothing of the journal is needed.
    pub(crate) fn remove(&self) -> Result<()> {
        remove(&self.disk, &self.path)
    }
}

/// Removes a journal, durably.
pub(crate) fn remove(disk: &Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause, "remove", path)),
        _ => {}
    }
    disk.sync_folder(folder_of(path)).map_err(|cause| failed(cause, "sync the folder of", path))
}

fn failed(cause: io::Error, what: &str, path: &Path) -> Error {
    Error::from_io(cause, &format!("cannot {what} the journal"), path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_says_nothing() {
        let about = About { root: Some(Digest([7; 32])), length: 5, old_length: 1 << 40 };
        let bytes = about.encode();
        assert_eq!(bytes.len() as u64, HEADER);
        assert_eq!(About::decode(&bytes), Some(about.clone()));
        for at in 0..FIELDS + 32 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(About::decode(&damaged), None, "byte {at}");
            assert_eq!(About::decode(&bytes[..at]), None, "cut at {at}");
        }
        let legacy = About { root: None, ..about };
        assert_eq!(About::decode(&legacy.encode()), Some(legacy));
    }
}
