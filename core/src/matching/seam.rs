//! Seams: a block that was not found because something was taken out, or put elsewhere, in the middle of it. What lies before
//! it in the target goes on in a seed for a while, and what lies behind it begins a while before: where the one ends and the
//! other begins can be any of its bytes, and its identity tells which. Nothing of it is new, and nothing has to be fetched.

use rayon::prelude::*;

use crate::index::{Index, UNIT};
use crate::plan::{Origin, Piece};
use crate::source::{Range, ReadAt};
use crate::weak;

/// Splits of one block that are hashed: more than one has the right weak sum only by chance, or by intent.
const TRIES: usize = 8;

/// The cover, with the missing blocks that are made of the ends of their neighbours as pieces of seeds. Blocks of more than
/// 64 KiB, which a legacy index may have, stay missing: each is looked at byte by byte, in memory.
pub fn join_seams(index: &Index, seeds: &[&dyn ReadAt], cover: Vec<Piece>) -> Vec<Piece> {
    let size = u64::from(index.block_size());
    if size > UNIT {
        return cover;
    }
    let between = |at: usize| {
        let [before, piece, after] = cover.get(at.checked_sub(1)?..at + 2)? else { return None };
        let is_block = piece.target.length == size && piece.target.offset.is_multiple_of(size);
        if piece.origin != Origin::Missing || !is_block || !index.has_blocks(piece.target.offset / index.unit_size()) {
            return None;
        }
        let (Origin::Seed { seed, offset }, Origin::Seed { seed: next, offset: end }) = (before.origin, after.origin)
        else {
            return None;
        };
        let mut bytes = vec![0; 2 * size as usize];
        let (left, right) = bytes.split_at_mut(size as usize);
        let start = offset.checked_add(before.target.length)?;
        let reach = read(seeds, seed, start, left)?;
        // A seed may begin in the middle of what lies before the piece behind.
        let lacking = size.saturating_sub(end);
        read(seeds, next, end.saturating_sub(size), &mut right[lacking as usize..])?;
        let split = split(index, piece.target.offset / size, left, right, lacking as usize..=reach)? as u64;
        let part = |from: u64, to: u64, seed: u32, offset: u64| Piece {
            target: Range::new(piece.target.offset + from, to - from),
            origin: Origin::Seed { seed, offset },
        };
        Some([part(0, split, seed, start), part(split, size, next, end - (size - split))])
    };
    // Few blocks are joined, of a cover that may have a million pieces: only these are put down.
    let parts: Vec<(usize, [Piece; 2])> =
        (0..cover.len()).into_par_iter().filter_map(|at| Some((at, between(at)?))).collect();
    if parts.is_empty() {
        return cover;
    }
    let mut parts = parts.into_iter().peekable();
    let joined =
        cover.into_iter().enumerate().flat_map(|(at, piece)| match parts.next_if(|(joined, _)| *joined == at) {
            Some((_, [left, right])) => [Some(left), Some(right)],
            None => [Some(piece), None],
        });
    joined.flatten().filter(|piece| piece.target.length > 0).collect()
}

/// Fills `bytes` from a seed; how many of them it has.
fn read(seeds: &[&dyn ReadAt], seed: u32, offset: u64, bytes: &mut [u8]) -> Option<usize> {
    seeds.get(seed as usize)?.read_at(offset, bytes).ok()
}

/// How many bytes of `left` there are in `block`, one of `among`, if it consists of these and of what `right` has behind them.
/// Changes `right`.
fn split(
    index: &Index,
    block: u64,
    left: &[u8],
    right: &mut [u8],
    among: std::ops::RangeInclusive<usize>,
) -> Option<usize> {
    let wanted = (index.weak(block), index.hint(block));
    let (mut a, mut b) = weak::sum(right);
    let (mut tries, mut is_new) = (0, true);
    for at in 0..=*among.end() {
        if is_new && among.contains(&at) && index.cut_weak(a, b) == wanted.0 {
            if index.hint_of(right) == wanted.1 {
                return Some(at);
            }
            (tries, is_new) = (tries + 1, false);
        }
        let (Some(now), Some(byte)) = (right.get_mut(at), left.get(at)) else { break };
        if tries == TRIES {
            break;
        }
        is_new |= now != byte;
        let more = u32::from(*byte).wrapping_sub(u32::from(*now));
        a = a.wrapping_add(more);
        b = b.wrapping_add(more.wrapping_mul((left.len() - at) as u32));
        *now = *byte;
    }
    None
}
