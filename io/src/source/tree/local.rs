//! The files of a tree in a directory of this machine, as one source of its payload: read where they are, many small ones in
//! one go, by a few threads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use gosync_core::{Error, ErrorKind, Range, ReadAt, Result, Source};

use crate::source::blocking::{BlockingRead, BlockingSource};
use crate::source::pending::lock;
use crate::tree::contents::{Contents, Part};

/// Parts of the payload that are read at the same time.
const THREADS: usize = 4;
/// Files that stay open, because more of them may be wanted.
const KEPT: usize = 16;

/// `place` has the files of the contents, and lets them be read.
pub(super) fn source(place: Arc<dyn Source>, contents: Contents) -> Result<BlockingSource> {
    BlockingSource::new(Local { place, contents, open: Mutex::default() }, THREADS)
}

struct Local {
    place: Arc<dyn Source>,
    contents: Contents,
    /// Files by the numbers of their contents, the latest last.
    open: Mutex<VecDeque<(usize, Arc<dyn ReadAt>)>>,
}

impl BlockingRead for Local {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let length = self.contents.length().saturating_sub(offset).min(buffer.len() as u64);
        for part in self.contents.parts(Range::new(offset, length)) {
            // Both are within the buffer.
            match part {
                Part::Zeros(Range { offset: start, length }) => {
                    let at = (start - offset) as usize;
                    buffer[at..at + length as usize].fill(0);
                }
                Part::Content(content, range) => {
                    let at = (self.contents.place(content).offset + range.offset - offset) as usize;
                    self.fill(content, range.offset, &mut buffer[at..at + range.length as usize])?;
                }
            }
        }
        Ok(length as usize)
    }

    fn length(&self) -> Option<u64> {
        Some(self.contents.length())
    }

    fn describe(&self) -> String {
        self.place.describe()
    }
}

impl Local {
    /// Fills `part` with what a content has from `offset` on.
    fn fill(&self, content: usize, offset: u64, part: &mut [u8]) -> Result<()> {
        let placed = |error: Error| error.with("file", self.contents.path(content).escape_debug());
        let is_whole = part.len() as u64 == self.contents.place(content).length;
        let file = self.file(content, !is_whole).map_err(placed)?;
        let mut done = 0;
        while done < part.len() {
            match file.read_at(offset + done as u64, &mut part[done..]).map_err(placed)? {
                0 => {
                    let text = "a file of the source is shorter than the index says";
                    let error = Error::new(ErrorKind::SourceChanged, text).with("offset", offset + done as u64);
                    return Err(placed(error));
                }
                count => done += count,
            }
        }
        Ok(())
    }

    /// A file, open; kept open if more of it is to be read.
    fn file(&self, content: usize, is_kept: bool) -> Result<Arc<dyn ReadAt>> {
        let found = lock(&self.open).iter().find(|(number, _)| *number == content).map(|(_, file)| Arc::clone(file));
        if let Some(file) = found {
            return Ok(file);
        }
        let none = || Error::new(ErrorKind::SourceUnsupported, "the source is no place with files any more");
        // Not under the lock: a disk may take its time.
        let file = self.place.reader(self.contents.path(content)).ok_or_else(none)??;
        if is_kept {
            let mut open = lock(&self.open);
            if open.len() == KEPT {
                open.pop_front();
            }
            open.push_back((content, Arc::clone(&file)));
        }
        Ok(file)
    }
}
