//! New packs: contents become pieces, pieces are compressed on all cores, and as many as fit make a pack file.

use std::path::Path;

use gosync_core::packs::{Piece, pack_name};
use gosync_core::{Digest, Error, ErrorKind, ReadAt, Result};
use rayon::prelude::*;

use super::PACK;
use crate::disk::Disk;
use crate::output;
use crate::seed::FileReader;

/// Bytes of a piece, about at most (docs/decisions/0025-packs.md says why).
pub(super) const PIECE: usize = 128 << 10;
/// How hard the compressor tries.
const LEVEL: i32 = 15;
/// Pieces that are compressed together.
const BATCH: usize = 32;

/// The hash of a pack, and its pieces.
pub(super) type NewPack = (Digest, Vec<Piece>);

/// Writes packs.
pub(super) struct Writer<'a> {
    content: &'a Path,
    pool: &'a rayon::ThreadPool,
    /// The piece that is being filled, and those that wait to be compressed.
    piece: Vec<u8>,
    waiting: Vec<Vec<u8>>,
    /// The pack that is being filled.
    pack: Vec<u8>,
    pieces: Vec<Piece>,
    packs: Vec<NewPack>,
    written: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(content: &'a Path, pool: &'a rayon::ThreadPool) -> Writer<'a> {
        let (piece, waiting, pack, pieces, packs) = Default::default();
        Writer { content, pool, piece, waiting, pack, pieces, packs, written: 0 }
    }

    /// So many bytes of one content follow, which are better in one piece than in two.
    pub(super) fn begin(&mut self, length: u64) -> Result<()> {
        let is_full = self.piece.len() >= PIECE / 2;
        if is_full && self.piece.len() as u64 + length > PIECE as u64 { self.cut() } else { Ok(()) }
    }

    /// Takes more bytes.
    pub(super) fn add(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE {
                self.cut()?;
            }
        }
        Ok(())
    }

    /// The piece ends here.
    fn cut(&mut self) -> Result<()> {
        if !self.piece.is_empty() {
            self.waiting.push(std::mem::take(&mut self.piece));
        }
        if self.waiting.len() < BATCH { Ok(()) } else { self.compress() }
    }

    fn compress(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let compress = |piece: &Vec<u8>| {
            zstd::bulk::compress(piece, LEVEL)
                .map_err(|cause| Error::new(ErrorKind::Io, format!("cannot compress: {cause}")).caused_by(cause))
        };
        let compressed: Result<Vec<Vec<u8>>> = self.pool.install(|| waiting.par_iter().map(compress).collect());
        for (plain, compressed) in waiting.into_iter().zip(compressed?) {
            // What saves next to nothing is not worth the work of undoing it.
            let is_compressed = compressed.len() < plain.len() - plain.len() / 64;
            let bytes = if is_compressed { compressed } else { plain.clone() };
            if self.pack.len() + bytes.len() > PACK as usize {
                self.end_pack()?;
            }
            self.pack.extend_from_slice(&bytes);
            self.pieces.push(Piece { size: bytes.len() as u32, length: plain.len() as u32, is_compressed });
        }
        Ok(())
    }

    fn end_pack(&mut self) -> Result<()> {
        let (pack, pieces) = (std::mem::take(&mut self.pack), std::mem::take(&mut self.pieces));
        if pieces.is_empty() {
            return Ok(());
        }
        let root = Digest::of(&pack);
        let path = self.content.join(pack_name(&root));
        let is_there = FileReader::open(&path, "pack").is_ok_and(|there| {
            there.length() == pack.len() as u64 && Digest::of_reader(&there, &|_| Ok(())).ok() == Some(root)
        });
        if !is_there {
            output::write_file(&Disk::system(), &path, |write| write(&pack))?;
            self.written += pack.len() as u64;
        }
        self.packs.push((root, pieces));
        Ok(())
    }

    /// The packs in their order, and how many bytes were written.
    pub(super) fn finish(mut self) -> Result<(Vec<NewPack>, u64)> {
        self.cut()?;
        self.compress()?;
        self.end_pack()?;
        Ok((self.packs, self.written))
    }
}
