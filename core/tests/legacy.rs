//! The ancestor's format: its own files are read and written to the byte, damaged ones are refused, and the engine
//! rebuilds from it what it rebuilds from any index.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use gosync_core::assemble::Verified;
use gosync_core::index::{BuildOptions, Format, Front};
use gosync_core::matching::{self, Observe, Options};
use gosync_core::{Error, ErrorKind, Index, Origin, ReadAt, Result};
use proptest::prelude::*;

/// The inputs of the golden files, as `make_inputs.py` beside them makes them.
fn input(name: &str) -> Vec<u8> {
    let random = |count: usize| -> Vec<u8> {
        let next = |x: &mut u64| {
            *x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some((*x >> 56) as u8)
        };
        std::iter::repeat_n((), count).scan(1, |x, ()| next(x)).collect()
    };
    match name {
        "one" => random(1),
        "short" => random(5000),
        "exact" => random(16_384),
        "odd" => random(100_001),
        "dup" => [random(8192).repeat(5), b"tail".to_vec()].concat(),
        "zeros" => vec![0; 40_000],
        _ => panic!("an unknown input {name}"),
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/legacy-0.2")
}

fn build(content: &[u8], block_size: u32) -> Index {
    let options = BuildOptions { block_size, format: Format::Legacy, ..BuildOptions::default() };
    Index::build(&content.to_vec(), &options, &|_| Ok(())).expect("an index")
}

/// The golden files: name of the input, block size, bytes.
fn files() -> Vec<(String, u32, Vec<u8>)> {
    let entries = std::fs::read_dir(golden()).expect("the golden files").map(|entry| entry.expect("an entry").path());
    let indexes = entries.filter(|path| path.extension().is_some_and(|extension| extension == "gosync"));
    let files: Vec<_> = indexes
        .map(|path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            let (name, size) = stem.split_once('-').expect("a name and a block size");
            (name.to_owned(), size.parse().expect("a block size"), std::fs::read(path).expect("a golden file"))
        })
        .collect();
    assert_eq!(files.len(), 13);
    files
}

/// Keeps the units that are told, where they belong.
struct Rebuilt(Mutex<Vec<u8>>);

impl Observe for Rebuilt {
    fn unit(&self, _: u64, bytes: Verified<'_>) -> Result<()> {
        let at = bytes.offset() as usize;
        self.0.lock().unwrap()[at..at + bytes.bytes().len()].copy_from_slice(bytes.bytes());
        Ok(())
    }
    fn scanned(&self, _: u64) -> Result<()> {
        Ok(())
    }
    fn unreadable(&self, _: u32, error: Error) {
        panic!("{error}");
    }
}

/// How much of `target` is found in `seed`, after checking that what is said to be there is.
fn found(index: &Index, seed: &[u8], target: &[u8]) -> u64 {
    let rebuilt = Rebuilt(Mutex::new(vec![0; target.len()]));
    let seed = seed.to_vec();
    let options = Options { section: 1 << 16 };
    let found = matching::find(index, &[&seed as &dyn ReadAt], &options, &rebuilt).expect("a search");
    let mut end = 0;
    let mut bytes = 0;
    for piece in found.cover() {
        assert_eq!(piece.target.offset, end);
        end = piece.target.end();
        if let Origin::Seed { offset, .. } = piece.origin {
            let (there, here) = (piece.target.offset as usize..end as usize, offset as usize);
            assert_eq!(seed[here..here + there.len()], target[there]);
            bytes += piece.target.length;
        }
    }
    assert_eq!(end, target.len() as u64);
    bytes
}

#[test]
fn the_ancestors_files_are_read_and_written_to_the_byte() {
    for (name, block_size, bytes) in files() {
        let content = input(&name);
        let index = Index::decode(&bytes).unwrap_or_else(|error| panic!("{name}-{block_size}: {error}"));
        assert_eq!((index.length(), index.block_size()), (content.len() as u64, block_size), "{name}");
        assert_eq!((index.format(), index.proof(), index.root()), (Format::Legacy, "blocks-md5", None));
        assert_eq!((index.unit_count(), index.unit_size()), (index.block_count(), block_size.into()));
        for unit in 0..index.unit_count() {
            let range = index.unit_range(unit);
            let block = &content[range.offset as usize..range.end() as usize];
            assert!(Verified::check(&index, unit, block).is_some(), "{name}-{block_size}: block {unit}");
            let mut other = block.to_vec();
            other[0] ^= 1;
            assert!(Verified::check(&index, unit, &other).is_none());
            assert!(Verified::check(&index, unit, &block[1..]).is_none());
        }
        assert_eq!(found(&index, &content, &content), content.len() as u64, "{name}-{block_size}");
        let built = build(&content, block_size);
        assert_eq!(built.encode(), bytes, "{name}-{block_size}");
        assert_eq!((built.encoded_size(), built.is_same(&index)), (bytes.len() as u64, true));
        assert!(!built.is_same(&build(&[&content[..], b"x"].concat(), block_size)));
    }
}

