//! The container of a `.gosync` file: preamble, section table, sections (docs/format.md).
//! Knows nothing of what sections mean; `encode` and `decode` do.

use crate::error::{Error, ErrorKind, Result};

/// First a byte that is no text, then line ends of both kinds: a transfer that mangles text shows.
const MAGIC: [u8; 8] = *b"\x89GSYNC\r\n";
const VERSION: u16 = 1;
const FILE: u8 = 1;
const TREE: u8 = 2;
const PREAMBLE: usize = 40;
/// What the header check covers of the preamble: all but itself.
const CHECKED: usize = 32;
const ENTRY: usize = 16;
const MAX_SECTIONS: u32 = 64;
const CRITICAL: u16 = 1;

/// Required feature: the content of a tree is in packs.
pub(super) const PACKED: u64 = 1;

/// The first bytes of a section's BLAKE3.
pub(super) type Check = [u8; 4];

/// What an index describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Tree,
}

/// What the section table says of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: u16,
    /// Whether a reader that does not know the section must give up.
    pub(super) critical: bool,
    pub(super) check: Check,
    pub(super) length: u64,
}

/// A section of an index that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    pub(super) entry: Entry,
    pub(super) data: &'a [u8],
    /// Where the data begins.
    pub(super) start: u64,
    /// Whether the data is there: only the beginning of the index may be.
    pub(super) is_there: bool,
}

/// The check of a section with these bytes.
pub(super) fn check(data: &[u8]) -> Check {
    let [a, b, c, d, ..] = *blake3::hash(data).as_bytes();
    [a, b, c, d]
}

/// Bytes before the first section.
pub(super) fn header_size(sections: usize) -> usize {
    PREAMBLE + sections * ENTRY
}

/// Preamble and section table of an index that needs a reader with these features.
pub(super) fn header(kind: Kind, required: u64, entries: &[Entry]) -> Vec<u8> {
    let mut header = Vec::with_capacity(header_size(entries.len()));
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend([if kind == Kind::Tree { TREE } else { FILE }, 0]);
    header.extend((entries.len() as u32).to_le_bytes());
    header.extend(required.to_le_bytes());
    let optional = 0u64;
    header.extend(optional.to_le_bytes());
    header.extend([0; PREAMBLE - CHECKED]);
    for entry in entries {
        header.extend(entry.id.to_le_bytes());
        header.extend(if entry.critical { CRITICAL } else { 0 }.to_le_bytes());
        header.extend(entry.check);
        header.extend(entry.length.to_le_bytes());
    }
    let check = header_check(&header);
    header[CHECKED..PREAMBLE].copy_from_slice(&check);
    header
}

/// The check of a whole header.
fn header_check(header: &[u8]) -> [u8; PREAMBLE - CHECKED] {
    let hash = blake3::Hasher::new().update(&header[..CHECKED]).update(&header[PREAMBLE..]).finalize();
    std::array::from_fn(|i| hash.as_bytes()[i])
}

/// The sections of an index, in their order, after checking everything that the header says by itself.
pub(super) fn read(bytes: &[u8]) -> Result<(Kind, Vec<Section<'_>>)> {
    let (kind, sections, end) = table(bytes)?;
    if end > bytes.len() as u64 {
        return Err(cut_off(bytes, end));
    }
    if end < bytes.len() as u64 {
        return Err(fault("there are bytes after the end of the index").with("offset", end));
    }
    Ok((kind, sections))
}

/// As [`read`], of the beginning of an index: sections that it does not reach have no data. And where the index ends.
pub(super) fn table(bytes: &[u8]) -> Result<(Kind, Vec<Section<'_>>, u64)> {
    let header = checked_header(bytes)?;
    let kind = check_features(header)?;
    let mut sections = Vec::new();
    let mut end = header.len() as u64;
    for entry in header[PREAMBLE..].chunks_exact(ENTRY) {
        let entry = table_entry(entry)?;
        let start = end;
        end = end.checked_add(entry.length).ok_or_else(|| fault("the sections are longer than any file"))?;
        let data = (end <= bytes.len() as u64).then(|| &bytes[start as usize..end as usize]);
        sections.push(Section { entry, data: data.unwrap_or(&[]), start, is_there: data.is_some() });
    }
    Ok((kind, sections, end))
}

