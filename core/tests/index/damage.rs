//! Indexes that nobody vouches for: cut, flipped, rearranged, or made up.

use gosync_core::{ErrorKind, Index};
use proptest::prelude::*;

use crate::reference::{self, Raw, Section};
use crate::{build_with, pattern};

/// The kind of error that `bytes` are refused with; what was found there must be one of three.
fn refusal(bytes: &[u8]) -> Option<ErrorKind> {
    let kind = Index::decode(bytes).err()?.kind();
    assert!(matches!(kind, ErrorKind::Format | ErrorKind::Version | ErrorKind::Limit), "{kind} for bad bytes");
    Some(kind)
}

/// Small indexes of every shape: no unit, one, several; with and without what is optional.
fn samples() -> Vec<Vec<u8>> {
    let mut extended = reference::of(&pattern(70_000), 32_768, Some("app.bin"));
    extended.optional = 1 << 63;
    extended.sections.insert(2, Section { id: 9, flags: 0, check: None, data: b"for later".to_vec() });
    let mut samples: Vec<_> = [0, 1, 5_000, 65_536, 65_537, 3 * 65_536 + 1]
        .map(|length| build_with(&pattern(length), 16_384, Some("app.bin")).encode())
        .into();
    samples.push(build_with(&pattern(100_000), 4096, None).encode());
    samples.push(extended.bytes());
    let words = [(4, &b"\x03app\x032.0"[..]), (5, b"untrusted comment: x\ny\ntrusted comment: z\ny\n")];
    let mut signed = reference::of(&pattern(70_000), 32_768, None);
    signed.sections.splice(2..2, words.map(|(id, data)| Section { id, flags: 0, check: None, data: data.to_vec() }));
    samples.push(signed.bytes());
    samples.push(reference::with_top(&pattern(200_000), 32_768, Some(65_536), None).bytes());
    samples.push(reference::with_top(&pattern(300_000), 32_768, Some(131_072), Some("a")).bytes());
    samples
}

#[test]
fn the_samples_are_right() {
    for sample in samples() {
        assert_eq!(refusal(&sample), None);
    }
}

