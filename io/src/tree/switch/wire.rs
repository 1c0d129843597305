//! What is to be done, as bytes: magic, the record of the new version with its length before it, what goes, what comes,
//! and the hash of all that. Nobody but the user who updates can have written it; it is checked all the same.

use gosync_core::listing::path_fault;
use gosync_core::{ChangeKind, Digest};

use crate::tree::Stamp;
use crate::tree::changes::{Placing, Removal, Was};
use crate::tree::record::{Record, put_time, take_time};

const MAGIC: &[u8; 16] = b"gosync-switch\x01\n\0";
const HASH: usize = 32;

const KEEP: u8 = 0;
const REMOVE: u8 = 1;
const FOLDER: u8 = 2;
const STRANGE: u8 = 3;
const RESPELL: u8 = 4;

const FLAG_KEEP: u8 = 1;
const FLAG_ONLY_ATTRIBUTES: u8 = 2;

/// Everything that a switch does.
#[derive(Debug, PartialEq)]
pub(super) struct Steps {
    /// What it leaves behind, and the tree that it leads to.
    pub(super) record: Record,
    pub(super) removals: Vec<Removal>,
    pub(super) placings: Vec<Placing>,
}

impl Steps {
    pub(super) fn encode(&self) -> Vec<u8> {
        let record = self.record.encode();
        let mut bytes = MAGIC.to_vec();
        bytes.extend((record.len() as u64).to_le_bytes());
        bytes.extend(record);
        bytes.extend((self.removals.len() as u32).to_le_bytes());
        for removal in &self.removals {
            bytes.push(match removal {
                Removal::Keep { .. } => KEEP,
                Removal::Remove { .. } => REMOVE,
                Removal::Folder { .. } => FOLDER,
                Removal::Strange { .. } => STRANGE,
                Removal::Respell { .. } => RESPELL,
            });
            put_text(&mut bytes, removal.path());
            match removal {
                Removal::Remove { was, .. } => put_was(&mut bytes, *was),
                Removal::Respell { there, between, .. } => {
                    put_text(&mut bytes, there);
                    put_text(&mut bytes, between);
                }
                _ => {}
            }
        }
        bytes.extend((self.placings.len() as u32).to_le_bytes());
        for placing in &self.placings {
            bytes.extend(placing.entry.to_le_bytes());
            let what = ChangeKind::ALL.iter().position(|what| *what == placing.what).unwrap_or_default();
            let keep = if placing.keep { FLAG_KEEP } else { 0 };
            let only_attributes = if placing.only_attributes { FLAG_ONLY_ATTRIBUTES } else { 0 };
            bytes.extend([what as u8, keep | only_attributes]);
            put_was(&mut bytes, placing.was);
        }
        bytes.extend(Digest::of(&bytes).0);
        bytes
    }

