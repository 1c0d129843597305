//! Where the contents of a tree are in pack files: which packs there are, which pieces each is made of, and which part of
//! the contents lies in which piece. Knows neither files nor how a piece is compressed; `wire` is the bytes of it in an index.
//!
//! Two lines of bytes meet here. The *contents* are those of the payload, one after another, without the zeros between.
//! The *store* is the bytes of all pieces, uncompressed, one after another. A *run* says that a part of the contents lies
//! in the store from some place on; what no run names is not wanted any more.

mod wire;

use std::ops::Range as Span;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Range;

/// Bytes that a piece has uncompressed, at most: what must be fetched to get any of them.
pub const MAX_PIECE: u32 = 1 << 20;
/// Pieces of all packs together, at most.
pub const MAX_PIECES: u64 = 1 << 22;

/// Where the contents of a tree are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packs {
    packs: Vec<Pack>,
    pieces: Vec<Placed>,
    runs: Vec<Run>,
    /// Bytes of all contents.
    length: u64,
    /// Bytes of the store.
    stored: u64,
}

/// A pack file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pack {
    root: Digest,
    pieces: Span<u32>,
    size: u64,
}

/// A piece, as it is in its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes that it has in the pack.
    pub size: u32,
    /// Bytes that it has uncompressed.
    pub length: u32,
    /// Whether it is compressed. Otherwise both are the same.
    pub is_compressed: bool,
}

/// A piece and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    piece: Piece,
    /// Where it begins in the store, and in its pack.
    store: u64,
    offset: u64,
}

/// A part of the contents, from `content` up to the next run, and where it begins in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    content: u64,
    store: u64,
}

/// A part of the contents that lies in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it begins in the contents.
    pub content: u64,
    /// The number of the piece.
    pub piece: usize,
    /// Where it is in the uncompressed piece.
    pub range: Range,
    /// Where it begins in the store.
    pub store: u64,
}

impl Packs {
    /// `packs` with their pieces, and the parts of the contents in order: how long each is, and where it begins in the store.
    pub fn new(packs: Vec<(Digest, Vec<Piece>)>, parts: &[Range]) -> Result<Packs> {
        let mut draft = Packs::default();
        for (root, pieces) in packs {
            draft.begin_pack(root)?;
            pieces.into_iter().try_for_each(|piece| draft.add_piece(piece))?;
            draft.end_pack()?;
        }
        for part in parts {
            draft.add_run(part.length, part.offset)?;
        }
        Ok(draft)
    }

    /// Reads the section of an index. The contents have `length` bytes.
    pub fn decode(bytes: &[u8], length: u64) -> Result<Packs> {
        wire::decode(bytes, length)
    }

    /// The section of an index: one for the same packs.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Bytes of the contents.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Number of packs.
    pub fn count(&self) -> usize {
        self.packs.len()
    }

    /// Number of pieces.
    pub fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    /// The BLAKE3 hash of a pack, by which its file is named. `None` behind the last.
    pub fn root(&self, pack: usize) -> Option<Digest> {
        self.packs.get(pack).map(|pack| pack.root)
    }

    /// The name of a pack's file. Empty behind the last.
    pub fn name(&self, pack: usize) -> String {
        self.packs.get(pack).map(|pack| pack_name(&pack.root)).unwrap_or_default()
    }

    /// Bytes of a pack.
    pub fn size(&self, pack: usize) -> u64 {
        self.packs.get(pack).map_or(0, |pack| pack.size)
    }

    /// The numbers of a pack's pieces.
    pub fn pieces(&self, pack: usize) -> Span<usize> {
        self.packs.get(pack).map_or(0..0, |pack| pack.pieces.start as usize..pack.pieces.end as usize)
    }

    /// A piece, the pack that has it, and where it is in that.
    pub fn piece(&self, piece: usize) -> Option<(Piece, usize, Range)> {
        let placed = self.pieces.get(piece)?;
        let pack = self.packs.partition_point(|pack| pack.pieces.end as usize <= piece);
        Some((placed.piece, pack, Range::new(placed.offset, placed.piece.size.into())))
    }

