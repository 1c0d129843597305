//! Local files that are read at any place: seeds, and what an index is built from.
//! Every read names its offset, so that threads share one open file without a lock. What the bytes mean is the core's;
//! what can only be read from front to back is copied first (`spool`).

use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gosync_core::{Error, ErrorKind, ReadAt, Result};

/// A regular file or a block device that is read at any place, from any thread.
#[derive(Debug)]
pub struct FileReader {
    file: File,
    path: PathBuf,
    length: u64,
    what: String,
    /// Whether parts of it may be holes, which read as zeros.
    is_sparse: bool,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    /// Its length is where its end is found.
    BlockDevice,
    /// Gives its bytes once, from front to back.
    Pipe,
    Folder,
    Other,
}

impl Kind {
    pub(crate) fn of(metadata: &Metadata) -> Kind {
        match () {
            () if metadata.is_file() => Kind::File,
            () if metadata.is_dir() => Kind::Folder,
            () => special(metadata),
        }
    }

    /// What `path` leads to, without opening it: opening a pipe waits for a writer that may never come.
    pub(crate) fn at(path: &Path, what: &str) -> Result<Kind> {
        let metadata = std::fs::metadata(path);
        metadata.map(|metadata| Kind::of(&metadata)).map_err(|cause| cannot_open(cause, path, what))
    }

    /// The error for what cannot be read at any place.
    fn check_positioned(self, path: &Path, what: &str) -> Result<()> {
        let problem = match self {
            Kind::File | Kind::BlockDevice => return Ok(()),
            Kind::Pipe => "is a pipe, which cannot be read at any place",
            Kind::Folder => "is a directory, not a file",
            Kind::Other => "is neither a regular file nor a block device",
        };
        Err(Error::new(ErrorKind::Io, format!("the {what} {problem}")).with("path", path.display()))
    }
}

#[cfg(unix)]
fn special(metadata: &Metadata) -> Kind {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    match () {
        () if kind.is_block_device() => Kind::BlockDevice,
        () if kind.is_fifo() => Kind::Pipe,
        () => Kind::Other,
    }
}

#[cfg(not(unix))]
fn special(_: &Metadata) -> Kind {
    Kind::Other
}

impl FileReader {
    /// Opens `path`, a regular file or a block device; anything else, or nothing, is an error. `what` names its role in
    /// messages, for instance "seed".
    pub fn open(path: &Path, what: &str) -> Result<Self> {
        Kind::at(path, what)?.check_positioned(path, what)?;
        let file = File::open(path).map_err(|cause| cannot_open(cause, path, what))?;
        FileReader::new(file, path, what)
    }

    /// A file that is open already.
    pub(crate) fn new(mut file: File, path: &Path, what: &str) -> Result<Self> {
        let metadata = file.metadata().map_err(|cause| cannot_open(cause, path, what))?;
        let kind = Kind::of(&metadata);
        kind.check_positioned(path, what)?;
        let length = match kind {
            Kind::File => metadata.len(),
            _ => file.seek(SeekFrom::End(0)).map_err(|cause| cannot_open(cause, path, what))?,
        };
        let is_sparse = kind == Kind::File && may_have_holes(&metadata);
        Ok(FileReader { file, path: path.to_owned(), length, what: what.to_owned(), is_sparse })
    }

    /// What the system says of the open file now.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let what = format!("cannot read the {}", self.what);
        self.file.metadata().map_err(|cause| Error::from_io(cause, &what, self.path.display()))
    }

    /// Bytes that the file has now, where the system tells.
    pub(crate) fn length_now(&self) -> Option<u64> {
        let metadata = self.file.metadata().ok()?;
        // What a device says of itself is not its length.
        Some(if metadata.is_file() { metadata.len() } else { self.length })
    }

    /// The path that it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes from `offset` on, of `most`, are surely a hole and thus zeros.
    fn hole(&self, offset: u64, most: usize) -> usize {
        if !self.is_sparse {
            return 0;
        }
        let end = match next_data(&self.file, offset) {
            Ok(Some(data)) => data,
            // Nothing but a hole from here to the end, wherever that is now.
            Ok(None) => self.length_now().unwrap_or(offset),
            Err(_) => offset,
        };
        end.saturating_sub(offset).min(most as u64) as usize
    }
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
        // To read a hole would take time and, in most systems, the memory of as many bytes.
        let mut done = self.hole(offset, buffer.len());
        buffer[..done].fill(0);
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

/// The beginning of something that may be longer, as a device is.
pub(crate) struct Start<R: ?Sized> {
    bytes: Arc<R>,
    length: u64,
}

impl<R: ReadAt + ?Sized> Start<R> {
    /// The first `length` bytes, if there are so many.
    pub(crate) fn new(bytes: Arc<R>, length: u64) -> Self {
        let length = length.min(bytes.length());
        Start { bytes, length }
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Start<R> {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let most = self.length.saturating_sub(offset).min(buffer.len() as u64) as usize;
        self.bytes.read_at(offset, &mut buffer[..most])
    }
}

fn cannot_open(cause: io::Error, path: &Path, what: &str) -> Error {
    Error::from_io(cause, &format!("cannot open the {what}"), path.display())
}

#[cfg(unix)]
fn may_have_holes(metadata: &Metadata) -> bool {
    const BLOCK: u64 = 512;
    std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(BLOCK) < metadata.len()
}

#[cfg(not(unix))]
fn may_have_holes(_: &Metadata) -> bool {
    false
}

/// Where the next data begins, from `offset` on; `None`: nowhere.
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => Ok(Some(data)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
fn next_data(_: &File, offset: u64) -> io::Result<Option<u64>> {
    Ok(Some(offset))
}

#[cfg(unix)]
fn read_once(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_once(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
