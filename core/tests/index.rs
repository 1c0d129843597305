//! The index through its public doors: what is built from content, what is written and read back,
//! what vouches for content, and what bad bytes are answered with.

#[path = "index/damage.rs"]
mod damage;
#[path = "index/listing.rs"]
mod listing;
#[path = "index/packs.rs"]
mod packs;
#[path = "index/publisher.rs"]
mod publisher;
#[path = "index/reference.rs"]
mod reference;
#[path = "index/tree.rs"]
mod tree;
#[path = "index/vectors.rs"]
mod vectors;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use gosync_core::index::{BuildOptions, UNIT};
use gosync_core::{Digest, Error, ErrorKind, Index, Range, ReadAt, Result, weak};
use proptest::prelude::*;

/// The content of the shared vectors: byte `i` is `i` modulo 251.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// Lengths around every border that there is for blocks of `block` bytes.
fn lengths(block: usize) -> Vec<usize> {
    let mut lengths = vec![0, 1, 1023, 1024, 1025, 65_535, 65_536, 65_537, 131_072, 3 * 65_536 + 1, (1 << 20) + 5];
    lengths.extend([block - 1, block, block + 1, 2 * block, 3 * block + 1]);
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

fn build_with(content: &[u8], block_size: u32, source: Option<&str>) -> Index {
    let options = BuildOptions { block_size, source: source.map(str::to_owned), ..BuildOptions::default() };
    Index::build(&content.to_vec(), &options, &|_| Ok(())).unwrap()
}

fn part(content: &[u8], range: Range) -> &[u8] {
    &content[range.offset as usize..range.end() as usize]
}

/// A reader whose answers a closure gives.
struct Reader<F>(u64, F);

impl<F: Fn(u64, &mut [u8]) -> Result<usize> + Send + Sync> ReadAt for Reader<F> {
    fn length(&self) -> u64 {
        self.0
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        (self.1)(offset, buffer)
    }
}

#[test]
fn an_index_says_what_the_content_is() {
    for block_size in [1024u32, 4096, 32_768] {
        for length in lengths(block_size as usize) {
            let content = pattern(length);
            let index = build_with(&content, block_size, None);
            assert_eq!(index.length(), length as u64);
            assert_eq!(index.root(), Some(Digest::of(&content)), "length {length}");
            assert_eq!(index.block_size(), block_size);
            assert_eq!(index.block_count(), (length as u64).div_ceil(u64::from(block_size)));
            assert_eq!(index.unit_count(), (length as u64).div_ceil(UNIT));
            assert_eq!((index.source(), index.origin()), (None, None));
            check_ranges(&index, length as u64);
            check_identities(&index, &content);
        }
    }
}

fn check_ranges(index: &Index, length: u64) {
    let ends = |count: u64, range: &dyn Fn(u64) -> Range| {
        let end = (0..count).fold(0, |end, i| {
            assert_eq!(range(i).offset, end);
            range(i).end()
        });
        assert_eq!(end, length, "the ranges cover the content");
        for behind in [count, u64::MAX] {
            assert_eq!(range(behind), Range::new(length, 0), "nothing is behind the end");
        }
    };
    ends(index.unit_count(), &|unit| index.unit_range(unit));
    ends(index.block_count(), &|block| index.block_range(block));
}

fn check_identities(index: &Index, content: &[u8]) {
    for block in 0..index.block_count() {
        let bytes = part(content, index.block_range(block));
        let (a, b) = weak::sum(bytes);
        assert_eq!(index.weak(block), index.cut_weak(a, b), "block {block}");
        assert_eq!(index.hint(block), index.hint_of(bytes), "block {block}");
    }
    assert_eq!((index.weak(index.block_count()), index.hint(u64::MAX)), (0, 0));
}

#[test]
fn what_is_written_is_what_the_document_says_and_reads_back() {
    for block_size in [1024u32, 2048, 32_768] {
        for length in lengths(block_size as usize) {
            for source in [None, Some("releases/app-1.2.bin")] {
                let content = pattern(length);
                let index = build_with(&content, block_size, source);
                let bytes = index.encode();
                assert_eq!(bytes, reference::of(&content, block_size, source).bytes(), "length {length}");
                assert_eq!(index.encoded_size(), bytes.len() as u64);
                let read = Index::decode(&bytes).unwrap();
                assert_eq!(read.encode(), bytes);
                assert_eq!((read.root(), read.source()), (index.root(), source));
                check_identities(&read, &content);
            }
        }
    }
}

#[test]
fn block_sizes_are_chosen_by_length() {
    let sizes = [(0, 1024), (128 << 20, 1024), ((128 << 20) + 1, 2048)];
    for (length, block_size) in sizes {
        assert_eq!(build_with(&pattern(length), 0, None).block_size(), block_size, "length {length}");
    }
}

#[test]
fn the_origin_is_not_part_of_the_index() {
    let mut index = build_with(b"content", 0, None);
    let before = index.encode();
    index.set_origin(Some("https://example.org/app.gosync".into()));
    assert_eq!(index.origin(), Some("https://example.org/app.gosync"));
    assert_eq!(index.encode(), before);
}

#[test]
fn a_unit_is_its_bytes_and_no_others() {
    for length in [1, 1024, 1025, 65_536, 65_537, 131_072, 3 * 65_536 + 1, 3 * 65_536 + 1024] {
        let content = pattern(length);
        let index = build_with(&content, 0, None);
        for unit in 0..index.unit_count() {
            let right = part(&content, index.unit_range(unit)).to_vec();
            assert!(index.unit_is(unit, &right), "length {length}, unit {unit}");
            check_wrong_units(&index, unit, &right);
        }
        assert!(!index.unit_is(index.unit_count(), &[]));
        assert!(!index.unit_is(u64::MAX, &content));
    }
    assert!(!build_with(&[], 0, None).unit_is(0, &[]), "empty content has no units");
}

fn check_wrong_units(index: &Index, unit: u64, right: &[u8]) {
    let mut wrong = right.to_vec();
    for at in (0..right.len()).step_by(right.len().div_ceil(40)).chain([right.len() - 1]) {
        for bit in 0..8 {
            wrong[at] ^= 1 << bit;
            assert!(!index.unit_is(unit, &wrong), "bit {bit} of byte {at} of unit {unit}");
            wrong[at] ^= 1 << bit;
        }
    }
    assert!(!index.unit_is(unit, &wrong[1..]));
    assert!(!index.unit_is(unit, &wrong[..right.len() - 1]));
    wrong.push(0);
    assert!(!index.unit_is(unit, &wrong));
    for other in (0..=index.unit_count()).filter(|other| *other != unit) {
        assert!(!index.unit_is(other, right), "unit {unit} in the place of {other}");
    }
}

#[test]
fn threads_and_piece_sizes_make_no_difference() {
    let content = pattern((17 << 20) + 77);
    let expected = build_with(&content, 0, None).encode();
    let in_pieces = Reader(content.len() as u64, |offset: u64, buffer: &mut [u8]| {
        let count = buffer.len().min(1 + offset as usize % 60_000);
        content.read_at(offset, &mut buffer[..count])
    });
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let done = AtomicU64::new(0);
        let advance = |bytes| {
            done.fetch_add(bytes, Ordering::Relaxed);
            Ok(())
        };
        let index = pool.install(|| Index::build(&in_pieces, &BuildOptions::default(), &advance)).unwrap();
        assert_eq!(index.encode(), expected, "{threads} threads");
        assert_eq!(done.into_inner(), content.len() as u64);
    }
}

