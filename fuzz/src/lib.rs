//! What the fuzz targets do with an input. `targets/` hands them the engine's inputs, `tests/replay.rs` the committed ones.
//! A target must end without a panic for every input; what it asserts holds for every input.

mod listing;
mod packs;
mod parts;

use std::collections::BTreeSet;
use std::sync::Mutex;

use gosync_core::assemble::Verified;
use gosync_core::index::{BuildOptions, PublicKey, UNIT};
use gosync_core::matching::{self, Observe};
use gosync_core::{Error, Index, Origin, ReadAt, Result};

pub use listing::listing;
pub use packs::packs;
pub use parts::{front, groups};

/// What is done with an input.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("archive", archive),
    ("front", front),
    ("groups", groups),
    ("index", index),
    ("legacy", legacy),
    ("listing", listing),
    ("matching", matching),
    ("multipart", multipart),
    ("packs", packs),
    ("record", record),
    ("signature", signature),
    ("switch", switch),
];

/// Bytes of the preamble, and of a line of the section table, as docs/format.md has them.
const PREAMBLE: usize = 40;
const LINE: usize = 16;
/// The first section behind the levels: from there on all have a check again.
const LISTING_INDEX: u16 = 24;

/// A minisign key whose secret half was thrown away.
const PUBLIC_KEY: &str = "RWQxcXKvZ86DfuXaqje8FtKORwtvS6z4VOWohREMTN/qkJzi+RcniXJr";

/// Any bytes as an index: an error, or an index that is whole. Once as they are, once with their checks put right,
/// so that what lies behind the checks is reached too.
pub fn index(input: &[u8]) {
    look_at(input);
    look_at(&with_right_checks(input));
}

/// Any bytes as an index of the format 0.2, behind what it is known by.
pub fn legacy(input: &[u8]) {
    let mut bytes = b"G0S9NC\0\0\x02\0\x01\0".to_vec();
    bytes.extend_from_slice(input);
    look_at(&bytes);
}

/// Any text as a signature, and as a key: no text is a signature by a key whose secret half nobody has, and what an index
/// keeps it gives back.
pub fn signature(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(text.parse::<PublicKey>().ok(), Some(key));
    }
    let options = BuildOptions { name: Some("app".into()), version: Some("2.0".into()), ..BuildOptions::default() };
    let mut index = Index::build(&b"content".to_vec(), &options, &|_| Ok(())).expect("an index of bytes in memory");
    if index.set_signature(text.to_owned()).is_ok() {
        assert_eq!(index.signature(), Some(text));
        look_at(&index.encode());
        assert!(Index::decode(&index.encode()).is_ok());
    }
}

fn look_at(bytes: &[u8]) {
    let Ok(index) = Index::decode(bytes) else { return };
    let again = index.encode();
    assert_eq!(again.len() as u64, index.encoded_size());
    let read = Index::decode(&again).expect("what was written is readable");
    assert_eq!((read.root(), read.length(), read.block_count()), (index.root(), index.length(), index.block_count()));
    assert_eq!((read.name(), read.version(), read.signature()), (index.name(), index.version(), index.signature()));
    assert_eq!(read.signed_bytes(), index.signed_bytes());
    let key = PUBLIC_KEY.parse().expect("a public key");
    assert!(index.check_signature(&key).is_err(), "nobody has the secret key any more");
    let mut covered = 0;
    for block in 0..index.block_count() {
        assert_eq!(index.block_range(block).offset, covered);
        covered = index.block_range(block).end();
        assert_eq!((read.weak(block), read.hint(block)), (index.weak(block), index.hint(block)));
    }
    assert_eq!(covered, index.length());
    for unit in 0..index.unit_count() {
        assert!(!index.unit_is(unit, &[]));
    }
}

/// The same container with the checks of the header and of its sections as they should be.
pub(crate) fn with_right_checks(input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let Some(count) = bytes.get(12..16).map(|count| u32::from_le_bytes([count[0], count[1], count[2], count[3]]))
    else {
        return bytes;
    };
    let Some(mut content) = (count as usize).checked_mul(LINE).map(|length| length + PREAMBLE) else { return bytes };
    let table = content;
    if count > 64 || bytes.len() < table {
        return bytes;
    }
    for line in (PREAMBLE..table).step_by(LINE) {
        let length = u64::from_le_bytes(bytes[line + 8..line + LINE].try_into().expect("eight bytes"));
        let Some(end) = usize::try_from(length).ok().and_then(|length| content.checked_add(length)) else { break };
        let Some(section) = bytes.get(content..end) else { break };
        let kind = u16::from_le_bytes([bytes[line], bytes[line + 1]]);
        if !(16..LISTING_INDEX).contains(&kind) {
            let check = blake3::hash(section);
            bytes[line + 4..line + 8].copy_from_slice(&check.as_bytes()[..4]);
        }
        content = end;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..PREAMBLE - 8]).update(&bytes[PREAMBLE..table]);
    let check = hasher.finalize();
    bytes[PREAMBLE - 8..PREAMBLE].copy_from_slice(&check.as_bytes()[..8]);
    bytes
}

