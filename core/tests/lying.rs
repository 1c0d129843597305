//! Indexes that lie: whoever makes one up can give blocks any identities, with checks that fit, and the root stays. That may
//! cost matches, never a wrong byte, and no more work than the seed's length is worth.

use gosync_core::assemble::Verified;
use gosync_core::index::{BuildOptions, Format, Front, UNIT};
use gosync_core::matching::{self, Found, Observe, Options};
use gosync_core::{Error, Index, Origin, Range, Result};

const BLOCK: usize = 2048;
/// Bytes of a strong hash, and of the check at the end of a group.
const STRONG: usize = 32;
const CHECK: usize = 4;

struct Quiet;

impl Observe for Quiet {
    fn unit(&self, _: u64, _: Verified<'_>) -> Result<()> {
        Ok(())
    }
    fn scanned(&self, _: u64) -> Result<()> {
        Ok(())
    }
    fn unreadable(&self, _: u32, error: Error) {
        panic!("{error}");
    }
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn repeated(piece: &[u8], length: usize) -> Vec<u8> {
    piece.iter().copied().cycle().take(length).collect()
}

fn find(index: &Index, seed: &[u8]) -> Found {
    matching::find(index, &[&seed.to_vec()], &Options::default(), &Quiet).unwrap()
}

/// An encoded index with three levels, and where everything in it is.
struct Encoded {
    bytes: Vec<u8>,
    front: Index,
}

impl Encoded {
    fn of(content: &[u8]) -> Encoded {
        let options = BuildOptions { block_size: BLOCK as u32, top_size: 1 << 17, ..BuildOptions::default() };
        let bytes = Index::build(&content.to_vec(), &options, &|_| Ok(())).unwrap().encode();
        let mut read = 64;
        loop {
            match Index::decode_front(&bytes[..read], u64::MAX).unwrap() {
                Front::Needs(needed) => read = needed as usize,
                Front::Read(front) => return Encoded { bytes, front: *front },
            }
        }
    }

    /// Where the entries of the group that a unit is in are, and how long one is.
    fn units(&self, unit: u64) -> (Range, usize) {
        let (top, per_top) = (unit * UNIT / self.front.top_size(), self.front.top_size() / UNIT);
        let place = self.front.values_place(top).unwrap();
        let entries = Range::new(place.offset, place.length - CHECK as u64);
        (entries, (entries.length / per_top) as usize)
    }

    fn blocks(&self, unit: u64) -> (Range, usize) {
        let place = self.front.blocks_place(unit).unwrap();
        let entries = Range::new(place.offset, place.length - CHECK as u64);
        (entries, entries.length as usize / (UNIT as usize / BLOCK))
    }

    /// Where the entry of a unit is.
    fn unit(&self, unit: u64) -> std::ops::Range<usize> {
        let (entries, size) = self.units(unit);
        let at = entries.offset as usize + (unit * UNIT % self.front.top_size() / UNIT) as usize * size;
        at..at + size
    }

    /// What a top block's group of units is checked against. Tops are the section before the units, with a check.
    fn top_value(&self, unit: u64) -> Vec<u8> {
        let first = self.front.values_place(0).unwrap().offset as usize - CHECK;
        let (count, top) = (self.front.top_count() as usize, (unit * UNIT / self.front.top_size()) as usize);
        let length = u64::from_le_bytes(self.bytes[40 + 16 * 2 + 8..][..8].try_into().unwrap()) as usize - CHECK;
        let at = first - length + top * (length / count);
        self.bytes[at..at + STRONG].to_vec()
    }

    fn put_check_right(&mut self, parent: &[u8], entries: Range) {
        let end = entries.end() as usize;
        let check = blake3::hash(&[parent, &self.bytes[entries.offset as usize..end]].concat());
        self.bytes[end..end + CHECK].copy_from_slice(&check.as_bytes()[..CHECK]);
    }

    /// Says of a unit, and of some of its blocks, what `donor` says of them.
    fn lie(&mut self, donor: &Encoded, unit: u64, blocks: &[usize]) {
        let at = self.unit(unit);
        self.bytes[at.start + STRONG..at.end].copy_from_slice(&donor.bytes[at.start + STRONG..at.end]);
        self.put_check_right(&self.top_value(unit), self.units(unit).0);
        let (entries, size) = self.blocks(unit);
        for block in blocks {
            let at = entries.offset as usize + block * size;
            self.bytes[at..at + size].copy_from_slice(&donor.bytes[at..at + size]);
        }
        let value = self.bytes[at.start..at.start + STRONG].to_vec();
        self.put_check_right(&value, entries);
    }

