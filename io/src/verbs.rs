//! The verbs that are one call: index a file or directory, save an index, verify a file or directory.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gosync_core::assemble::Verified;
use gosync_core::index::{Blocks, BuildOptions, Format, UNIT};
use gosync_core::{Error, ErrorKind, Index, Range, ReadAt, Result};
use rayon::prelude::*;

use crate::disk::Disk;
use crate::in_part::InPart;
use crate::inplace::journal;
use crate::open::open_index;
use crate::options::{IndexOptions, OpenOptions, VerifyOptions};
use crate::output;
use crate::parts;
use crate::report::{Level, Meter, Observer, Phase};
use crate::seed::{FileReader, Kind, Start};
use crate::signing::SigningKey;
use crate::tree::{self, Difference, What};
use crate::{spool, trust};

/// Reads `path` once and describes it: a regular file, a block device, what a pipe gives (which is copied to an
/// unnamed temporary file first), or a directory with all that is in it. The index names a regular file or directory,
/// unless the options say otherwise.
pub fn index_file(path: &Path, options: &IndexOptions) -> Result<Index> {
    // A name that an index cannot hold is no reason to fail: nobody asked for it. Nor is a device's or a pipe's of use.
    let fits = |name: &&str| !name.contains(char::is_control);
    let kind = Kind::at(path, "file")?;
    let own_name = match kind {
        Kind::File | Kind::Folder => path.file_name().and_then(|name| name.to_str()).filter(fits).map(str::to_owned),
        _ => None,
    };
    if kind == Kind::Folder {
        // Or that of the folder with its contents.
        let content = options.content.as_deref().map(|content| content.file_name().and_then(|name| name.to_str()));
        let own_name = content.map_or(own_name, |name| name.filter(fits).map(str::to_owned));
        return index_folder(path, options, options.source.clone().or(own_name));
    }
    check_no_content(options)?;
    let reader = spool::open(path, "file", &options.observer.in_turn(&Arc::default()))?;
    // The legacy format has no room for it.
    let own_name = own_name.filter(|_| options.format == Format::Gosync);
    build(&reader, options, options.source.clone().or(own_name))
}

/// Describes what `input` gives, to its end, which is copied to an unnamed temporary file first.
pub fn index_stream(input: impl Read + Send + 'static, options: &IndexOptions) -> Result<Index> {
    let observer = options.observer.in_turn(&Arc::default());
    let reader = spool::spool(move || Ok(input), Path::new("-"), "input", &observer)?;
    build(&reader, options, options.source.clone())
}

/// Describes `bytes`.
pub fn index_bytes(bytes: &[u8], options: &IndexOptions) -> Result<Index> {
    struct Slice<'a>(&'a [u8]);
    impl ReadAt for Slice<'_> {
        fn length(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            self.0.read_at(offset, buffer)
        }
    }
    build(&Slice(bytes), options, options.source.clone())
}

/// An error if the content of what is no directory is to be packed.
fn check_no_content(options: &IndexOptions) -> Result<()> {
    if options.content.is_none() {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Argument, "only the contents of a directory are put into packs");
    Err(error.with("option", "content"))
}

fn index_folder(path: &Path, options: &IndexOptions, source: Option<String>) -> Result<Index> {
    if options.format == Format::Legacy {
        let error = Error::new(ErrorKind::Argument, "the legacy format has no room for a directory");
        return Err(error.with("option", "format"));
    }
    let making = Making::new(options, source)?;
    let open = OpenOptions { observer: making.observer.clone(), ..OpenOptions::default() };
    let previous = options.previous.as_ref().map(|path| open_index(&path.display().to_string(), &open)).transpose()?;
    let index = tree::describe(
        path,
        options,
        previous.as_ref(),
        (&making.observer, &making.meter),
        &making.pool,
        |payload, block_size| making.levels(payload, block_size),
    )?;
    making.finish(index)
}

fn build(reader: &dyn ReadAt, options: &IndexOptions, source: Option<String>) -> Result<Index> {
    let making = Making::new(options, source)?;
    let index = making.levels(reader, options.block_size)?;
    making.finish(index)
}

/// What an index is made with.
struct Making<'a> {
    options: &'a IndexOptions,
    source: Option<String>,
    observer: Observer,
    meter: Meter,
    key: Option<SigningKey>,
    pool: rayon::ThreadPool,
}

