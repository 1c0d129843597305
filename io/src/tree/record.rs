//! What an update installed in a directory: kept beside it, so that the next update can tell what is its own from what
//! users have put there or changed.
//!
//! Magic, the listing with its length before it, for each file the time of its last change, and the hash of all that.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cap_std::fs::Dir;
use gosync_core::listing::{Entry, EntryKind};
use gosync_core::{Digest, Error, ErrorKind, Listing, Result};

use super::around::Around;
use crate::disk::Disk;

const MAGIC: &[u8; 16] = b"gosync-record\x01\n\0";
const HASH: usize = 32;
/// Bytes of a time: seconds since 1970, and nanoseconds.
const TIME: usize = 12;
/// The nanoseconds of a time that the system does not tell.
const UNKNOWN: u32 = u32::MAX;
/// The largest record that is read: far more than the largest listing.
const LARGEST: u64 = 4 << 30;

/// The tree as it was installed, and when each file of it was last changed then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    listing: Listing,
    /// By the number of the entry; `None` for what is no file, and where the system does not tell.
    times: Vec<Option<SystemTime>>,
}

impl Record {
    /// `times` are those of all entries, `None` for what is no file.
    pub(crate) fn new(listing: Listing, times: Vec<Option<SystemTime>>) -> Record {
        Record { listing, times }
    }

    pub(crate) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The entries in their order, each with the time of its file.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Entry<'_>, Option<SystemTime>)> {
        self.listing.entries().zip(self.times.iter().copied().chain(std::iter::repeat(None)))
    }

    /// The record of a target: `None` if there is none, or none that can be believed.
    pub(crate) fn read(around: &Around) -> Result<Option<Record>> {
        let path = around.record();
        let failed = |cause| Error::from_io(cause, "cannot read the record of the last update", path.display());
        match read_whole(&path) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| Record::decode(&bytes))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(failed(cause)),
        }
    }

    /// Makes this the record of a target, durably.
    pub(crate) fn write(&self, disk: &Disk, around: &Around) -> Result<()> {
        write(&self.encode(), disk, around)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let listing = self.listing.encode();
        let mut bytes = MAGIC.to_vec();
        bytes.extend((listing.len() as u64).to_le_bytes());
        bytes.extend(listing);
        for (entry, time) in self.entries() {
            if matches!(entry.kind, EntryKind::File { .. }) {
                put_time(&mut bytes, time);
            }
        }
        bytes.extend(Digest::of(&bytes).0);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
        let (fields, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH)?)?;
        let (length, rest) = fields.strip_prefix(MAGIC)?.split_first_chunk()?;
        if Digest::of(fields).0 != hash {
            return None;
        }
        let (listing, mut rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let listing = Listing::decode(listing).ok()?;
        let mut times = Vec::with_capacity(listing.count() as usize);
        for entry in listing.entries() {
            times.push(if matches!(entry.kind, EntryKind::File { .. }) { take_time(&mut rest)? } else { None });
        }
        rest.is_empty().then_some(Record { listing, times })
    }
}

/// Writes an encoded record.
pub(super) fn write(bytes: &[u8], disk: &Disk, around: &Around) -> Result<()> {
    let path = around.record();
    let failed = |cause| Error::from_io(cause, "cannot write the record of the update", path.display());
    let folder = disk.folder(around.folder()).map_err(failed)?;
    folder.put(&around.record_name(), bytes).map_err(failed)
}

/// The bytes of a regular file, if it is one and not too large. A link is not followed.
fn read_whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let folder = crate::output::folder_of(path);
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    read_below(&Dir::open_ambient_dir(folder, cap_std::ambient_authority())?, name, LARGEST)
}

/// The bytes of a regular file in a folder, if it is one of at most so many bytes. A link is not followed.
pub(super) fn read_below(dir: &Dir, name: &str, largest: u64) -> io::Result<Option<Vec<u8>>> {
    use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
    if !dir.symlink_metadata(name)?.is_file() {
        return Ok(None);
    }
    let mut options = cap_std::fs::OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    let file = dir.open_with(name, &options)?;
    let about = file.metadata()?;
    if !about.is_file() || about.len() > largest {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(about.len() as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
    io::Read::read_to_end(&mut io::Read::take(file, largest), &mut bytes)?;
    Ok(Some(bytes))
}

pub(super) fn put_time(bytes: &mut Vec<u8>, time: Option<SystemTime>) {
    let (seconds, nanoseconds) = match time.map(|time| time.duration_since(SystemTime::UNIX_EPOCH)) {
        None => (0, UNKNOWN),
        Some(Ok(since)) => (since.as_secs() as i64, since.subsec_nanos()),
        // Before 1970: rounded down to seconds, and nanoseconds from there on.
        Some(Err(before)) => {
            let before = before.duration();
            match before.subsec_nanos() {
                0 => ((before.as_secs() as i64).wrapping_neg(), 0),
                nanoseconds => (-(before.as_secs() as i64) - 1, 1_000_000_000 - nanoseconds),
            }
        }
    };
    bytes.extend(seconds.to_le_bytes());
    bytes.extend(nanoseconds.to_le_bytes());
}

/// `None` outside if there is no time, inside if it is one that the system did not tell.
pub(super) fn take_time(bytes: &mut &[u8]) -> Option<Option<SystemTime>> {
    let (time, rest) = bytes.split_first_chunk::<TIME>()?;
    *bytes = rest;
    let seconds = i64::from_le_bytes(*time.first_chunk()?);
    let nanoseconds = u32::from_le_bytes(*time.last_chunk()?);
    if nanoseconds == UNKNOWN {
        return Some(None);
    }
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
    Some(time.and_then(|time| time.checked_add(Duration::from_nanos(nanoseconds.into()))))
}

/// The error for what only a defect can bring about.
pub(super) fn defect(text: &str) -> Error {
    Error::new(ErrorKind::Internal, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let file = |text: &str| EntryKind::File {
            size: text.len() as u64,
            root: Digest::of(text.as_bytes()),
            is_executable: false,
        };
        let entries = [
            ("a", file("one")),
            ("b", EntryKind::Directory),
            ("b/c", file("two!")),
            ("b/d", EntryKind::Symlink { target: "../a" }),
            ("e", file("")),
            ("f", file("three")),
        ];
        let listing = Listing::new(1024, 2053, Digest([7; 32]), entries).expect("a listing");
        let epoch = SystemTime::UNIX_EPOCH;
        let after = epoch + Duration::new(1 << 33, 999_999_999);
        let times = vec![Some(after), None, Some(epoch - Duration::new(5, 1)), None, None, Some(epoch)];
        Record::new(listing, times)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let around = Around::of(&folder.path().join("tree")).expect("around it");
        assert_eq!(Record::read(&around).expect("no record"), None);
        record().write(&Disk::system(), &around).expect("written");
        assert_eq!(Record::read(&around).expect("a record"), Some(record()));
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn what_is_damaged_is_no_record() {
        let bytes = record().encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Record::decode(&damaged), None, "byte {at}");
            assert_eq!(Record::decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let around = Around::of(&folder.path().join("tree")).expect("around it");
        let outside = folder.path().join("outside");
        std::fs::write(&outside, record().encode()).expect("a file");
        std::os::unix::fs::symlink(&outside, around.record()).expect("a link");
        assert_eq!(Record::read(&around).expect("no record"), None);
        std::fs::write(&outside, "precious").expect("a file");
        record().write(&Disk::system(), &around).expect("written");
        assert_eq!(std::fs::read(&outside).expect("a file"), b"precious");
        assert_eq!(Record::read(&around).expect("a record"), Some(record()));
    }
}
