//! The seeds of one run: what is at the target, what was added, and what earlier updates left behind. One that cannot be
//! read again and again is on a failing disk, and is left alone: what it has is fetched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gosync_core::{Error, ErrorKind, Index, ReadAt, Result};

use super::{Added, Shared, inplace};
use crate::output::names;
use crate::report::{Level, Observer};
use crate::seed::{FileReader, Kind, Start};
use crate::tree::Files;
use crate::{open, spool, verbs};

/// Reads of a seed that may fail. Each can take a failing disk many seconds.
const MOST_ERRORS: u32 = 8;

/// A seed that is left alone once too many reads of it have failed.
struct Fragile {
    reader: Arc<dyn ReadAt>,
    number: usize,
    errors: AtomicU32,
    observer: Observer,
}

impl Fragile {
    fn shared(reader: Arc<dyn ReadAt>, number: usize, observer: &Observer) -> Arc<dyn ReadAt> {
        Arc::new(Fragile { reader, number, errors: AtomicU32::new(0), observer: observer.clone() })
    }
}

impl ReadAt for Fragile {
    fn length(&self) -> u64 {
        self.reader.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if self.errors.load(Ordering::Relaxed) >= MOST_ERRORS {
            return Err(
                Error::new(ErrorKind::Io, "the seed was left out, because it cannot be read").with("offset", offset)
            );
        }
        self.reader.read_at(offset, buffer).inspect_err(|error| {
            if self.errors.fetch_add(1, Ordering::Relaxed) + 1 == MOST_ERRORS {
                let text = format!("a seed cannot be read again and again, and is left out from here on: {error}");
                self.observer.event(Level::Warning, "seed_dropped", text, &[("seed", &self.number)]);
            }
        })
    }
}

/// Opens the seed that was added as `number`, from 0 on. A pipe is read to its end, and what it gave is kept for the
/// next run of the same job.
fn open_seed(shared: &Shared, index: &Index, number: usize, seed: Added) -> Result<Arc<dyn ReadAt>> {
    let (observer, of_seed) = (&shared.observer, number + 1);
    if let Some(spooled) = seed.spooled {
        return Ok(Fragile::shared(spooled, of_seed, observer));
    }
    let kind = Kind::at(&seed.path, "seed")?;
    if kind == Kind::Folder {
        let target = shared.real_target()?;
        // Of a directory, what one file has is left alone, not everything.
        return Ok(Arc::new(Files::open(&seed.path, &target, index.block_size(), of_seed, observer)?));
    }
    let reader = Arc::new(spool::open(&seed.path, "seed", observer)?);
    if let (Kind::Pipe, Some(kept)) = (kind, shared.state().seeds.get_mut(number)) {
        kept.spooled = Some(Arc::clone(&reader));
    }
    Ok(Fragile::shared(reader, of_seed, observer))
}

fn nothing() -> Arc<dyn ReadAt> {
    Arc::new(Vec::new())
}

/// The seeds that were added, in their order.
fn added(shared: &Shared, index: &Index, has_target: bool) -> Result<Vec<Arc<dyn ReadAt>>> {
    // Not while it is locked: files are opened.
    let seeds = shared.state().seeds.clone();
    let open = |(number, seed): (usize, Added)| {
        // The target given once more as a seed has nothing new to say.
        if has_target && open::same_file(&seed.path, &shared.target) {
            return Ok(nothing());
        }
        open_seed(shared, index, number, seed)
    };
    seeds.into_iter().enumerate().map(open).collect()
}

/// The seeds of one run, open. Number 0 is the target itself, or nothing; behind those that were added come the partial
/// file of this version, or nothing, the newest one of another version, and the journal of an unfinished update in place, if
/// there is any.
pub(super) struct Seeds {
    pub(super) readers: Vec<Arc<dyn ReadAt>>,
    has_target: bool,
    /// The number of the partial file of this version.
    pub(super) own_part: u32,
    /// Whether that is what will be written to.
    is_output: bool,
    /// The paths of the partial files that are among them.
    pub(super) parts: Vec<PathBuf>,
    /// The number of the journal that an unfinished update in place left.
    pub(super) journal: Option<u32>,
    /// So many of them are looked through. What is behind is only read from.
    pub(super) searched: usize,
}

