//! What is looked at, and its members: those of an archive, or the files of a directory. Either way they are places in
//! one content.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gosync_core::{Range, ReadAt, Result};

use super::{packed, tar, zip};
use crate::cancel::Cancel;
use crate::report::Observer;
use crate::seed::{FileReader, Kind};
use crate::tree::Files;

/// Bytes at the beginning of a content that tell what it is.
pub(super) const HEAD: usize = 4096;

/// A file or directory.
pub(super) struct Payload {
    pub(super) kind: &'static str,
    pub(super) reader: Arc<dyn ReadAt>,
    /// Bytes of the file; of a directory, of all its files.
    pub(super) length: u64,
    /// Sorted by place.
    pub(super) members: Vec<Member>,
    /// Why there may be more members than these.
    pub(super) fault: Option<String>,
    /// When the file was changed last, in seconds since 1970.
    pub(super) modified: Option<i64>,
}

/// A member.
pub(super) struct Member {
    pub(super) path: String,
    /// Its bytes, as they are stored.
    pub(super) place: Range,
    pub(super) is_file: bool,
    /// The time that the archive gives it, in seconds since 1970 (or, in a zip, in whatever zone).
    pub(super) time: Option<i64>,
    /// How the archive has compressed it, if it has.
    pub(super) method: Option<String>,
    /// The check sum of its content, where the archive has one.
    pub(super) crc: Option<u32>,
}

/// The members of an archive, and why there may be more.
pub(super) struct Members {
    pub(super) members: Vec<Member>,
    pub(super) fault: Option<String>,
}

impl Payload {
    /// What is at `path`; the files of a directory each at the next multiple of `block_size`.
    pub(super) fn open(path: &Path, exclude: &[String], block_size: u32, observer: &Observer) -> Result<Payload> {
        if Kind::at(path, "file")? == Kind::Folder {
            return Payload::of_folder(path, exclude, block_size, observer);
        }
        let reader = FileReader::open(path, "file")?;
        let modified = reader.metadata()?.modified().ok().and_then(seconds);
        Payload::of(Arc::new(reader), modified, &observer.cancel)
    }

    /// A content that is in no directory.
    pub(super) fn of(reader: Arc<dyn ReadAt>, modified: Option<i64>, cancel: &Cancel) -> Result<Payload> {
        let length = reader.length();
        let head = head(&*reader, Range::new(0, length))?;
        let (kind, found) = match () {
            () if tar::is_tar(&head) => ("tar", Some(tar::members(&*reader, cancel)?)),
            () if zip::is_zip(&head) => ("zip", Some(zip::members(&*reader, cancel)?)),
            () => (packed::of(&head).map_or("file", |packed| packed.name), None),
        };
        let found = found.unwrap_or_else(|| Members { members: Vec::new(), fault: None });
        let mut members = found.members;
        members.sort_by_key(|member| member.place.offset);
        Ok(Payload { kind, reader, length, members, fault: found.fault, modified })
    }

    fn of_folder(path: &Path, exclude: &[String], block_size: u32, observer: &Observer) -> Result<Payload> {
        let files = Files::describable(path, exclude, block_size, observer)?;
        let member = |(path, place): (&str, Range)| Member {
            path: path.to_owned(),
            place,
            is_file: true,
            time: None,
            method: None,
            crc: None,
        };
        let members: Vec<Member> = files.places().map(member).collect();
        let length = members.iter().map(|member| member.place.length).sum();
        Ok(Payload { kind: "directory", reader: Arc::new(files), length, members, fault: None, modified: None })
    }

    /// Whether it has been put together from members, each with a header.
    pub(super) fn is_archive(&self) -> bool {
        matches!(self.kind, "tar" | "zip")
    }

    /// The first bytes of a member.
    pub(super) fn head(&self, member: &Member) -> Result<Vec<u8>> {
        head(&*self.reader, member.place)
    }
}

/// The first bytes of a place.
fn head(reader: &dyn ReadAt, place: Range) -> Result<Vec<u8>> {
    let mut bytes = vec![0; place.length.min(HEAD as u64) as usize];
    let read = reader.read_at(place.offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> Option<i64> {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())
}
