//! An index as the bytes of a `.gosync` file (docs/format.md): which sections there are and what is in them.

use super::container::{self, Entry, Kind};
use super::layout::{Layout, Level};
use super::signature::publisher_section;
use super::{Index, Proof, group_check, legacy};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

/// Section: length and root.
pub(super) const FILE: u16 = 1;
/// Section: what the levels are made of.
pub(super) const LEVELS: u16 = 2;
/// Section: where the content is.
pub(super) const SOURCE: u16 = 3;
/// Section: what the publisher calls the content, and which version it is.
pub(super) const PUBLISHER: u16 = 4;
/// Section: a signature over all that comes before the levels but itself.
pub(super) const SIGNATURE: u16 = 5;
/// Section: length and root of a tree's listing.
pub(super) const TREE: u16 = 6;
/// Section: where the contents of a tree are in packs.
pub(super) const PACKS: u16 = 7;
/// Section: the data of the top level; those of the levels below follow it.
pub(super) const FIRST_LEVEL: u16 = 16;
/// Levels that an index has at most.
pub(super) const MOST_LEVELS: u16 = 3;
/// Section: the index of a tree's listing.
pub(super) const LISTING_INDEX: u16 = 24;
/// Section: a tree's listing, behind everything else.
pub(super) const LISTING: u16 = 25;

/// Bytes of the FILE section, and of TREE.
pub(super) const FILE_SIZE: usize = 40;
/// Bytes of a level's descriptor in the LEVELS section.
pub(super) const DESCRIPTOR: usize = 8;

/// Bytes that are handed over in one piece, or a little more.
const PIECE: usize = 128 << 10;

/// See [`Index::encode_to`].
pub(super) fn encode(index: &Index, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    if let Proof::Blocks(blocks) = &index.proof {
        return legacy::encode(index.layout.length, blocks, take);
    }
    if !index.is_whole() {
        return Err(Error::new(ErrorKind::State, "parts of the index have not been read"));
    }
    let mut out = Pieces { bytes: front(index, index.signature()), take };
    if let Some(packs) = index.packs() {
        out.add(&packs.encode())?;
    }
    give_top(index, &mut out)?;
    if !index.layout.is_top_units() {
        (0..index.top_count()).try_for_each(|top| give_units(index, top, &mut out))?;
    }
    give_blocks(index, &mut out)?;
    if let Some(tree) = &index.tree {
        out.add(&tree.about.get().ok_or_else(gone)?.encode())?;
        out.add(&tree.listing.get().ok_or_else(gone)?.encode())?;
    }
    out.end()
}

/// Header and sections before the packs and the data of the levels, with this signature.
pub(super) fn front(index: &Index, signature: Option<&str>) -> Vec<u8> {
    let file = file_section(index.layout.length, &index.root);
    let levels = levels_section(&index.layout);
    let publisher = publisher_section(index);
    let tree = index.tree.as_ref().map(|tree| file_section(tree.length, &tree.root));
    let sections = [
        (FILE, Some(&file[..])),
        (LEVELS, Some(&levels)),
        (SOURCE, index.source().map(str::as_bytes)),
        (PUBLISHER, publisher.as_deref()),
        (SIGNATURE, signature.map(str::as_bytes)),
        (TREE, tree.as_ref().map(|section| &section[..])),
    ];
    let there = || sections.iter().filter_map(|&(id, data)| Some((id, data?)));
    let critical = |id| [FILE, LEVELS, TREE].contains(&id);
    let checked = |(id, data): (u16, &[u8])| {
        let (check, length) = (container::check(data), data.len() as u64);
        Entry { id, critical: critical(id), check, length }
    };
    let level = |(id, length)| Entry { id, critical: true, check: [0; 4], length };
    let levels = (FIRST_LEVEL..).zip(index.layout.section_sizes()).map(level);
    let listing = index.tree.as_ref().map(|tree| {
        let [a, b, c, d, ..] = tree.root.0;
        // The hash of the section is the tree's root.
        let listing = Entry { id: LISTING, critical: true, check: [a, b, c, d], length: tree.length };
        [Entry { id: LISTING_INDEX, critical: true, check: tree.about_check, length: tree.about_length }, listing]
    });
    let kind = if index.tree.is_some() { Kind::Tree } else { Kind::File };
    let packs = index.tree.as_ref().and_then(|tree| tree.packs.as_ref());
    let required = if packs.is_some() { container::PACKED } else { 0 };
    let packs = packs.map(|packs| Entry { id: PACKS, critical: true, check: packs.check, length: packs.length });
    let entries = there().map(checked).chain(packs).chain(levels).chain(listing.into_iter().flatten());
    let mut front = container::header(kind, required, &entries.collect::<Vec<_>>());
    there().for_each(|(_, data)| front.extend_from_slice(data));
    front
}

