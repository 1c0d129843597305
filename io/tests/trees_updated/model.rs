//! A directory as the tests see it, and what an update of one needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gosync_io::source::{BlockingRead, BlockingSource, MemorySource};
use gosync_io::{
    Error, ErrorKind, Index, IndexOptions, Job, JobOptions, Observer, OnEvent, Result, Source, Statistics, index_file,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Folder,
    File(Vec<u8>, bool),
    Link(String),
}

/// What is in a directory, by path.
pub(crate) type Tree = BTreeMap<String, Node>;

pub(crate) fn file(content: impl Into<Vec<u8>>) -> Node {
    Node::File(content.into(), false)
}

/// Numbers by chance, the same each time.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 24) as u8).collect()
    }
}

/// Adds an entry, and the directories that lead to it.
pub(crate) fn put(tree: &mut Tree, path: &str, node: Node) {
    for (at, _) in path.match_indices('/') {
        tree.insert(path[..at].to_owned(), Node::Folder);
    }
    tree.insert(path.to_owned(), node);
}

pub(crate) fn write(tree: &Tree, at: &Path) {
    fs::create_dir_all(at).expect("a folder");
    for (path, node) in tree {
        let path = at.join(path);
        match node {
            Node::Folder => fs::create_dir_all(path).expect("a folder"),
            Node::File(content, is_executable) => {
                fs::write(&path, content).expect("a file");
                set_executable(&path, *is_executable);
            }
            Node::Link(target) => link(target, &path),
        }
    }
}

#[cfg(unix)]
fn set_executable(path: &Path, is_executable: bool) {
    use std::os::unix::fs::PermissionsExt;
    let mode = if is_executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[cfg(not(unix))]
fn set_executable(_: &Path, _: bool) {}

#[cfg(unix)]
pub(crate) fn link(target: &str, path: &Path) {
    std::os::unix::fs::symlink(target, path).expect("a link");
}

#[cfg(not(unix))]
pub(crate) fn link(_: &str, _: &Path) {}

pub(crate) fn read(at: &Path) -> Tree {
    let mut tree = Tree::new();
    read_below(at, "", &mut tree);
    tree
}

fn read_below(at: &Path, below: &str, tree: &mut Tree) {
    for entry in fs::read_dir(at).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("text");
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            tree.insert(path.clone(), Node::Folder);
            read_below(&entry.path(), &path, tree);
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a link").into_os_string().into_string().expect("text");
            tree.insert(path, Node::Link(target));
        } else {
            tree.insert(path, Node::File(fs::read(entry.path()).expect("a file"), is_executable(&entry.path())));
        }
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).expect("a file").permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    false
}

/// Shows what differs, and not megabytes.
pub(crate) fn assert_same(found: &Tree, expected: &Tree, what: &str) {
    let mut paths: Vec<&String> = found.keys().chain(expected.keys()).collect();
    paths.sort();
    paths.dedup();
    let kind = |node: Option<&Node>| match node {
        None => String::from("nothing"),
        Some(Node::Folder) => String::from("folder"),
        Some(Node::File(content, is_executable)) => format!("file of {} ({is_executable})", content.len()),
        Some(Node::Link(target)) => format!("link to {target}"),
    };
    let differences: Vec<String> = paths
        .into_iter()
        .filter(|path| found.get(*path) != expected.get(*path))
        .map(|path| format!("{path}: {} instead of {}", kind(found.get(path)), kind(expected.get(path))))
        .collect();
    assert!(differences.is_empty(), "{what}: {differences:#?}");
}

/// A published version: its index and payload.
pub(crate) struct Version {
    pub(crate) index: Arc<Index>,
    pub(crate) payload: Vec<u8>,
}

impl Version {
    pub(crate) fn of(tree: &Tree) -> Version {
        Version::with(tree, IndexOptions::default(), |_| ())
    }

    /// The same, described with these options, once something was done with the folder.
    pub(crate) fn with(tree: &Tree, options: IndexOptions, prepare: impl FnOnce(&Path)) -> Version {
        let folder = tempfile::tempdir().expect("a folder");
        write(tree, folder.path());
        prepare(folder.path());
        let options = IndexOptions { source: Some(String::new()), ..options };
        let index = index_file(folder.path(), &options).expect("an index");
        let mut payload = vec![0; index.length() as usize];
        for entry in index.listing().expect("a tree").entries().filter(|entry| entry.place.length > 0) {
            let content = fs::read(folder.path().join(&entry.path)).expect("a file");
            payload[entry.place.offset as usize..entry.place.end() as usize].copy_from_slice(&content);
        }
        Version { index: Arc::new(index), payload }
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::new(MemorySource::new(self.payload.clone()))
    }

    pub(crate) fn block(&self) -> u64 {
        self.index.block_size().into()
    }
}

/// Gives so many bytes, then fails for good.
pub(crate) struct Failing {
    pub(crate) content: Vec<u8>,
    pub(crate) left: AtomicU64,
    /// Called before each answer.
    pub(crate) before: Box<dyn Fn(u64) + Send + Sync>,
}

impl BlockingRead for Failing {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(16 << 10);
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(count as u64));
        taken.map_err(|_| Error::new(ErrorKind::Source, "the line is dead"))?;
        (self.before)(offset);
        buffer[..count].copy_from_slice(&self.content[offset as usize..][..count]);
        Ok(count)
    }
}

impl Failing {
    pub(crate) fn source(payload: &[u8], left: u64, before: impl Fn(u64) + Send + Sync + 'static) -> Arc<dyn Source> {
        let failing = Failing { content: payload.to_vec(), left: AtomicU64::new(left), before: Box::new(before) };
        Arc::new(BlockingSource::new(failing, 1).expect("a source"))
    }
}

/// A folder with a target in it.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) target: PathBuf,
    pub(crate) events: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// The target is as `tree` says.
    pub(crate) fn with(tree: &Tree) -> Site {
        let site = Site::empty();
        write(tree, &site.target);
        site
    }

    pub(crate) fn empty() -> Site {
        Site::in_folder(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn in_folder(folder: tempfile::TempDir) -> Site {
        let target = folder.path().join("target");
        Site { folder, target, events: Arc::default() }
    }

    pub(crate) fn options(&self) -> JobOptions {
        let events = Arc::clone(&self.events);
        let told: OnEvent = Arc::new(move |event| events.lock().expect("the events").push(event.kind.to_owned()));
        let observer = Observer { events: Some(told), ..Observer::default() };
        JobOptions { retries: Some(0), max_requests: 2, observer, ..JobOptions::default() }
    }

    pub(crate) fn job(&self, index: &Arc<Index>, source: Arc<dyn Source>, options: JobOptions) -> Job {
        Job::new(Arc::clone(index), Some(source), &self.target, options).expect("a job")
    }

    pub(crate) fn update(&self, version: &Version) -> Result<Statistics> {
        self.job(&version.index, version.source(), self.options()).run()
    }

    /// An update that makes the target exactly this version.
    pub(crate) fn mirror(&self, version: &Version) -> Result<Statistics> {
        let options = JobOptions { delete: true, ..self.options() };
        self.job(&version.index, version.source(), options).run()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn heard(&self, kind: &str) -> bool {
        self.events.lock().expect("the events").iter().any(|event| event == kind)
    }
}