#[test]
fn what_is_damaged_is_refused() {
    let bytes = build(&input("odd"), 1000).encode();
    let kind = |bytes: &[u8]| Index::decode(bytes).err().map(|error| error.kind());
    for end in 0..bytes.len() {
        assert_eq!(kind(&bytes[..end]), Some(ErrorKind::Format), "cut off at {end}");
    }
    assert_eq!(kind(&[&bytes[..], b"x"].concat()), Some(ErrorKind::Format));
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        kind(&bytes)
    };
    assert_eq!(with(6, &[1, 0]), Some(ErrorKind::Version));
    assert_eq!(with(8, &[3, 0]), Some(ErrorKind::Version));
    assert_eq!(with(10, &[9, 0]), None, "a patch changes nothing");
    assert_eq!(with(12, &(-1i64).to_le_bytes()), Some(ErrorKind::Format));
    assert_eq!(with(12, &i64::MAX.to_le_bytes()), Some(ErrorKind::Limit));
    assert_eq!(with(12, &(1u64 << 40).to_le_bytes()), Some(ErrorKind::Format), "more blocks than bytes");
    assert_eq!(with(20, &[0; 4]), Some(ErrorKind::Format));
    // One block, which is larger than anybody wants to have in memory.
    let huge = [&bytes[..12], &u64::from(u32::MAX).to_le_bytes(), &u32::MAX.to_le_bytes(), &bytes[24..44]].concat();
    assert_eq!(kind(&huge), Some(ErrorKind::Limit));
}

#[test]
fn all_of_it_is_needed() {
    let bytes = build(&input("odd"), 1000).encode();
    for end in [6, 23, 24, 1000, bytes.len() - 1] {
        let needed = if end < 24 { 24 } else { bytes.len() as u64 };
        match Index::decode_front(&bytes[..end], 1 << 20).expect("a beginning") {
            Front::Needs(count) => assert_eq!(count, needed),
            Front::Read(_) => panic!("{end} bytes are not all of it"),
        }
    }
    assert!(matches!(Index::decode_front(&bytes, 1 << 20), Ok(Front::Read(index)) if index.is_whole()));
    assert_eq!(Index::decode_front(&bytes[..24], 1000).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn what_the_format_has_no_room_for_is_refused() {
    let content = vec![1; 100];
    let kind = |options: BuildOptions| Index::build(&content, &options, &|_| Ok(())).err().map(|error| error.kind());
    let legacy = || BuildOptions { format: Format::Legacy, ..BuildOptions::default() };
    assert_eq!(kind(BuildOptions { source: Some("a".into()), ..legacy() }), Some(ErrorKind::Argument));
    assert_eq!(kind(BuildOptions { top_size: 1 << 16, ..legacy() }), Some(ErrorKind::Argument));
    assert_eq!(Index::build(&content, &legacy(), &|_| Ok(())).expect("an index").block_size(), 8192);
}

#[test]
fn a_block_that_only_looks_the_same_is_nothing() {
    // The weak sum and the part of the MD5 that is looked for stay, the rest is another one's.
    let content = input("odd");
    let mut bytes = build(&content, 1000).encode();
    for entry in bytes[24..].chunks_exact_mut(20) {
        entry[19] ^= 1;
    }
    let index = Index::decode(&bytes).expect("an index");
    assert!(index.block_count() > 100);
    let shifted = [&b"in front"[..], &content].concat();
    let rebuilt = Rebuilt(Mutex::new(vec![0; content.len()]));
    matching::find(&index, &[&shifted as &dyn ReadAt], &Options::default(), &rebuilt).expect("a search");
    assert!(rebuilt.0.into_inner().unwrap().iter().all(|byte| *byte == 0), "something was verified");
}

#[test]
fn blocks_are_found_wherever_they_are() {
    for block_size in [1, 3, 16, 700, 1000, 8192, 65_536, 100_003, 1 << 20, u32::MAX] {
        let target = input("odd");
        let index = build(&target, block_size);
        let size = target.len().min(block_size as usize) as u64;
        let seed = [b"seven b", &target[..40_000], b"an edit", &target[40_010..]].concat();
        let lost = if size == target.len() as u64 { size } else { (2 * size + 10).min(target.len() as u64) };
        // Of blocks of a few bytes each look costs more than they are: what is paid for that is bounded.
        let lost = if size < 16 { target.len() as u64 / 2 } else { lost };
        let found = found(&index, &seed, &target);
        assert!(found >= target.len() as u64 - lost, "blocks of {block_size}: {found}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_content_any_block_size(
        content in prop::collection::vec(0u8..4, 0..3000),
        seed in prop::collection::vec(0u8..4, 0..3000),
        block_size in 1u32..500,
        cut in 0usize..3000,
    ) {
        let index = build(&content, block_size);
        let bytes = index.encode();
        let read = Index::decode(&bytes).unwrap();
        prop_assert_eq!(read.encode(), bytes);
        // What is said to be found is checked there; a block of a few values may hide another that it overlaps.
        let mixed = [&seed[..], &content[..cut.min(content.len())], &seed].concat();
        found(&read, &mixed, &content);
        prop_assert_eq!(found(&read, &content, &content), content.len() as u64);
    }

    #[test]
    fn any_bytes_behind_the_magic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&b"G0S9NC\0\0\x02\0\x01\0"[..], &bytes].concat();
        if let Ok(index) = Index::decode(&bytes) {
            prop_assert_eq!(&index.encode()[12..], &bytes[12..]);
        }
        let _ = Index::decode_front(&bytes, 1 << 20);
    }
}
