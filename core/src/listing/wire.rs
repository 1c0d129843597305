//! A listing as bytes (docs/format.md). There is one way to write a tree, and every other one is refused: so the hash of
//! the bytes is the hash of the tree.

use super::{Attributes, Draft, EntryKind, Listing, MAX_ENTRIES, What};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

const VERSION: u8 = 1;
const HEADER: usize = 48;
/// Bytes of the least entry: its type, the length of its name, the name.
const LEAST: usize = 3;
/// The block sizes that a payload can have, as powers of two.
const LOG2: std::ops::RangeInclusive<u8> = 10..=15;

const END: u8 = 0;
const DIRECTORY: u8 = 1;
const FILE: u8 = 2;
const PROGRAM: u8 = 3;
const SYMLINK: u8 = 4;

/// Flags: entries have modes, or times.
const MODES: u8 = 1;
const TIMES: u8 = 2;

/// See [`Listing::encode`].
pub(super) fn encode(listing: &Listing) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + listing.nodes.len() * 48 + listing.texts.len());
    bytes.extend((listing.nodes.len() as u32).to_le_bytes());
    let flags = if listing.has_modes() { MODES } else { 0 } | if listing.has_times() { TIMES } else { 0 };
    bytes.extend([VERSION, listing.log2, flags, 0]);
    bytes.extend(listing.length.to_le_bytes());
    bytes.extend(listing.root.as_bytes());
    let mut open = Vec::new();
    for (number, node) in (1..).zip(&listing.nodes) {
        while open.last().is_some_and(|number| *number != node.parent) {
            open.pop();
            bytes.push(END);
        }
        bytes.push(match node.what {
            What::Directory => DIRECTORY,
            What::File { is_executable, .. } => {
                if is_executable {
                    PROGRAM
                } else {
                    FILE
                }
            }
            What::Symlink { .. } => SYMLINK,
        });
        bytes.push(node.name.length as u8);
        bytes.extend(listing.text(node.name).as_bytes());
        let (mode, time) = listing.attributes_of(number, &node.what);
        bytes.extend(mode.into_iter().flat_map(u16::to_le_bytes));
        time.into_iter().for_each(|time| put_number(&mut bytes, time));
        match node.what {
            What::Directory => open.push(number),
            What::File { size, root, .. } => {
                put_number(&mut bytes, size);
                if size > 0 {
                    bytes.extend(root.as_bytes());
                }
            }
            What::Symlink { target } => {
                bytes.extend(target.length.to_le_bytes());
                bytes.extend(listing.text(target).as_bytes());
            }
        }
    }
    bytes.extend(open.iter().map(|_| END));
    bytes
}

/// How many bytes the number has, then these, the lowest first.
fn put_number(bytes: &mut Vec<u8>, number: u64) {
    let count = 8 - number.leading_zeros() as usize / 8;
    bytes.push(count as u8);
    bytes.extend(&number.to_le_bytes()[..count]);
}

/// See [`Listing::decode`].
pub(super) fn decode(bytes: &[u8]) -> Result<Listing> {
    let mut rest = Rest { bytes, at: 0 };
    let count = u32::from_le_bytes(rest.field()?);
    let [version, log2, flags, more] = rest.field()?;
    if version != VERSION || flags & !(MODES | TIMES) != 0 || more != 0 {
        return Err(Error::new(ErrorKind::Version, "the listing of the tree is made for a newer gosync")
            .with("version", version)
            .with("flags", u16::from_le_bytes([flags, more])));
    }
    if count == 0 && flags != 0 {
        return Err(rest.fault("the listing of a tree that has no entry says something of its entries"));
    }
    if !LOG2.contains(&log2) {
        return Err(rest.fault("the listing of the tree has a block size that there is not"));
    }
    if count > MAX_ENTRIES {
        return Err(Error::new(ErrorKind::Limit, "the tree has too many entries")
            .with("entries", count)
            .with("limit", MAX_ENTRIES));
    }
    let length = u64::from_le_bytes(rest.field()?);
    let root = Digest(rest.field()?);
    if count as usize > bytes.len() / LEAST {
        return Err(rest.fault("the listing of the tree has fewer entries than it says"));
    }
    let mut draft = Draft::new(log2);
    let too_large =
        |cause| Error::new(ErrorKind::Limit, "the listing of the tree does not fit into memory").caused_by(cause);
    draft.listing.nodes.try_reserve_exact(count as usize).map_err(too_large)?;
    let mut attributes = Attributes::default();
    while !rest.is_empty() {
        let [kind] = rest.field()?;
        if kind == END {
            if !draft.leave() {
                return Err(rest.fault("the listing of the tree ends a directory that it has not begun"));
            }
            continue;
        }
        if draft.count() == count {
            return Err(rest.fault("the listing of the tree has more entries than it says"));
        }
        rest.entry(kind, flags, &mut draft, &mut attributes)?;
    }
    if draft.count() != count || draft.leave() {
        return Err(rest.fault("the listing of the tree is cut off"));
    }
    draft.finish(length, root)?.with_attributes(attributes)
}

/// Bytes that have not been looked at.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn fault(&self, text: &str) -> Error {
        Error::new(ErrorKind::Format, text).with("offset", self.at)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.fault("the listing of the tree is cut off"))?;
        self.at += count;
        Ok(taken)
    }

    fn field<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        Ok(std::array::from_fn(|i| taken[i]))
    }

    fn text(&mut self, length: usize, draft: &Draft) -> Result<&'a str> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|cause| {
            let error = self.fault("a name or link of the tree is not UTF-8").with("entry", draft.count());
            error.with("name", bytes.escape_ascii()).caused_by(cause)
        })
    }

    fn number(&mut self) -> Result<u64> {
        let [count] = self.field()?;
        let bytes = self.take(usize::from(count))?;
        if count > 8 || bytes.last() == Some(&0) {
            return Err(self.fault("a number in the listing of the tree is not as it must be"));
        }
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn entry(&mut self, kind: u8, flags: u8, draft: &mut Draft, attributes: &mut Attributes) -> Result<()> {
        let [length] = self.field()?;
        let name = self.text(length.into(), draft)?;
        if !matches!(kind, DIRECTORY | FILE | PROGRAM | SYMLINK) {
            let text = "the tree has an entry of a kind that this gosync does not know";
            let error = Error::new(ErrorKind::Version, text);
            return Err(error.with("kind", kind).with("name", name.escape_debug()));
        }
        if flags & MODES != 0 {
            attributes.modes.push(if kind == SYMLINK { 0 } else { u16::from_le_bytes(self.field()?) });
        }
        if flags & TIMES != 0 {
            let is_file = matches!(kind, FILE | PROGRAM);
            attributes.times.push(if is_file { self.number()? } else { 0 });
        }
        let kind = match kind {
            DIRECTORY => EntryKind::Directory,
            FILE | PROGRAM => {
                let size = self.number()?;
                let root = if size == 0 { Digest::of(&[]) } else { Digest(self.field()?) };
                EntryKind::File { size, root, is_executable: kind == PROGRAM }
            }
            _ => {
                let length = u16::from_le_bytes(self.field()?);
                EntryKind::Symlink { target: self.text(length.into(), draft)? }
            }
        };
        draft.add(name, kind).map_err(|error| error.with("offset", self.at))
    }
}