impl Seeds {
    /// The target, the seeds that were added, and what earlier tries left behind.
    pub(super) fn open(shared: &Shared, index: &Index) -> Result<Seeds> {
        let target = shared.old_target();
        let own: Option<Arc<dyn ReadAt>> = target.and_then(|target| match FileReader::open(target, "target") {
            Ok(reader) => Some(Fragile::shared(Arc::new(reader), 0, &shared.observer)),
            Err(error) => {
                let text = format!("the old target cannot be read and is left out: {error}");
                shared.observer.event(Level::Warning, "seed_unreadable", text, &[("seed", &0)]);
                None
            }
        });
        let has_target = own.is_some();
        let mut readers = vec![own.unwrap_or_else(nothing)];
        readers.append(&mut added(shared, index, has_target)?);
        let own_part = readers.len() as u32;
        let target = shared.real_target()?;
        let is_output = !(shared.options.in_place && target.exists());
        let own = names::part(&target, index)?;
        // One that cannot be read is none.
        let open = |path: &Path| FileReader::open(path, "partial file").ok();
        let mut parts = Vec::new();
        let mut add = |path: PathBuf, reader: Option<FileReader>| {
            let reader = reader.map(|reader| Arc::new(reader) as Arc<dyn ReadAt>);
            parts.extend(reader.is_some().then_some(path));
            readers.push(reader.unwrap_or_else(nothing));
        };
        let reader = open(&own);
        add(own.clone(), reader);
        if let Some(other) = names::parts(&target).into_iter().find(|path| *path != own) {
            let reader = open(&other);
            add(other, reader);
        }
        let length = index.length().max(readers.first().map_or(0, |target| target.length()));
        let journal = inplace::left_journal(shared, length)?.map(|journal| {
            readers.push(journal);
            readers.len() as u32 - 1
        });
        let searched = readers.len();
        Ok(Seeds { readers, has_target, own_part, is_output, parts, journal, searched })
    }

    /// For the update of a directory, which is read by `own`: that, and the seeds that were added. Whoever asks adds what
    /// earlier tries left.
    pub(super) fn of_tree(shared: &Shared, index: &Index, own: Arc<dyn ReadAt>) -> Result<Seeds> {
        let has_target = own.length() > 0;
        let mut readers = vec![own];
        readers.append(&mut added(shared, index, has_target)?);
        let (own_part, searched) = (readers.len() as u32, readers.len());
        Ok(Seeds { readers, has_target, own_part, is_output: false, parts: Vec::new(), journal: None, searched })
    }

    /// The target alone, where nothing is looked for.
    pub(super) fn alone(own: Arc<dyn ReadAt>) -> Seeds {
        let (has_target, is_output) = (true, false);
        Seeds { readers: vec![own], has_target, own_part: 1, is_output, parts: Vec::new(), journal: None, searched: 1 }
    }

    /// Those that are looked through.
    pub(super) fn searched(&self) -> &[Arc<dyn ReadAt>] {
        self.readers.get(..self.searched).unwrap_or(&self.readers)
    }

    /// The seed that is written to while it is one: its number, and its bytes.
    pub(super) fn output(&self) -> Option<(u32, &dyn ReadAt)> {
        let reader = self.readers.get(self.own_part as usize)?;
        (self.is_output && reader.length() > 0).then_some((self.own_part, &**reader))
    }

    /// The target is read by `reader` from here on.
    pub(super) fn set_target(&mut self, reader: Arc<dyn ReadAt>) {
        if let Some(target) = self.readers.first_mut().filter(|_| self.has_target) {
            *target = reader;
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.searched().iter().map(|reader| reader.length()).sum()
    }

    /// Whether the target is the new version already.
    pub(super) fn are_up_to_date(&self, shared: &Shared, index: &Index) -> Result<bool> {
        match self.readers.first() {
            Some(target) if self.has_target && shared.is_device() => {
                verbs::is_target(&Start::new(Arc::clone(target), index.length()), index, &shared.observer)
            }
            Some(target) if self.has_target => verbs::is_target(&**target, index, &shared.observer),
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of which some places cannot be read.
    struct Broken(Vec<u64>);

    impl ReadAt for Broken {
        fn length(&self) -> u64 {
            1 << 20
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            let cause = std::io::Error::other("a broken disk");
            if self.0.contains(&offset) { Err(Error::from_io(cause, "cannot read", "seed")) } else { Ok(buffer.len()) }
        }
    }

    #[test]
    fn a_seed_on_a_failing_disk_is_left_alone_after_some_errors() {
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        let tell = move |event: &crate::Event| told.lock().expect("the events").push(event.kind);
        let observer = Observer { events: Some(Arc::new(tell)), ..Observer::default() };
        let seed = Fragile::shared(Arc::new(Broken((0..20).collect())), 1, &observer);
        let mut buffer = [0; 16];
        // A few bad places are no reason.
        for offset in 0..7 {
            seed.read_at(offset, &mut buffer).expect_err("it is broken here");
        }
        assert_eq!(seed.read_at(100, &mut buffer).expect("it is whole here"), 16);
        for offset in 7..20 {
            seed.read_at(offset, &mut buffer).expect_err("it is broken here");
        }
        seed.read_at(100, &mut buffer).expect_err("it is not asked any more");
        assert_eq!(*heard.lock().expect("the events"), ["seed_dropped"]);
    }
}
