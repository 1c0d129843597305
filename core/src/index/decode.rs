//! Reads an index from bytes that nobody vouches for: every size is compared with the bytes present before
//! anything is allocated, and whatever can be checked without content is checked here.

use super::container::{self, Section, fault};
use super::encode::{DESCRIPTOR, FILE, FILE_SIZE, FIRST_LEVEL, LEVELS, SOURCE};
use super::layout::{GROUP_CHECK, Layout, Level};
use super::tree::{self, ChainingValue};
use super::{Index, PADDING, group_check, parents, reserve, source_fault};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// See [`Index::decode_vec`].
pub(super) fn decode(bytes: Vec<u8>) -> Result<Index> {
    let Parts { layout, root, values, source, identities } = read(&bytes)?;
    let identities = take_identities(&layout, parents(&values, &root), bytes, identities)?;
    Ok(Index { layout, root, values, identities, source, origin: None, expected: None, origin_source: None })
}

/// An index, but for the identities.
struct Parts {
    layout: Layout,
    root: Digest,
    values: Vec<ChainingValue>,
    source: Option<String>,
    /// Where in the bytes the groups of identities are.
    identities: std::ops::Range<usize>,
}

fn read(bytes: &[u8]) -> Result<Parts> {
    let sections = known_sections(bytes)?;
    let mut sections = sections.iter().peekable();
    let mut take = |id| sections.next_if(|section| section.entry.id == id).copied();
    let missing = |id: u16| move || fault("a section of the index is missing or out of place").with("section", id);

    let (length, root) = read_file(take(FILE).ok_or_else(missing(FILE))?.data)?;
    let fine = read_levels(take(LEVELS).ok_or_else(missing(LEVELS))?.data)?;
    let source = take(SOURCE).map(|section| read_source(section.data)).transpose()?;
    let top = take(FIRST_LEVEL).ok_or_else(missing(FIRST_LEVEL))?;
    let identities = take(FIRST_LEVEL + 1).ok_or_else(missing(FIRST_LEVEL + 1))?;
    if let Some(section) = sections.next() {
        return Err(fault("a section of the index is there twice or out of place").with("section", section.entry.id));
    }

    let layout = Layout::new(length, fine)?;
    if [top.data.len() as u64, identities.data.len() as u64] != layout.section_sizes() {
        return Err(fault("the levels of the index do not have the sizes that its length asks for"));
    }
    let values = read_values(top.data)?;
    check_root(length, &values, &root)?;
    let identities = identities.start..identities.start + identities.data.len();
    Ok(Parts { layout, root, values, source, identities })
}

/// The sections that this version knows, each with the flag and the check that it must have.
fn known_sections(bytes: &[u8]) -> Result<Vec<Section<'_>>> {
    let mut known = Vec::new();
    for section in container::read(bytes)? {
        let id = section.entry.id;
        let is_level = id == FIRST_LEVEL || id == FIRST_LEVEL + 1;
        let expected = if is_level { [0; 4] } else { container::check(section.data) };
        if section.entry.check != expected {
            return Err(fault("a section of the index is damaged").with("section", id));
        }
        let is_known = is_level || [FILE, LEVELS, SOURCE].contains(&id);
        if is_known && section.entry.critical != (id != SOURCE) {
            return Err(fault("a section has a flag that it must not have").with("section", id));
        }
        if is_known {
            known.push(section);
        } else if section.entry.critical {
            return Err(Error::new(ErrorKind::Version, "the index has a section that this gosync does not know")
                .with("section", id));
        }
    }
    Ok(known)
}

fn read_file(data: &[u8]) -> Result<(u64, Digest)> {
    let wrong = || fault("the section with length and digest does not have 40 bytes");
    let data: &[u8; FILE_SIZE] = data.try_into().map_err(|_| wrong())?;
    let (length, root) = data.split_first_chunk().ok_or_else(wrong)?;
    let root = root.first_chunk().ok_or_else(wrong)?;
    Ok((u64::from_le_bytes(*length), Digest(*root)))
}

/// The level of identities; the one above it is always the same.
fn read_levels(data: &[u8]) -> Result<Level> {
    let wrong = || fault("the description of the levels does not have the size that its count asks for");
    let (count, descriptors) = data.split_first().ok_or_else(wrong)?;
    let (descriptors, rest) = descriptors.as_chunks::<DESCRIPTOR>();
    if descriptors.len() != usize::from(*count) || !rest.is_empty() {
        return Err(wrong());
    }
    let levels = descriptors.iter().map(read_level).collect::<Result<Vec<_>>>()?;
    match levels[..] {
        [Some(Level::TOP), Some(fine)] if fine.is_fine() => Ok(fine),
        _ => Err(Error::new(ErrorKind::Version, "the index has levels that this gosync does not read")),
    }
}

/// A level, or none if its hash is not one that this version knows.
fn read_level(&[log2, strong, weak, hint, reserved @ ..]: &[u8; DESCRIPTOR]) -> Result<Option<Level>> {
    if reserved != [0; 4] {
        return Err(fault("a reserved byte of a level is not zero"));
    }
    Ok((strong <= 1).then_some(Level { log2, strong: strong == 1, weak, hint }))
}

fn read_source(data: &[u8]) -> Result<String> {
    let source = std::str::from_utf8(data).map_err(|cause| fault("the source is not UTF-8").caused_by(cause))?;
    match source_fault(source) {
        Some(wrong) => Err(fault(wrong)),
        None => Ok(source.to_owned()),
    }
}

fn read_values(data: &[u8]) -> Result<Vec<ChainingValue>> {
    let (data, _) = data.as_chunks();
    let mut values = reserve(data.len() as u64)?;
    values.extend_from_slice(data);
    Ok(values)
}

/// Whether the chaining values are those of the root. Content of one unit has none: it is compared with the root itself.
fn check_root(length: u64, values: &[ChainingValue], root: &Digest) -> Result<()> {
    let is_right = match length {
        0 => Digest::of(&[]) == *root,
        _ => values.is_empty() || tree::root(length, values).as_ref() == Some(root),
    };
    if is_right { Ok(()) } else { Err(fault("the chaining values of the index do not make up its digest")) }
}

/// The identities without the checks of their groups, after checking these. They move to the front of the bytes that
/// they came in: a large index is in memory once.
fn take_identities(
    layout: &Layout,
    parents: &[ChainingValue],
    mut bytes: Vec<u8>,
    range: std::ops::Range<usize>,
) -> Result<Vec<u8>> {
    let size = layout.group_blocks() * layout.fine.entry() + GROUP_CHECK;
    let mut end = 0;
    for (unit, (start, parent)) in range.clone().step_by(size).zip(parents).enumerate() {
        let group = &bytes[start..(start + size).min(range.end)];
        let entries = match group.split_last_chunk() {
            Some((entries, check)) if *check == group_check(parent, entries) => entries.len(),
            _ => return Err(fault("a group of the index is damaged or of another version").with("unit", unit)),
        };
        bytes.copy_within(start..start + entries, end);
        end += entries;
    }
    bytes.truncate(end);
    bytes.extend([0; PADDING]);
    bytes.shrink_to_fit();
    Ok(bytes)
}
