//! What an index of a tree has besides the levels of its payload: the listing, which says which files it has, and the
//! index of the listing, whose root is that of the tree.

use std::sync::Arc;

use super::container::fault;
use super::layout::default_log2;
use super::{BuildOptions, Format, Index, Level, decode};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::listing::Listing;
use crate::packs::Packs;

/// Listing, its index, and where the contents are if that is in packs.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) listing: Listing,
    pub(super) index: Index,
    packs: Option<Packs>,
}

impl Tree {
    /// The BLAKE3 hash of the listing.
    pub(super) fn root(&self) -> Digest {
        self.index.root
    }

    /// Reads the sections of a tree whose payload `index` describes.
    pub(super) fn read(index: &Index, about: &[u8], listing: &[u8], packs: Option<&[u8]>) -> Result<Arc<Tree>> {
        let wrong = |text| Err(fault(text));
        let about = match decode::decode_file(about.to_vec()) {
            Ok(about) => about,
            Err(cause) => {
                return Err(Error::new(cause.kind(), "the index of the listing cannot be read").caused_by(cause));
            }
        };
        if about.length() != listing.len() as u64 || Digest::of(listing) != about.root {
            return wrong("the listing of the tree is not the one that its index describes");
        }
        let mut tree = Tree::of(index, Listing::decode(listing)?, about)?;
        tree.packs = packs.map(|packs| Packs::decode(packs, tree.listing.content_length())).transpose()?;
        Ok(Arc::new(tree))
    }

    fn of(index: &Index, listing: Listing, about: Index) -> Result<Tree> {
        let payload = (listing.payload_length(), listing.payload_root(), u64::from(listing.block_size()));
        let levels = (index.layout.length, index.root, index.layout.fine.size());
        if payload != levels || index.layout.units.log2 != Level::UNITS.log2 {
            return Err(fault("the listing of the tree is not about the payload that the index describes"));
        }
        Ok(Tree { listing, index: about, packs: None })
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
        let about = Index::build(&listing.encode(), &BuildOptions::default(), &|_| Ok(()))?;
        self.tree = Some(Arc::new(Tree::of(&self, listing, about)?));
        Ok(self)
    }

    /// This index of a tree, saying in which packs its contents are.
    pub fn with_packs(mut self, packs: Packs) -> Result<Index> {
        let mut tree = self.tree.as_deref().cloned();
        match &mut tree {
            Some(tree) if tree.listing.content_length() == packs.length() => tree.packs = Some(packs),
            _ => return Err(Error::new(ErrorKind::Argument, "the packs do not have the contents of the index")),
        }
        self.tree = tree.map(Arc::new);
        Ok(self)
    }

    /// In which packs the contents of a tree are, if they are.
    pub fn packs(&self) -> Option<&Packs> {
        self.tree.as_ref().and_then(|tree| tree.packs.as_ref())
    }

    /// The listing of a tree; nothing if this is the index of a file.
    pub fn listing(&self) -> Option<&Listing> {
        self.tree.as_ref().map(|tree| &tree.listing)
    }

    /// What it describes, by a name that all faces share: `file` or `tree`.
    pub fn kind(&self) -> &'static str {
        if self.tree.is_some() { "tree" } else { "file" }
    }
}