/// See [`Index::encoded_size`].
pub(super) fn size(index: &Index) -> u64 {
    let listing = index.tree.as_ref().map_or(0, |tree| tree.later_size());
    front(index, index.signature()).len() as u64 + index.layout.section_sizes().iter().sum::<u64>() + listing
}

fn file_section(length: u64, root: &Digest) -> [u8; FILE_SIZE] {
    let mut section = [0; FILE_SIZE];
    section[..8].copy_from_slice(&length.to_le_bytes());
    section[8..].copy_from_slice(root.as_bytes());
    section
}

fn levels_section(layout: &Layout) -> Vec<u8> {
    let levels = layout.levels();
    let mut section = vec![levels.len() as u8];
    for Level { log2, strong, weak, hint } in levels {
        section.extend([log2, u8::from(strong), weak, hint, 0, 0, 0, 0]);
    }
    section
}

fn give_top(index: &Index, out: &mut Pieces<'_>) -> Result<()> {
    let size = index.layout.top.identity();
    if size == 0 {
        return index.top_values().iter().try_for_each(|value| out.add(value));
    }
    let identities = index.top.get().map_or(&[][..], |top| &top.identities);
    let entries = index.top_values().iter().zip(identities.chunks_exact(size));
    let group: Vec<u8> = entries.flat_map(|(value, identity)| value.iter().chain(identity)).copied().collect();
    out.add(&group)?;
    out.add(&group_check(index.root.as_bytes(), &group))
}

/// The group of the units of a top block.
fn give_units(index: &Index, top: u64, out: &mut Pieces<'_>) -> Result<()> {
    let size = index.layout.units.identity();
    let mut group = Vec::new();
    for (slot, unit) in index.top_units(top).enumerate() {
        group.extend(index.parent(unit).ok_or_else(gone)?);
        let identity = index.unit_identities.from(top as usize, index.layout.top_units() * size, slot * size);
        group.extend(identity.and_then(|identity| identity.get(..size)).ok_or_else(gone)?);
    }
    out.add(&group)?;
    if size == 0 {
        return Ok(());
    }
    out.add(&group_check(index.top_values().get(top as usize).ok_or_else(gone)?, &group))
}

/// The identities of each unit's blocks, and the check of that group.
fn give_blocks(index: &Index, out: &mut Pieces<'_>) -> Result<()> {
    let entry = index.layout.fine.entry();
    let full = index.layout.group_blocks() * entry;
    for unit in 0..index.unit_count() {
        let count = index.unit_range(unit).length.div_ceil(index.layout.fine.size()) as usize;
        let group = index.identities.from(unit as usize, full, 0).and_then(|bytes| bytes.get(..count * entry));
        let group = group.ok_or_else(gone)?;
        out.add(group)?;
        out.add(&group_check(index.parent(unit).ok_or_else(gone)?, group))?;
    }
    Ok(())
}

fn gone() -> Error {
    Error::new(ErrorKind::Internal, "a group of the index is not there")
}

/// Small pieces, handed over as large ones.
struct Pieces<'a> {
    bytes: Vec<u8>,
    take: &'a mut dyn FnMut(&[u8]) -> Result<()>,
}

impl Pieces<'_> {
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() < PIECE { Ok(()) } else { self.end() }
    }

    fn end(&mut self) -> Result<()> {
        (self.take)(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}
