//! The format of gosync's ancestor, `.gosync` 0.2 (docs/format.md): one flat list of blocks of any size, each with an
//! rsync-type sum of four bytes and an MD5, and no hash of the whole. Read and written here; everything else works on it
//! as on any index, with the block as the unit that is verified.

use std::sync::Mutex;
use std::sync::{Arc, OnceLock};

use md5::{Digest as _, Md5};
use rayon::prelude::*;

use super::build::read_whole;
use super::container::fault;
use super::groups::Groups;
use super::layout::{Layout, Level};
use super::partial::Front;
use super::{BuildOptions, Index, Proof, Top, reserve};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Range, ReadAt};
use crate::weak;

const MAGIC: [u8; 6] = *b"G0S9NC";
/// Major, minor, patch, as the ancestor wrote them last. Its readers looked at the first two.
const VERSION: [u16; 3] = [0, 2, 1];
/// Magic, version, length of the content (8), block size (4).
const HEADER: usize = 24;
const WEAK: usize = 4;
const MD5: usize = 16;
const ENTRY: usize = WEAK + MD5;

/// The ancestor's own choice.
const BLOCK_SIZE: u32 = 8192;
/// Bytes of the largest block that is read: a block is verified in memory, as a whole.
const LARGEST_BLOCK: u64 = 64 << 20;
/// Bytes that a thread reads and sums at a time, at least.
const SEGMENT: u64 = 1 << 20;

/// What proves the blocks of content without a root.
#[derive(Clone)]
pub(super) struct Md5Blocks {
    block_size: u32,
    /// Weak sum and MD5 of each block, as the encoded index has them.
    entries: Vec<u8>,
}

impl Md5Blocks {
    pub(super) fn block_size(&self) -> u32 {
        self.block_size
    }

    /// The range of content of `length` bytes that block `block` covers; empty behind the last one.
    pub(super) fn range(&self, length: u64, block: u64) -> Range {
        let size = u64::from(self.block_size);
        let offset = block.saturating_mul(size).min(length);
        Range::new(offset, size.min(length - offset))
    }

    /// Whether `bytes` has the MD5 of block `block`.
    pub(super) fn is(&self, block: u64, bytes: &[u8]) -> bool {
        self.md5(block).is_some_and(|md5| *md5 == digest(bytes))
    }

    /// The weak sum of a block; 0 for a block that is none.
    pub(super) fn weak(&self, block: u64) -> u64 {
        let weak = self.entry(block).and_then(|entry| entry.first_chunk());
        weak.map_or(0, |weak| u32::from_le_bytes(*weak).into())
    }

    /// The first bytes of a block's MD5, which are what is looked for; 0 for a block that is none.
    pub(super) fn hint(&self, block: u64) -> u64 {
        self.md5(block).map_or(0, hint)
    }

    fn md5(&self, block: u64) -> Option<&[u8; MD5]> {
        self.entry(block)?.last_chunk()
    }

    fn entry(&self, block: u64) -> Option<&[u8; ENTRY]> {
        self.entries.as_chunks().0.get(usize::try_from(block).ok()?)
    }

    /// Whether both say the same of content of the same length.
    pub(super) fn is_same(&self, other: &Md5Blocks) -> bool {
        (self.block_size, &self.entries) == (other.block_size, &other.entries)
    }
}

/// The first bytes of the MD5 of `bytes`, as [`Md5Blocks::hint`] has them.
pub(super) fn hint_of(bytes: &[u8]) -> u64 {
    hint(&digest(bytes))
}

fn hint(md5: &[u8; MD5]) -> u64 {
    md5.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

fn digest(bytes: &[u8]) -> [u8; MD5] {
    Md5::digest(bytes).into()
}

/// The weak sum: the low halves of A and B.
pub(super) fn cut_weak((a, b): (u32, u32)) -> u64 {
    u64::from(a & 0xffff | b << 16)
}

/// Whether these bytes begin as the ancestor's indexes do.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Reads an index that begins with the magic.
pub(super) fn decode(bytes: &[u8]) -> Result<Index> {
    let (length, block_size, size) = header(bytes)?;
    if size != bytes.len() as u64 {
        let present = bytes.len();
        let problem = if size > present as u64 { "is cut off" } else { "has bytes after its end" };
        return Err(fault(format!("the index {problem}: {present} bytes present, {size} needed")));
    }
    let mut entries = reserve(size - HEADER as u64)?;
    entries.extend_from_slice(&bytes[HEADER..]);
    index(length, Md5Blocks { block_size, entries })
}

/// As [`decode`], of the beginning of an index: all of it is needed.
pub(super) fn front(bytes: &[u8], limit: u64) -> Result<Front> {
    if bytes.len() < HEADER {
        return Ok(Front::Needs(HEADER as u64));
    }
    let (.., size) = header(bytes)?;
    if size > limit {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("the index is larger than the {limit} bytes that are allowed"),
        ));
    }
    if size > bytes.len() as u64 {
        return Ok(Front::Needs(size));
    }
    decode(bytes).map(|index| Front::Read(Box::new(index)))
}

