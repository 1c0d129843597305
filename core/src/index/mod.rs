//! The index: what the target *is*. Its length, its digest, and the checksums of its blocks.
//!
//! A tree of two or three levels. The *top*: blocks of 64 KiB to 1 MiB with BLAKE3 chaining values that merge to the
//! digest, and with identities (weak sum and hint) where they are looked for. The *units* of 64 KiB, the least that is
//! verified, with chaining values that merge to those of the top; where top blocks are units, that is one level. The
//! *blocks* of `block_size` with an identity each, which only help to find. The top, and the groups below it, may be
//! absent: the index was read in part (`partial`), and they come when they are needed.
//!
//! `build` makes an index from content, `encode` and `decode` are the `.gosync` file (docs/format.md); finding blocks is
//! `matching`.

mod blocks;
mod build;
mod container;
mod decode;
mod encode;
mod groups;
mod identity;
mod layout;
mod legacy;
mod of_tree;
mod opened;
mod partial;
mod signature;
mod tree;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use self::groups::Groups;
use self::identity::{cut_weak, group_check, hint_of, low_bytes, upper_hint};
use self::layout::{Layout, Level};
use self::of_tree::Tree;
use self::opened::Opened;
use self::partial::Places;
use self::tree::ChainingValue;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Range, ReadAt};

pub use self::blocks::Blocks;
pub use self::partial::Front;
pub use self::signature::PublicKey;

/// Bytes of a verified unit: the smallest blocks that carry BLAKE3 chaining values.
pub const UNIT: u64 = 64 * 1024;

/// Bytes that a source, as an index names it, has at most.
const MAX_SOURCE: usize = 4096;

/// Bytes behind the identities, so that every identity can be read as eight bytes at once.
const PADDING: usize = 8;

/// How to build an index.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Bytes of a block: a power of two from 1 KiB to 32 KiB. 0 chooses by length.
    pub block_size: u32,
    /// Bytes of a block of the top level: a power of two from 64 KiB to 1 MiB. 0 chooses by length.
    pub top_size: u32,
    /// Where the content is, as the index shall say it.
    pub source: Option<String>,
    /// What the index is written as.
    pub format: Format,
    /// What the publisher calls the content.
    pub name: Option<String>,
    /// Which version of it this is.
    pub version: Option<String>,
}

/// The format of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// This version's own.
    #[default]
    Gosync,
    /// That of gosync's ancestor, `.gosync` 0.2: blocks of any size with an MD5 each, and no root.
    Legacy,
}

impl Format {
    /// Its name, the same in every language.
    pub fn name(self) -> &'static str {
        match self {
            Format::Gosync => "gosync",
            Format::Legacy => "legacy",
        }
    }

    /// The format with this name.
    pub fn from_name(name: &str) -> Result<Format> {
        let all = [Format::Gosync, Format::Legacy];
        let unknown = || Error::new(ErrorKind::Argument, "there is no such format of an index").with("format", name);
        all.into_iter().find(|format| format.name() == name).ok_or_else(unknown)
    }
}

/// What proves content.
#[derive(Clone)]
enum Proof {
    /// The root, through the chaining values under it.
    Root,
    /// Each block's own hash. Of the levels nothing is used.
    Blocks(legacy::Md5Blocks),
}

/// The top level.
#[derive(Clone, Default)]
struct Top {
    /// One for each top block, but none for content of one block, where the root is the check.
    values: Vec<ChainingValue>,
    /// Weak sum and hint of each top block, as the encoded index has them, then [`PADDING`].
    identities: Vec<u8>,
}

