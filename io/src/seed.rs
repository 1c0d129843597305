//! Local files that are read at any place: seeds, and what an index is built from.
//! Every read names its offset, so that threads share one open file without a lock. What the bytes mean is the core's.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use gosync_core::{Error, ErrorKind, ReadAt, Result};

/// A regular file that is read at any place, from any thread.
#[derive(Debug)]
pub struct FileReader {
    file: File,
    path: PathBuf,
    length: u64,
    what: String,
}

impl FileReader {
    /// Opens `path`; a directory or a missing file is an error. `what` names its role in messages, for instance "seed".
    pub fn open(path: &Path, what: &str) -> Result<Self> {
        let fail = |cause| Error::from_io(cause, &format!("cannot open the {what}"), path.display());
        // Looked at before it is opened: opening a pipe waits for a writer that may never come.
        check_regular(&std::fs::metadata(path).map_err(fail)?, path, what)?;
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        check_regular(&metadata, path, what)?;
        Ok(FileReader { file, path: path.to_owned(), length: metadata.len(), what: what.to_owned() })
    }

    /// Bytes that the file has now, where the system tells.
    pub(crate) fn length_now(&self) -> Option<u64> {
        self.file.metadata().ok().map(|metadata| metadata.len())
    }

    /// The path that it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn check_regular(metadata: &Metadata, path: &Path, what: &str) -> Result<()> {
    let problem = match () {
        () if metadata.is_file() => return Ok(()),
        () if metadata.is_dir() => "is a directory, not a file",
        () => "is not a regular file",
    };
    Err(Error::new(ErrorKind::Io, format!("the {what} {problem}")).with("path", path.display()))
}

impl ReadAt for FileReader {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        // No file reaches there, and the system would call such an offset invalid.
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Ok(0);
        }
        let mut done = 0;
        while done < buffer.len() {
            match read_once(&self.file, offset + done as u64, &mut buffer[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let what = format!("cannot read the {}", self.what);
                    return Err(Error::from_io(error, &what, self.path.display()).with("offset", offset));
                }
            }
        }
        Ok(done)
    }
}

#[cfg(unix)]
fn read_once(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_once(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