#[test]
fn offsets_above_four_gib_count() {
    let length = (4u64 << 30) + 3 * UNIT + 5;
    let mark = length - UNIT;
    let reader = Reader(length, |offset: u64, buffer: &mut [u8]| {
        buffer.fill(0);
        if let Some(byte) = mark.checked_sub(offset).and_then(|at| buffer.get_mut(at as usize)) {
            *byte = 1;
        }
        Ok(buffer.len())
    });
    let index = Index::build(&reader, &BuildOptions::default(), &|_| Ok(())).unwrap();
    let mut hasher = blake3::Hasher::new();
    let zeros = vec![0; 64 << 20];
    for _ in 0..mark / zeros.len() as u64 {
        hasher.update_rayon(&zeros);
    }
    hasher.update(&zeros[..mark as usize % zeros.len()]).update(&[1]).update(&zeros[..UNIT as usize - 1]);
    assert_eq!(index.root().map(|root| *root.as_bytes()), Some(*hasher.finalize().as_bytes()));
    let mut unit = vec![0; UNIT as usize];
    assert!(index.unit_is(65_537, &unit));
    assert!(!index.unit_is(65_538, &unit));
    unit[5] = 1;
    assert!(index.unit_is(65_538, &unit));
    assert_eq!(Index::decode(&index.encode()).unwrap().root(), index.root());
}

