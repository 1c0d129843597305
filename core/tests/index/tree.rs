//! Indexes of more levels, and indexes that are read in part: what their beginning says, and groups that come later.

use gosync_core::index::{BuildOptions, Front, UNIT};
use gosync_core::{Digest, ErrorKind, Index, Range, weak};
use proptest::prelude::*;

use crate::{check_identities, part, pattern, reference};

const LIMIT: u64 = 1 << 30;

fn build(content: &[u8], top_size: u32) -> Index {
    let options = BuildOptions { block_size: 4096, top_size, ..BuildOptions::default() };
    Index::build(&content.to_vec(), &options, &|_| Ok(())).unwrap()
}

/// Noise, so that no two blocks are equal.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn front(bytes: &[u8]) -> Index {
    match Index::decode_front(bytes, LIMIT).unwrap() {
        Front::Read(index) => *index,
        Front::Needs(needed) => panic!("{needed} bytes are needed, {} there", bytes.len()),
    }
}

/// The shortest beginning of an encoded index that can be read, asked for as a reader would.
fn shortest(bytes: &[u8]) -> usize {
    let mut length = 1;
    loop {
        match Index::decode_front(&bytes[..length], LIMIT).unwrap() {
            Front::Read(_) => return length,
            Front::Needs(needed) => {
                assert!(needed as usize > length && needed as usize <= bytes.len(), "{needed} after {length}");
                length = needed as usize;
            }
        }
    }
}

fn at(bytes: &[u8], place: Option<Range>) -> &[u8] {
    part(bytes, place.expect("the group is not here yet"))
}

/// Supplies whatever lacks.
fn complete(index: &Index, bytes: &[u8]) {
    for top in (0..index.top_count()).filter(|top| !index.has_values(*top)) {
        index.supply_values(top, at(bytes, index.values_place(top))).unwrap();
        assert!(index.has_values(top) && index.values_place(top).is_none());
    }
    for unit in (0..index.unit_count()).filter(|unit| !index.has_blocks(*unit)) {
        index.supply_blocks(unit, at(bytes, index.blocks_place(unit))).unwrap();
        assert!(index.has_blocks(unit) && index.blocks_place(unit).is_none());
    }
}

#[test]
fn the_levels_are_what_the_document_says() {
    for top_size in [1 << 16, 1 << 17, 1 << 18] {
        for length in [top_size + 1, 2 * top_size, 3 * top_size - 1, 3 * top_size + 70_000, (1 << 20) + 5] {
            let content = noise(length);
            let index = build(&content, top_size as u32);
            assert_eq!((index.top_size(), index.root()), (top_size as u64, Some(Digest::of(&content))));
            let bytes = index.encode();
            assert!(bytes == reference::with_top(&content, 4096, Some(top_size), None).bytes(), "length {length}");
            assert_eq!(index.encoded_size(), bytes.len() as u64);
            let read = Index::decode(&bytes).unwrap();
            assert!(read.is_whole() && read.encode() == bytes);
            check_identities(&read, &content);
            check_tops(&read, &content);
            check_units(&read, &content);
        }
    }
}

fn check_units(index: &Index, content: &[u8]) {
    let units = index.units();
    assert_eq!((units.count(), units.size()), (index.unit_count(), UNIT));
    for unit in 0..units.count() {
        let right = part(content, units.range(unit));
        let (a, b) = weak::sum(right);
        assert_eq!(units.identity(unit), Some((units.cut_weak(a, b), units.hint_of(right))), "unit {unit}");
        assert!(units.is(unit, right));
    }
    assert_eq!((units.identity(units.count()), units.identity(u64::MAX)), (None, None));
}

fn check_tops(index: &Index, content: &[u8]) {
    let mut units = 0;
    for top in 0..index.top_count() {
        let right = part(content, index.top_range(top));
        assert!(index.top_is(top, right) && !index.top_is(top, &right[1..]) && !index.top_is(top + 1, right));
        let (a, b) = weak::sum(right);
        let tops = index.tops();
        assert_eq!(tops.identity(top), Some((tops.cut_weak(a, b), tops.hint_of(right))));
        assert!(tops.is(top, right) && tops.range(top) == index.top_range(top));
        assert_eq!(index.top_units(top).start, units);
        units = index.top_units(top).end;
    }
    assert_eq!(units, index.unit_count());
    assert!(!index.top_is(index.top_count(), &[]) && !index.top_is(u64::MAX, content));
}

#[test]
fn an_index_can_be_read_in_part() {
    let content = noise(700_001);
    for top_size in [1 << 16, 1 << 17, 1 << 18] {
        let bytes = build(&content, top_size).encode();
        let least = shortest(&bytes);
        for length in [least, least + 1, least + 200, (least + bytes.len()) / 2, bytes.len() - 1, bytes.len()] {
            let index = front(&bytes[..length]);
            assert_eq!((index.root(), index.length()), (Some(Digest::of(&content)), content.len() as u64));
            assert_eq!(index.is_whole(), length == bytes.len());
            check_tops(&index, &content);
            if !index.is_whole() {
                let mut taken = Vec::new();
                let error = index.encode_to(&mut |piece| {
                    taken.extend_from_slice(piece);
                    Ok(())
                });
                assert_eq!((error.unwrap_err().kind(), taken.len()), (ErrorKind::State, 0));
            }
            complete(&index, &bytes);
            assert!(index.is_whole() && index.encode() == bytes);
            check_identities(&index, &content);
            check_units(&index, &content);
        }
    }
}

