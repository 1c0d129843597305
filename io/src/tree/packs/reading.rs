//! The content of one file, read once from front to back, and proven to be what the index says.

use gosync_core::{Digest, ReadAt, Result};

use super::super::contents::Content;
use super::super::payload::changed;
use super::Folder;
use crate::seed::FileReader;

/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;

/// A content that is being read.
pub(super) struct Reader<'a> {
    folder: &'a Folder<'a>,
    content: &'a Content,
    file: FileReader,
    hasher: blake3::Hasher,
    at: u64,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn open(folder: &'a Folder<'a>, content: &'a Content) -> Result<Reader<'a>> {
        let (file, _) = folder.file(&content.path)?;
        Ok(Reader { folder, content, file, hasher: blake3::Hasher::new(), at: 0, buffer: Vec::new() })
    }

    /// Hands over the next `length` bytes, piece by piece.
    pub(super) fn read(&mut self, length: u64, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let end = self.at + length;
        while self.at < end {
            self.buffer.resize(PIECE.min(end - self.at) as usize, 0);
            match self.file.read_at(self.at, &mut self.buffer)? {
                0 => return Err(changed(self.folder, &self.content.path)),
                count => {
                    self.at += count as u64;
                    self.hasher.update(&self.buffer[..count]);
                    take(&self.buffer[..count])?;
                }
            }
        }
        Ok(())
    }

    /// An error if what was read is not the content.
    pub(super) fn finish(self) -> Result<()> {
        let is_right = Digest(*self.hasher.finalize().as_bytes()) == self.content.root;
        if is_right { Ok(()) } else { Err(changed(self.folder, &self.content.path)) }
    }
}