    /// `None` for what is damaged, or makes no sense.
    pub(super) fn decode(bytes: &[u8]) -> Option<Steps> {
        let (fields, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH)?)?;
        if Digest::of(fields).0 != hash {
            return None;
        }
        let (length, rest) = fields.strip_prefix(MAGIC)?.split_first_chunk()?;
        let (record, mut rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let record = Record::decode(record)?;
        let mut removals = Vec::new();
        for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
            removals.push(take_removal(&mut rest)?);
        }
        let mut placings: Vec<Placing> = Vec::new();
        for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
            let placing = take_placing(&mut rest)?;
            let is_next = placings.last().is_none_or(|last| last.entry < placing.entry);
            if !is_next || u64::from(placing.entry) >= record.listing().count() {
                return None;
            }
            placings.push(placing);
        }
        rest.is_empty().then_some(Steps { record, removals, placings })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = u32::from_le_bytes(take(bytes)?);
    let (text, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

fn take_name(bytes: &mut &[u8]) -> Option<String> {
    take_text(bytes).filter(|name| path_fault(name).is_none() && !name.contains('/'))
}

fn take_removal(bytes: &mut &[u8]) -> Option<Removal> {
    let [kind] = take(bytes)?;
    let path = take_text(bytes)?;
    // Only the top itself has no name.
    if path_fault(&path).is_some() && !(kind == STRANGE && path.is_empty()) {
        return None;
    }
    Some(match kind {
        KEEP => Removal::Keep { path },
        REMOVE => Removal::Remove { path, was: take_was(bytes)? },
        FOLDER => Removal::Folder { path },
        STRANGE => Removal::Strange { path },
        RESPELL => Removal::Respell { path, there: take_name(bytes)?, between: take_name(bytes)? },
        _ => return None,
    })
}

fn take_placing(bytes: &mut &[u8]) -> Option<Placing> {
    let entry = u32::from_le_bytes(take(bytes)?);
    let [what, flags] = take(bytes)?;
    let what = *ChangeKind::ALL.get(usize::from(what))?;
    let (keep, only_attributes) = (flags & FLAG_KEEP != 0, flags & FLAG_ONLY_ATTRIBUTES != 0);
    Some(Placing { entry, was: take_was(bytes)?, keep, what, only_attributes })
}

fn put_was(bytes: &mut Vec<u8>, was: Was) {
    match was {
        Was::Nothing => bytes.push(0),
        Was::Folder => bytes.push(1),
        Was::Link => bytes.push(2),
        Was::Other => bytes.push(3),
        Was::Any => bytes.push(4),
        Was::File(stamp) => {
            bytes.push(5);
            bytes.extend(stamp.length.to_le_bytes());
            put_time(bytes, stamp.modified);
        }
    }
}

fn take_was(bytes: &mut &[u8]) -> Option<Was> {
    Some(match take(bytes)? {
        [0] => Was::Nothing,
        [1] => Was::Folder,
        [2] => Was::Link,
        [3] => Was::Other,
        [4] => Was::Any,
        [5] => {
            let length = u64::from_le_bytes(take(bytes)?);
            Was::File(Stamp { length, modified: take_time(bytes)? })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use gosync_core::{EntryKind, Listing};

    use super::*;

    fn steps(path: &str) -> Steps {
        let empty = EntryKind::File { size: 0, root: Digest::of(&[]), is_executable: false };
        let entries = [("a", empty), ("b", empty), ("c", EntryKind::Directory)];
        let listing = Listing::new(1024, 0, Digest::of(&[]), entries).expect("a listing");
        let record = Record::new(listing, vec![None, Some(SystemTime::UNIX_EPOCH), None]);
        let stamp = Stamp { length: 5, modified: Some(SystemTime::UNIX_EPOCH) };
        let path = path.to_owned();
        let removals = vec![
            Removal::Keep { path: path.clone() },
            Removal::Remove { path: path.clone(), was: Was::File(stamp) },
            Removal::Strange { path: String::new() },
            Removal::Folder { path: path.clone() },
            Removal::Respell { there: "X".into(), between: "x-1".into(), path },
        ];
        let placing =
            |entry, was, keep| Placing { entry, was, keep, what: ChangeKind::Changed, only_attributes: !keep };
        Steps { record, removals, placings: vec![placing(0, Was::Link, true), placing(2, Was::Any, false)] }
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let bytes = steps("x/y").encode();
        assert_eq!(Steps::decode(&bytes), Some(steps("x/y")));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Steps::decode(&damaged), None, "byte {at}");
            assert_eq!(Steps::decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_path_of_a_tree_is_refused() {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a\0b"] {
            assert_eq!(Steps::decode(&steps(path).encode()), None, "{path:?}");
        }
        for name in ["", "..", "a/b", "a\0"] {
            for (there, between) in [(name, "x-1"), ("X", name)] {
                let mut steps = steps("x");
                let (path, there, between) = ("x".into(), there.into(), between.into());
                steps.removals = vec![Removal::Respell { path, there, between }];
                assert_eq!(Steps::decode(&steps.encode()), None, "{name:?}");
            }
        }
        let mut twice = steps("x");
        twice.placings[1].entry = 0;
        assert_eq!(Steps::decode(&twice.encode()), None);
        let mut beyond = steps("x");
        beyond.placings[1].entry = 3;
        assert_eq!(Steps::decode(&beyond.encode()), None);
    }
}
