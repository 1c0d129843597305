//! An index that was read in part: what its beginning says, where the groups are that have not been read, and taking
//! them one by one, each checked against its parent. Leaves asking for bytes to others.

use super::container::fault;
use super::tree::{self, ChainingValue};
use super::{Index, PADDING, Proof, UNIT, decode, group_check};
use crate::error::{Error, ErrorKind, Result};
use crate::source::Range;

/// Where the groups are in the encoded index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Where the top begins.
    pub(super) top: u64,
    /// Where the level of units begins; nothing where top blocks are units.
    pub(super) units: Option<u64>,
    /// Where the level of blocks begins.
    pub(super) blocks: u64,
    /// Where the index of a tree's listing begins, what says of its packs, and the listing.
    pub(super) about: Option<u64>,
    pub(super) packs: Option<u64>,
    pub(super) listing: Option<u64>,
}

/// What the beginning of an index says.
#[derive(Debug)]
pub enum Front {
    /// So many bytes from the beginning on are needed to say more.
    Needs(u64),
    /// The index, with its top: everything below that is to be supplied.
    Read(Box<Index>),
}

impl Index {
    /// Reads what `bytes`, the beginning of an encoded index, say of it. At most `limit` bytes are ever needed; an index
    /// that claims more is an error.
    pub fn decode_front(bytes: &[u8], limit: u64) -> Result<Front> {
        decode::front(bytes, limit)
    }

    /// As [`Index::decode_front`], but without the top, and what is below it, even if that came along: enough to tell which
    /// version it is.
    pub fn decode_beginning(bytes: &[u8], limit: u64) -> Result<Front> {
        decode::beginning(bytes, limit)
    }

    /// Whether every group is here.
    pub fn is_whole(&self) -> bool {
        let has_listing = self.tree.as_ref().is_none_or(|tree| tree.is_whole());
        has_listing
            && self.has_top()
            && (self.layout.is_top_units() || self.values.is_whole())
            && self.identities.is_whole()
    }

    /// Whether the top is here, without which nothing can be looked for.
    pub fn has_top(&self) -> bool {
        self.top.get().is_some()
    }

    /// Whether the chaining values of the units of top block `top` are here, and their identities.
    pub fn has_values(&self, top: u64) -> bool {
        if self.layout.is_top_units() { self.has_top() } else { self.values.has(top) }
    }

    /// Where in the encoded index the top is. Nothing if it is here.
    pub fn top_place(&self) -> Option<Range> {
        let start = self.places?.top;
        let length = *self.layout.section_sizes().first()?;
        (!self.has_top()).then_some(Range::new(start, length))
    }

    /// Takes the top, as the encoded index has it. The chaining values must merge to the root.
    pub fn supply_top(&self, bytes: &[u8]) -> Result<()> {
        if self.layout.section_sizes().first() != Some(&(bytes.len() as u64)) {
            return Err(other_version());
        }
        let top = decode::read_top(&self.layout, &self.root, bytes)?;
        let _ = self.top.set(top);
        Ok(())
    }

    /// Where in the encoded index of a tree its listing's index is, and its listing. Nothing where they are here.
    pub fn listing_places(&self) -> (Option<Range>, Option<Range>) {
        let place = |start: Option<u64>, length: u64, is_here: bool| {
            start.filter(|_| !is_here).map(|start| Range::new(start, length))
        };
        let (Some(tree), Some(places)) = (&self.tree, &self.places) else { return (None, None) };
        let about = place(places.about, tree.about_length, tree.about.get().is_some());
        (about, place(places.listing, tree.length, self.listing().is_some()))
    }

    /// Where in the encoded index of a tree it says what is in which pack. Nothing if that is here, or in no pack.
    pub fn packs_place(&self) -> Option<Range> {
        let packed = self.tree.as_ref()?.packs.as_ref().filter(|_| self.packs().is_none())?;
        Some(Range::new(self.places?.packs?, packed.length))
    }

    /// Whether the chaining value of `unit` is here, so that [`Index::unit_is`] can tell.
    pub fn can_check(&self, unit: u64) -> bool {
        matches!(self.proof, Proof::Blocks(_)) || self.parent(unit).is_some()
    }

    /// Whether the identities of the blocks of `unit` are here.
    pub fn has_blocks(&self, unit: u64) -> bool {
        self.identities.has(unit)
    }

    /// Where in the encoded index the group of the units of top block `top` is. Nothing if it is here.
    pub fn values_place(&self, top: u64) -> Option<Range> {
        let start = self.places?.units?;
        if top >= self.top_count() || self.has_values(top) {
            return None;
        }
        let range = self.layout.unit_group(top);
        Some(Range::new(start + range.offset, range.length))
    }

    /// Where in the encoded index the identities of the blocks of `unit` are. Nothing if they are here.
    pub fn blocks_place(&self, unit: u64) -> Option<Range> {
        let start = self.places?.blocks;
        if unit >= self.unit_count() || self.has_blocks(unit) {
            return None;
        }
        let range = self.layout.fine_group(unit);
        Some(Range::new(start + range.offset, range.length))
    }

    /// Takes the group of the units of top block `top`, as the encoded index has it. The chaining values must merge to the
    /// top's own.
    pub fn supply_values(&self, top: u64, bytes: &[u8]) -> Result<()> {
        let wrong = || other_version().with("block", top);
        let parent = self.top_values().get(top as usize).ok_or_else(wrong)?;
        let (values, mut identities) = self.unit_entries(top, parent, bytes).ok_or_else(wrong)?;
        identities.extend([0; PADDING]);
        // The values last: whoever sees them sees the identities too.
        self.unit_identities.put(top, identities.into())?;
        self.values.put(top, values.into())
    }

    /// Chaining values and identities of the units of a top block, if these are its group.
    pub(super) fn unit_entries(
        &self,
        top: u64,
        parent: &ChainingValue,
        bytes: &[u8],
    ) -> Option<(Vec<ChainingValue>, Vec<u8>)> {
        let level = &self.layout.units;
        if bytes.len() as u64 != self.layout.unit_group(top).length {
            return None;
        }
        let (entries, check) = bytes.split_at_checked(bytes.len() - level.check() as usize)?;
        if !check.is_empty() && *check != group_check(parent, entries) {
            return None;
        }
        let mut values = Vec::with_capacity(entries.len() / level.entry());
        let mut identities = Vec::with_capacity(values.capacity() * level.identity() + PADDING);
        for entry in entries.chunks_exact(level.entry()) {
            let (value, identity) = entry.split_first_chunk()?;
            values.push(*value);
            identities.extend_from_slice(identity);
        }
        let merged = tree::merged(self.top_range(top).length, UNIT, &values);
        (merged.as_ref() == Some(parent)).then_some((values, identities))
    }

    /// Takes the identities of the blocks of `unit` and their check, as the encoded index has them. The unit's chaining
    /// value must be here.
    pub fn supply_blocks(&self, unit: u64, bytes: &[u8]) -> Result<()> {
        let parent = self.parent(unit).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a group of the index was supplied before its parent").with("unit", unit)
        })?;
        match bytes.split_last_chunk() {
            Some((entries, check))
                if bytes.len() as u64 == self.layout.fine_group(unit).length
                    && *check == group_check(parent, entries) =>
            {
                let mut group = Vec::with_capacity(entries.len() + PADDING);
                group.extend_from_slice(entries);
                group.extend([0; PADDING]);
                self.identities.put(unit, group.into())
            }
            _ => Err(other_version().with("unit", unit)),
        }
    }
}

/// The error for a group that does not belong to its parent.
fn other_version() -> Error {
    fault("a group of the index is damaged or of another version")
}
