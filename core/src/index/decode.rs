//! Reads an index from bytes that nobody vouches for: every size is compared with the bytes present before
//! anything is allocated, and whatever can be checked without content is checked here.

use std::sync::{Arc, OnceLock};

use super::container::{self, Kind, Section, fault};
use super::encode::{
    DESCRIPTOR, FILE, FILE_SIZE, FIRST_LEVEL, LEVELS, LISTING, LISTING_INDEX, MOST_LEVELS, PACKS, PUBLISHER, SIGNATURE,
    SOURCE, TREE,
};
use super::groups::Groups;
use super::layout::{GROUP_CHECK, Layout, Level};
use super::of_tree::Tree;
use super::partial::{Front, Places};
use super::signature::{field_fault, signature_fault};
use super::tree::{self, ChainingValue};
use super::{Index, PADDING, Proof, Top, group_check, legacy, reserve, source_fault};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Range;

/// See [`Index::decode_vec`].
pub(super) fn decode(bytes: Vec<u8>) -> Result<Index> {
    if legacy::is_legacy(&bytes) {
        return legacy::decode(&bytes);
    }
    let (kind, sections) = container::read(&bytes)?;
    let (mut index, levels) = read(kind, &sections)?;
    check_packed(&bytes, &levels)?;
    index.supply_top(levels.top.data)?;
    if let Some(OfTree { about, packs, listing }) = levels.tree {
        index.supply_listing_index(about.data)?;
        index.supply_listing(listing.data)?;
        packs.iter().try_for_each(|packs| index.supply_packs(packs.data))?;
    }
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
    let index = match beginning(bytes, limit)? {
        Front::Read(index) if !index.has_top() => index,
        other => return Ok(other),
    };
    let slice = |place: Range| bytes.get(place.offset as usize..usize::try_from(place.end()).ok()?);
    match index.top_place().map(|place| (place.end(), slice(place))) {
        Some((_, Some(top))) => index.supply_top(top)?,
        Some((end, None)) => return Ok(Front::Needs(end)),
        None => {}
    }
    // What came along.
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
    Ok(Front::Read(index))
}

/// See [`Index::decode_beginning`].
pub(super) fn beginning(bytes: &[u8], limit: u64) -> Result<Front> {
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
    // What comes behind that is left for later.
    let is_later = |section: &Section<'_>| [PACKS, FIRST_LEVEL].contains(&section.entry.id);
    let later = sections.iter().position(is_later).unwrap_or(sections.len());
    if let Some(last) = sections[..later].last().filter(|last| !last.is_there) {
        return Ok(Front::Needs(last.start + last.entry.length));
    }
    let (mut index, levels) = read(kind, &sections)?;
    check_packed(bytes, &levels)?;
    let places = Places {
        top: levels.top.start,
        units: levels.units.map(|section| section.start),
        blocks: levels.blocks.start,
        about: levels.tree.map(|tree| tree.about.start),
        packs: levels.tree.and_then(|tree| Some(tree.packs?.start)),
        listing: levels.tree.map(|tree| tree.listing.start),
    };
    if levels.units.is_some() {
        index.values = Groups::none(index.top_count());
        index.unit_identities = Groups::none(index.top_count());
    }
    index.identities = Groups::none(index.unit_count());
    index.places = Some(places);
    Ok(Front::Read(Box::new(index)))
}

/// The sections of the levels, and of the listing.
struct Levels<'a> {
    top: Section<'a>,
    units: Option<Section<'a>>,
    blocks: Section<'a>,
    tree: Option<OfTree<'a>>,
}

/// The sections of a tree.
#[derive(Clone, Copy)]
pub(super) struct OfTree<'a> {
    pub(super) about: Section<'a>,
    pub(super) packs: Option<Section<'a>>,
    pub(super) listing: Section<'a>,
}

/// Whether an index that has packs says so, and only such a one.
fn check_packed(bytes: &[u8], levels: &Levels<'_>) -> Result<()> {
    if container::is_packed(bytes)? == levels.tree.is_some_and(|tree| tree.packs.is_some()) {
        return Ok(());
    }
    Err(fault("the index has packs and does not say so, or the other way round"))
}

/// What the index says before its levels, and where these are.
fn read<'a>(kind: Kind, sections: &[Section<'a>]) -> Result<(Index, Levels<'a>)> {
    let sections = known_sections(kind, sections)?;
    let mut sections = sections.iter().peekable();
    let mut take = |id| sections.next_if(|section| section.entry.id == id).copied();
    let missing = |id: u16| move || fault("a section of the index is missing or out of place").with("section", id);

    let (length, root) = read_file(take(FILE).ok_or_else(missing(FILE))?.data)?;
    let (top_level, unit_level, fine) = read_levels(take(LEVELS).ok_or_else(missing(LEVELS))?.data)?;
    let source = take(SOURCE).map(|section| read_text(section.data, source_fault)).transpose()?;
    let (name, version) = take(PUBLISHER).map(|section| read_publisher(section.data)).transpose()?.unwrap_or_default();
    let signature = take(SIGNATURE).map(|section| read_text(section.data, signature_fault)).transpose()?;
    let head = match kind {
        Kind::File => None,
        Kind::Tree => Some(read_file(take(TREE).ok_or_else(missing(TREE))?.data)?),
    };
    let packs = take(PACKS);
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
    let mut listed = |id| take(id).ok_or_else(missing(id));
    let tree = match head {
        None => None,
        Some(head) => Some((head, OfTree { about: listed(LISTING_INDEX)?, packs, listing: listed(LISTING)? })),
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
    let of_tree = tree.as_ref().map(|(_, of_tree)| *of_tree);
    let tree = tree.map(|(head, of_tree)| Tree::claimed(head, &of_tree)).transpose()?;
    let index = Index {
        layout,
        proof: Proof::Root,
        root,
        top: OnceLock::new(),
        values: Groups::Whole(Vec::new()),
        unit_identities: Groups::Whole(Vec::new()),
        identities: Groups::Whole(Vec::new()),
        places: None,
        tree,
        read: Arc::default(),
        source,
        name,
        version,
        signature,
        opened: Default::default(),
    };
    Ok((index, Levels { top, units, blocks, tree: of_tree }))
}

/// The sections that this version knows, each with the flag and the check that it must have.
fn known_sections<'a>(kind: Kind, sections: &[Section<'a>]) -> Result<Vec<Section<'a>>> {
    let mut known = Vec::new();
    for section in sections {
        let id = section.entry.id;
        let is_tree = kind == Kind::Tree && [TREE, PACKS, LISTING_INDEX, LISTING].contains(&id);
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

/// The top, if its chaining values make up the root.
pub(super) fn read_top(layout: &Layout, root: &Digest, mut data: &[u8]) -> Result<Top> {
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
    check_root(layout, &values, root)?;
    Ok(Top { values, identities })
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
    for (top, value) in (0..).zip(index.top_values()) {
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
