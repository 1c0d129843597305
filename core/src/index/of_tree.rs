//! What an index of a tree has besides the levels of its payload: the root of the tree, the listing, which says which files
//! it has, and the index of the listing, by which whoever has another listing finds what has not changed. The root is among
//! the first bytes; the other two may be absent where an index was read in part, and come when they are needed.

use std::sync::{Arc, OnceLock};

use super::container::{self, Check, Section, fault};
use super::decode::OfTree;
use super::layout::default_log2;
use super::{BuildOptions, Format, Index, Level, decode};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::listing::Listing;
use crate::packs::Packs;

/// Root, listing, its index, and where the contents are if that is in packs.
#[derive(Clone)]
pub(super) struct Tree {
    /// The BLAKE3 hash of the listing.
    pub(super) root: Digest,
    /// Bytes of the listing.
    pub(super) length: u64,
    /// What the section table says of the listing's index.
    pub(super) about_check: Check,
    pub(super) about_length: u64,
    pub(super) about: OnceLock<Index>,
    pub(super) listing: OnceLock<Listing>,
    pub(super) packs: Option<Packed>,
}

/// What the section table says of the packs, and the packs.
#[derive(Clone)]
pub(super) struct Packed {
    pub(super) check: Check,
    pub(super) length: u64,
    pub(super) packs: OnceLock<Packs>,
}

impl Tree {
    /// What the beginning of an index claims.
    pub(super) fn claimed(
        (length, root): (u64, Digest),
        OfTree { about, packs, listing }: &OfTree<'_>,
    ) -> Result<Arc<Tree>> {
        let [a, b, c, d, ..] = root.0;
        if listing.entry.length != length || listing.entry.check != [a, b, c, d] {
            return Err(fault("the listing of the tree is not the one that its root is of"));
        }
        let (about_check, about_length) = (about.entry.check, about.entry.length);
        let (about, listing) = (OnceLock::new(), OnceLock::new());
        let packed = |packs: &Section<'_>| Packed {
            check: packs.entry.check,
            length: packs.entry.length,
            packs: OnceLock::new(),
        };
        let packs = packs.as_ref().map(packed);
        Ok(Arc::new(Tree { root, length, about_check, about_length, about, listing, packs }))
    }

    pub(super) fn is_whole(&self) -> bool {
        let has_packs = self.packs.as_ref().is_none_or(|packed| packed.packs.get().is_some());
        self.about.get().is_some() && self.listing.get().is_some() && has_packs
    }

    /// Bytes of what comes behind the root, but for the levels.
    pub(super) fn later_size(&self) -> u64 {
        self.about_length + self.length + self.packs.as_ref().map_or(0, |packed| packed.length)
    }
}

impl Index {
    /// The block size that is chosen for content of so many bytes.
    pub fn default_block_size(length: u64) -> u32 {
        1 << default_log2(length)
    }

    /// This index, which describes the payload of a tree, with the tree's listing: that of the tree.
    pub fn with_listing(mut self, listing: Listing) -> Result<Index> {
        if self.format() != Format::Gosync {
            return Err(Error::new(ErrorKind::Argument, "the legacy format has no room for a tree"));
        }
        self.check_payload(&listing)?;
        let about = Index::build(&listing.encode(), &BuildOptions::default(), &|_| Ok(()))?;
        let encoded = about.encode();
        self.tree = Some(Arc::new(Tree {
            root: about.root,
            length: about.length(),
            about_check: container::check(&encoded),
            about_length: encoded.len() as u64,
            about: OnceLock::from(about),
            listing: OnceLock::from(listing),
            packs: None,
        }));
        Ok(self)
    }