impl<'a> Making<'a> {
    fn new(options: &'a IndexOptions, source: Option<String>) -> Result<Making<'a>> {
        let observer = options.observer.in_turn(&Arc::default());
        observer.cancel.check()?;
        // First: a key that cannot be used is seen before all is read in vain.
        let password = options.sign_password.as_deref();
        if options.sign.is_some() && options.format == Format::Legacy {
            let error = Error::new(ErrorKind::Argument, "the legacy format has no room for a signature");
            return Err(error.with("option", "sign"));
        }
        let key = options.sign.as_deref().map(|path| SigningKey::read(path, password)).transpose()?;
        let meter = Meter::new(&observer);
        meter.update(|progress| (progress.phase, progress.cancellable) = (Phase::Indexing, true));
        Ok(Making { options, source, observer, meter, key, pool: pool(options.threads)? })
    }

    /// Reads all of `reader` once.
    fn levels(&self, reader: &dyn ReadAt, block_size: u32) -> Result<Index> {
        let (options, total) = (self.options, reader.length());
        let part = if options.content.is_some() { tree::BEFORE_PACKING } else { 1.0 };
        self.meter.update(|progress| progress.total = total);
        let done = AtomicU64::new(0);
        let advance = |bytes: u64| {
            let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            self.meter.update(|progress| progress.fraction = share(done, total) * part);
            self.observer.cancel.check()
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (name, version) = (given(&options.name), given(&options.version));
        let build = BuildOptions {
            block_size,
            top_size: options.top_size,
            format: options.format,
            source: given(&self.source),
            name,
            version,
        };
        self.pool.install(|| Index::build(reader, &build, &advance))
    }

    /// Signs the index, and says that it is done.
    fn finish(self, mut index: Index) -> Result<Index> {
        if let Some(key) = self.key {
            key.sign(&mut index)?;
        }
        self.meter.finish(|progress| {
            (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0);
        });
        let (length, root) = (index.length(), root_text(&index));
        let facts: &[(&str, &dyn std::fmt::Display)] = &[("length", &length), ("root", &root), ("kind", &index.kind())];
        self.observer.event(Level::Info, "indexed", "the index is built", facts);
        Ok(index)
    }
}

/// The bytes of an index as a `.gosync` file has them. What was not read of it is read now, as patiently as it was opened.
pub fn encode_index(index: &Index) -> Result<Vec<u8>> {
    parts::complete(index, &InPart::options(index, &Observer::default()))?;
    Ok(index.encode())
}

/// Writes an index to `path`: beside it first, then by one rename. What was not read of it is read now, as
/// patiently as it was opened.
pub fn save_index(index: &Index, path: &Path) -> Result<()> {
    parts::complete(index, &InPart::options(index, &Observer::default()))?;
    output::write_file(&Disk::system(), path, |write| index.encode_to(write))
}

/// Removes from the folder `content` the packs that none of `indexes` names. What they name is looked at first, so that an
/// index which cannot be read leaves all as it is.
pub fn prune(content: &Path, indexes: &[PathBuf]) -> Result<Pruned> {
    let open = |path: &PathBuf| open_index(&path.display().to_string(), &OpenOptions::default());
    let indexes = indexes.iter().map(open).collect::<Result<Vec<_>>>()?;
    tree::prune(content, &indexes).map(|(packs, bytes)| Pruned { packs, bytes })
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Packs.
    pub packs: u64,
    /// Bytes that they had.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Bytes that the file has (a block device: of those that it should have); of a directory, those in files that are right.
    pub length: u64,
    /// Bytes that it should have; of a directory, those of all files that the index knows.
    pub expected_length: u64,
    /// The ranges of the target that the file does not have right: ascending, in whole units (64 KiB, or the blocks of a
    /// legacy index), joined. Of a directory, each difference has its own.
    pub damaged: Vec<Range>,
    /// The entries in which a directory differs, in the order of the index; what the index does not know comes last.
    pub differences: Vec<Difference>,
    /// An update of it, in place or of a directory, was not finished: it is neither an old version nor a new one.
    pub unfinished: bool,
}

impl Verification {
    /// Whether the file is exactly what the index says; of a directory, whether all that the index knows is. What there is
    /// besides in a directory is listed, and does no harm.
    pub fn is_match(&self) -> bool {
        self.damaged.is_empty() && self.length == self.expected_length && self.wrong().next().is_none()
    }

    /// The entries of a directory that are not as they should be.
    fn wrong(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| difference.what != What::Extra)
    }

    /// `MISMATCH`, with the first damaged place, unless the file or directory is what the index says.
    pub fn check(&self) -> Result<()> {
        if self.is_match() {
            return Ok(());
        }
        if let Some(first) = self.wrong().next() {
            let error = Error::new(ErrorKind::Mismatch, "the directory is not what the index describes");
            let error = error.with("differences", self.wrong().count());
            return Err(error.with("path", &first.path).with("difference", first.what.name()));
        }
        let damaged: u64 = self.damaged.iter().map(|range| range.length).sum();
        let error = Error::new(ErrorKind::Mismatch, "the file is not what the index describes")
            .with("length", self.length)
            .with("expected_length", self.expected_length)
            .with("damaged", damaged);
        Err(match self.damaged.first() {
            Some(first) => error.with("offset", first.offset),
            None => error,
        })
    }
}

/// Compares the file at `path`, or the directory where `index` describes one, with what it says. What differs is not an
/// error here; see [`Verification::check`]. Links in a directory are compared, not followed.
pub fn verify_file(path: &Path, index: &Index, options: &VerifyOptions) -> Result<Verification> {
    let observer = options.observer.in_turn(&Arc::default());
    observer.cancel.check()?;
    let meter = Meter::new(&observer);
    let total = index.listing().map_or(index.length(), |listing| listing.total());
    meter.update(|progress| {
        (progress.phase, progress.cancellable, progress.total) = (Phase::Verifying, true, total);
    });
    let pool = pool(options.threads)?;
    let found = match index.listing() {
        Some(_) => tree::verify(path, index, &observer, &meter, &pool)?,
        None => {
            let mut found = verify_content(path, index, &observer, &meter, &pool)?;
            found.unfinished = is_unfinished(path, options.journal.as_deref());
            found
        }
    };
    meter.finish(|progress| (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0));
    Ok(found)
}

fn verify_content(
    path: &Path,
    index: &Index,
    observer: &Observer,
    meter: &Meter,
    pool: &rayon::ThreadPool,
) -> Result<Verification> {
    let total = index.length();
    let mut reader: Arc<dyn ReadAt> = Arc::new(FileReader::open(path, "target")?);
    if Kind::at(path, "target")? == Kind::BlockDevice {
        // What lies behind the content is nobody's business.
        reader = Arc::new(Start::new(reader, total));
    }
    let checked = AtomicU64::new(0);
    let damaged = Mutex::new(Vec::new());
    parts::with_values(index, &InPart::options(index, observer))?;
    let each = |range: Range, right: bool| {
        if !right {
            damaged.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(range);
        }
        let checked = checked.fetch_add(range.length, Ordering::Relaxed) + range.length;
        meter.update(|progress| progress.fraction = share(checked, total));
        Ok(())
    };
    pool.install(|| compare(&*reader, index.units(), observer, &each))?;
    let is_match = reader.length() == total && damaged.lock().is_ok_and(|damaged| damaged.is_empty());
    if is_match {
        pool.install(|| trust::check_content(index, &OpenOptions::default(), &*reader, observer))?;
    }
    let mut damaged = damaged.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    damaged.sort_unstable();
    damaged.dedup_by(|later, first| {
        let joined = first.end() == later.offset;
        if joined {
            first.length += later.length;
        }
        joined
    });
    Ok(Verification { length: reader.length(), expected_length: total, damaged, ..Verification::default() })
}

/// Whether there is a journal of an update in place: the one at `journal`, or the one that lies beside the file.
fn is_unfinished(path: &Path, journal: Option<&Path>) -> bool {
    let beside = || {
        let target = output::real_target(path, false, output::Expected::FileOrDevice);
        target.and_then(|target| output::names::journal(&target))
    };
    let journal = journal.map_or_else(beside, |journal| Ok(journal.to_owned()));
    journal.is_ok_and(|journal| journal::look(&journal).is_some())
}

/// Whether `reader` is exactly the target; stops at the first difference.
pub(crate) fn is_target(reader: &dyn ReadAt, index: &Index, observer: &Observer) -> Result<bool> {
    if reader.length() != index.length() {
        return Ok(false);
    }
    let differs = || Error::new(ErrorKind::Mismatch, "the target differs");
    match compare(reader, index.tops(), observer, &|_, right| if right { Ok(()) } else { Err(differs()) }) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
        Err(_) => Ok(false),
    }
}