/// How many bytes of an index are needed to read its header, as far as these say it: as many as there are, or more.
pub(super) fn header_needs(bytes: &[u8]) -> Result<u64> {
    check_magic(bytes)?;
    let count = bytes.get(12..16).map(|count| u32::from_le_bytes(field(count, 0)).min(MAX_SECTIONS));
    Ok(header_size(count.unwrap_or(0) as usize).max(PREAMBLE) as u64)
}

/// Preamble and section table, if they are what was written, by a version that this library reads.
fn checked_header(bytes: &[u8]) -> Result<&[u8]> {
    check_magic(bytes)?;
    let preamble = bytes.get(..PREAMBLE).ok_or_else(|| cut_off(bytes, PREAMBLE as u64))?;
    let version = u16::from_le_bytes(field(preamble, 8));
    if version != VERSION {
        return Err(Error::new(ErrorKind::Version, "the index has a format version that this gosync does not read")
            .with("version", version));
    }
    let count = u32::from_le_bytes(field(preamble, 12));
    if count > MAX_SECTIONS {
        return Err(fault("the index claims too many sections").with("sections", count).with("limit", MAX_SECTIONS));
    }
    let size = header_size(count as usize);
    let header = bytes.get(..size).ok_or_else(|| cut_off(bytes, size as u64))?;
    if header_check(header) != field(header, CHECKED) {
        return Err(fault("the header of the index is damaged"));
    }
    Ok(header)
}

fn check_magic(bytes: &[u8]) -> Result<()> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if start.is_empty() {
        Err(fault("the index is empty"))
    } else if start == &MAGIC[..start.len()] {
        Ok(())
    } else if start.windows(5).any(|window| window == &MAGIC[1..6]) {
        Err(fault("the index was damaged by a transfer as text"))
    } else {
        Err(fault("this is not a gosync index"))
    }
}

fn check_features(header: &[u8]) -> Result<Kind> {
    let kind = match header[10] {
        FILE => Kind::File,
        TREE => Kind::Tree,
        kind => {
            return Err(Error::new(ErrorKind::Version, "the index describes something that this gosync does not know")
                .with("kind", kind));
        }
    };
    if header[11] != 0 {
        return Err(fault("a reserved byte of the header is not zero"));
    }
    // Bits of the optional ones (at 24) are for whoever knows them.
    let unknown = required(header) & !if kind == Kind::Tree { PACKED } else { 0 };
    if unknown != 0 {
        return Err(Error::new(ErrorKind::Version, "the index needs a feature that this gosync does not have")
            .with("feature_bit", unknown.trailing_zeros()));
    }
    Ok(kind)
}

/// The required features.
fn required(header: &[u8]) -> u64 {
    u64::from_le_bytes(field(header, 16))
}

/// Whether an index, of which the header is here, says that its content is in packs.
pub(super) fn is_packed(bytes: &[u8]) -> Result<bool> {
    Ok(required(checked_header(bytes)?) & PACKED != 0)
}

fn table_entry(entry: &[u8]) -> Result<Entry> {
    let id = u16::from_le_bytes(field(entry, 0));
    let flags = u16::from_le_bytes(field(entry, 2));
    if flags & !CRITICAL != 0 {
        return Err(fault("a section has flags that are reserved").with("section", id));
    }
    Ok(Entry {
        id,
        critical: flags & CRITICAL != 0,
        check: field(entry, 4),
        length: u64::from_le_bytes(field(entry, 8)),
    })
}

/// The `N` bytes at `offset` of a record that is known to have them.
fn field<const N: usize>(record: &[u8], offset: usize) -> [u8; N] {
    std::array::from_fn(|i| record[offset + i])
}

fn cut_off(bytes: &[u8], needed: u64) -> Error {
    fault(format!("the index is cut off: {} bytes present, {needed} needed", bytes.len()))
}

/// The error for an index that is not as it must be.
pub(super) fn fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Format, message)
}