/// What the target is: its length, its digest, the chaining value of each unit, the identity of each block.
#[derive(Clone)]
pub struct Index {
    layout: Layout,
    proof: Proof,
    root: Digest,
    /// The top level. Nothing if it has not been read.
    top: OnceLock<Top>,
    /// One for each unit, by top block. Nothing where top blocks are units.
    values: Groups<ChainingValue>,
    /// Weak sum and hint of each unit, by top block; [`PADDING`] after each piece. Nothing where top blocks are units.
    unit_identities: Groups<u8>,
    /// Weak sum and hint of each block, as the encoded index has them, by unit; [`PADDING`] after each piece.
    identities: Groups<u8>,
    /// Where the groups are in what this was read from, if that was in part.
    places: Option<Places>,
    /// What makes it an index of a tree: the levels are those of its payload.
    tree: Option<Arc<Tree>>,
    /// Bytes that were read of it, 0 if nobody counted them.
    read: Arc<AtomicU64>,
    source: Option<String>,
    name: Option<String>,
    version: Option<String>,
    signature: Option<String>,
    /// How it was opened.
    opened: Opened,
}

impl Index {
    /// Reads all of `reader` once, in parallel on the current rayon pool. `advance` is told of bytes done and may stop the work.
    pub fn build(
        reader: &dyn ReadAt,
        options: &BuildOptions,
        advance: &(dyn Fn(u64) -> Result<()> + Sync),
    ) -> Result<Index> {
        build::build(reader, options, advance)
    }

    /// Reads an index from its bytes; checks everything that can be checked before any content is there.
    pub fn decode(bytes: &[u8]) -> Result<Index> {
        let mut copy = reserve(bytes.len() as u64)?;
        copy.extend_from_slice(bytes);
        decode::decode(copy)
    }

    /// As [`Index::decode`], in the memory that the bytes have.
    pub fn decode_vec(bytes: Vec<u8>) -> Result<Index> {
        decode::decode(bytes)
    }

    /// The bytes of the index, as written to a `.gosync` file: the same for the same index. All of it must be here
    /// ([`Index::is_whole`]); what is not leaves the bytes short.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_size() as usize);
        let taken = self.encode_to(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        debug_assert!(taken.is_ok(), "nothing but an absent group fails");
        bytes
    }

    /// As [`Index::encode`], piece by piece, so that a large index need not be in memory twice. An error if parts of it
    /// have not been read.
    pub fn encode_to(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        encode::encode(self, take)
    }

    /// Bytes of the target; of a tree, those of its payload: its files' contents, each once, beginning at whole blocks.
    pub fn length(&self) -> u64 {
        self.layout.length
    }

    /// The BLAKE3 hash of the target, which a legacy index does not have. That of a tree is the hash of its listing.
    pub fn root(&self) -> Option<Digest> {
        let of_tree = self.tree.as_ref().map(|tree| tree.root);
        of_tree.or_else(|| matches!(self.proof, Proof::Root).then_some(self.root))
    }

    /// The format that the index has.
    pub fn format(&self) -> Format {
        match self.proof {
            Proof::Root => Format::Gosync,
            Proof::Blocks(_) => Format::Legacy,
        }
    }

