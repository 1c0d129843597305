//! An index that is read in part: its beginning, and groups that come from whoever answers.

use std::sync::OnceLock;

use gosync_core::Index;
use gosync_core::index::{BuildOptions, Front, UNIT};

/// Units and top blocks of a hostile index that are looked at.
const MOST: u64 = 64;
/// Bytes of an index that are ever asked for.
const LIMIT: u64 = 1 << 20;

/// Any bytes as the beginning of an index, once as they are, once with their checks put right. Groups come from the bytes
/// themselves, as far as they reach, or are what the input ends with.
pub fn front(input: &[u8]) {
    look_at(input);
    look_at(&crate::with_right_checks(input));
}

fn look_at(bytes: &[u8]) {
    let index = match Index::decode_front(bytes, LIMIT) {
        Err(_) => return,
        Ok(Front::Needs(needed)) => {
            assert!(needed > bytes.len() as u64 && needed <= LIMIT, "{needed} of {}", bytes.len());
            return;
        }
        Ok(Front::Read(index)) => index,
    };
    let at = |offset: u64, length: u64| {
        let start = usize::try_from(offset).ok().filter(|start| *start < bytes.len()).unwrap_or(bytes.len() / 2);
        &bytes[start..bytes.len().min(start.saturating_add(length as usize))]
    };
    for top in 0..index.top_count().min(MOST) {
        if let Some(place) = index.values_place(top) {
            let taken = index.supply_values(top, at(place.offset, place.length));
            assert_eq!(taken.is_ok(), index.has_values(top));
        }
        let _ = index.supply_values(top, &[]);
    }
    for unit in 0..index.unit_count().min(MOST) {
        if let Some(place) = index.blocks_place(unit).filter(|_| index.can_check(unit)) {
            let taken = index.supply_blocks(unit, at(place.offset, place.length));
            assert_eq!(taken.is_ok(), index.has_blocks(unit));
        }
        let _ = index.supply_blocks(unit, &[]);
        assert!(!index.unit_is(unit, b"other content"));
        let _ = (index.weak(unit), index.hint(unit));
    }
    // Numbers of nothing.
    for none in [index.unit_count(), u64::MAX] {
        assert!(index.supply_blocks(none, bytes).is_err() && index.supply_values(none, bytes).is_err());
        assert!(
            index.values_place(none).is_none() && index.blocks_place(none).is_none() && !index.unit_is(none, bytes)
        );
    }
    let written = index.encode_to(&mut |_| Ok(()));
    assert_eq!(written.is_ok(), index.is_whole());
}

/// An honest index with three levels, and the content that it describes.
struct Honest {
    content: Vec<u8>,
    bytes: Vec<u8>,
    front: usize,
}

fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(|| {
        let content: Vec<u8> = (0..400_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let options = BuildOptions { block_size: 8192, top_size: 2 * UNIT as u32, ..BuildOptions::default() };
        let bytes = Index::build(&content, &options, &|_| Ok(())).expect("an index of bytes in memory").encode();
        let mut front = 64;
        while let Ok(Front::Needs(needed)) = Index::decode_front(&bytes[..front], LIMIT) {
            front = needed as usize;
        }
        Honest { content, bytes, front }
    })
}

/// Groups of an honest index, changed by instructions of six bytes: which level, which group, then either a byte that is
/// changed or where it is cut off. The honest ones are taken, and whatever is taken describes the content.
pub fn groups(input: &[u8]) {
    let honest = honest();
    let Ok(Front::Read(index)) = Index::decode_front(&honest.bytes[..honest.front], LIMIT) else {
        panic!("the beginning of an honest index")
    };
    for [what, number, low, high, change, cut] in input.as_chunks::<6>().0.iter().copied() {
        let is_values = what & 1 == 0;
        let (count, number) = if is_values { (index.top_count(), number) } else { (index.unit_count(), number) };
        let number = u64::from(number) % count;
        let place = if is_values { index.values_place(number) } else { index.blocks_place(number) };
        let Some(place) = place else { continue };
        let mut group = honest.bytes[place.offset as usize..place.end() as usize].to_vec();
        let at = usize::from(u16::from_le_bytes([low, high])) % group.len();
        group[at] ^= change;
        match what >> 6 {
            1 => group.truncate(group.len().saturating_sub(usize::from(cut))),
            2 => group.extend(std::iter::repeat_n(change, usize::from(cut))),
            _ => {}
        }
        let is_right = *group == honest.bytes[place.offset as usize..place.end() as usize];
        let taken = if is_values {
            index.supply_values(number, &group)
        } else if index.can_check(number) {
            index.supply_blocks(number, &group)
        } else {
            continue;
        };
        // The other way round, four bytes of check are not enough to say it of sums and hints.
        assert!(taken.is_ok() || !is_right, "group {number}, byte {at}");
    }
    for unit in 0..index.unit_count() {
        let range = index.unit_range(unit);
        let bytes = &honest.content[range.offset as usize..range.end() as usize];
        assert_eq!(index.unit_is(unit, bytes), index.can_check(unit));
        assert!(!index.unit_is(unit, &bytes[1..]));
    }
}