#[test]
fn every_cut_is_noticed() {
    for sample in samples() {
        for length in 0..sample.len() {
            assert_eq!(refusal(&sample[..length]), Some(ErrorKind::Format), "{length} of {} bytes", sample.len());
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for mut sample in samples() {
        for at in 0..sample.len() {
            for bit in 0..8 {
                sample[at] ^= 1 << bit;
                assert!(refusal(&sample).is_some(), "bit {bit} of byte {at} of {}", sample.len());
                sample[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn a_cut_says_how_much_is_missing() {
    let bytes = build_with(&pattern(100), 0, None).encode();
    let message = |length: usize| Index::decode(&bytes[..length]).unwrap_err().message().to_owned();
    let needed = bytes.len();
    assert_eq!(message(10), "the index is cut off: 10 bytes present, 40 needed");
    assert_eq!(message(50), "the index is cut off: 50 bytes present, 104 needed");
    assert_eq!(
        message(200.min(needed - 1)),
        format!("the index is cut off: {} bytes present, {needed} needed", 200.min(needed - 1))
    );
    assert_eq!(message(0), "the index is empty");
}

#[test]
fn a_transfer_as_text_shows() {
    let bytes = build_with(&pattern(100), 0, None).encode();
    let lines: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'\r').collect();
    let utf8 = String::from_utf8_lossy(&bytes).into_owned().into_bytes();
    let seven_bits: Vec<u8> = bytes.iter().map(|byte| byte & 0x7f).collect();
    for bytes in [lines, utf8, seven_bits] {
        assert_eq!(Index::decode(&bytes).unwrap_err().message(), "the index was damaged by a transfer as text");
    }
}

#[test]
fn what_is_optional_is_skipped_and_what_is_critical_is_not() {
    let raw = reference::of(&pattern(70_000), 4096, None);
    for place in 0..=raw.sections.len() {
        for id in [0, 6, 15, 19, 300, u16::MAX] {
            let mut raw = raw.clone();
            let later = Section { id, flags: 0, check: None, data: vec![7; 100] };
            raw.sections.insert(place, later);
            assert_eq!(refusal(&raw.bytes()), None, "section {id} in place {place}");
            raw.sections[place].flags = 1;
            assert_eq!(refusal(&raw.bytes()), Some(ErrorKind::Version), "section {id} in place {place}");
            raw.sections[place].flags = 2;
            assert_eq!(refusal(&raw.bytes()), Some(ErrorKind::Format), "section {id} in place {place}");
        }
    }
    let mut many = raw.clone();
    many.sections.resize(64, Section { id: 300, flags: 0, check: None, data: Vec::new() });
    assert_eq!(refusal(&many.bytes()), None, "64 sections");
    many.sections.push(many.sections[63].clone());
    assert_eq!(refusal(&many.bytes()), Some(ErrorKind::Format), "65 sections");
    for bit in 0..64 {
        assert_eq!(refusal(&Raw { optional: 1 << bit, ..raw.clone() }.bytes()), None);
        assert_eq!(refusal(&Raw { required: 1 << bit, ..raw.clone() }.bytes()), Some(ErrorKind::Version));
    }
}

#[test]
fn sections_have_one_order_and_no_doubles() {
    let raw = reference::of(&pattern(70_000), 4096, Some("app.bin"));
    for i in 0..raw.sections.len() {
        let mut missing = raw.clone();
        let section = missing.sections.remove(i);
        let expected = if section.id == 3 { None } else { Some(ErrorKind::Format) };
        assert_eq!(refusal(&missing.bytes()), expected, "without section {}", section.id);
        let mut double = raw.clone();
        double.sections.insert(i, section);
        assert_eq!(refusal(&double.bytes()), Some(ErrorKind::Format));
        for j in 0..i {
            let mut swapped = raw.clone();
            swapped.sections.swap(i, j);
            assert_eq!(refusal(&swapped.bytes()), Some(ErrorKind::Format), "sections {i} and {j} swapped");
        }
        let mut other_flag = raw.clone();
        other_flag.sections[i].flags ^= 1;
        assert_eq!(refusal(&other_flag.bytes()), Some(ErrorKind::Format), "section {i} with the other flag");
    }
}

#[test]
fn sections_of_the_wrong_size_are_refused() {
    let raw = reference::of(&pattern(70_000), 4096, None);
    for section in 0..raw.sections.len() {
        let mut longer = raw.clone();
        longer.sections[section].data.push(0);
        assert_eq!(refusal(&longer.bytes()), Some(ErrorKind::Format), "section {section}");
        let mut shorter = raw.clone();
        shorter.sections[section].data.pop();
        assert_eq!(refusal(&shorter.bytes()), Some(ErrorKind::Format), "section {section}");
        let mut empty = raw.clone();
        empty.sections[section].data.clear();
        assert_eq!(refusal(&empty.bytes()), Some(ErrorKind::Format), "section {section}");
    }
}

#[test]
fn only_known_levels_are_read() {
    let mut raw = reference::of(&[], 4096, None);
    let levels = raw.sections[1].data.clone();
    for (at, values) in [(1, [15, 17, 0]), (2, [0, 2, 255]), (3, [4, 1, 8]), (4, [2, 1, 8])] {
        // A weak sum without a hint, or the other way round, is none of ours either.
        for value in values {
            raw.sections[1].data[at] = value;
            assert_eq!(refusal(&raw.bytes()), Some(ErrorKind::Version), "top level, byte {at} is {value}");
        }
        raw.sections[1].data.clone_from(&levels);
    }
    for (at, values) in [(9, [9, 16, 255]), (10, [1, 2, 255]), (11, [0, 3, 7]), (12, [0, 1, 9])] {
        for value in values {
            raw.sections[1].data[at] = value;
            assert_eq!(refusal(&raw.bytes()), Some(ErrorKind::Version), "lower level, byte {at} is {value}");
        }
        raw.sections[1].data.clone_from(&levels);
    }
    for reserved in [5, 8, 13, 16] {
        raw.sections[1].data[reserved] = 1;
        assert_eq!(refusal(&raw.bytes()), Some(ErrorKind::Format), "reserved byte {reserved}");
        raw.sections[1].data[reserved] = 0;
    }
    for (count, kind) in
        [(0, ErrorKind::Version), (1, ErrorKind::Version), (3, ErrorKind::Version), (4, ErrorKind::Version)]
    {
        let mut data = vec![count];
        data.extend(levels[1..].iter().cycle().take(8 * usize::from(count)));
        raw.sections[1].data = data;
        assert_eq!(refusal(&raw.bytes()), Some(kind), "{count} levels");
    }
}

#[test]
fn lengths_that_no_index_has_are_refused_at_once() {
    let mut raw = reference::of(&pattern(70_000), 4096, None);
    let cases = [
        (u64::MAX, ErrorKind::Limit),
        (1 << 44, ErrorKind::Limit),
        (1 << 43, ErrorKind::Format),
        (0, ErrorKind::Format),
    ];
    for (length, kind) in cases {
        raw.sections[0].data[..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(refusal(&raw.bytes()), Some(kind), "length {length}");
    }
}

#[test]
fn groups_and_values_of_another_version_are_noticed() {
    let old = reference::of(&pattern(200_000), 4096, None);
    let mut changed = pattern(200_000);
    changed[70_000] ^= 1;
    let new = reference::of(&changed, 4096, None);
    for section in [2, 3] {
        let mut mixed = new.clone();
        mixed.sections[section].data.clone_from(&old.sections[section].data);
        assert_eq!(refusal(&mixed.bytes()), Some(ErrorKind::Format), "section {section} of the old version");
    }
    let mut swapped = old.clone();
    swapped.sections[2].data.rotate_left(32);
    assert_eq!(refusal(&swapped.bytes()), Some(ErrorKind::Format), "values in another order");
    let mut other_root = old;
    other_root.sections[0].data[8] ^= 1;
    assert_eq!(refusal(&other_root.bytes()), Some(ErrorKind::Format), "another root");
    let mut not_empty = reference::of(&[], 4096, None);
    not_empty.sections[0].data[39] ^= 1;
    assert_eq!(refusal(&not_empty.bytes()), Some(ErrorKind::Format), "the root of something else than nothing");
}

#[test]
fn a_source_is_text() {
    for source in [&b""[..], b"\xff", b"a\nb", b"a\0b", "\u{9f}".as_bytes(), &[b'x'; 4097]] {
        let mut raw = reference::of(&pattern(10), 4096, Some("app.bin"));
        raw.sections[2].data = source.to_vec();
        assert_eq!(refusal(&raw.bytes()), Some(ErrorKind::Format), "source {source:?}");
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(refusal(&bytes).is_some());
    }

    #[test]
    fn sealed_nonsense_is_refused_or_read(
        at in 0usize..5, data in proptest::collection::vec(any::<u8>(), 0..60), required in 0u64..2, kind in 0u8..4,
    ) {
        let mut raw = reference::of(&pattern(70_000), 4096, Some("app.bin"));
        raw.sections[at].data = data;
        (raw.required, raw.kind) = (required, kind);
        if let Ok(index) = Index::decode(&raw.bytes()) {
            prop_assert_eq!(Index::decode(&index.encode()).unwrap().encode(), index.encode());
        }
    }
}
