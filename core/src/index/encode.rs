//! An index as the bytes of a `.gosync` file (docs/format.md): which sections there are and what is in them.

use super::container::{self, Entry};
use super::layout::{Layout, Level};
use super::{Index, PADDING, group_check, parents};
use crate::digest::Digest;
use crate::error::Result;

/// Section: length and root.
pub(super) const FILE: u16 = 1;
/// Section: what the levels are made of.
pub(super) const LEVELS: u16 = 2;
/// Section: where the content is.
pub(super) const SOURCE: u16 = 3;
/// Section: the data of the top level; those of the levels below follow it.
pub(super) const FIRST_LEVEL: u16 = 16;

/// Bytes of the FILE section.
pub(super) const FILE_SIZE: usize = 40;
/// Bytes of a level's descriptor in the LEVELS section.
pub(super) const DESCRIPTOR: usize = 8;

/// Identities that are handed over in one piece, in units.
const PIECE: usize = 256;

/// See [`Index::encode_to`].
pub(super) fn encode(index: &Index, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let file = file_section(index.layout.length, &index.root);
    let levels = levels_section(&index.layout);
    let source = index.source.as_deref().map(str::as_bytes);
    let [top_size, fine_size] = index.layout.section_sizes();

    let checked =
        |id, critical, data: &[u8]| Entry { id, critical, check: container::check(data), length: data.len() as u64 };
    let level = |id, length| Entry { id, critical: true, check: [0; 4], length };
    let mut entries = vec![checked(FILE, true, &file), checked(LEVELS, true, &levels)];
    entries.extend(source.map(|source| checked(SOURCE, false, source)));
    entries.extend([level(FIRST_LEVEL, top_size), level(FIRST_LEVEL + 1, fine_size)]);

    let mut start = container::header(&entries);
    start.extend(file);
    start.extend(levels);
    start.extend(source.unwrap_or_default());
    take(&start)?;
    take(index.values.as_flattened())?;
    give_groups(index, take)
}

/// See [`Index::encoded_size`].
pub(super) fn size(layout: &Layout, source: Option<&str>) -> u64 {
    let sections = 4 + usize::from(source.is_some());
    let levels = levels_section(layout).len();
    let fixed = container::header_size(sections) + FILE_SIZE + levels + source.map_or(0, str::len);
    fixed as u64 + layout.section_sizes().iter().sum::<u64>()
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

/// The identities of each unit's blocks, and the check of that group.
fn give_groups(index: &Index, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let entries = &index.identities[..index.identities.len() - PADDING];
    let group = index.layout.group_blocks() * index.layout.fine.entry();
    let mut bytes = Vec::new();
    let pieces = entries.chunks(PIECE * group).zip(parents(&index.values, &index.root).chunks(PIECE));
    for (entries, parents) in pieces {
        bytes.clear();
        for (group, parent) in entries.chunks(group).zip(parents) {
            bytes.extend(group);
            bytes.extend(group_check(parent, group));
        }
        take(&bytes)?;
    }
    Ok(())
}