    /// Where a part of the contents lies, in its order.
    pub fn places(&self, part: Range) -> impl Iterator<Item = Place> + '_ {
        let end = part.end().min(self.length);
        let mut at = part.offset;
        let mut run = self.runs.partition_point(|run| run.content <= at).saturating_sub(1);
        std::iter::from_fn(move || {
            let (here, next) = (self.runs.get(run)?, self.runs.get(run + 1));
            let run_end = next.map_or(self.length, |next| next.content).min(end);
            if at >= run_end {
                return None;
            }
            let store = here.store + (at - here.content);
            let piece = self.pieces.partition_point(|placed| placed.store <= store).checked_sub(1)?;
            let placed = self.pieces.get(piece)?;
            let inside = store - placed.store;
            let length = u64::from(placed.piece.length).checked_sub(inside)?.min(run_end - at);
            let place = Place { content: at, piece, range: Range::new(inside, length), store };
            at += length;
            run += usize::from(next.is_some_and(|next| next.content == at));
            Some(place)
        })
    }

    /// The runs, in the order of the contents: a part of these, and where it begins in the store.
    fn spans(&self) -> impl Iterator<Item = (Range, u64)> + '_ {
        let ends = self.runs.iter().skip(1).map(|run| run.content).chain([self.length]);
        self.runs.iter().zip(ends).map(|(run, end)| (Range::new(run.content, end - run.content), run.store))
    }

    /// Bytes that each pack has of these parts of the store, whether they are named once or more often.
    pub fn wanted(&self, parts: &[Range]) -> Vec<u64> {
        let mut spans: Vec<(u64, u64)> = parts.iter().map(|part| (part.offset, part.end())).collect();
        spans.sort_unstable();
        let mut wanted = vec![0; self.packs.len()];
        let mut done = 0;
        for (start, end) in spans {
            let (mut at, end) = (start.max(done), end.max(done));
            done = end;
            while at < end {
                let Some((pack, here)) = self.pack_at(at).and_then(|pack| Some((pack, self.packs.get(pack)?))) else {
                    break;
                };
                let to = end.min(self.store_end(here));
                wanted[pack] += to - at;
                at = to;
            }
        }
        wanted
    }

    /// Bytes that a pack has uncompressed.
    pub fn unpacked(&self, pack: usize) -> u64 {
        let pieces = self.pieces.get(self.pieces(pack)).unwrap_or_default();
        pieces.iter().map(|placed| u64::from(placed.piece.length)).sum()
    }

    /// Where the pieces of a pack begin in the store.
    pub fn store(&self, pack: usize) -> u64 {
        let first = self.packs.get(pack).and_then(|pack| self.pieces.get(pack.pieces.start as usize));
        first.map_or(self.stored, |placed| placed.store)
    }

    /// The pack that has this place of the store.
    pub fn pack_at(&self, store: u64) -> Option<usize> {
        let pack = self.packs.partition_point(|pack| self.store_end(pack) <= store);
        (pack < self.packs.len()).then_some(pack)
    }

    fn store_end(&self, pack: &Pack) -> u64 {
        self.pieces.get(pack.pieces.end as usize).map_or(self.stored, |placed| placed.store)
    }

    fn begin_pack(&mut self, root: Digest) -> Result<()> {
        let at = self.pieces.len() as u32;
        self.packs.push(Pack { root, pieces: at..at, size: 0 });
        Ok(())
    }

    fn add_piece(&mut self, piece: Piece) -> Result<()> {
        let Piece { size, length, is_compressed } = piece;
        let is_right = if is_compressed { size < length } else { size == length };
        if size == 0 || length > MAX_PIECE || !is_right {
            return Err(fault("a piece of a pack has a size that it cannot have").with("piece", self.pieces.len()));
        }
        if self.pieces.len() as u64 >= MAX_PIECES {
            return Err(Error::new(ErrorKind::Limit, "the packs have too many pieces").with("limit", MAX_PIECES));
        }
        let Some(pack) = self.packs.last_mut() else { return Err(fault("a piece is in no pack")) };
        self.pieces.push(Placed { piece, store: self.stored, offset: pack.size });
        // 2^22 pieces of at most 2^20 bytes.
        pack.size += u64::from(size);
        self.stored += u64::from(length);
        Ok(())
    }

    fn end_pack(&mut self) -> Result<()> {
        let end = self.pieces.len() as u32;
        let Some(pack) = self.packs.last_mut() else { return Ok(()) };
        pack.pieces.end = end;
        if pack.pieces.is_empty() { Err(fault("a pack has no pieces")) } else { Ok(()) }
    }

    fn add_run(&mut self, length: u64, store: u64) -> Result<()> {
        let is_inside = store.checked_add(length).is_some_and(|end| end <= self.stored);
        let end = self.length.checked_add(length);
        let (true, true, Some(end)) = (length > 0, is_inside, end) else {
            return Err(fault("a run of the packs is empty, or outside them").with("run", self.runs.len()));
        };
        let follows = self.runs.last().is_some_and(|run| run.store + (self.length - run.content) == store);
        if !follows {
            self.runs.push(Run { content: self.length, store });
        }
        self.length = end;
        Ok(())
    }
}

