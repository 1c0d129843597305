//! Reads an index from bytes that nobody vouches for: every size is compared with the bytes present before
//! anything is allocated, and whatever can be checked without content is checked here.

use std::sync::Arc;

use super::container::{self, Kind, Section, fault};
use super::encode::{
    DESCRIPTOR, FILE, FILE_SIZE, FIRST_LEVEL, LEVELS, LISTING, MOST_LEVELS, PACKS, PUBLISHER, SIGNATURE, SOURCE, TREE,
};
use super::groups::Groups;
use super::layout::{GROUP_CHECK, Layout, Level};
use super::of_tree::Tree;
use super::partial::{Front, Places};
use super::signature::{field_fault, signature_fault};
use super::tree::{self, ChainingValue};
use super::{Index, PADDING, Proof, group_check, legacy, reserve, source_fault};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// See [`Index::decode_vec`].
pub(super) fn decode(bytes: Vec<u8>) -> Result<Index> {
    if legacy::is_legacy(&bytes) {
        return legacy::decode(&bytes);
    }
    let (kind, sections) = container::read(&bytes)?;
    let (mut index, levels) = read(kind, &sections)?;
    let is_packed = container::is_packed(&bytes)?;
    if is_packed != levels.tree.is_some_and(|tree| tree.packs.is_some()) {
        return Err(fault("the index has packs and does not say so, or the other way round"));
    }
    index.tree = levels
        .tree
        .map(|tree| Tree::read(&index, tree.about.data, tree.listing.data, tree.packs.map(|packs| packs.data)))
        .transpose()?;
    let (units, blocks) = (levels.units.map(|section| section.data), levels.blocks);
    if let Some(units) = units {
        let (values, identities) = read_units(&index, units)?;
        (index.values, index.unit_identities) = (Groups::Whole(values), Groups::Whole(identities));
    }
    let blocks = blocks.start as usize..blocks.start as usize + blocks.data.len();
    index.identities = Groups::Whole(take_identities(&index, bytes, blocks)?);
    Ok(index)
}

/// As [`decode`], but an index of a tree is refused: what is inside one is none.
pub(super) fn decode_file(bytes: Vec<u8>) -> Result<Index> {
    match container::read(&bytes)? {
        (Kind::File, _) => decode(bytes),
        (Kind::Tree, _) => Err(fault("the index describes a tree, not a file")),
    }
}

/// See [`Index::decode_front`].
pub(super) fn front(bytes: &[u8], limit: u64) -> Result<Front> {
    if legacy::is_legacy(bytes) {
        return legacy::front(bytes, limit);
    }
    let needed = container::header_needs(bytes)?;
    if needed > bytes.len() as u64 {
        return Ok(Front::Needs(needed));
    }
    let (kind, sections, total) = container::table(bytes)?;
    if total > limit {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("the index is larger than the {limit} bytes that are allowed"),
        ));
    }
    if kind == Kind::Tree {
        // The listing is behind everything else, and is needed first.
        return if total > bytes.len() as u64 {
            Ok(Front::Needs(total))
        } else {
            Ok(Front::Read(Box::new(decode(bytes.to_vec())?)))
        };
    }
    // What does not come before the top is left for later.
    let top = sections.iter().position(|section| section.entry.id == FIRST_LEVEL);
    let front = &sections[..top.map_or(sections.len(), |top| top + 1)];
    if let Some(last) = front.last().filter(|last| !last.is_there) {
        return Ok(Front::Needs(last.start + last.entry.length));
    }
    let (mut index, levels) = read(kind, &sections)?;
    let places = Places { units: levels.units.map(|section| section.start), blocks: levels.blocks.start };
    if levels.units.is_some() {
        index.values = Groups::none(reserve(index.top_count())?, index.top_count());
        index.unit_identities = Groups::none(reserve(index.top_count())?, index.top_count());
    }
    index.identities = Groups::none(reserve(index.unit_count())?, index.unit_count());
    index.places = Some(places);
    // What came along.
    let slice = |place: crate::source::Range| bytes.get(place.offset as usize..usize::try_from(place.end()).ok()?);
    for top in 0..index.top_count() {
        match index.values_place(top).map(slice) {
            Some(Some(group)) => index.supply_values(top, group)?,
            Some(None) => break,
            None => {}
        }
    }
    for unit in 0..index.unit_count() {
        let Some(group) = index.blocks_place(unit).and_then(slice) else { break };
        index.supply_blocks(unit, group)?;
    }
    Ok(Front::Read(Box::new(index)))
}

/// The sections of the levels below the top.
struct Below<'a> {
    units: Option<Section<'a>>,
    blocks: Section<'a>,
    tree: Option<OfTree<'a>>,
}

