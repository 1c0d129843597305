//! Builds an index: reads the content once, in segments that threads take in turn from front to back,
//! so that memory is a segment for each thread and the index itself. Leaves opening files to others.

use rayon::prelude::*;

use super::layout::{Layout, Level};
use super::tree::{self, ChainingValue};
use super::{BuildOptions, Index, PADDING, UNIT, cut_weak, hint_of, reserve, source_fault};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::source::ReadAt;
use crate::weak;

/// Bytes that a thread reads and sums at a time.
const SEGMENT: usize = 1 << 20;
const SEGMENT_UNITS: usize = SEGMENT / UNIT as usize;

/// What a thread works on: a segment's number, and where its results go.
struct Segment<'a> {
    number: u64,
    values: &'a mut [ChainingValue],
    identities: &'a mut [u8],
}

/// See [`Index::build`].
pub(super) fn build(
    reader: &dyn ReadAt,
    options: &BuildOptions,
    advance: &(dyn Fn(u64) -> Result<()> + Sync),
) -> Result<Index> {
    if let Some(fault) = options.source.as_deref().and_then(source_fault) {
        return Err(Error::new(ErrorKind::Argument, fault));
    }
    let layout = Layout::choose(reader.length(), options.block_size)?;
    let (mut values, mut identities) = room(&layout)?;
    segments(&layout, &mut values, &mut identities).par_bridge().try_for_each_init(Vec::new, |buffer, segment| {
        let offset = segment.number * SEGMENT as u64;
        let length = (layout.length - offset).min(SEGMENT as u64) as usize;
        buffer.resize(length, 0);
        read_whole(reader, offset, buffer)?;
        sum_segment(&layout.fine, segment, buffer);
        advance(length as u64)
    })?;
    let root = match values.as_slice() {
        [] => Digest::of(&[]),
        [only] => Digest(*only),
        values => tree::root(layout.length, values)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the units do not make up the length"))?,
    };
    values.truncate(layout.value_count() as usize);
    let source = options.source.clone();
    Ok(Index { layout, root, values, identities, source, origin: None, expected: None, origin_source: None })
}

/// Where the results go: a value for each unit, an identity for each block.
fn room(layout: &Layout) -> Result<(Vec<ChainingValue>, Vec<u8>)> {
    let unit_count = Level::TOP.count(layout.length);
    let mut values = reserve(unit_count)?;
    values.resize(unit_count as usize, [0; 32]);
    let identity_bytes = layout.fine.count(layout.length) * layout.fine.entry() as u64 + PADDING as u64;
    let mut identities = reserve(identity_bytes)?;
    identities.resize(identity_bytes as usize, 0);
    Ok((values, identities))
}

/// Cuts the results into those of each segment, in order.
fn segments<'a>(
    layout: &Layout,
    values: &'a mut [ChainingValue],
    identities: &'a mut [u8],
) -> impl Iterator<Item = Segment<'a>> + Send {
    let identity_bytes = (SEGMENT >> layout.fine.log2) * layout.fine.entry();
    // The padding may make one more chunk of identities than there are chunks of values; `zip` leaves it out.
    let results = values.chunks_mut(SEGMENT_UNITS).zip(identities.chunks_mut(identity_bytes));
    (0..).zip(results).map(|(number, (values, identities))| Segment { number, values, identities })
}

fn read_whole(reader: &dyn ReadAt, offset: u64, buffer: &mut [u8]) -> Result<()> {
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

/// The value of each unit and the identity of each block in `bytes`. Content of one unit is all there is:
/// what stands in the place of its value is the root.
fn sum_segment(fine: &Level, segment: Segment<'_>, bytes: &[u8]) {
    let is_whole = segment.number == 0 && segment.values.len() == 1;
    let first = segment.number * SEGMENT as u64;
    let size = fine.entry();
    // Unit by unit, so that what has just been hashed is summed while it is still near.
    let identities = segment.identities.chunks_mut((UNIT as usize >> fine.log2) * size);
    for (((offset, value), identities), unit) in
        (first..).step_by(UNIT as usize).zip(segment.values).zip(identities).zip(bytes.chunks(UNIT as usize))
    {
        *value = if is_whole { Digest::of(unit).0 } else { tree::unit_value(offset, unit) };
        let mut blocks = identities.chunks_exact_mut(size).zip(unit.chunks(1 << fine.log2));
        let Some((known, block)) = blocks.next() else { continue };
        identify(fine, known, block);
        if is_constant(unit) && unit.len() == UNIT as usize {
            blocks.for_each(|(entry, _)| entry.copy_from_slice(known));
        } else {
            blocks.for_each(|(entry, block)| identify(fine, entry, block));
        }
    }
}

fn identify(fine: &Level, entry: &mut [u8], block: &[u8]) {
    let (weak, hint) = entry.split_at_mut(usize::from(fine.weak));
    put(weak, cut_weak(fine, weak::sum(block)));
    put(hint, hint_of(fine, block));
}

/// Whether all bytes are the same, as in the holes of a disk image: then all blocks are.
fn is_constant(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes[1..] == bytes[..bytes.len() - 1]
}

/// Writes the low bytes of `value`, as many as fit into `field`.
fn put(field: &mut [u8], value: u64) {
    field.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
}
