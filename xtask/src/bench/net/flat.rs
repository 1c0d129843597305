//! A flat index of the same file, for comparison: as every tool of the field has one, one list of all blocks and nothing above
//! it but what verifies them. Made of gosync's own by docs/format.md: the level that is looked for first goes, and of that of
//! units the chaining values stay.

use std::path::Path;

use crate::sh::{Result, fail};

const PREAMBLE: usize = 40;
const ENTRY: usize = 16;
const LEVELS: u16 = 2;
const LEVEL_0: u16 = 16;
/// Log2 of a unit's bytes.
const UNIT: u8 = 16;

/// A section: its entry in the table, and its bytes.
type Section = ([u8; ENTRY], Vec<u8>);

/// Writes the flat form of the index at `tree` to `flat`.
pub(super) fn write(tree: &Path, flat: &Path) -> Result<()> {
    match flatten(&std::fs::read(tree)?) {
        Some(bytes) => Ok(std::fs::write(flat, bytes)?),
        None => fail(format!("{} is not an index with three levels", tree.display())),
    }
}

fn flatten(index: &[u8]) -> Option<Vec<u8>> {
    let (preamble, rest) = index.split_at_checked(PREAMBLE)?;
    let count = u32::from_le_bytes(preamble.get(12..16)?.try_into().ok()?) as usize;
    let (table, mut rest) = rest.split_at_checked(count * ENTRY)?;
    let mut sections: Vec<Section> = Vec::new();
    for entry in table.chunks(ENTRY) {
        let (bytes, behind) = rest.split_at_checked(u64::from_le_bytes(entry[8..].try_into().ok()?) as usize)?;
        sections.push((entry.try_into().ok()?, bytes.to_vec()));
        rest = behind;
    }
    let place = |sections: &[Section], wanted: u16| {
        sections.iter().position(|(entry, _)| u16::from_le_bytes([entry[0], entry[1]]) == wanted)
    };
    let levels = place(&sections, LEVELS)?;
    let [3, top, _, _, _, 0, 0, 0, 0, units, 1, weak, hint, 0, 0, 0, 0, fine @ ..] = &sections[levels].1[..] else {
        return None;
    };
    let per_group = 1_usize.checked_shl((top - units).into())?;
    let entry = 32 + usize::from(weak + hint);
    let flat_levels = [&[2, UNIT, 1, 0, 0, 0, 0, 0, 0], fine].concat();
    let first = place(&sections, LEVEL_0)?;
    let groups = sections[first + 1].1.chunks(per_group * entry + 4);
    let entries = groups.flat_map(|group| group[..group.len().saturating_sub(4)].chunks(entry));
    let values: Vec<u8> = entries.flat_map(|entry| entry.iter().take(32).copied()).collect();
    let check = blake3::hash(&flat_levels);
    sections[levels].0[4..8].copy_from_slice(&check.as_bytes()[..4]);
    sections[levels].1 = flat_levels;
    sections[first].1 = values;
    // The blocks' groups are under the same units, and stay as they are.
    sections.remove(first + 1);
    sections[first + 1].0[0] -= 1;
    let mut flat = preamble.to_vec();
    flat[12..16].copy_from_slice(&(sections.len() as u32).to_le_bytes());
    for (mut entry, bytes) in sections.iter().map(|(entry, bytes)| (*entry, bytes)) {
        entry[8..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        flat.extend_from_slice(&entry);
    }
    let header = blake3::hash(&[&flat[..32], &flat[PREAMBLE..]].concat());
    flat[32..PREAMBLE].copy_from_slice(&header.as_bytes()[..8]);
    sections.iter().for_each(|(_, bytes)| flat.extend_from_slice(bytes));
    Some(flat)
}
