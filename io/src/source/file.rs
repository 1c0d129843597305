//! Sources that are local: a file, by the blocking adapter over positioned reads, and a directory, as a place that files
//! lie below.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gosync_core::{Error, ErrorKind, Link, ReadAt, Request, Result, Source};

use super::blocking::{BlockingRead, BlockingSource};
use crate::seed::FileReader;
use crate::tree::Folder;

/// A local file as a source.
pub struct FileSource(BlockingSource);

/// Reads in flight at the same time: enough to keep a disk busy.
const THREADS: usize = 2;

impl FileSource {
    /// Opens the file.
    pub fn open(path: &Path) -> Result<Self> {
        FileSource::of(FileReader::open(path, "source")?)
    }

    /// A file that is open already.
    fn of(reader: FileReader) -> Result<Self> {
        BlockingSource::new(FileContent(reader), THREADS).map(FileSource)
    }
}

impl Source for FileSource {
    fn fetch(&self, request: Request) {
        self.0.fetch(request);
    }

    fn cancel(&self, id: u64) {
        self.0.cancel(id);
    }

    fn resume(&self, id: u64) {
        self.0.resume(id);
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

struct FileContent(FileReader);

impl BlockingRead for FileContent {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        ReadAt::read_at(&self.0, offset, buffer)
    }

    fn length(&self) -> Option<u64> {
        self.0.length_now()
    }

    fn describe(&self) -> String {
        self.0.path().display().to_string()
    }
}

/// A local directory with the files of a tree. By itself it has nothing to answer with.
pub struct FolderSource {
    path: PathBuf,
}

/// Files that are read at the same time.
const FILES: u32 = 4;

impl FolderSource {
    /// Looks whether the directory is there.
    pub fn open(path: &Path) -> Result<Self> {
        Folder::open(path, "source")?;
        Ok(FolderSource { path: path.to_owned() })
    }

    /// A file in it. Links are not followed.
    fn file(&self, name: &str) -> Result<FileReader> {
        Folder::open(&self.path, "source").and_then(|folder| folder.file(name)).map(|(reader, _)| reader)
    }
}

impl Source for FolderSource {
    fn fetch(&self, request: Request) {
        let text = "the source is a directory, which has no content of its own";
        request.finish(Err(Error::new(ErrorKind::Source, text).with("path", self.path.display())));
    }

    fn has_content(&self) -> bool {
        false
    }

    fn link(&self) -> Link {
        Link { at_once: FILES, ..Link::default() }
    }

    fn below(&self, name: &str) -> Option<Result<Arc<dyn Source>>> {
        let source = self.file(name).and_then(FileSource::of);
        Some(source.map(|source| Arc::new(source) as Arc<dyn Source>))
    }

    fn reader(&self, name: &str) -> Option<Result<Arc<dyn ReadAt>>> {
        Some(self.file(name).map(|reader| Arc::new(reader) as Arc<dyn ReadAt>))
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}
