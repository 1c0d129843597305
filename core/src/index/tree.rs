//! BLAKE3 as the tree that it is: the chaining value of an aligned block at its place, and merging chaining values to
//! that of a larger block or to the root. Leaves to `mod` what a block is compared with.

use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::digest::Digest;

/// The chaining value of a verified block.
pub(super) type ChainingValue = [u8; 32];

/// The chaining value of `bytes`, which are the block at `offset`: a multiple of its full size, which is a power of two.
pub(super) fn value(offset: u64, bytes: &[u8]) -> ChainingValue {
    blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

/// The root of content of `length` bytes with these chaining values of its blocks of `size`;
/// `None` if they are not as many as the length says, or fewer than two (then the root is a plain hash).
pub(super) fn root(length: u64, size: u64, values: &[ChainingValue]) -> Option<Digest> {
    if values.len() < 2 || length.div_ceil(size) != values.len() as u64 {
        return None;
    }
    let (left, right) = halves(length, size, values);
    Some(Digest(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()))
}

/// The chaining value of a block of `length` bytes that has these chaining values of its parts of `size`, if they are as
/// many as that.
pub(super) fn merged(length: u64, size: u64, values: &[ChainingValue]) -> Option<ChainingValue> {
    (length > 0 && length.div_ceil(size) == values.len() as u64).then(|| subtree(length, size, values))
}

/// The chaining values of the two subtrees under a node of more than one block. The left one is as BLAKE3 says:
/// the largest power of two of chunks that leaves something for the right one, hence whole blocks here.
fn halves(length: u64, size: u64, values: &[ChainingValue]) -> (ChainingValue, ChainingValue) {
    let left_length = left_subtree_len(length);
    let (left, right) = values.split_at((left_length / size) as usize);
    (subtree(left_length, size, left), subtree(length - left_length, size, right))
}

fn subtree(length: u64, size: u64, values: &[ChainingValue]) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let (left, right) = halves(length, size, values);
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}