#[test]
fn a_build_that_cannot_work_says_why() {
    let build = |reader: &dyn ReadAt, block_size, source: Option<String>| {
        Index::build(reader, &BuildOptions { block_size, source, ..BuildOptions::default() }, &|_| Ok(())).unwrap_err()
    };
    for block_size in [1, 512, 1023, 1025, 3072, 65_536, u32::MAX] {
        assert_eq!(build(&pattern(10), block_size, None).kind(), ErrorKind::Argument, "block size {block_size}");
    }
    for source in [String::new(), "a\nb".into(), "\u{7f}".into(), "\u{85}".into(), "x".repeat(4097)] {
        assert_eq!(build(&pattern(10), 0, Some(source.clone())).kind(), ErrorKind::Argument, "source {source:?}");
    }
    assert_eq!(build_with(&pattern(10), 0, Some(&"x".repeat(4096))).source().map(str::len), Some(4096));

    let shrunk = Reader(200_000, |offset, buffer: &mut [u8]| pattern(150_000).read_at(offset, buffer));
    let error = build(&shrunk, 0, None);
    assert_eq!((error.kind(), error.context()), (ErrorKind::Io, &[("offset", "150000".to_owned())][..]));

    let failing = Reader(200_000, |_, _: &mut [u8]| Err(Error::new(ErrorKind::Permission, "no entry")));
    assert_eq!(build(&failing, 0, None).kind(), ErrorKind::Permission);

    let endless = Reader(u64::MAX, |_, _: &mut [u8]| panic!("nothing is read of what cannot be indexed"));
    assert_eq!(build(&endless, 0, None).kind(), ErrorKind::Limit);
}

#[test]
fn advance_stops_a_build() {
    let reads = Mutex::new(0);
    let reader = Reader(1 << 36, |_, buffer: &mut [u8]| {
        *reads.lock().unwrap() += 1;
        Ok(buffer.len())
    });
    let stop = |_| Err(Error::new(ErrorKind::Cancelled, "enough"));
    let small = BuildOptions { block_size: 32_768, ..BuildOptions::default() };
    assert_eq!(Index::build(&reader, &small, &stop).unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(*reads.lock().unwrap() < 100, "64 GiB were not read");
}

proptest! {
    #[test]
    fn any_content_survives(
        content in proptest::collection::vec(any::<u8>(), 0..200_000),
        log2 in 10u32..=15,
        source in proptest::option::of("[^\\p{Cc}]{1,40}"),
    ) {
        let index = build_with(&content, 1 << log2, source.as_deref());
        prop_assert_eq!(index.root(), Some(Digest::of(&content)));
        let bytes = index.encode();
        prop_assert_eq!(&bytes, &reference::of(&content, 1 << log2, source.as_deref()).bytes());
        let read = Index::decode(&bytes).unwrap();
        prop_assert_eq!(read.encode(), bytes);
        for unit in 0..read.unit_count() {
            prop_assert!(read.unit_is(unit, part(&content, read.unit_range(unit))));
        }
    }
}
