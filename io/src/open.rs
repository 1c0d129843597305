//! InPart things by name: a path or a URL becomes a source, a source becomes an index.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gosync_core::{Error, ErrorKind, Index, Result, Source};
use url::Url;

use crate::cache::{self, IfChanged};
use crate::collect::collect;
use crate::location::{Location, resolve};
use crate::options::{HttpOptions, OpenOptions};
use crate::parts;
use crate::report::{Event, Level, Observer, OnEvent};
use crate::source::{FileSource, FolderSource, HttpSource, MirrorSource, of_tree};
use crate::tree::present::Looking;
use crate::{tree, trust};

/// The largest index that is read, unless the caller says otherwise.
const MAX_INDEX_SIZE: u64 = 1 << 30;

/// Opens the content at a path, a `file:` URL or an `http(s):` URL, or a directory that files of a tree lie in. HTTP uses the proxies that the environment names.
pub fn open_source(location: &str, options: &OpenOptions) -> Result<Arc<dyn Source>> {
    open_location(Location::parse(location)?, options)
}

/// Reads the index at a path or URL through a source. One from a URL keeps that source, so that the content can come over
/// the same connections; of a large one, only the beginning is read, and the rest as far as it is needed.
pub fn open_index(location: &str, options: &OpenOptions) -> Result<Index> {
    let mut index = match Location::parse(location)? {
        Location::Http(url) => open_index_url(&url, options)?,
        Location::Path(path) => {
            let file: Arc<dyn Source> = Arc::new(FileSource::open(&path)?);
            open_index_source(&file, options)?
        }
    };
    index.set_origin(Some(location.to_owned()));
    trust::accept(index, options)
}

fn open_index_url(url: &Url, options: &OpenOptions) -> Result<Index> {
    // The source stays with the index; whoever listens now does not.
    let listener = Arc::new(Mutex::new(options.observer.events.clone()));
    let listening = Arc::clone(&listener);
    let tell = move |event: &Event| {
        let listener = listening.lock().unwrap_or_else(PoisonError::into_inner).clone();
        listener.iter().for_each(|listener| listener(event));
    };
    let events: Option<OnEvent> = Some(Arc::new(tell));
    let observer = Observer { events, cancel: options.observer.cancel.clone(), progress: None };
    let source = Arc::new(HttpSource::open(url.as_str(), &options.http, &observer)?);
    let index = match &options.index_cache {
        Some(path) => {
            source.prove_ranges();
            read_cached(&source, url, path, options)
        }
        None => {
            let target = options.target.as_deref();
            let known = target.and_then(tree::known_listing);
            let looked_at = target.filter(|_| known.is_none());
            let looking = looked_at.and_then(|target| Looking::begin(target, options.threads, &options.observer));
            parts::open(&source, known.as_deref(), looking, options)
        }
    };
    listener.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut index = index?;
    index.set_origin_source(Some(source));
    Ok(index)
}

/// Reads the index at a URL unless it is what the cache at `path` keeps, and keeps what it has read.
fn read_cached(source: &Arc<HttpSource>, url: &Url, path: &Path, options: &OpenOptions) -> Result<Index> {
    let limit = max_index_size(options);
    let (shown_path, name) = (path.display(), source.describe());
    let warn = |error: Error| {
        let text = format!("the index cache is not used: {error}");
        options.observer.event(Level::Warning, "index_cache", text, &[("path", &shown_path), ("kind", &error.kind())]);
    };
    // Its bytes are judged like any others, and first: what cannot be used needs no condition.
    let decoded = |kept: cache::Kept| {
        check_size(&kept.bytes, options)?;
        Ok((Index::decode_vec(kept.bytes)?, kept.known))
    };
    let kept = cache::read(path, url, limit).and_then(|kept| kept.map(decoded).transpose());
    let kept = kept.unwrap_or_else(|error| {
        warn(error);
        None
    });
    let asked: Arc<dyn Source> = match &kept {
        Some((_, known)) => Arc::new(IfChanged { source: Arc::clone(source), known: known.clone() }),
        None => Arc::clone(source) as Arc<dyn Source>,
    };
    let bytes = collect(&asked, limit, options)?;
    if let Some((index, _)) = kept.filter(|_| source.is_unchanged()) {
        let text = "the index is the one that was kept";
        options.observer.event(Level::Info, "index_unchanged", text, &[("url", &name), ("path", &shown_path)]);
        return Ok(index);
    }
    // What is refused does not take the place of what is kept.
    let index = trust::accept(Index::decode(&bytes)?, options)?;
    // Kept as they came: they may say more than this version understands.
    let written = cache::write(path, url, &source.validators().unwrap_or_default(), &bytes);
    written.map(drop).unwrap_or_else(warn);
    let size = bytes.len();
    options.observer.event(Level::Info, "index_read", "the index has been read", &[("url", &name), ("bytes", &size)]);
    Ok(index)
}