/// The sections of a tree.
#[derive(Clone, Copy)]
struct OfTree<'a> {
    about: Section<'a>,
    packs: Option<Section<'a>>,
    listing: Section<'a>,
}

/// The index down to its top, and where the rest of it is.
fn read<'a>(kind: Kind, sections: &[Section<'a>]) -> Result<(Index, Below<'a>)> {
    let sections = known_sections(kind, sections)?;
    let mut sections = sections.iter().peekable();
    let mut take = |id| sections.next_if(|section| section.entry.id == id).copied();
    let missing = |id: u16| move || fault("a section of the index is missing or out of place").with("section", id);

    let (length, root) = read_file(take(FILE).ok_or_else(missing(FILE))?.data)?;
    let (top_level, unit_level, fine) = read_levels(take(LEVELS).ok_or_else(missing(LEVELS))?.data)?;
    let source = take(SOURCE).map(|section| read_text(section.data, source_fault)).transpose()?;
    let (name, version) = take(PUBLISHER).map(|section| read_publisher(section.data)).transpose()?.unwrap_or_default();
    let signature = take(SIGNATURE).map(|section| read_text(section.data, signature_fault)).transpose()?;
    let (about, packs) = (take(TREE), take(PACKS));
    let layout = Layout::new(length, top_level, unit_level, fine)?;
    let mut sizes = Vec::new();
    let mut level = |id| {
        let section = take(id).ok_or_else(missing(id))?;
        sizes.push(section.entry.length);
        Ok(section)
    };
    let top = level(FIRST_LEVEL)?;
    let units = (!layout.is_top_units()).then(|| level(FIRST_LEVEL + 1)).transpose()?;
    let blocks = level(FIRST_LEVEL + layout.levels().len() as u16 - 1)?;
    let tree = match kind {
        Kind::File => None,
        Kind::Tree => Some(OfTree {
            about: about.ok_or_else(missing(TREE))?,
            packs,
            listing: take(LISTING).ok_or_else(missing(LISTING))?,
        }),
    };
    if let Some(section) = sections.next() {
        return Err(fault("a section of the index is there twice or out of place").with("section", section.entry.id));
    }
    if sizes != layout.section_sizes() {
        return Err(fault("the levels of the index do not have the sizes that its length asks for"));
    }
    if layout.top != Level::UNITS && layout.top_count() == 0 {
        return Err(fault("the top of the index has a single block"));
    }
    let (tops, top_identities) = read_top(&layout, &root, top.data)?;
    check_root(&layout, &tops, &root)?;
    let index = Index {
        layout,
        proof: Proof::Root,
        root,
        tops,
        top_identities,
        values: Groups::Whole(Vec::new()),
        unit_identities: Groups::Whole(Vec::new()),
        identities: Groups::Whole(Vec::new()),
        places: None,
        tree: None,
        read: Arc::default(),
        source,
        name,
        version,
        signature,
        demanded: None,
        origin: None,
        expected: None,
        origin_source: None,
    };
    Ok((index, Below { units, blocks, tree }))
}