    fn read(&self) -> Index {
        Index::decode(&self.bytes).expect("an index whose checks are right")
    }
}

/// Work, not time: a unit that is said to be zeros, or some other thing that repeats itself, is not tried at each offset.
#[test]
fn a_unit_that_is_not_what_it_is_said_to_be_costs_little() {
    const LENGTH: usize = 16 << 20;
    // Behind the seed's end, so that nothing of it is found at its own place.
    const CHOSEN: u64 = 300;
    let target = noise(24 << 20, 1);
    let last = UNIT as usize / BLOCK - 1;
    for (name, period) in [("zeros", vec![0]), ("period 96", noise(96, 2)), ("period 4097", noise(4097, 3))] {
        let mut other = target.clone();
        let unit = (CHOSEN * UNIT) as usize..((CHOSEN + 1) * UNIT) as usize;
        other[unit].copy_from_slice(&repeated(&period, UNIT as usize));
        let seed = [noise(5000, 4), repeated(&period, LENGTH)].concat();
        let (honest, donor) = (Encoded::of(&target), Encoded::of(&other));
        let usual = find(&honest.read(), &seed).work();
        for blocks in [&[][..], &[0], &[0, last], &[last]] {
            let mut lying = Encoded::of(&target);
            lying.lie(&donor, CHOSEN, blocks);
            let found = find(&lying.read(), &seed);
            let work = found.work();
            println!("{name:12} {blocks:?} {work:?}, not lied to {usual:?}");
            let length = seed.len() as u64;
            assert!(work.scanned <= usual.scanned + length / 2, "{name} {blocks:?}: {work:?}");
            assert!(work.summed <= usual.summed + length, "{name} {blocks:?}: {work:?}");
            assert!(work.hashed <= usual.hashed + 2 * length, "{name} {blocks:?}: {work:?}");
        }
    }
}

/// Each of many units, or all, are said to be the same thing at another offset of it.
#[test]
fn many_units_that_lie_cost_little_too() {
    let length = 6 << 20;
    let (target, period) = (noise(2 * length, 1), noise(96, 2));
    // Behind the seed's end, as above.
    let mut other = target.clone();
    for (number, unit) in other[length + UNIT as usize..].chunks_mut(UNIT as usize).enumerate() {
        unit.copy_from_slice(&repeated(&repeated(&period, 96 + number)[number..], UNIT as usize));
    }
    let seed = [noise(5000, 4), repeated(&period, length)].concat();
    for blocks in [&[][..], &[0], &[0, UNIT as usize / BLOCK - 1]] {
        let (mut lying, donor) = (Encoded::of(&target), Encoded::of(&other));
        (length as u64 / UNIT + 1..2 * length as u64 / UNIT).for_each(|unit| lying.lie(&donor, unit, blocks));
        let work = find(&lying.read(), &seed).work();
        println!("{blocks:?} {work:?}");
        let length = seed.len() as u64;
        assert!(work.scanned <= 3 * length && work.summed <= 6 * length, "{blocks:?}: {work:?}");
        assert!(work.hashed <= 6 * length, "{blocks:?}: {work:?}");
    }
}

/// A lie about one unit hides no other that looks the same and is there.
#[test]
fn what_looks_like_a_lie_and_is_none_is_found() {
    let target = noise(4 << 20, 1);
    let (liar, honest) = (7, 40);
    let mut other = target.clone();
    other.copy_within((honest * UNIT) as usize..((honest + 1) * UNIT) as usize, (liar * UNIT) as usize);
    let (mut lying, donor) = (Encoded::of(&target), Encoded::of(&other));
    lying.lie(&donor, liar, &[]);
    let seed = [&noise(5000, 4)[..], &target[(honest * UNIT) as usize..], &noise(1 << 20, 5)].concat();
    let found = find(&lying.read(), &seed);
    let is_there = |unit: u64| {
        let cover = found.cover_of(unit..unit + 1);
        matches!(cover[..], [piece] if piece.origin != Origin::Missing)
    };
    assert!((honest..64).all(is_there));
}

/// The first half of each MD5 is that of something in the seed, which is what is looked for; the rest is not.
#[test]
fn blocks_of_a_legacy_index_that_lie_cost_little() {
    const MD5_END: usize = 19;
    for (block, seed_length) in [(64, 1 << 18), (1000, 2 << 20), (65_536, 8 << 20)] {
        let seed = noise(seed_length, 1);
        // As many as the content may have: at each few bytes of the seed another one.
        let count = (32 << 20) / block;
        let step = (seed_length / count).max(1);
        let places = (0..count).map(|number| number * step).take_while(|at| at + block <= seed_length);
        let target: Vec<u8> = places.flat_map(|at| seed[at..at + block].iter().copied()).collect();
        let options = BuildOptions { block_size: block as u32, format: Format::Legacy, ..BuildOptions::default() };
        let mut bytes = Index::build(&target, &options, &|_| Ok(())).unwrap().encode();
        bytes[24..].chunks_exact_mut(20).for_each(|entry| entry[MD5_END] ^= 1);
        let found = find(&Index::decode(&bytes).unwrap(), &seed);
        let (work, length) = (found.work(), seed_length as u64);
        println!("blocks of {block}: {work:?}, {} missing", found.missing_blocks());
        assert!(work.summed <= 8 * length, "blocks of {block}: {work:?}");
        assert!(work.hashed <= 3 * length, "blocks of {block}: {work:?}");
    }
}

/// MD5 is slower than the scan: less of it is done in vain than of a fast hash.
#[test]
fn slow_hints_are_looked_at_less_often() {
    let length = 8 << 20;
    // Offset after offset has the sum of some block, and often that of one that was found before.
    let target = repeated(&noise(96, 8), length);
    let pieces = (0..).zip(target.chunks(20_000));
    let seed: Vec<u8> = pieces.flat_map(|(number, piece)| [&noise(40, number), piece].concat()).collect();
    let options = BuildOptions { block_size: 8192, format: Format::Legacy, ..BuildOptions::default() };
    let work = find(&Index::build(&target, &options, &|_| Ok(())).unwrap(), &seed).work();
    println!("{work:?}");
    assert!(work.hashed <= 2 * length as u64, "{work:?}");
}
