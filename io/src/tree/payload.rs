//! The payload of a directory's tree: the contents of its files as one, which is read once for the levels of the index and
//! for the hash of each file.

use gosync_core::listing::{FileHash, Places};
use gosync_core::{Digest, Error, ErrorKind, Range, ReadAt, Result};

use super::{Folder, Stamp, stamp_of};

/// One content, and the file that it is read from.
struct Content {
    place: Range,
    path: String,
    stamp: Stamp,
    hash: FileHash,
}

/// The contents of files, each at its place, with zeros between.
pub(super) struct Payload<'a> {
    folder: &'a Folder<'a>,
    places: Places,
    contents: Vec<Content>,
}

impl<'a> Payload<'a> {
    pub(super) fn new(folder: &'a Folder<'a>, block_size: u32) -> Payload<'a> {
        Payload { folder, places: Places::new(block_size), contents: Vec::new() }
    }

    /// Adds a content, and gives it its number.
    pub(super) fn add(&mut self, path: &str, stamp: Stamp) -> Result<usize> {
        let place = self.places.next(stamp.length).map_err(|error| error.with("path", path))?;
        let hash = FileHash::new(stamp.length);
        self.contents.push(Content { place, path: path.to_owned(), stamp, hash });
        Ok(self.contents.len() - 1)
    }

    /// The hash of a content, once everything has been read.
    pub(super) fn root(&self, content: usize) -> Result<Digest> {
        let root = self.contents.get(content).and_then(|content| content.hash.root());
        root.ok_or_else(|| Error::new(ErrorKind::Internal, "a file of the directory was not read whole"))
    }

    /// Fills `buffer` with what a content has from `offset` on, and hashes it while it is near.
    fn read(&self, content: &Content, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let (file, before) = self.folder.file(&content.path)?;
        let mut done = 0;
        while done < buffer.len() {
            match file.read_at(offset + done as u64, &mut buffer[done..])? {
                0 => break,
                count => done += count,
            }
        }
        let after = stamp_of(&file)?;
        if done < buffer.len() || before != content.stamp || after != content.stamp {
            return Err(changed(self.folder, &content.path));
        }
        content.hash.add(offset, buffer);
        Ok(())
    }
}

impl ReadAt for Payload<'_> {
    fn length(&self) -> u64 {
        self.places.end()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let length = (buffer.len() as u64).min(self.length().saturating_sub(offset)) as usize;
        let buffer = &mut buffer[..length];
        fill(
            &self.contents,
            |content| content.place,
            offset,
            buffer,
            |number, offset, part| self.contents.get(number).map_or(Ok(()), |content| self.read(content, offset, part)),
        )?;
        Ok(length)
    }
}

/// Fills `buffer` with what contents at ascending places, none of them empty, have from `offset` on, and zeros between.
/// `read` fills a part with what the content of this number has from an offset in it on.
pub(super) fn fill<T>(
    contents: &[T],
    place: impl Fn(&T) -> Range,
    offset: u64,
    buffer: &mut [u8],
    mut read: impl FnMut(usize, u64, &mut [u8]) -> Result<()>,
) -> Result<()> {
    let end = offset.saturating_add(buffer.len() as u64);
    let first = contents.partition_point(|content| place(content).end() <= offset);
    let mut filled = 0;
    for (number, content) in contents.iter().enumerate().skip(first) {
        let place = place(content);
        let (start, end) = (place.offset.max(offset), place.end().min(end));
        if start >= end {
            break;
        }
        let (from, to) = ((start - offset) as usize, (end - offset) as usize);
        buffer[filled..from].fill(0);
        read(number, start - place.offset, &mut buffer[from..to])?;
        filled = to;
    }
    buffer[filled..].fill(0);
    Ok(())
}

/// The error for a file that did not hold still.
pub(super) fn changed(folder: &Folder<'_>, path: &str) -> Error {
    let text = "a file changed while the directory was read";
    Error::new(ErrorKind::Io, text).with("path", folder.path.join(path).display())
}
