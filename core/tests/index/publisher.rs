//! What a publisher says of an index: where it is in the bytes, what a signature is made over, and that both are kept.

use gosync_core::Index;
use gosync_core::index::{BuildOptions, Front};

use crate::pattern;
use crate::reference::{self, Section};

const SIGNATURE: &str = "untrusted comment: x\nRUQ=\ntrusted comment: y\nRUQ=\n";

fn built(name: Option<&str>, version: Option<&str>) -> Index {
    let (name, version) = (name.map(str::to_owned), version.map(str::to_owned));
    let options = BuildOptions { block_size: 4096, name, version, ..BuildOptions::default() };
    Index::build(&pattern(200_000), &options, &|_| Ok(())).unwrap()
}

fn section(id: u16, data: &[u8]) -> Section {
    Section { id, flags: 0, check: None, data: data.to_vec() }
}

#[test]
fn the_publishers_words_are_where_the_document_says() {
    for (name, version, words) in [
        (Some("app"), Some("2.0"), &b"\x03app\x032.0"[..]),
        (Some("app"), None, b"\x03app\x00"),
        (None, Some("2.0"), b"\x00\x032.0"),
    ] {
        let mut index = built(name, version);
        let mut raw = reference::of(&pattern(200_000), 4096, None);
        raw.sections.insert(2, section(4, words));
        assert_eq!(index.encode(), raw.bytes());
        // What is signed is the beginning, with the table of an index without a signature.
        let unsigned = raw.bytes();
        let levels: usize = raw.sections[3..].iter().map(|section| section.data.len()).sum();
        assert_eq!(index.signed_bytes(), unsigned[..unsigned.len() - levels]);
        index.set_signature(SIGNATURE.to_owned()).unwrap();
        raw.sections.insert(3, section(5, SIGNATURE.as_bytes()));
        assert_eq!(index.encode(), raw.bytes());
        assert_eq!(index.encoded_size(), raw.bytes().len() as u64);
        assert_eq!(index.signed_bytes(), unsigned[..unsigned.len() - levels]);
        let read = Index::decode(&raw.bytes()).unwrap();
        assert_eq!((read.name(), read.version(), read.signature()), (name, version, Some(SIGNATURE)));
        assert_eq!(read.encode(), raw.bytes());
    }
}

#[test]
fn what_is_signed_is_known_from_the_beginning_alone() {
    let mut index = built(Some("app"), None);
    index.set_signature(SIGNATURE.to_owned()).unwrap();
    let bytes = index.encode();
    let mut length = 1;
    let front = loop {
        match Index::decode_front(&bytes[..length], 1 << 20).unwrap() {
            Front::Needs(needed) => length = needed as usize,
            Front::Read(index) => break index,
        }
    };
    assert!(length < bytes.len() - 200, "{length} of {} bytes", bytes.len());
    assert_eq!((front.signed_bytes(), front.signature()), (index.signed_bytes(), Some(SIGNATURE)));
}

#[test]
fn what_is_unknown_is_not_signed() {
    let mut raw = reference::of(&pattern(200_000), 4096, Some("a"));
    let plain = Index::decode(&raw.bytes()).unwrap().signed_bytes();
    raw.optional = 1 << 63;
    raw.sections.push(section(99, b"later"));
    raw.sections.insert(2, section(9, b"later"));
    assert_eq!(Index::decode(&raw.bytes()).unwrap().signed_bytes(), plain);
}
