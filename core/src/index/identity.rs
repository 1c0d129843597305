//! What an entry says of a block besides its chaining value: weak sum and hint, in the widths of its level; and the check
//! of a group of entries. All of it is for finding blocks, and nothing here proves any.

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::layout::{GROUP_CHECK, Level};
use super::tree::ChainingValue;

/// A mask of `count` bytes, 8 at most.
#[inline]
pub(super) fn low_bytes(count: u8) -> u64 {
    u64::MAX.checked_shr(64 - 8 * u32::from(count)).unwrap_or(0)
}

/// The weak sum as a level stores it: the low 16 bits of A, then as many of B as fit.
#[inline]
pub(super) fn cut_weak(level: &Level, (a, b): (u32, u32)) -> u64 {
    (u64::from(a & 0xffff) | u64::from(b) << 16) & low_bytes(level.weak)
}

#[inline]
pub(super) fn hint_of(level: &Level, bytes: &[u8]) -> u64 {
    xxh3_64(bytes) & low_bytes(level.hint)
}

/// The hint of an upper block: the hash of its blocks' hashes, so that it costs next to nothing where these are known.
pub(super) fn upper_hint(hashes: impl Iterator<Item = u64>) -> u64 {
    let mut hasher = Xxh3Default::new();
    hashes.for_each(|hash| hasher.update(&hash.to_le_bytes()));
    hasher.digest()
}

/// The first four bytes of BLAKE3 over the value of the parent and the entries of a group:
/// shows that a group belongs to another version, or is damaged.
pub(super) fn group_check(parent: &ChainingValue, entries: &[u8]) -> [u8; GROUP_CHECK] {
    // One call on bytes in a row: there are many groups, and a hasher takes longer to set up than to use.
    let mut bytes = [0; 1024];
    let length = parent.len() + entries.len();
    let hash = match bytes.get_mut(..length) {
        Some(bytes) => {
            bytes[..parent.len()].copy_from_slice(parent);
            bytes[parent.len()..].copy_from_slice(entries);
            blake3::hash(bytes)
        }
        None => blake3::Hasher::new().update(parent).update(entries).finalize(),
    };
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}