    /// This index of a tree, saying in which packs its contents are.
    pub fn with_packs(mut self, packs: Packs) -> Result<Index> {
        let length = self.listing().map(Listing::content_length);
        match self.tree.as_deref().cloned().filter(|_| length == Some(packs.length())) {
            Some(tree) => {
                let encoded = packs.encode();
                let (check, length) = (container::check(&encoded), encoded.len() as u64);
                let packs = Some(Packed { check, length, packs: OnceLock::from(packs) });
                self.tree = Some(Arc::new(Tree { packs, ..tree }));
                Ok(self)
            }
            None => Err(Error::new(ErrorKind::Argument, "the packs do not have the contents of the index")),
        }
    }

    /// Whether the contents of a tree are in packs.
    pub fn is_packed(&self) -> bool {
        self.tree.as_ref().is_some_and(|tree| tree.packs.is_some())
    }

    /// In which packs the contents of a tree are. Nothing if they are not, or if it has not been read.
    pub fn packs(&self) -> Option<&Packs> {
        self.tree.as_ref().and_then(|tree| tree.packs.as_ref()?.packs.get())
    }

    /// Takes what the index says of the packs, as it has it. The listing must be here.
    pub fn supply_packs(&self, bytes: &[u8]) -> Result<()> {
        let packed = self.tree.as_ref().and_then(|tree| tree.packs.as_ref());
        let (Some(packed), Some(listing)) = (packed, self.listing()) else { return Err(none()) };
        if bytes.len() as u64 != packed.length || container::check(bytes) != packed.check {
            return Err(fault("what the index says of packs is damaged or of another version"));
        }
        let _ = packed.packs.set(Packs::decode(bytes, listing.content_length())?);
        Ok(())
    }

    /// The listing of a tree. Nothing if this is the index of a file, or if the listing has not been read.
    pub fn listing(&self) -> Option<&Listing> {
        self.tree.as_ref().and_then(|tree| tree.listing.get())
    }

    /// The index of a tree's listing. Nothing if this is the index of a file, or if that has not been read.
    pub fn listing_index(&self) -> Option<&Index> {
        self.tree.as_ref().and_then(|tree| tree.about.get())
    }

    /// Takes the listing of the tree: nothing but the bytes that its root is the hash of.
    pub fn supply_listing(&self, bytes: &[u8]) -> Result<()> {
        let Some(tree) = &self.tree else { return Err(none()) };
        if bytes.len() as u64 != tree.length || Digest::of(bytes) != tree.root {
            return Err(fault("the listing of the tree is not the one that its root is of"));
        }
        let listing = Listing::decode(bytes)?;
        self.check_payload(&listing)?;
        let _ = tree.listing.set(listing);
        Ok(())
    }

    /// Takes the index of the listing, as the index has it.
    pub fn supply_listing_index(&self, bytes: &[u8]) -> Result<()> {
        let Some(tree) = &self.tree else { return Err(none()) };
        if bytes.len() as u64 != tree.about_length || container::check(bytes) != tree.about_check {
            return Err(fault("the index of the listing is damaged or of another version"));
        }
        let about = decode::decode_file(bytes.to_vec())
            .map_err(|cause| Error::new(cause.kind(), "the index of the listing cannot be read").caused_by(cause))?;
        if (about.length(), about.root) != (tree.length, tree.root) {
            return Err(fault("the listing of the tree is not the one that its index describes"));
        }
        let _ = tree.about.set(about);
        Ok(())
    }

    fn check_payload(&self, listing: &Listing) -> Result<()> {
        let payload = (listing.payload_length(), listing.payload_root(), u64::from(listing.block_size()));
        let levels = (self.layout.length, self.root, self.layout.fine.size());
        if payload != levels || self.layout.units.log2 != Level::UNITS.log2 {
            return Err(fault("the listing of the tree is not about the payload that the index describes"));
        }
        Ok(())
    }

    /// What it describes, by a name that all faces share: `file` or `tree`.
    pub fn kind(&self) -> &'static str {
        if self.tree.is_some() { "tree" } else { "file" }
    }
}

fn none() -> Error {
    Error::new(ErrorKind::Internal, "the index of a file has no listing")
}
