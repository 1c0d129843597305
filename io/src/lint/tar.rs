//! The members of a tar. The fields of a header are read by the crate `tar`; the way from one to the next is here,
//! because what lies between is only skipped, and whatever a header claims is compared with what is there.

use gosync_core::listing::{MAX_ENTRIES, MAX_PATH};
use gosync_core::{Range, ReadAt, Result};
use tar::{EntryType, GnuExtSparseHeader, Header, PaxExtensions};

use super::payload::{Member, Members};
use crate::cancel::Cancel;

const BLOCK: u64 = 512;
/// Bytes of the check sum in a header, which count as spaces in it.
const SUM: std::ops::Range<usize> = 148..156;
/// Bytes of an extended header that are read.
const MOST_EXTENDED: u64 = 1 << 20;

/// Whether a content that begins like this is a tar.
pub(super) fn is_tar(head: &[u8]) -> bool {
    head.get(..BLOCK as usize).is_some_and(|block| header(block).is_some())
}

/// A header, if its check sum is right.
fn header(block: &[u8]) -> Option<Header> {
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(block);
    let sum = |(at, byte): (usize, &u8)| u32::from(if SUM.contains(&at) { b' ' } else { *byte });
    let sum: u32 = block.iter().enumerate().map(sum).sum();
    (block.iter().any(|byte| *byte != 0) && header.cksum().ok()? == sum).then_some(header)
}

/// What extended headers say of the member that follows them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    time: Option<i64>,
}

/// All members of the tar that `reader` has.
pub(super) fn members(reader: &dyn ReadAt, cancel: &Cancel) -> Result<Members> {
    let mut members = Vec::new();
    let fault = walk(reader, cancel, &mut members)?.err();
    Ok(Members { members, fault: fault.map(str::to_owned) })
}

/// Goes from header to header. The outer error is that of reading, the inner one what is wrong with the tar.
fn walk(
    reader: &dyn ReadAt,
    cancel: &Cancel,
    members: &mut Vec<Member>,
) -> Result<std::result::Result<(), &'static str>> {
    let (mut at, mut extended) = (0u64, Extended::default());
    loop {
        cancel.check()?;
        let block = read(reader, at, BLOCK)?;
        // It ends with two blocks of zeros, one of which some programs leave out, or where the file does.
        if block.is_empty() || block.iter().all(|byte| *byte == 0) {
            return Ok(Ok(()));
        }
        let header = (block.len() == BLOCK as usize).then(|| header(&block)).flatten();
        let Some(header) = header else { return Ok(Err("what follows a member is no header")) };
        let kind = header.entry_type();
        let is_extended = matches!(kind.as_byte(), b'L' | b'K' | b'x' | b'g');
        let size = if is_extended { header.entry_size().ok() } else { extended.size.or(header.entry_size().ok()) };
        let Some(size) = size else { return Ok(Err("a header has no size")) };
        let mut start = at + BLOCK;
        // The list of the parts of a file with holes may go on in further blocks.
        let mut more = header.as_gnu().is_some_and(|gnu| kind == EntryType::GNUSparse && gnu.is_extended());
        while more {
            cancel.check()?;
            let mut list = GnuExtSparseHeader::new();
            let block = read(reader, start, BLOCK)?;
            if block.len() < BLOCK as usize {
                return Ok(Err("it is cut off"));
            }
            list.as_mut_bytes().copy_from_slice(&block);
            (start, more) = (start + BLOCK, list.is_extended());
        }
        // Links and the like have no bytes, whatever they say of a size.
        let has_bytes = is_extended || !matches!(kind.as_byte(), b'1'..=b'6');
        let size = if has_bytes { size } else { 0 };
        let end = size.checked_next_multiple_of(BLOCK).and_then(|padded| start.checked_add(padded));
        let Some(end) = end.filter(|_| start.saturating_add(size) <= reader.length()) else {
            return Ok(Err("it is cut off"));
        };
        at = end;
        if is_extended {
            extend(&mut extended, kind, &read(reader, start, size.min(MOST_EXTENDED))?);
            continue;
        }
        if members.len() >= MAX_ENTRIES as usize {
            return Ok(Err("it has too many members"));
        }
        let said = std::mem::take(&mut extended);
        let mut path = said.path.unwrap_or_else(|| header.path_bytes().into_owned());
        path.truncate(MAX_PATH);
        let time = said.time.or_else(|| header.mtime().ok().and_then(|time| i64::try_from(time).ok()));
        members.push(Member {
            path: String::from_utf8_lossy(&path).into_owned(),
            place: Range::new(start, size),
            is_file: size > 0 || kind.is_file(),
            time,
            method: None,
            crc: None,
        });
    }
}

/// Takes what an extended header says.
fn extend(extended: &mut Extended, kind: EntryType, bytes: &[u8]) {
    match kind.as_byte() {
        b'L' => extended.path = bytes.split(|byte| *byte == 0).next().map(<[u8]>::to_vec),
        b'x' => {
            for record in PaxExtensions::new(bytes).flatten() {
                match record.key() {
                    Ok("path") => extended.path = Some(record.value_bytes().to_vec()),
                    Ok("size") => extended.size = record.value().ok().and_then(|size| size.parse().ok()),
                    Ok("mtime") => extended.time = record.value().ok().and_then(whole_seconds),
                    _ => {}
                }
            }
        }
        // The target of a link; what holds for all members.
        _ => {}
    }
}

fn whole_seconds(time: &str) -> Option<i64> {
    time.split('.').next()?.parse().ok()
}

/// Up to `length` bytes from `offset` on: fewer where the content ends.
fn read(reader: &dyn ReadAt, offset: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length.min(reader.length().saturating_sub(offset)) as usize];
    let read = reader.read_at(offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}
