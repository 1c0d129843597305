//! What tests of updates have in common: content, sources, a folder with a target in it, and who hears what happens to it.
#![allow(dead_code, reason = "no test needs all of it")]

#[cfg(target_os = "linux")]
pub(crate) mod folds;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use gosync_io::source::{BlockingRead, BlockingSource, MemorySource};
use gosync_io::{Error, ErrorKind, Event, Index, IndexOptions, Observer, OnEvent, Result, Source};

pub(crate) const UNIT: usize = 64 << 10;

/// The same bytes for the same seed, without a pattern that matching could find.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn index_of(content: &[u8]) -> Arc<Index> {
    Arc::new(gosync_io::index_bytes(content, &IndexOptions::default()).expect("an index"))
}

pub(crate) fn memory(content: &[u8]) -> Arc<dyn Source> {
    Arc::new(MemorySource::new(content.to_vec()))
}

/// Gives so many bytes, then fails for good.
struct Failing {
    content: Vec<u8>,
    left: AtomicU64,
}

impl BlockingRead for Failing {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(4096);
        let less = |left: u64| left.checked_sub(count as u64);
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        taken.map_err(|_| Error::new(ErrorKind::Source, "the line is dead"))?;
        buffer[..count].copy_from_slice(&self.content[offset as usize..][..count]);
        Ok(count)
    }
}

pub(crate) fn failing(content: &[u8], after: u64) -> Arc<dyn Source> {
    let source = Failing { content: content.to_vec(), left: AtomicU64::new(after) };
    Arc::new(BlockingSource::new(source, 1).expect("a source"))
}

/// The events of updates.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().expect("the events")
    }

    pub(crate) fn listener(&self) -> OnEvent {
        let heard = self.clone();
        Arc::new(move |event| heard.events().push(event.clone()))
    }

    pub(crate) fn observer(&self) -> Observer {
        Observer { events: Some(self.listener()), ..Observer::default() }
    }

    pub(crate) fn has(&self, kind: &str) -> bool {
        self.events().iter().any(|event| event.kind == kind)
    }

    /// The numbers that events of this kind have in a field, in turn.
    pub(crate) fn numbers(&self, kind: &str, field: &str) -> Vec<u64> {
        let number = |event: &Event| {
            let value = event.fields.iter().find(|(key, _)| *key == field).map(|(_, value)| value.parse());
            value.expect("such a field").expect("a number")
        };
        self.events().iter().filter(|event| event.kind == kind).map(number).collect()
    }
}

/// A folder with a target in it.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) target: PathBuf,
    pub(crate) heard: Heard,
}

impl Place {
    /// With nothing at the target.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        Place { folder, target, heard: Heard::default() }
    }

    pub(crate) fn new(old: &[u8]) -> Self {
        let place = Place::empty();
        fs::write(&place.target, old).expect("an old version");
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self) -> Vec<u8> {
        fs::read(&self.target).expect("the target")
    }

    /// What is in the folder.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }

    /// The target is `content`, and nothing is beside it.
    pub(crate) fn check(&self, content: &[u8]) {
        assert!(self.read() == content, "the target is another");
        assert_eq!(self.names(), ["target"]);
    }
}

/// What is in a folder, but for what a file system has put there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != "lost+found");
    names.sort();
    names
}
