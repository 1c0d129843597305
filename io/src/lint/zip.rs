//! The members of a zip: the crate `rawzip` reads its directory, which is at its end.

use std::io;

use gosync_core::listing::{MAX_ENTRIES, MAX_PATH};
use gosync_core::{Range, ReadAt, Result};
use rawzip::time::{UtcDateTime, ZipDateTimeKind};
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipLocator};

use super::payload::{Member, Members};
use crate::cancel::Cancel;

/// Whether a content that begins like this is a zip.
pub(super) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// Whether the first member of the zip that begins like this is compressed.
pub(super) fn begins_compressed(head: &[u8]) -> bool {
    is_zip(head) && head.get(8..10).is_some_and(|method| method != [0, 0])
}

/// The bytes of a content as `rawzip` takes them.
struct At<'a>(&'a dyn ReadAt);

impl rawzip::ReaderAt for At<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(offset, buffer).map_err(io::Error::other)
    }
}

/// All members of the zip that `reader` has.
pub(super) fn members(reader: &dyn ReadAt, cancel: &Cancel) -> Result<Members> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let broken = |fault: String, members| Ok(Members { members, fault: Some(fault) });
    let archive = match ZipLocator::new().locate_in_reader(At(reader), &mut buffer, reader.length()) {
        Ok(archive) => archive,
        Err((_, error)) => return broken(error.to_string(), Vec::new()),
    };
    let mut members = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    loop {
        cancel.check()?;
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(Members { members, fault: None }),
            Err(error) => return broken(error.to_string(), members),
        };
        if members.len() >= MAX_ENTRIES as usize {
            return broken(String::from("it has too many members"), members);
        }
        let (start, end) = match archive.get_entry(entry.wayfinder()) {
            Ok(found) => found.compressed_data_range(),
            Err(error) => return broken(error.to_string(), members),
        };
        if start > end || end > reader.length() {
            return broken(String::from("it is cut off"), members);
        }
        let path = entry.file_path();
        let path = path.as_bytes();
        let method = entry.compression_method();
        let is_stored = method == CompressionMethod::STORE || start == end;
        members.push(Member {
            path: String::from_utf8_lossy(path.get(..MAX_PATH).unwrap_or(path)).into_owned(),
            place: Range::new(start, end - start),
            is_file: !entry.is_dir(),
            time: seconds(&entry.last_modified()),
            method: (!is_stored).then(|| method.name().unwrap_or("other").to_ascii_lowercase()),
            crc: Some(entry.crc32()),
        });
    }
}

/// A time in seconds since 1970, as if it were UTC: mostly, a zip does not say of which zone it is.
fn seconds(time: &ZipDateTimeKind) -> Option<i64> {
    let (year, month, day) = (time.year(), time.month(), time.day());
    UtcDateTime::from_components(year, month, day, time.hour(), time.minute(), time.second(), 0)
        .map(|time| time.to_unix())
}
