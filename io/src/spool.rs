//! What can only be read from front to back, a pipe for instance, is copied to an unnamed temporary file, which is then
//! read at any place. The file lies in the system's folder for such (`TMPDIR`), and goes with its reader.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use gosync_core::{Error, ErrorKind, Result};

use crate::cancel::Cancel;
use crate::report::{Level, Observer};
use crate::seed::{FileReader, Kind};

/// How often a wait looks for a cancel, which nothing else would wake it for.
const TICK: Duration = Duration::from_millis(20);
const PIECE: usize = 256 << 10;

/// Opens `path` for reads at any place: a regular file or a block device as it is, a pipe by what it gives.
pub(crate) fn open(path: &Path, what: &'static str, observer: &Observer) -> Result<FileReader> {
    if Kind::at(path, what)? != Kind::Pipe {
        return FileReader::open(path, what);
    }
    let pipe = path.to_owned();
    // InPart waits for whoever writes.
    spool(move || File::open(pipe), path, what, observer)
}

/// Reads all that `input` gives; `path` is its name in messages.
pub(crate) fn spool<R: Read>(
    input: impl FnOnce() -> io::Result<R> + Send + 'static,
    path: &Path,
    what: &'static str,
    observer: &Observer,
) -> Result<FileReader> {
    observer.cancel.check()?;
    let (sender, receiver) = mpsc::channel();
    let (cancel, name) = (observer.cancel.clone(), path.to_owned());
    // On a thread of its own, which is let go of after a cancel: nobody knows when a pipe gives its next byte.
    std::thread::Builder::new()
        .name("gosync-spool".into())
        .spawn(move || {
            let _ = sender.send(copy(input, &name, what, &cancel));
        })
        .map_err(|cause| Error::new(ErrorKind::Io, "cannot start a thread").caused_by(cause))?;
    let reader = loop {
        match receiver.recv_timeout(TICK) {
            Ok(reader) => break reader?,
            Err(RecvTimeoutError::Timeout) => observer.cancel.check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(ErrorKind::Internal, "the thread that reads a pipe ended early"));
            }
        }
    };
    let (shown, length) = (path.display(), gosync_core::ReadAt::length(&reader));
    let text = format!("the {what} can be read only once and was copied to a temporary file");
    observer.event(Level::Info, "spooled", text, &[("path", &shown), ("length", &length)]);
    Ok(reader)
}

fn copy<R: Read>(
    input: impl FnOnce() -> io::Result<R>,
    path: &Path,
    what: &'static str,
    cancel: &Cancel,
) -> Result<FileReader> {
    let unreadable = |cause| Error::from_io(cause, &format!("cannot read the {what}"), path.display());
    let folder = tempfile::env::temp_dir();
    let full = |cause| Error::from_io(cause, &format!("cannot keep the {what} in a temporary file"), folder.display());
    let mut input = input().map_err(unreadable)?;
    let mut file = tempfile::tempfile().map_err(full)?;
    let mut buffer = vec![0; PIECE];
    loop {
        cancel.check()?;
        match input.read(&mut buffer) {
            Ok(0) => return FileReader::new(file, path, what),
            Ok(count) => file.write_all(&buffer[..count]).map_err(full)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}
