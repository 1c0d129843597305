//! The packs of a tree, by themselves, and one piece of a pack.

use gosync_core::{Packs, Range};

/// Any bytes as packs, of contents as long as they say: an error, or the one way to write them.
pub fn packs(input: &[u8]) {
    let Some((length, bytes)) = input.split_first_chunk() else { return };
    // Mostly short, and sometimes not.
    let length = u64::from_le_bytes(*length) >> (length[0] % 64);
    look_at(bytes, length);
    let versioned = [&[1], bytes].concat();
    (0..8).map(|shift| length >> (8 * shift)).for_each(|length| look_at(&versioned, length));
}

fn look_at(bytes: &[u8], length: u64) {
    let Ok(packs) = Packs::decode(bytes, length) else { return };
    assert_eq!((packs.length(), packs.encode()), (length, bytes.to_vec()));
    let mut pieces = 0;
    for pack in 0..packs.count() {
        let mut offset = 0;
        for number in packs.pieces(pack) {
            let (piece, of_pack, place) = packs.piece(number).expect("a piece");
            assert_eq!((of_pack, place.offset, place.length), (pack, offset, u64::from(piece.size)));
            offset = place.end();
            pieces += 1;
        }
        assert_eq!(offset, packs.size(pack));
        assert_eq!(packs.pack_at(packs.store(pack)), Some(pack));
    }
    assert_eq!(pieces, packs.piece_count());
    // A run over hostile packs may name the same pieces again and again.
    let mut at = 0;
    for place in packs.places(Range::new(0, Range::TO_END)).take(10_000) {
        let (piece, ..) = packs.piece(place.piece).expect("a piece");
        assert!(place.content == at && place.range.length > 0 && place.range.end() <= u64::from(piece.length));
        at += place.range.length;
    }
    assert!(at <= length && packs.places(Range::new(length, 1)).next().is_none());
}