    /// What proves the target: `root`, or `blocks-md5` where each block has only its own hash.
    pub fn proof(&self) -> &'static str {
        match self.proof {
            Proof::Root => "root",
            Proof::Blocks(_) => "blocks-md5",
        }
    }

    /// Whether a hint takes longer to compute than a weak sum.
    pub(crate) fn has_slow_hints(&self) -> bool {
        matches!(self.proof, Proof::Blocks(_))
    }

    /// Whether both describe the same content, as far as can be said from here.
    pub fn is_same(&self, other: &Index) -> bool {
        match (&self.proof, &other.proof) {
            (Proof::Root, Proof::Root) => self.root() == other.root(),
            (Proof::Blocks(one), Proof::Blocks(other_one)) => self.length() == other.length() && one.is_same(other_one),
            _ => false,
        }
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u32 {
        match &self.proof {
            Proof::Root => 1 << self.layout.fine.log2,
            Proof::Blocks(blocks) => blocks.block_size(),
        }
    }

    /// Number of blocks.
    pub fn block_count(&self) -> u64 {
        self.length().div_ceil(self.block_size().into())
    }

    /// Bytes of a verified unit: 64 KiB, or a block where each of these has a hash of its own.
    pub fn unit_size(&self) -> u64 {
        match &self.proof {
            Proof::Root => UNIT,
            Proof::Blocks(blocks) => blocks.block_size().into(),
        }
    }

    /// Number of verified units.
    pub fn unit_count(&self) -> u64 {
        self.length().div_ceil(self.unit_size())
    }

    /// The top level: what a receiver looks for first.
    pub fn tops(&self) -> Blocks<'_> {
        Blocks { index: self, is_top: true }
    }

    /// The level of units, which is the top itself where its blocks are units.
    pub fn units(&self) -> Blocks<'_> {
        Blocks { index: self, is_top: false }
    }

    /// Bytes of a top block.
    pub fn top_size(&self) -> u64 {
        match &self.proof {
            Proof::Root => self.layout.top.size(),
            Proof::Blocks(blocks) => blocks.block_size().into(),
        }
    }

    /// Number of top blocks.
    pub fn top_count(&self) -> u64 {
        self.length().div_ceil(self.top_size())
    }

    /// Bytes that the encoded index has.
    pub fn encoded_size(&self) -> u64 {
        match &self.proof {
            Proof::Root => encode::size(self),
            Proof::Blocks(blocks) => legacy::size(blocks),
        }
    }

    /// Where the content is, as the publisher wrote it: a name relative to the index, or a URL. Not to be trusted.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// `MISMATCH` unless this is the root. An index without a root can only be checked with the content that comes of it.
    pub fn check_root(&self, expected: &Digest) -> Result<()> {
        match self.root() {
            Some(root) if root != *expected => {
                let error = Error::new(ErrorKind::Mismatch, "the index does not describe what is expected");
                Err(error.with("root", root).with("expected", expected))
            }
            _ => Ok(()),
        }
    }

    /// The range of the target that unit `unit` covers; empty behind the last one.
    pub fn unit_range(&self, unit: u64) -> Range {
        match &self.proof {
            Proof::Root => Level::UNITS.range(self.layout.length, unit),
            Proof::Blocks(blocks) => blocks.range(self.layout.length, unit),
        }
    }

    /// The range of the target that top block `top` covers; empty behind the last one.
    pub fn top_range(&self, top: u64) -> Range {
        match &self.proof {
            Proof::Root => self.layout.top.range(self.layout.length, top),
            Proof::Blocks(blocks) => blocks.range(self.layout.length, top),
        }
    }

    /// The units that top block `top` is made of.
    pub fn top_units(&self, top: u64) -> std::ops::Range<u64> {
        let range = self.top_range(top);
        range.offset / self.unit_size()..range.end().div_ceil(self.unit_size())
    }

    /// The range of the target that block `block` covers; empty behind the last one.
    pub fn block_range(&self, block: u64) -> Range {
        match &self.proof {
            Proof::Root => self.layout.fine.range(self.layout.length, block),
            Proof::Blocks(blocks) => blocks.range(self.layout.length, block),
        }
    }

    /// Whether `bytes` is exactly unit `unit` of the target: the check that everything rests on. One whose chaining value
    /// is not here ([`Index::has_values`]) is nothing.
    pub fn unit_is(&self, unit: u64, bytes: &[u8]) -> bool {
        let range = self.unit_range(unit);
        if bytes.is_empty() || range.length != bytes.len() as u64 {
            return false;
        }
        if let Proof::Blocks(blocks) = &self.proof {
            return blocks.is(unit, bytes);
        }
        match self.parent(unit) {
            Some(_) if self.unit_count() == 1 => Digest::of(bytes) == self.root,
            Some(value) => tree::value(range.offset, bytes) == *value,
            None => false,
        }
    }

    /// Whether `bytes` is exactly top block `top` of the target: the same check for larger pieces.
    pub fn top_is(&self, top: u64, bytes: &[u8]) -> bool {
        let range = self.top_range(top);
        if bytes.is_empty() || range.length != bytes.len() as u64 {
            return false;
        }
        if let Proof::Blocks(blocks) = &self.proof {
            return blocks.is(top, bytes);
        }
        match self.top_values().get(top as usize) {
            Some(value) => tree::value(range.offset, bytes) == *value,
            None => self.layout.top_count() == 0 && Digest::of(bytes) == self.root,
        }
    }

    /// The chaining values of the top blocks. None if they have not been read.
    fn top_values(&self) -> &[ChainingValue] {
        self.top.get().map_or(&[], |top| &top.values)
    }

    /// What the group of a unit's blocks is checked against: the unit's chaining value, or the root where it is the only
    /// one. Nothing if that has not been read.
    fn parent(&self, unit: u64) -> Option<&ChainingValue> {
        if self.layout.top_count() == 0 {
            return (unit == 0).then_some(&self.root.0);
        }
        if self.layout.is_top_units() {
            return self.top_values().get(unit as usize);
        }
        let (unit, full) = (unit as usize, self.layout.top_units());
        self.values.from(unit / full, full, unit % full)?.first()
    }

    /// The weak sum of a block, cut to the index's width (see [`Index::cut_weak`]). 0 for a block that is none.
    #[inline]
    pub fn weak(&self, block: u64) -> u64 {
        match &self.proof {
            Proof::Root => self.identity_field(block, 0) & low_bytes(self.layout.fine.weak),
            Proof::Blocks(blocks) => blocks.weak(block),
        }
    }

    /// The hint of a block: the low bytes of the XXH3 of its content, in the index's width. 0 for a block that is none.
    #[inline]
    pub fn hint(&self, block: u64) -> u64 {
        match &self.proof {
            Proof::Root => {
                self.identity_field(block, usize::from(self.layout.fine.weak)) & low_bytes(self.layout.fine.hint)
            }
            Proof::Blocks(blocks) => blocks.hint(block),
        }
    }

    /// Cuts a full weak sum (A and B, mod 2^32 each) to the index's width, so that it compares with [`Index::weak`].
    #[inline]
    pub fn cut_weak(&self, a: u32, b: u32) -> u64 {
        match &self.proof {
            Proof::Root => cut_weak(&self.layout.fine, (a, b)),
            Proof::Blocks(_) => legacy::cut_weak((a, b)),
        }
    }

    /// The hint of `bytes`, in the index's width, so that it compares with [`Index::hint`].
    #[inline]
    pub fn hint_of(&self, bytes: &[u8]) -> u64 {
        match &self.proof {
            Proof::Root => hint_of(&self.layout.fine, bytes),
            Proof::Blocks(_) => legacy::hint_of(bytes),
        }
    }

    /// Eight bytes of the identity of `block` from `skip` on: the field that starts there, then whatever follows.
    #[inline]
    fn identity_field(&self, block: u64, skip: usize) -> u64 {
        if block >= self.block_count() {
            return 0;
        }
        let (per, entry) = (self.layout.group_blocks(), self.layout.fine.entry());
        let (unit, slot) = (block as usize / per, block as usize % per);
        let bytes = self.identities.from(unit, per * entry, slot * entry + skip).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("length", &self.length())
            .field("root", &self.root())
            .field("block_size", &self.block_size())
            .field("source", &self.source)
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}

/// What is wrong with a source, if anything is.
fn source_fault(source: &str) -> Option<&'static str> {
    if source.is_empty() {
        Some("the source is empty")
    } else if source.len() > MAX_SOURCE {
        Some("the source is longer than 4096 bytes")
    } else if source.chars().any(char::is_control) {
        Some("the source has control characters")
    } else {
        None
    }
}

/// An empty vector with room for `count`; an error instead of an abort where memory cannot hold it.
fn reserve<T>(count: u64) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    let reserved = usize::try_from(count).ok().and_then(|count| vector.try_reserve_exact(count).ok());
    reserved
        .ok_or_else(|| Error::new(ErrorKind::Limit, "the index does not fit into memory").with("entries", count))?;
    Ok(vector)
}