/// The sections that this version knows, each with the flag and the check that it must have.
fn known_sections<'a>(kind: Kind, sections: &[Section<'a>]) -> Result<Vec<Section<'a>>> {
    let mut known = Vec::new();
    for section in sections {
        let id = section.entry.id;
        let is_tree = kind == Kind::Tree && [TREE, PACKS, LISTING].contains(&id);
        let is_level = (FIRST_LEVEL..FIRST_LEVEL + MOST_LEVELS).contains(&id);
        let expected = if is_level { [0; 4] } else { container::check(section.data) };
        if section.entry.check != expected && (is_level || section.is_there) {
            return Err(fault("a section of the index is damaged").with("section", id));
        }
        let is_known = is_level || is_tree || (FILE..=SIGNATURE).contains(&id);
        if is_known && section.entry.critical != (is_level || is_tree || [FILE, LEVELS].contains(&id)) {
            return Err(fault("a section has a flag that it must not have").with("section", id));
        }
        if is_known {
            known.push(*section);
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

/// The top level, that of units, and that of blocks.
fn read_levels(data: &[u8]) -> Result<(Level, Level, Level)> {
    let wrong = || fault("the description of the levels does not have the size that its count asks for");
    let (count, descriptors) = data.split_first().ok_or_else(wrong)?;
    let (descriptors, rest) = descriptors.as_chunks::<DESCRIPTOR>();
    if descriptors.len() != usize::from(*count) || !rest.is_empty() {
        return Err(wrong());
    }
    let levels = descriptors.iter().map(read_level).collect::<Result<Vec<_>>>()?;
    let units = Level::UNITS.log2;
    let (top, middle, fine) = match levels[..] {
        [Some(top), Some(fine)] if top.log2 == units => (top, top, fine),
        [Some(top), Some(middle), Some(fine)] if top.log2 > units && middle.log2 == units => (top, middle, fine),
        _ => return Err(unknown_levels()),
    };
    let is_known = top.is_upper() && middle.is_upper() && fine.is_fine();
    if is_known { Ok((top, middle, fine)) } else { Err(unknown_levels()) }
}

fn unknown_levels() -> Error {
    Error::new(ErrorKind::Version, "the index has levels that this gosync does not read")
}

/// A level, or none if its hash is not one that this version knows.
fn read_level(&[log2, strong, weak, hint, reserved @ ..]: &[u8; DESCRIPTOR]) -> Result<Option<Level>> {
    if reserved != [0; 4] {
        return Err(fault("a reserved byte of a level is not zero"));
    }
    Ok((strong <= 1).then_some(Level { log2, strong: strong == 1, weak, hint }))
}

/// A text of which `fault` finds nothing wrong.
fn read_text(data: &[u8], wrong: fn(&str) -> Option<&'static str>) -> Result<String> {
    let text = std::str::from_utf8(data).map_err(|cause| fault("a text of the index is not UTF-8").caused_by(cause))?;
    match wrong(text) {
        Some(wrong) => Err(fault(wrong)),
        None => Ok(text.to_owned()),
    }
}

/// Name and version, of which one may be missing.
fn read_publisher(data: &[u8]) -> Result<(Option<String>, Option<String>)> {
    let wrong = || fault("the section with the publisher's fields is not what it should be");
    let mut rest = data;
    let mut field = || {
        let (length, behind) = rest.split_first().ok_or_else(wrong)?;
        let (text, behind) = behind.split_at_checked(usize::from(*length)).ok_or_else(wrong)?;
        rest = behind;
        if text.is_empty() { Ok(None) } else { read_text(text, field_fault).map(Some) }
    };
    let fields = (field()?, field()?);
    if !rest.is_empty() || fields == (None, None) { Err(wrong()) } else { Ok(fields) }
}

/// The chaining values of the top, and its identities.
fn read_top(layout: &Layout, root: &Digest, mut data: &[u8]) -> Result<(Vec<ChainingValue>, Vec<u8>)> {
    if layout.top.check() > 0 {
        match data.split_last_chunk() {
            Some((entries, check)) if *check == group_check(root.as_bytes(), entries) => data = entries,
            _ => return Err(fault("the top of the index is damaged")),
        }
    }
    let count = layout.top_count();
    let mut values = reserve(count)?;
    let mut identities = reserve(count * layout.top.identity() as u64 + PADDING as u64)?;
    for entry in data.chunks_exact(layout.top.entry()) {
        if let Some((value, identity)) = entry.split_first_chunk() {
            values.push(*value);
            identities.extend_from_slice(identity);
        }
    }
    identities.extend([0; PADDING]);
    Ok((values, identities))
}

/// Whether the chaining values are those of the root. Content of one unit has none: it is compared with the root itself.
fn check_root(layout: &Layout, values: &[ChainingValue], root: &Digest) -> Result<()> {
    let is_right = match layout.length {
        0 => Digest::of(&[]) == *root,
        length => values.is_empty() || tree::root(length, layout.top.size(), values).as_ref() == Some(root),
    };
    if is_right { Ok(()) } else { Err(fault("the chaining values of the index do not make up its digest")) }
}

/// Chaining values and identities of all units, if those under each top block make up its own.
fn read_units(index: &Index, data: &[u8]) -> Result<(Vec<ChainingValue>, Vec<u8>)> {
    let mut values = reserve(index.unit_count())?;
    let mut identities = reserve(index.unit_count() * index.layout.units.identity() as u64 + PADDING as u64)?;
    for (top, value) in (0..).zip(&index.tops) {
        let place = index.layout.unit_group(top);
        let group = data.get(place.offset as usize..place.end() as usize);
        let entries = group.and_then(|group| index.unit_entries(top, value, group)).ok_or_else(|| {
            fault("the units of the index are damaged, or do not make up its digest").with("block", top)
        })?;
        values.extend(entries.0);
        identities.extend(entries.1);
    }
    identities.extend([0; PADDING]);
    Ok((values, identities))
}

/// The identities without the checks of their groups, after checking these. They move to the front of the bytes that
/// they came in: a large index is in memory once.
fn take_identities(index: &Index, mut bytes: Vec<u8>, range: std::ops::Range<usize>) -> Result<Vec<u8>> {
    let size = index.layout.group_blocks() * index.layout.fine.entry() + GROUP_CHECK;
    let mut end = 0;
    for (unit, start) in (0..).zip(range.clone().step_by(size)) {
        let group = &bytes[start..(start + size).min(range.end)];
        let entries = match (index.parent(unit), group.split_last_chunk()) {
            (Some(parent), Some((entries, check))) if *check == group_check(parent, entries) => entries.len(),
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
