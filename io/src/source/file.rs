//! A source that reads a local file: the blocking adapter over positioned reads.

use std::path::Path;

use gosync_core::{ReadAt, Request, Result, Source};

use super::blocking::{BlockingRead, BlockingSource};
use crate::seed::FileReader;

/// A local file as a source.
pub struct FileSource(BlockingSource);

/// Reads in flight at the same time: enough to keep a disk busy.
const THREADS: usize = 2;

impl FileSource {
    /// Opens the file.
    pub fn open(path: &Path) -> Result<Self> {
        BlockingSource::new(FileContent(FileReader::open(path, "source")?), THREADS).map(FileSource)
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