/// The name of the pack file whose bytes have this hash.
pub fn pack_name(root: &Digest) -> String {
    format!("{root}.pack")
}

fn fault(text: &str) -> Error {
    Error::new(ErrorKind::Format, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(length: u32) -> Piece {
        Piece { size: length, length, is_compressed: false }
    }

    fn packed(size: u32, length: u32) -> Piece {
        Piece { size, length, is_compressed: true }
    }

    /// Two packs of 100 + 50 and 70 bytes; of the first, bytes 20 to 120 are wanted, then all of the second, then the
    /// first bytes of the first.
    fn some() -> Packs {
        let packs = vec![(Digest([1; 32]), vec![packed(30, 100), plain(50)]), (Digest([2; 32]), vec![packed(20, 70)])];
        let parts = [Range::new(20, 60), Range::new(80, 40), Range::new(150, 70), Range::new(0, 10)];
        Packs::new(packs, &parts).expect("packs")
    }

    #[test]
    fn a_part_of_the_contents_lies_in_pieces() {
        let packs = some();
        assert_eq!((packs.length(), packs.count(), packs.piece_count()), (180, 2, 3));
        let places = |offset, length| -> Vec<(u64, usize, u64, u64)> {
            let of_it = packs.places(Range::new(offset, length));
            of_it.map(|place| (place.content, place.piece, place.range.offset, place.range.length)).collect()
        };
        let all = [(0, 0, 20, 80), (80, 1, 0, 20), (100, 2, 0, 70), (170, 0, 0, 10)];
        assert_eq!(places(0, 180), all);
        assert_eq!(places(0, Range::TO_END), all);
        assert_eq!(places(79, 2), [(79, 0, 99, 1), (80, 1, 0, 1)]);
        assert_eq!(places(169, 2), [(169, 2, 69, 1), (170, 0, 0, 1)]);
        assert_eq!(places(180, 1), []);
        assert_eq!(packs.piece(1), Some((plain(50), 0, Range::new(30, 50))));
        assert_eq!(packs.piece(2), Some((packed(20, 70), 1, Range::new(0, 20))));
        assert_eq!((packs.size(0), packs.size(1)), (80, 20));
        assert_eq!((packs.unpacked(0), packs.unpacked(1)), (150, 70));
        assert_eq!((packs.store(0), packs.store(1), packs.store(2)), (0, 150, 220));
        let parts = [Range::new(20, 60), Range::new(50, 100), Range::new(150, 70), Range::new(0, 10)];
        assert_eq!(packs.wanted(&parts), [140, 70]);
        assert_eq!((packs.pack_at(149), packs.pack_at(150), packs.pack_at(220)), (Some(0), Some(1), None));
        assert!(packs.name(0).starts_with("0101") && packs.name(0).ends_with("01.pack"));
    }

    #[test]
    fn packs_are_what_they_were_when_they_are_read() {
        let packs = some();
        let bytes = packs.encode();
        assert_eq!(Packs::decode(&bytes, 180).expect("packs"), packs);
        assert_eq!(Packs::decode(&Packs::default().encode(), 0).expect("packs"), Packs::default());
        // Of the contents that the listing has, not others.
        assert_eq!(Packs::decode(&bytes, 181).expect_err("a length").kind(), ErrorKind::Format);
        for cut in 0..bytes.len() {
            assert_eq!(Packs::decode(&bytes[..cut], 180).expect_err("cut off").kind(), ErrorKind::Format, "{cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Packs::decode(&longer, 180).expect_err("longer").kind(), ErrorKind::Format);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let one = |piece, part| Packs::new(vec![(Digest([1; 32]), vec![piece])], &[part]).map_err(|error| error.kind());
        let all = Range::new(0, 10);
        assert!(one(plain(10), all).is_ok());
        for piece in [plain(0), plain(MAX_PIECE + 1), packed(10, 10), packed(11, 10), packed(0, 10)] {
            assert_eq!(one(piece, all), Err(ErrorKind::Format), "{piece:?}");
        }
        assert_eq!(one(packed(9, 9), all), Err(ErrorKind::Format));
        for part in [Range::new(0, 11), Range::new(5, 6), Range::new(0, 0), Range::new(u64::MAX, 2)] {
            assert_eq!(one(plain(10), part), Err(ErrorKind::Format), "{part:?}");
        }
        assert_eq!(
            Packs::new(vec![(Digest([1; 32]), vec![])], &[]).map_err(|error| error.kind()),
            Err(ErrorKind::Format)
        );
    }
}