#[test]
fn what_is_not_here_is_nothing() {
    let content = noise(700_001);
    let bytes = build(&content, 1 << 17).encode();
    let index = front(&bytes[..shortest(&bytes)]);
    let unit = part(&content, index.unit_range(3));
    assert!(!index.unit_is(3, unit) && !index.has_values(1) && !index.has_blocks(3));
    assert_eq!((index.weak(48), index.hint(48), index.units().identity(3)), (0, 0, None));
    let early = index.supply_blocks(3, at(&bytes, index.blocks_place(3))).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Internal, "what it is checked against is not there");
    index.supply_values(1, at(&bytes, index.values_place(1))).unwrap();
    assert!(index.unit_is(3, unit) && !index.has_blocks(3));
    index.supply_blocks(3, at(&bytes, index.blocks_place(3))).unwrap();
    assert_ne!((index.weak(48), index.hint(48)), (0, 0));
    assert_eq!(index.clone().hint(48), index.hint(48));
    for behind in [index.top_count(), u64::MAX] {
        assert!(index.values_place(behind).is_none() && index.supply_values(behind, &[]).is_err());
    }
    for behind in [index.unit_count(), u64::MAX] {
        assert!(index.blocks_place(behind).is_none() && index.supply_blocks(behind, &[0; 4]).is_err());
    }
}

#[test]
fn groups_of_another_version_are_noticed() {
    let content = noise(700_001);
    let mut changed = content.clone();
    changed[200_000] ^= 1;
    let (old, new) = (build(&content, 1 << 17).encode(), build(&changed, 1 << 17).encode());
    let index = front(&new[..shortest(&new)]);
    let kind = |result: gosync_core::Result<()>| result.unwrap_err().kind();
    let place = index.values_place(1);
    assert_eq!(kind(index.supply_values(1, at(&old, place))), ErrorKind::Format);
    assert_eq!(kind(index.supply_values(0, at(&new, place))), ErrorKind::Format, "the group of another block");
    assert_eq!(kind(index.supply_values(1, &at(&new, place)[..32])), ErrorKind::Format);
    let group = at(&new, place).to_vec();
    for at in 0..group.len() {
        let mut flipped = group.clone();
        flipped[at] ^= 1;
        assert_eq!(kind(index.supply_values(1, &flipped)), ErrorKind::Format, "byte {at}");
    }
    index.supply_values(1, at(&new, place)).unwrap();
    let place = index.blocks_place(3);
    assert_eq!(kind(index.supply_blocks(3, at(&old, place))), ErrorKind::Format);
    assert_eq!(kind(index.supply_blocks(2, at(&new, place))), ErrorKind::Format);
    let group = at(&new, place).to_vec();
    for wrong in [&[][..], &group[..4], &group[..group.len() - 1], &[&group[..], &[0]].concat()] {
        assert_eq!(kind(index.supply_blocks(3, wrong)), ErrorKind::Format);
    }
    for at in 0..group.len() {
        let mut flipped = group.clone();
        flipped[at] ^= 1;
        assert_eq!(kind(index.supply_blocks(3, &flipped)), ErrorKind::Format, "byte {at}");
    }
    index.supply_blocks(3, &group).unwrap();
}

#[test]
fn a_beginning_is_judged_like_the_whole() {
    let bytes = build(&noise(700_001), 1 << 17).encode();
    let least = shortest(&bytes);
    for length in 0..least {
        match Index::decode_front(&bytes[..length], LIMIT) {
            Ok(Front::Needs(needed)) => assert!(needed > length as u64),
            Ok(Front::Read(_)) => panic!("{length} bytes are not enough"),
            Err(error) => assert_eq!((length, error.kind()), (0, ErrorKind::Format)),
        }
    }
    let mut bytes = bytes[..least].to_vec();
    for at in 0..least {
        bytes[at] ^= 4;
        // A flipped count asks for more of the header first.
        assert!(!matches!(Index::decode_front(&bytes, LIMIT), Ok(Front::Read(_))), "byte {at}");
        bytes[at] ^= 4;
    }
    assert_eq!(Index::decode_front(&bytes, 1000).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn a_top_of_one_block_is_refused() {
    // Three levels over content that fits into one top block.
    let mut raw = reference::with_top(&pattern(200_000), 4096, Some(131_072), None);
    raw.sections[1].data[1] = 18;
    assert_eq!(Index::decode(&raw.bytes()).unwrap_err().kind(), ErrorKind::Format);
    raw.sections[2].data.clear();
    assert_eq!(Index::decode(&raw.bytes()).unwrap_err().kind(), ErrorKind::Format);
}

proptest! {
    #[test]
    fn any_content_survives_in_any_order_of_groups(
        length in 65_537usize..900_000, log2 in 16u32..=19, cut in 0.0f64..1.0, seed in any::<u64>(),
    ) {
        let content = noise(length);
        let bytes = build(&content, 1 << log2).encode();
        let least = shortest(&bytes);
        let index = front(&bytes[..least + ((bytes.len() - least) as f64 * cut) as usize]);
        let mut tops: Vec<u64> = (0..index.top_count()).collect();
        tops.sort_by_key(|top| (top + 1).wrapping_mul(seed | 1));
        for top in tops {
            if let Some(place) = index.values_place(top) {
                index.supply_values(top, part(&bytes, place)).unwrap();
            }
            for unit in index.top_units(top).rev() {
                if let Some(place) = index.blocks_place(unit) {
                    index.supply_blocks(unit, part(&bytes, place)).unwrap();
                }
            }
        }
        prop_assert!(index.encode() == bytes);
        for unit in 0..index.unit_count() {
            prop_assert!(index.unit_is(unit, part(&content, index.unit_range(unit))));
        }
        prop_assert_eq!(index.unit_count(), (length as u64).div_ceil(UNIT));
    }
}
