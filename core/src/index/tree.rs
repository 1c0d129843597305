//! BLAKE3 as the tree that it is: the chaining value of a unit at its place, and merging chaining values to the root.
//! Leaves to `mod` what a unit is compared with.

use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use super::UNIT;
use crate::digest::Digest;

/// The chaining value of a verified unit.
pub(super) type ChainingValue = [u8; 32];

/// The chaining value of `bytes`, 1 byte to a unit of them, as the unit at `offset`, a multiple of [`UNIT`].
pub(super) fn unit_value(offset: u64, bytes: &[u8]) -> ChainingValue {
    blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

/// The root of content of `length` bytes with these chaining values of its units;
/// `None` if they are not as many as the length says, or fewer than two (then the root is a plain hash).
pub(super) fn root(length: u64, values: &[ChainingValue]) -> Option<Digest> {
    if values.len() < 2 || length.div_ceil(UNIT) != values.len() as u64 {
        return None;
    }
    let (left, right) = halves(length, values);
    Some(Digest(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()))
}

/// The chaining values of the two subtrees under a node of more than one unit. The left one is as BLAKE3 says:
/// the largest power of two of chunks that leaves something for the right one, hence whole units here.
fn halves(length: u64, values: &[ChainingValue]) -> (ChainingValue, ChainingValue) {
    let left_length = left_subtree_len(length);
    let (left, right) = values.split_at((left_length / UNIT) as usize);
    (subtree(left_length, left), subtree(length - left_length, right))
}

fn subtree(length: u64, values: &[ChainingValue]) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let (left, right) = halves(length, values);
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}