/// Compares by the blocks of a level, in parallel on the current pool; `each` hears of every one and may stop the rest.
fn compare(
    reader: &dyn ReadAt,
    level: Blocks<'_>,
    observer: &Observer,
    each: &(dyn Fn(Range, bool) -> Result<()> + Sync),
) -> Result<()> {
    let (size, index) = (level.size(), level.index());
    // Those of a legacy index may have any size.
    let segment = (16 * UNIT / size).max(1) * size;
    (0..index.length().div_ceil(segment)).into_par_iter().try_for_each_init(Vec::new, |buffer, at| {
        observer.cancel.check()?;
        let start = at * segment;
        buffer.resize(segment.min(index.length() - start) as usize, 0);
        let read = reader.read_at(start, buffer)?;
        for (block, bytes) in (start / size..).zip(buffer.chunks(size as usize)) {
            let range = level.range(block);
            let present = bytes.get(..bytes.len().min((start + read as u64).saturating_sub(range.offset) as usize));
            each(range, present.is_some_and(|bytes| Verified::check_block(level, block, bytes).is_some()))?;
        }
        Ok(())
    })
}

/// The root for an event, or `none`.
pub(crate) fn root_text(index: &Index) -> String {
    index.root().map_or_else(|| String::from("none"), |root| root.to_string())
}

/// A part of a whole, from 0 to 1; all of nothing is 1.
pub(crate) fn share(done: u64, total: u64) -> f64 {
    if total == 0 { 1.0 } else { done as f64 / total as f64 }
}

/// The threads of one call; they end with it.
pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.min(1024))
        .thread_name(|number| format!("gosync-{number}"))
        .build()
        .map_err(|cause| Error::new(ErrorKind::Io, "cannot start worker threads").caused_by(cause))
}
