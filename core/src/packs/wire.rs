//! Packs as the bytes of a section (docs/format.md). Every count is compared with the bytes that are there.

use super::{MAX_PIECES, Packs, Piece, fault};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};

const VERSION: u8 = 1;
/// Bytes of the least pack: its hash, the number of its pieces, one piece.
const LEAST_PACK: u64 = 34;
/// Bytes of the least run.
const LEAST_RUN: u64 = 2;

/// See [`Packs::encode`].
pub(super) fn encode(packs: &Packs) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    put(&mut bytes, packs.packs.len() as u64);
    let mut last = 0;
    for pack in &packs.packs {
        bytes.extend(pack.root.as_bytes());
        let pieces = packs.pieces.get(pack.pieces.start as usize..pack.pieces.end as usize).unwrap_or_default();
        put(&mut bytes, pieces.len() as u64);
        for placed in pieces {
            let Piece { size, length, is_compressed } = placed.piece;
            put(&mut bytes, u64::from(size) << 1 | u64::from(is_compressed));
            if is_compressed {
                // Most are as long as the one before.
                put(&mut bytes, if length == last { 0 } else { length.into() });
                last = length;
            }
        }
    }
    put(&mut bytes, packs.runs.len() as u64);
    let mut next = 0u64;
    for (part, store) in packs.spans() {
        put(&mut bytes, part.length);
        let jump = store.wrapping_sub(next) as i64;
        // Forwards even, backwards odd.
        put(&mut bytes, (jump << 1 ^ jump >> 63) as u64);
        next = store + part.length;
    }
    bytes
}

/// See [`Packs::decode`].
pub(super) fn decode(bytes: &[u8], length: u64) -> Result<Packs> {
    let mut rest = Rest { bytes };
    if rest.byte()? != VERSION {
        return Err(Error::new(ErrorKind::Version, "the packs of the index are made for a newer gosync"));
    }
    let mut packs = Packs::default();
    let count = rest.count(LEAST_PACK)?;
    reserve(&mut packs.packs, count)?;
    let mut last = 0;
    for _ in 0..count {
        packs.begin_pack(Digest(rest.hash()?))?;
        let count = rest.count(1)?;
        if count > MAX_PIECES {
            return Err(Error::new(ErrorKind::Limit, "the packs have too many pieces").with("limit", MAX_PIECES));
        }
        reserve(&mut packs.pieces, count)?;
        for _ in 0..count {
            let (number, is_compressed) = rest.flagged()?;
            let size = u32::try_from(number).map_err(|_| rest.fault())?;
            let length = match is_compressed {
                false => size,
                true => match u32::try_from(rest.number()?).map_err(|_| rest.fault())? {
                    0 => last,
                    length if length == last => return Err(rest.fault()),
                    length => length,
                },
            };
            if is_compressed {
                last = length;
            }
            packs.add_piece(Piece { size, length, is_compressed })?;
        }
        packs.end_pack()?;
    }
    let count = rest.count(LEAST_RUN)?;
    reserve(&mut packs.runs, count)?;
    let mut next = 0u64;
    for run in 0..count {
        let length = rest.number()?;
        let (jump, is_back) = rest.flagged()?;
        let store = if is_back { next.checked_sub(jump + 1) } else { next.checked_add(jump) };
        // One that goes on where the last one ends is not another one.
        let store = store.filter(|_| run == 0 || jump > 0 || is_back).ok_or_else(|| rest.fault())?;
        packs.add_run(length, store)?;
        next = store + length;
    }
    if !rest.bytes.is_empty() || packs.length != length {
        return Err(
            fault("the packs of the index do not have the contents of its listing").with("length", packs.length)
        );
    }
    Ok(packs)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn reserve<T>(vector: &mut Vec<T>, count: u64) -> Result<()> {
    let reserved = usize::try_from(count).ok().and_then(|count| vector.try_reserve(count).ok());
    reserved.ok_or_else(|| Error::new(ErrorKind::Limit, "the packs of the index do not fit into memory"))
}

/// Bytes that have not been looked at.
struct Rest<'a> {
    bytes: &'a [u8],
}

impl Rest<'_> {
    fn fault(&self) -> Error {
        fault("the packs of the index are damaged").with("left", self.bytes.len())
    }

    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.bytes.split_first().ok_or_else(|| self.fault())?;
        self.bytes = rest;
        Ok(*first)
    }

    fn hash(&mut self) -> Result<[u8; 32]> {
        let (hash, rest) = self.bytes.split_first_chunk().ok_or_else(|| self.fault())?;
        self.bytes = rest;
        Ok(*hash)
    }

    /// Seven bits a byte, the lowest first, in as few bytes as there can be.
    fn number(&mut self) -> Result<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let is_last = byte < 0x80;
            if bits << shift >> shift != bits || is_last && byte == 0 && shift > 0 {
                break;
            }
            number |= bits << shift;
            if is_last {
                return Ok(number);
            }
        }
        Err(self.fault())
    }

    /// A number above its lowest bit, and whether that is set.
    fn flagged(&mut self) -> Result<(u64, bool)> {
        let number = self.number()?;
        Ok((number >> 1, number & 1 == 1))
    }

    /// A number of things that have at least `least` bytes each.
    fn count(&mut self, least: u64) -> Result<u64> {
        let count = self.number()?;
        if count > self.bytes.len() as u64 / least { Err(self.fault()) } else { Ok(count) }
    }
}
