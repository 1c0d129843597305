//! What a caller demands of an index before anything in it is believed.

use gosync_core::{Digest, Error, ErrorKind, Index, ReadAt, Result};

use crate::options::OpenOptions;
use crate::report::Observer;

/// Whether `index` is what `options` demand: one that is not is `MISMATCH`. All that opens an index does this; it is here
/// for one that was opened before. A legacy index has no root; what comes of it is checked instead.
pub fn check_index(index: &Index, options: &OpenOptions) -> Result<()> {
    options.expect.iter().try_for_each(|expected| index.check_root(expected))?;
    options.public_key.iter().try_for_each(|key| index.check_signature(key))
}

/// Checks an index that was just read, and notes what was demanded, so that whatever is read in its place must have it too.
pub(crate) fn accept(mut index: Index, options: &OpenOptions) -> Result<Index> {
    check_index(&index, options)?;
    index.set_expected(options.expect);
    index.set_demanded_key(options.public_key.clone());
    Ok(index)
}

/// Whether content has the root that was demanded, where the index has none to compare with: then it is hashed, whole,
/// before it counts. One that has not is `MISMATCH`.
pub(crate) fn check_content(
    index: &Index,
    options: &OpenOptions,
    content: &dyn ReadAt,
    observer: &Observer,
) -> Result<()> {
    let Some(expected) = as_before(index, options).expect.filter(|_| index.root().is_none()) else { return Ok(()) };
    let root = Digest::of_reader(content, &|_| observer.cancel.check())?;
    if root == expected {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Mismatch, "the content that the index describes is not what is expected");
    Err(error.with("root", root).with("expected", expected))
}

/// `options`, and what was demanded of `index` when it was opened.
pub(crate) fn as_before(index: &Index, options: &OpenOptions) -> OpenOptions {
    OpenOptions {
        expect: options.expect.or(index.expected().copied()),
        public_key: options.public_key.as_ref().or(index.demanded_key()).cloned(),
        ..options.clone()
    }
}
