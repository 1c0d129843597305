//! Packs as they are in an index: the bytes that they have, and what is refused.

use gosync_core::index::BuildOptions;
use gosync_core::packs::Piece;
use gosync_core::{Digest, EntryKind, ErrorKind, Index, Listing, Packs, Range};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::vectors::settle;

fn plain(length: u32) -> Piece {
    Piece { size: length, length, is_compressed: false }
}

fn compressed(size: u32, length: u32) -> Piece {
    Piece { size, length, is_compressed: true }
}

fn root(number: u8) -> Digest {
    Digest([number; 32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("a byte");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Packs with something of everything that there is.
fn some() -> Vec<(&'static str, Packs)> {
    let packs = |packs: Vec<(Digest, Vec<Piece>)>, parts: &[Range]| Packs::new(packs, parts).expect("packs");
    let first = (root(1), vec![compressed(1000, 131_072), compressed(90_000, 131_072), plain(500), compressed(7, 8)]);
    let second = (root(2), vec![plain(1 << 20), compressed(1, 1 << 20)]);
    vec![
        ("none", Packs::default()),
        ("one piece", packs(vec![(root(3), vec![plain(1)])], &[Range::new(0, 1)])),
        ("all of two packs", packs(vec![first.clone(), second.clone()], &[Range::new(0, 2_359_804)])),
        (
            "parts, forwards and backwards",
            packs(
                vec![first, second],
                &[Range::new(131_000, 100), Range::new(300_000, 5), Range::new(0, 131_072), Range::new(0, 10)],
            ),
        ),
    ]
}

fn described(packs: &Packs) -> Value {
    let piece = |piece| {
        let (Piece { size, length, is_compressed }, ..) = packs.piece(piece).expect("a piece");
        json!([size, length, is_compressed])
    };
    let pack = |pack| json!({ "name": packs.name(pack), "pieces": packs.pieces(pack).map(piece).collect::<Vec<_>>() });
    let place =
        |place: gosync_core::packs::Place| json!([place.content, place.piece, place.range.offset, place.range.length]);
    json!({
        "packs": (0..packs.count()).map(pack).collect::<Vec<_>>(),
        "places": packs.places(Range::new(0, Range::TO_END)).map(place).collect::<Vec<_>>(),
    })
}

/// Bytes that are none, and what of.
fn bad() -> Vec<(&'static str, u64, Vec<u8>)> {
    let all = some();
    let one = all[1].1.encode();
    let changed = |at: usize, byte: u8| {
        let mut bytes = one.clone();
        bytes[at] = byte;
        bytes
    };
    // Version, packs, root, pieces, piece, runs, length, jump.
    assert_eq!(one.len(), 1 + 1 + 32 + 1 + 1 + 1 + 1 + 1);
    vec![
        ("another version", 1, changed(0, 2)),
        ("more packs than bytes", 1, changed(1, 9)),
        ("a pack without pieces", 1, changed(34, 0)),
        ("a piece without bytes", 1, changed(35, 0)),
        ("more runs than bytes", 1, changed(36, 9)),
        ("a run without bytes", 1, changed(37, 0)),
        ("a run that is too long", 2, changed(37, 2)),
        ("a run behind the store", 1, changed(38, 2)),
        ("a run before the store", 1, changed(38, 1)),
        ("other contents", 2, one.clone()),
        ("cut off", 1, one[..38].to_vec()),
        ("more behind", 1, [&one[..], &[0]].concat()),
        ("a number in more bytes than it needs", 1, [&one[..37], &[0x81, 0], &one[38..]].concat()),
        ("a number that is too large", 1, [&one[..37], &[0xff; 9], &[0x7f], &one[38..]].concat()),
        ("a run that goes on", 2, [&one[..36], &[2, 1, 0, 1, 0]].concat()),
        ("a piece that is no smaller compressed", 1, [&one[..35], &[3, 1, 1, 1, 0]].concat()),
        ("a length that nothing is before", 1, [&one[..35], &[3, 0, 1, 1, 0]].concat()),
        ("a piece that is too large", 1, [&one[..35], &[3, 0x81, 0x80, 0x40, 1, 1, 0]].concat()),
    ]
}

#[test]
fn pack_vectors() {
    let good = some().into_iter().map(|(name, packs)| {
        let mut vector = described(&packs);
        vector["name"] = json!(name);
        vector["length"] = json!(packs.length());
        vector["hex"] = json!(hex(&packs.encode()));
        vector
    });
    let wrong = bad().into_iter().map(|(name, length, bytes)| {
        let error = Packs::decode(&bytes, length).expect_err(name).kind();
        json!({ "name": name, "length": length, "hex": hex(&bytes), "error": error.name() })
    });
    let written: Vec<Value> = good.chain(wrong).collect();
    settle("packs.json", &written);
    for vector in written.iter().filter(|vector| vector["error"].is_null()) {
        let bytes = from_hex(vector["hex"].as_str().expect("text"));
        let packs = Packs::decode(&bytes, vector["length"].as_u64().expect("a number")).expect("packs");
        assert_eq!(packs.encode(), bytes);
    }
}

/// An index of a tree with one file of two bytes.
fn tree() -> Index {
    let payload = b"ab".to_vec();
    let index = Index::build(&payload, &BuildOptions::default(), &|_| Ok(())).expect("an index");
    let kind = EntryKind::File { size: 2, root: Digest::of(&payload), is_executable: false };
    let listing = Listing::new(1024, 2, Digest::of(&payload), [("file", kind)]).expect("a listing");
    index.with_listing(listing).expect("an index of a tree")
}

#[test]
fn an_index_says_that_it_has_packs() {
    let plain_bytes = tree().encode();
    let packs = Packs::new(vec![(root(9), vec![plain(3)])], &[Range::new(1, 2)]).expect("packs");
    let index = tree().with_packs(packs.clone()).expect("an index with packs");
    let bytes = index.encode();
    assert_eq!(bytes.len() as u64, index.encoded_size());
    assert_eq!((plain_bytes[16], bytes[16]), (0, 1));
    let read = Index::decode(&bytes).expect("an index");
    assert_eq!((read.packs(), read.root(), read.encode()), (Some(&packs), tree().root(), bytes.clone()));
    assert!(read.signed_bytes().len() > tree().signed_bytes().len());
    // Of other contents than the tree's.
    let other = Packs::new(vec![(root(9), vec![plain(3)])], &[Range::new(0, 3)]).expect("packs");
    assert_eq!(tree().with_packs(other).expect_err("other packs").kind(), ErrorKind::Argument);
    let file = Index::build(&b"ab".to_vec(), &BuildOptions::default(), &|_| Ok(())).expect("an index");
    assert_eq!(file.with_packs(packs).expect_err("a file").kind(), ErrorKind::Argument);
}

proptest! {
    #[test]
    fn packs_are_what_they_were(
        sizes in proptest::collection::vec((1u32..300, 0u32..400), 1..20),
        cuts in proptest::collection::vec((0u64..5000, 1u64..400), 0..20),
    ) {
        let piece = |&(length, saved): &(u32, u32)| {
            if saved > 0 && saved < length { compressed(length - saved, length) } else { plain(length) }
        };
        let pieces: Vec<Piece> = sizes.iter().map(piece).collect();
        let store: u64 = pieces.iter().map(|piece| u64::from(piece.length)).sum();
        let packs = pieces.chunks(3).zip(0..).map(|(pieces, number)| (root(number), pieces.to_vec())).collect();
        let part = |&(at, length): &(u64, u64)| Range::new(at % store, length.min(store - at % store));
        let parts: Vec<Range> = cuts.iter().map(part).collect();
        let packs = Packs::new(packs, &parts).expect("packs");
        prop_assert_eq!(&Packs::decode(&packs.encode(), packs.length()).expect("what was written"), &packs);
        // Every byte of the contents is where it was put.
        let wanted: Vec<u64> = parts.iter().flat_map(|part| part.offset..part.end()).collect();
        let starts: Vec<u64> = pieces.iter().scan(0, |at, piece| {
            *at += u64::from(piece.length);
            Some(*at - u64::from(piece.length))
        }).collect();
        let found: Vec<u64> = packs.places(Range::new(0, Range::TO_END))
            .flat_map(|place| {
                let start = starts[place.piece] + place.range.offset;
                assert_eq!(start, place.store);
                start..start + place.range.length
            })
            .collect();
        prop_assert_eq!(found, wanted);
    }
}
