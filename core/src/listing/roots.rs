//! The BLAKE3 hash of a file that is read in pieces, in any order and from any thread, while what is read is hashed for
//! something else too: each piece gives the chaining values of the largest subtrees in it, and these merge to the root.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use blake3::CHUNK_LEN;
use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::digest::Digest;

type ChainingValue = [u8; 32];

/// The hash of one file in the making.
pub struct FileHash {
    length: u64,
    state: Mutex<State>,
}

enum State {
    /// Subtrees by offset and length.
    Parts(HashMap<(u64, u64), ChainingValue>),
    Done(Digest),
}

impl FileHash {
    /// Nothing yet of a file of so many bytes.
    pub fn new(length: u64) -> FileHash {
        let state = if length == 0 { State::Done(Digest::of(&[])) } else { State::Parts(HashMap::new()) };
        FileHash { length, state: Mutex::new(state) }
    }

    /// Takes a piece. It begins at a multiple of 1024, and ends at one or where the file ends; any other has no effect.
    pub fn add(&self, offset: u64, bytes: &[u8]) {
        let end = offset.saturating_add(bytes.len() as u64);
        let is_edge = |at: u64| at.is_multiple_of(CHUNK_LEN as u64);
        if bytes.is_empty() || !is_edge(offset) || end > self.length || !(is_edge(end) || end == self.length) {
            return;
        }
        if offset == 0 && end == self.length {
            let root = Digest::of(bytes);
            *self.lock() = State::Done(root);
            return;
        }
        let (mut at, mut rest, mut parts) = (offset, bytes, Vec::new());
        while !rest.is_empty() {
            let length = largest(at, rest.len());
            let (subtree, behind) = rest.split_at(length);
            let value = blake3::Hasher::new().set_input_offset(at).update(subtree).finalize_non_root();
            parts.push(((at, length as u64), value));
            (at, rest) = (at + length as u64, behind);
        }
        if let State::Parts(known) = &mut *self.lock() {
            known.extend(parts);
        }
    }

    /// The hash, if all pieces have come.
    pub fn root(&self) -> Option<Digest> {
        match &*self.lock() {
            State::Done(root) => Some(*root),
            State::Parts(parts) => {
                let left = left_subtree_len(self.length.max(CHUNK_LEN as u64 + 1));
                let (left, right) = (value(parts, 0, left)?, value(parts, left, self.length.checked_sub(left)?)?);
                Some(Digest(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()))
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of the largest subtree that begins at `at` and is whole in the next `length` bytes; where less than 1024 are left,
/// it is what the file ends with.
fn largest(at: u64, length: usize) -> usize {
    if length <= CHUNK_LEN {
        return length;
    }
    let fits = 1usize << length.ilog2();
    match at {
        0 => fits,
        // Beyond what a piece has, the alignment does not count.
        at => 1usize.checked_shl(at.trailing_zeros()).map_or(fits, |aligned| fits.min(aligned)),
    }
}

/// The chaining value of a subtree, from the parts that make it up.
fn value(parts: &HashMap<(u64, u64), ChainingValue>, offset: u64, length: u64) -> Option<ChainingValue> {
    if let Some(value) = parts.get(&(offset, length)) {
        return Some(*value);
    }
    if length <= CHUNK_LEN as u64 {
        return None;
    }
    let left = left_subtree_len(length);
    let (left, right) = (value(parts, offset, left)?, value(parts, offset + left, length - left)?);
    Some(merge_subtrees_non_root(&left, &right, Mode::Hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_in_any_order_make_up_the_root(
            length in 0usize..300_000,
            cuts in proptest::collection::vec(0usize..300, 0..12),
            seed in any::<u64>(),
        ) {
            let content: Vec<u8> = (0..length).map(|at| (at as u64).wrapping_mul(seed | 1).to_le_bytes()[1]).collect();
            let mut ends: Vec<usize> = cuts.iter().map(|cut| (cut * CHUNK_LEN).min(length)).chain([0, length]).collect();
            ends.sort_unstable();
            ends.dedup();
            let mut pieces: Vec<(usize, usize)> = ends.windows(2).map(|pair| (pair[0], pair[1])).collect();
            pieces.sort_by_key(|(start, _)| (*start as u64).wrapping_mul(seed | 1));
            let hash = FileHash::new(length as u64);
            for (number, (start, end)) in pieces.iter().enumerate() {
                prop_assert!(number == 0 || hash.root().is_none());
                hash.add(*start as u64, &content[*start..*end]);
            }
            prop_assert_eq!(hash.root(), Some(Digest::of(&content)));
        }
    }

    #[test]
    fn what_is_no_piece_has_no_effect() {
        let hash = FileHash::new(4096);
        for (offset, bytes) in
            [(1, &[0u8; 1024][..]), (1024, &[0; 1000]), (4096, &[0; 1]), (1024, &[]), (u64::MAX, &[0; 4])]
        {
            hash.add(offset, bytes);
        }
        assert_eq!(hash.root(), None);
    }
}
