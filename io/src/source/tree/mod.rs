//! The payload of a tree as a source: put together from files below a place. Those are the files of the tree themselves
//! (`plain`, or `local` where they can be read without being asked for), or packs of their contents (`packed`, `unpacking`).
//! Here: which way it is. `tree::contents` says what is where in the payload, `files` asks the files, `handing` hands over
//! what has come. How a file is read is the place's business, and what arrives is verified like everything.

mod files;
mod handing;
mod local;
mod packed;
mod plain;
mod unpacking;

use std::sync::Arc;

use gosync_core::{Error, ErrorKind, Index, Result, Source};

use self::packed::PackedSource;
use self::plain::PlainSource;
pub(crate) use self::unpacking::unpack;
use crate::in_part::InPart;
use crate::parts;
use crate::report::Observer;
use crate::tree::contents::Contents;

/// `source` as one of the payload of the tree that `index` describes: a place (a URL, a directory) is where the tree's
/// files lie, or its packs where the index has such; any other source has the payload itself.
pub fn of_tree(index: &Index, source: Arc<dyn Source>) -> Result<Arc<dyn Source>> {
    let Some(listing) = index.listing() else {
        return Err(Error::new(ErrorKind::Argument, "the index does not describe a directory"));
    };
    // What a place is, it says of any name; only a local one looks whether there is such a file.
    if source.below("-").is_none() {
        return Ok(source);
    }
    let contents = Contents::of(listing);
    parts::with_packs(index, &InPart::options(index, &Observer::default()))?;
    Ok(match index.packs() {
        Some(packs) => Arc::new(PackedSource::new(source, packs.clone(), contents)),
        None if source.reader("-").is_some() => Arc::new(local::source(source, contents)?),
        None => Arc::new(PlainSource::new(source, contents)),
    })
}