/// Collects the units that matching has verified.
struct Collect(Mutex<(Vec<u8>, BTreeSet<u64>)>);

impl Observe for Collect {
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()> {
        let at = bytes.offset() as usize;
        let mut collected = self.0.lock().expect("no panic before");
        collected.0[at..at + bytes.bytes().len()].copy_from_slice(bytes.bytes());
        collected.1.insert(unit);
        Ok(())
    }

    fn scanned(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    fn unreadable(&self, _seed: u32, _error: Error) {}
}

/// Any target and seed, both made by the input's instructions: the cover is exact, lies inside the seed, and what was
/// verified is the target's.
pub fn matching(input: &[u8]) {
    let Some(([size, section], rest)) = input.split_first_chunk::<2>().map(|(head, rest)| (*head, rest)) else {
        return;
    };
    let (target, seed) = two_versions(rest);
    let options = BuildOptions { block_size: 1024 << (size % 6), ..BuildOptions::default() };
    let index = Index::build(&target, &options, &|_| Ok(())).expect("an index of bytes in memory");
    let collect = Collect(Mutex::new((target.iter().map(|byte| !byte).collect(), BTreeSet::new())));
    let readers: [&dyn ReadAt; 1] = [&seed];
    let sections = matching::Options { section: UNIT as usize + usize::from(section) * 997 };
    let found = matching::find(&index, &readers, &sections, &collect).expect("a seed in memory");
    let mut at = 0;
    for piece in matching::join_seams(&index, &readers, found.cover()) {
        assert!(piece.target.offset == at && piece.target.length > 0, "the cover has a gap at {at}");
        at = piece.target.end();
        if let Origin::Seed { offset, .. } = piece.origin {
            assert!(offset + piece.target.length <= seed.len() as u64, "past the seed's end");
        }
    }
    assert_eq!(at, target.len() as u64);
    let (output, units) = collect.0.into_inner().expect("no panic before");
    for unit in units {
        let range = index.unit_range(unit);
        let range = range.offset as usize..range.end() as usize;
        assert_eq!(output[range.clone()], target[range], "unit {unit} was verified and is wrong");
    }
}

/// Any bytes as an answer with several ranges.
pub fn multipart(input: &[u8]) {
    gosync_io::fuzzing::multipart(input);
}

/// Any bytes as the record that an update leaves beside a directory.
pub fn record(input: &[u8]) {
    gosync_io::fuzzing::record(input);
}

/// Any bytes as what a switch of a directory is to do.
pub fn switch(input: &[u8]) {
    gosync_io::fuzzing::switch(input);
}

/// Any bytes as an old and a new archive: once as they are, once as tars whose headers have the sums that they should have.
pub fn archive(input: &[u8]) {
    /// Bytes of a header of a tar, and of its sum, which counts as spaces.
    const HEADER: usize = 512;
    const SUM: std::ops::Range<usize> = 148..156;
    gosync_io::fuzzing::archive(input);
    let Some((at, bytes)) = input.split_first() else { return };
    let mut with_sums = bytes.to_vec();
    for header in with_sums.chunks_exact_mut(HEADER) {
        if header.iter().all(|byte| *byte == 0) {
            continue;
        }
        header[SUM].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    gosync_io::fuzzing::archive(&[&[*at], &with_sums[..]].concat());
}

/// Instructions of four bytes: a run of noise or of one byte, for the target, the seed or both. At most 1 MiB each.
fn two_versions(instructions: &[u8]) -> (Vec<u8>, Vec<u8>) {
    const MOST: usize = 1 << 20;
    let (mut target, mut seed) = (Vec::new(), Vec::new());
    for [what, value, low, high] in instructions.as_chunks::<4>().0.iter().copied() {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let run: Vec<u8> = match what & 3 {
            0 => vec![value; length],
            1 => (0..length).map(|at| (at % (usize::from(value) + 1)) as u8).collect(),
            _ => {
                let mut state = u64::from(value) + 1;
                let mut noise = || {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 56) as u8
                };
                (0..length).map(|_| noise()).collect()
            }
        };
        for (bit, version) in [(4, &mut target), (8, &mut seed)] {
            if what & bit == 0 && version.len() + length <= MOST {
                version.extend_from_slice(&run);
            }
        }
    }
    (target, seed)
}