/// What the header says: length of the content, block size, and with that the bytes of the whole index.
fn header(bytes: &[u8]) -> Result<(u64, u32, u64)> {
    let header: &[u8; HEADER] = bytes
        .first_chunk()
        .ok_or_else(|| fault(format!("the index is cut off: {} bytes present, {HEADER} needed", bytes.len())))?;
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if [short(6), short(8)] != VERSION[..2] {
        let version = format!("{}.{}.{}", short(6), short(8), short(10));
        let text = "the index has a version of the legacy format that this gosync does not read";
        return Err(Error::new(ErrorKind::Version, text).with("version", version));
    }
    let length = i64::from_le_bytes(std::array::from_fn(|i| header[12 + i]));
    let length = u64::try_from(length).map_err(|_| fault("the index claims a negative length"))?;
    let block_size = u32::from_le_bytes(std::array::from_fn(|i| header[20 + i]));
    check(length, block_size)?;
    let entries = length.div_ceil(block_size.into()) * ENTRY as u64;
    Ok((length, block_size, HEADER as u64 + entries))
}

/// Whether there can be an index of so much content with such blocks.
fn check(length: u64, block_size: u32) -> Result<()> {
    if block_size == 0 {
        return Err(fault("the index has blocks of no bytes"));
    }
    let limit = |text| Error::new(ErrorKind::Limit, text).with("length", length).with("block_size", block_size);
    if length.div_ceil(block_size.into()) > u32::MAX.into() {
        return Err(limit("the target has too many blocks for one index").with("limit", u32::MAX));
    }
    if length.min(block_size.into()) > LARGEST_BLOCK {
        return Err(limit("the blocks of the legacy index are too large").with("limit", LARGEST_BLOCK));
    }
    Ok(())
}

fn index(length: u64, blocks: Md5Blocks) -> Result<Index> {
    Ok(Index {
        layout: Layout::new(length, Level::UNITS, Level::UNITS, Level::UNITS)?,
        proof: Proof::Blocks(blocks),
        root: Digest::of(&[]),
        top: OnceLock::from(Top::default()),
        values: Groups::Whole(Vec::new()),
        unit_identities: Groups::Whole(Vec::new()),
        identities: Groups::Whole(Vec::new()),
        places: None,
        tree: None,
        read: Arc::default(),
        source: None,
        name: None,
        version: None,
        signature: None,
        opened: Default::default(),
    })
}

/// Bytes of the encoded index.
pub(super) fn size(blocks: &Md5Blocks) -> u64 {
    (HEADER + blocks.entries.len()) as u64
}

/// Writes the index.
pub(super) fn encode(length: u64, blocks: &Md5Blocks, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut header = Vec::with_capacity(HEADER);
    header.extend(MAGIC);
    header.extend(VERSION.iter().flat_map(|number| number.to_le_bytes()));
    header.extend(length.to_le_bytes());
    header.extend(blocks.block_size.to_le_bytes());
    take(&header)?;
    take(&blocks.entries)
}

/// See [`Index::build`].
pub(super) fn build(
    reader: &dyn ReadAt,
    options: &BuildOptions,
    advance: &(dyn Fn(u64) -> Result<()> + Sync),
) -> Result<Index> {
    let argument = |text, key| Err(Error::new(ErrorKind::Argument, text).with("option", key));
    if options.source.is_some() {
        return argument("the legacy format has no room for where the content is", "source");
    }
    if options.name.is_some() || options.version.is_some() {
        return argument("the legacy format has no room for what the content is called", "name");
    }
    if options.top_size != 0 {
        return argument("the legacy format has one level", "top_size");
    }
    let length = reader.length();
    let block_size = if options.block_size == 0 { BLOCK_SIZE } else { options.block_size };
    check(length, block_size)?;
    if i64::try_from(length).is_err() {
        return Err(
            Error::new(ErrorKind::Limit, "the content is too long for the legacy format").with("length", length)
        );
    }
    let count = length.div_ceil(block_size.into());
    let mut entries = reserve(count * ENTRY as u64)?;
    entries.resize(count as usize * ENTRY, 0);
    let blocks = (SEGMENT / u64::from(block_size)).max(1);
    let segment = blocks * u64::from(block_size);
    // Buffers are kept: a block may be large, and there are only as many as threads.
    let buffers = Mutex::new(Vec::<Vec<u8>>::new());
    let pool = || buffers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let segments = (0..).zip(entries.chunks_mut(blocks as usize * ENTRY));
    segments.par_bridge().try_for_each(|(number, entries): (u64, &mut [u8])| {
        let offset = number * segment;
        let length = segment.min(length - offset);
        let mut buffer = pool().pop().unwrap_or_default();
        if buffer.len() < length as usize {
            buffer = reserve(length)?;
            buffer.resize(length as usize, 0);
        }
        let bytes = &mut buffer[..length as usize];
        read_whole(reader, offset, bytes)?;
        for (entry, block) in entries.chunks_exact_mut(ENTRY).zip(bytes.chunks(block_size as usize)) {
            let weak = cut_weak(weak::sum(block)) as u32;
            entry[..WEAK].copy_from_slice(&weak.to_le_bytes());
            entry[WEAK..].copy_from_slice(&digest(block));
        }
        pool().push(buffer);
        advance(length)
    })?;
    index(length, Md5Blocks { block_size, entries })
}
