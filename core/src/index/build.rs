//! Builds an index: reads the content once, in segments that threads take in turn from front to back,
//! so that memory is a segment for each thread and the index itself. Leaves opening files to others.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::groups::Groups;
use super::layout::{Layout, Level};
use super::signature::field_fault;
use super::tree::{self, ChainingValue};
use super::{
    BuildOptions, Format, Index, PADDING, Proof, Top, UNIT, cut_weak, legacy, reserve, source_fault, upper_hint,
};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::source::ReadAt;
use crate::weak;

/// Bytes that a thread reads and sums at a time: a number of whole top blocks, of any size.
const SEGMENT: usize = 1 << 20;
const SEGMENT_UNITS: usize = SEGMENT / UNIT as usize;

/// What a thread works on: a segment's number, and where its results go.
struct Segment<'a> {
    number: u64,
    values: &'a mut [ChainingValue],
    identities: &'a mut [u8],
    unit_identities: &'a mut [u8],
    tops: &'a mut [ChainingValue],
    top_identities: &'a mut [u8],
}

/// Where the results go: values and identities for each unit and each top block, an identity for each block.
struct Room {
    values: Vec<ChainingValue>,
    identities: Vec<u8>,
    unit_identities: Vec<u8>,
    tops: Vec<ChainingValue>,
    top_identities: Vec<u8>,
}

/// See [`Index::build`].
pub(super) fn build(
    reader: &dyn ReadAt,
    options: &BuildOptions,
    advance: &(dyn Fn(u64) -> Result<()> + Sync),
) -> Result<Index> {
    if options.format == Format::Legacy {
        return legacy::build(reader, options, advance);
    }
    if let Some(fault) = options.source.as_deref().and_then(source_fault) {
        return Err(Error::new(ErrorKind::Argument, fault));
    }
    if let Some(fault) = [&options.name, &options.version].into_iter().flatten().find_map(|field| field_fault(field)) {
        return Err(Error::new(ErrorKind::Argument, fault));
    }
    let layout = Layout::choose(reader.length(), options.block_size, options.top_size)?;
    let mut room = Room::new(&layout)?;
    room.segments(&layout).par_bridge().try_for_each_init(Vec::new, |buffer, segment| {
        let offset = segment.number * SEGMENT as u64;
        let length = (layout.length - offset).min(SEGMENT as u64) as usize;
        buffer.resize(length, 0);
        read_whole(reader, offset, buffer)?;
        sum_segment(&layout, segment, buffer);
        advance(length as u64)
    })?;
    let Room { values, identities, unit_identities, mut tops, top_identities } = room;
    let root = match tops.as_slice() {
        [] => Digest::of(&[]),
        [only] => Digest(*only),
        tops => tree::root(layout.length, layout.top.size(), tops)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the top blocks do not make up the length"))?,
    };
    tops.truncate(layout.top_count() as usize);
    let values = if layout.is_top_units() { Vec::new() } else { values };
    Ok(Index {
        layout,
        proof: Proof::Root,
        root,
        top: OnceLock::from(Top { values: tops, identities: top_identities }),
        values: Groups::Whole(values),
        unit_identities: Groups::Whole(unit_identities),
        identities: Groups::Whole(identities),
        places: None,
        tree: None,
        read: Arc::default(),
        source: options.source.clone(),
        name: options.name.clone(),
        version: options.version.clone(),
        signature: None,
        opened: Default::default(),
    })
}

impl Room {
    fn new(layout: &Layout) -> Result<Room> {
        let padded = |level: &Level| {
            // Content of one top block has no entry for it; there is room for one all the same.
            let size = level.count(layout.length) * level.identity() as u64 + PADDING as u64;
            filled(size, 0)
        };
        Ok(Room {
            values: filled(Level::UNITS.count(layout.length), [0; 32])?,
            identities: padded(&layout.fine)?,
            unit_identities: padded(below(layout))?,
            tops: filled(layout.top.count(layout.length), [0; 32])?,
            top_identities: padded(&layout.top)?,
        })
    }

    /// Cuts the results into those of each segment, in order.
    fn segments<'a>(&'a mut self, layout: &Layout) -> impl Iterator<Item = Segment<'a>> + Send + use<'a> {
        let identity_bytes = (SEGMENT >> layout.fine.log2) * layout.fine.entry();
        let tops = SEGMENT >> layout.top.log2;
        // The padding may make one more chunk of identities than there are chunks of values; `zip` leaves it out. Without
        // identities of a level, each segment gets some of the padding, and nothing is written there.
        let top_bytes = (tops * layout.top.identity()).max(1);
        let unit_bytes = (SEGMENT_UNITS * below(layout).identity()).max(1);
        let values = self.values.chunks_mut(SEGMENT_UNITS).zip(self.identities.chunks_mut(identity_bytes));
        let mut top_identities = self.top_identities.chunks_mut(top_bytes);
        let mut unit_identities = self.unit_identities.chunks_mut(unit_bytes);
        let tops = self.tops.chunks_mut(tops);
        (0..).zip(values.zip(tops)).map(move |(number, ((values, identities), tops))| {
            let top_identities = top_identities.next().unwrap_or_default();
            let unit_identities = unit_identities.next().unwrap_or_default();
            Segment { number, values, identities, unit_identities, tops, top_identities }
        })
    }
}