/// Reads an index, whole, through any source. What fails temporarily is tried again, up to 5 times in a row;
/// a source that stays silent for twice the options' `timeout` counts as failed.
pub fn open_index_source(source: &Arc<dyn Source>, options: &OpenOptions) -> Result<Index> {
    trust::accept(Index::decode_vec(collect(source, max_index_size(options), options)?)?, options)
}

/// Reads an index from bytes.
pub fn index_from_bytes(bytes: &[u8], options: &OpenOptions) -> Result<Index> {
    check_size(bytes, options)?;
    trust::accept(Index::decode(bytes)?, options)
}

fn check_size(bytes: &[u8], options: &OpenOptions) -> Result<()> {
    options.observer.cancel.check()?;
    let limit = max_index_size(options);
    if bytes.len() as u64 > limit { Err(crate::collect::too_large(limit)) } else { Ok(()) }
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
    // A directory may be named with the slash that shows that it is one.
    let name = if index.listing().is_some() { name.strip_suffix('/').unwrap_or(name) } else { name };
    let location = resolve(name, index.origin(), allow_any)?;
    if matches!(&location, Location::Path(path) if same_file(path, target)) {
        let text = "the source that the index names is the target itself; say where the new version is";
        return Err(Error::new(ErrorKind::Argument, text).with("path", target.display()));
    }
    let mut options = options.clone();
    if !location.is_same_origin(index.origin()) {
        // The credentials were given for where the index is.
        options.http = HttpOptions { user: None, bearer: None, headers: Vec::new(), ..options.http };
    }
    open_location(location, &options).map(Some)
}

/// As [`named_source`], for an update of the directory `target` from the index of a tree.
pub(crate) fn tree_source(
    index: &Index,
    target: &Path,
    allow_any: bool,
    options: &OpenOptions,
) -> Result<Option<Arc<dyn Source>>> {
    let place = named_source(index, target, allow_any, options)?;
    place.map(|place| of_tree(index, place)).transpose()
}

/// Reads an index again from where it came from, if that is known, and not from the cache. What was demanded of it is
/// demanded of the new one.
pub(crate) fn reopen(index: &Index, options: &OpenOptions) -> Result<Option<Index>> {
    let options = OpenOptions { index_cache: None, ..trust::as_before(index, options) };
    let newer = index.origin().map(|origin| open_index(origin, &options)).transpose()?;
    Ok(newer)
}

/// `source` together with its mirrors, of content that is verified in units of so many bytes.
pub(crate) fn with_mirrors(
    source: Arc<dyn Source>,
    mirrors: Vec<Arc<dyn Source>>,
    unit_size: u64,
    observer: &Observer,
) -> Result<Arc<dyn Source>> {
    if mirrors.is_empty() {
        return Ok(source);
    }
    let all = std::iter::once(source).chain(mirrors).collect();
    Ok(Arc::new(MirrorSource::of_units(all, unit_size, observer)?))
}

/// Whether both paths lead to the same existing file.
pub(crate) fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

pub(crate) fn max_index_size(options: &OpenOptions) -> u64 {
    if options.max_index_size == 0 { MAX_INDEX_SIZE } else { options.max_index_size }
}

fn open_location(location: Location, options: &OpenOptions) -> Result<Arc<dyn Source>> {
    match location {
        Location::Path(path) if path.is_dir() => Ok(Arc::new(FolderSource::open(&path)?)),
        Location::Path(path) => Ok(Arc::new(FileSource::open(&path)?)),
        Location::Http(url) => Ok(Arc::new(HttpSource::open(url.as_str(), &options.http, &options.observer)?)),
    }
}
