//! Indexes that were written once are still read, and still written so (tests/golden/file-1).

use std::path::{Path, PathBuf};

use gosync_io::{IndexOptions, OpenOptions, check_index, index_bytes, open_index};

const KEY: &str = "RWTzupLICwciIHgIx9iHinnpQT1zQ3DxePYyPhGvPqPrKWSyDJWb/YtB";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/file-1").join(name)
}

fn sequence(length: usize, mut state: u64) -> Vec<u8> {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_was_written_once_is_still_read_and_written() {
    let named = |source: &str| IndexOptions { source: Some(source.to_owned()), ..IndexOptions::default() };
    let two = (sequence(300_001, 1), named("two"));
    let three = (sequence(600_001, 2), IndexOptions { top_size: 128 << 10, ..named("new/three") });
    for (name, (content, options)) in [("two-levels.gosync", two), ("three-levels.gosync", three)] {
        let written = std::fs::read(path(name)).expect("an index");
        let index = open_index(path(name).to_str().expect("text"), &OpenOptions::default()).expect("an index");
        assert_eq!(index.root().map(|root| root.to_string()), Some(blake3::hash(&content).to_string()), "{name}");
        for unit in 0..index.unit_count() {
            let range = index.unit_range(unit);
            assert!(index.unit_is(unit, &content[range.offset as usize..range.end() as usize]), "{name}: unit {unit}");
        }
        assert!(index.encode() == written, "{name} is written otherwise");
        assert!(index_bytes(&content, &options).expect("an index").encode() == written, "{name} is made otherwise");
    }
}

#[test]
fn what_was_signed_once_is_still_signed() {
    let open = OpenOptions { public_key: Some(KEY.parse().expect("a key")), ..OpenOptions::default() };
    let index = open_index(path("signed.gosync").to_str().expect("text"), &open).expect("an index that is signed");
    check_index(&index, &open).expect("an index that is signed");
    let content = sequence(70_001, 3);
    assert_eq!(index.root().map(|root| root.to_string()), Some(blake3::hash(&content).to_string()));
    assert_eq!((index.name(), index.version()), (Some("app"), Some("2.0 β")));
    let unsigned = IndexOptions {
        source: Some("signed".into()),
        name: Some("app".into()),
        version: Some("2.0 β".into()),
        ..IndexOptions::default()
    };
    let unsigned = index_bytes(&content, &unsigned).expect("an index");
    assert!(unsigned.signed_bytes() == index.signed_bytes());
}