/// The level of units, as far as it is one of its own.
fn below(layout: &Layout) -> &Level {
    if layout.is_top_units() { &Level::UNITS } else { &layout.units }
}

fn filled<T: Clone>(count: u64, value: T) -> Result<Vec<T>> {
    let mut room = reserve(count)?;
    room.resize(count as usize, value);
    Ok(room)
}

pub(super) fn read_whole(reader: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        let count = reader.read_at(offset + filled as u64, rest)?.min(rest.len());
        if count == 0 {
            return Err(Error::new(ErrorKind::Io, "the file became shorter while it was read")
                .with("offset", offset + filled as u64));
        }
        filled += count;
    }
    Ok(())
}

/// The value of each unit and the identity of each block in `bytes`, and from these what the top says. Content of one
/// unit is all there is: what stands in the place of its value is the root.
fn sum_segment(layout: &Layout, segment: Segment<'_>, bytes: &[u8]) {
    let is_whole = segment.number == 0 && segment.values.len() == 1;
    let first = segment.number * SEGMENT as u64;
    let fine = &layout.fine;
    let size = fine.entry();
    // Each of them makes up what it can of the blocks, and the top merges the values of the units too.
    let mut units = Upper::new(below(layout), segment.unit_identities);
    let mut tops = Upper::new(&layout.top, segment.top_identities);
    let mut merged = segment.tops.iter_mut();
    let per_top = layout.top_units();
    // Unit by unit, so that what has just been hashed is summed while it is still near.
    let identities = segment.identities.chunks_mut((UNIT as usize >> fine.log2) * size);
    for (((offset, value), identities), unit) in
        (first..).step_by(UNIT as usize).zip(&mut *segment.values).zip(identities).zip(bytes.chunks(UNIT as usize))
    {
        *value = if is_whole { Digest::of(unit).0 } else { tree::value(offset, unit) };
        let is_even = unit.len() == UNIT as usize && is_constant(unit);
        let mut known = None;
        for (entry, block) in identities.chunks_exact_mut(size).zip(unit.chunks(1 << fine.log2)) {
            let (sums, hash) = match known.filter(|_| is_even) {
                Some(same) => same,
                None => (weak::sum(block), xxh3_64(block)),
            };
            known = Some((sums, hash));
            let (weak, hint) = entry.split_at_mut(usize::from(fine.weak));
            put(weak, cut_weak(fine, sums));
            put(hint, hash);
            units.block(sums, hash, block.len());
            tops.block(sums, hash, block.len());
        }
    }
    units.end();
    tops.end();
    for (values, range) in segment.values.chunks(per_top).zip(bytes.chunks(per_top * UNIT as usize)) {
        if let (Some(top), Some(value)) = (merged.next(), tree::merged(range.len() as u64, UNIT, values)) {
            *top = value;
        }
    }
}

/// Composes the identities of larger blocks.
struct Upper<'a> {
    level: &'a Level,
    identities: std::slice::ChunksExactMut<'a, u8>,
    hashes: Vec<u64>,
    sums: (u32, u32),
    length: u64,
}

impl<'a> Upper<'a> {
    fn new(level: &'a Level, identities: &'a mut [u8]) -> Upper<'a> {
        let identities = identities.chunks_exact_mut(level.identity().max(1));
        Upper { level, identities, hashes: Vec::new(), sums: (0, 0), length: 0 }
    }

    /// The next block of the lowest level. Its bytes follow all that came before, each of which gains its length as weight.
    fn block(&mut self, (a, b): (u32, u32), hash: u64, length: usize) {
        if self.level.weak == 0 {
            return;
        }
        let (all_a, all_b) = self.sums;
        self.sums = (all_a.wrapping_add(a), all_b.wrapping_add(all_a.wrapping_mul(length as u32)).wrapping_add(b));
        self.hashes.push(hash);
        self.length += length as u64;
        if self.length == self.level.size() {
            self.end();
        }
    }

    /// A block of this level ends, if one has begun.
    fn end(&mut self) {
        if self.length == 0 {
            return;
        }
        if let Some(identity) = self.identities.next() {
            let (weak, hint) = identity.split_at_mut(usize::from(self.level.weak));
            put(weak, cut_weak(self.level, self.sums));
            put(hint, upper_hint(self.hashes.drain(..)));
        }
        (self.sums, self.length) = ((0, 0), 0);
    }
}

/// Whether all bytes are the same, as in the holes of a disk image: then all blocks are.
fn is_constant(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes[1..] == bytes[..bytes.len() - 1]
}

/// Writes the low bytes of `value`, as many as fit into `field`.
fn put(field: &mut [u8], value: u64) {
    field.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
}
