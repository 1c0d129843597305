//! Opening things by name: a path or a URL becomes a source, a source becomes an index.

use std::path::Path;
use std::sync::Arc;

use gosync_core::{Error, ErrorKind, Index, Result, Source};

use crate::collect::collect;
use crate::location::{Location, resolve};
use crate::options::OpenOptions;
use crate::report::Observer;
use crate::source::{FileSource, HttpSource, MirrorSource};

/// The largest index that is read, unless the caller says otherwise.
const MAX_INDEX_SIZE: u64 = 1 << 30;

/// Opens the content at a path, a `file:` URL or an `http(s):` URL. HTTP uses the proxies that the environment names.
pub fn open_source(location: &str, options: &OpenOptions) -> Result<Arc<dyn Source>> {
    open_location(Location::parse(location)?, options)
}

/// Reads the index at a path or URL, whole, through a source.
pub fn open_index(location: &str, options: &OpenOptions) -> Result<Index> {
    let mut index = open_index_source(&open_source(location, options)?, options)?;
    index.set_origin(Some(location.to_owned()));
    Ok(index)
}

/// Reads an index, whole, through any source. What fails temporarily is tried again, up to 5 times in a row;
/// a source that stays silent for twice the options' `timeout` counts as failed.
pub fn open_index_source(source: &Arc<dyn Source>, options: &OpenOptions) -> Result<Index> {
    let bytes = collect(source, max_index_size(options), options)?;
    Index::decode(&bytes)
}

/// Reads an index from bytes.
pub fn index_from_bytes(bytes: &[u8], options: &OpenOptions) -> Result<Index> {
    options.observer.cancel.check()?;
    let limit = max_index_size(options);
    if bytes.len() as u64 > limit {
        return Err(crate::collect::too_large(limit));
    }
    Index::decode(bytes)
}

/// The source that the index names, if it names one, for an update of `target`.
/// Unless `allow_any`, it must be in the folder that the index came from, or below.
pub(crate) fn named_source(
    index: &Index,
    target: &Path,
    allow_any: bool,
    options: &OpenOptions,
) -> Result<Option<Arc<dyn Source>>> {
    let Some(name) = index.source().filter(|name| !name.is_empty()) else { return Ok(None) };
    let location = resolve(name, index.origin(), allow_any)?;
    if matches!(&location, Location::Path(path) if same_file(path, target)) {
        let text = "the source that the index names is the target itself; say where the new version is";
        return Err(Error::new(ErrorKind::Argument, text).with("path", target.display()));
    }
    open_location(location, options).map(Some)
}

/// Reads an index again from where it came from, if that is known.
pub(crate) fn reopen(index: &Index, options: &OpenOptions) -> Result<Option<Index>> {
    index.origin().map(|origin| open_index(origin, options)).transpose()
}

/// `source` together with its mirrors.
pub(crate) fn with_mirrors(
    source: Arc<dyn Source>,
    mirrors: Vec<Arc<dyn Source>>,
    observer: &Observer,
) -> Result<Arc<dyn Source>> {
    if mirrors.is_empty() {
        return Ok(source);
    }
    let all = std::iter::once(source).chain(mirrors).collect();
    Ok(Arc::new(MirrorSource::new(all, observer)?))
}

/// Whether both paths lead to the same existing file.
pub(crate) fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn max_index_size(options: &OpenOptions) -> u64 {
    if options.max_index_size == 0 { MAX_INDEX_SIZE } else { options.max_index_size }
}

fn open_location(location: Location, options: &OpenOptions) -> Result<Arc<dyn Source>> {
    match location {
        Location::Path(path) => Ok(Arc::new(FileSource::open(&path)?)),
        Location::Http(url) => Ok(Arc::new(HttpSource::open(url.as_str(), &options.http, &options.observer)?)),
    }
}
