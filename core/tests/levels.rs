//! Matching with an index that is read in part: from the top down, and only under what was not found.

use std::collections::BTreeSet;
use std::sync::Mutex;

use gosync_core::assemble::Verified;
use gosync_core::index::{BuildOptions, Front, UNIT};
use gosync_core::matching::{self, Flow, Found, Observe, Options};
use gosync_core::{Error, Index, Origin, Piece, ReadAt, Result};
use proptest::prelude::*;

/// Writes down what was verified, and how many units had nothing when it last heard what has been passed.
struct Output(Mutex<(Vec<u8>, BTreeSet<u64>, u64)>);

impl Output {
    fn new(target: &[u8]) -> Output {
        Output(Mutex::new((target.iter().map(|byte| !byte).collect(), BTreeSet::new(), 0)))
    }

    fn has(&self, unit: u64) -> bool {
        self.0.lock().unwrap().1.contains(&unit)
    }
}

impl Observe for Output {
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()> {
        let mut output = self.0.lock().unwrap();
        let at = bytes.offset() as usize;
        assert_eq!(at as u64, unit * UNIT);
        output.0[at..at + bytes.bytes().len()].copy_from_slice(bytes.bytes());
        output.1.extend(unit..unit + (bytes.bytes().len() as u64).div_ceil(UNIT));
        Ok(())
    }

    fn scanned(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    fn passed(&self, found: &mut Found, _seed: u32, _bytes: u64) -> Result<Flow> {
        let mut output = self.0.lock().unwrap();
        output.2 = (0..output.0.len() as u64 / UNIT).filter(|unit| found.has_none(*unit)).count() as u64;
        Ok(Flow::On)
    }

    fn unreadable(&self, seed: u32, error: Error) {
        panic!("seed {seed}: {error}");
    }
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What came of a search with an index that is read in part.
struct Outcome {
    cover: Vec<Piece>,
    /// Bytes of the index that were read.
    read: usize,
    missing: u64,
    /// Units that had nothing when all had been passed.
    none: u64,
    work: matching::Work,
}

/// Finds `target` in `seeds`; everything is checked that must be so whatever they are.
fn search(target: &[u8], seeds: &[&[u8]], block_size: u32, top_size: u32) -> Outcome {
    let options = BuildOptions { block_size, top_size, ..BuildOptions::default() };
    let bytes = Index::build(&target.to_vec(), &options, &|_| Ok(())).unwrap().encode();
    let mut read = 1;
    let index = loop {
        match Index::decode_front(&bytes[..read], u64::MAX).unwrap() {
            Front::Needs(needed) => read = needed as usize,
            Front::Read(index) => break *index,
        }
    };
    let output = Output::new(target);
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    let readers: Vec<&dyn ReadAt> = seeds.iter().map(|seed| seed as &dyn ReadAt).collect();

    let (mut found, _) = matching::find_tops(&index, &readers, &output, Found::new(&index)).unwrap();
    let lacking = |found: &Found, units: std::ops::Range<u64>| units.into_iter().any(|unit| found.has_none(unit));
    for top in (0..index.top_count()).filter(|top| lacking(&found, index.top_units(*top))) {
        if let Some(place) = index.values_place(top) {
            index.supply_values(top, &bytes[place.offset as usize..place.end() as usize]).unwrap();
            read += place.length as usize;
        }
    }
    matching::find_beside(&index, &readers, &output, &mut found, 0..index.unit_count()).unwrap();
    matching::find_units(&index, &readers, &output, &mut found).unwrap();
    for unit in (0..index.unit_count()).filter(|unit| found.has_none(*unit)) {
        if let Some(place) = index.blocks_place(unit) {
            index.supply_blocks(unit, &bytes[place.offset as usize..place.end() as usize]).unwrap();
            read += place.length as usize;
        }
    }
    let sections = Options { section: 100_000 };
    let found = matching::find_blocks(&index, &readers, &sections, &output, found).unwrap();
    let cover = found.cover();
    check(&index, target, &seeds, &cover, &output);
    let missing = cover.iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target.length).sum();
    let none = output.0.lock().unwrap().2;
    Outcome { cover, read, missing, none, work: found.work() }
}

fn check(index: &Index, target: &[u8], seeds: &[Vec<u8>], cover: &[Piece], output: &Output) {
    let mut at = 0;
    let mut result = vec![0; target.len()];
    for piece in cover {
        assert!(piece.target.offset == at && piece.target.length > 0, "the cover has a gap at {at}");
        let span = at as usize..piece.target.end() as usize;
        at = piece.target.end();
        match piece.origin {
            Origin::Seed { seed, offset } => {
                let from = offset as usize..(offset + piece.target.length) as usize;
                result[span].copy_from_slice(&seeds[seed as usize][from]);
            }
            Origin::Missing => result[span.clone()].copy_from_slice(&target[span]),
        }
    }
    assert_eq!(at, target.len() as u64);
    assert!(result == target, "what the cover says is not the target");
    let written = output.0.lock().unwrap().0.clone();
    for unit in 0..index.unit_count() {
        let range = index.unit_range(unit);
        let range = range.offset as usize..range.end() as usize;
        let is_missing = !index.can_check(unit) && !output.has(unit);
        assert!(!is_missing, "unit {unit} was neither found nor can it be checked when it comes");
        assert!(!output.has(unit) || written[range.clone()] == target[range], "unit {unit} was verified and is wrong");
    }
}

/// The same pair with an index that is all here.
fn missing_with_all(target: &[u8], seed: &[u8], block_size: u32) -> u64 {
    let options = BuildOptions { block_size, ..BuildOptions::default() };
    let index = Index::build(&target.to_vec(), &options, &|_| Ok(())).unwrap();
    let seed = seed.to_vec();
    let found = matching::find(&index, &[&seed], &Options::default(), &Output::new(target)).unwrap();
    found.cover().iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target.length).sum()
}

/// What equals something that was found has been found when that is passed, or it would be fetched ahead.
#[test]
fn a_little_that_is_new_in_much_that_is_equal_is_little() {
    let old = vec![0; 8 << 20];
    let mut new = old.clone();
    for (number, unit) in new.chunks_mut(UNIT as usize).enumerate() {
        unit[20_480..24_576].copy_from_slice(&noise(number as u64, 4096));
    }
    let outcome = search(&new, &[&old], 2048, 256 << 10);
    assert_eq!((outcome.none, outcome.missing), (0, 128 * 4096));
}

#[test]
fn edits_are_found_from_the_top_down() {
    let old = noise(1, 8 << 20);
    let mut new = old.clone();
    for (number, at) in (0..8).map(|number| (number, number * 1_000_000 + 300_000)) {
        match number % 3 {
            0 => new[at..at + 100].fill(7),
            1 => drop(new.splice(at..at, noise(9, 150))),
            _ => drop(new.drain(at..at + 120)),
        }
    }
    let outcome = search(&new, &[&old], 2048, 1 << 18);
    assert!(outcome.missing <= 8 * 2 * 2048, "{} bytes are missing", outcome.missing);
    assert_eq!(outcome.missing, missing_with_all(&new, &old, 2048));
    // A top of 32 blocks, under 8 of them 4 values, and 32 blocks of a unit each, two where an edit is at its border.
    assert!(outcome.read < 300 + 32 * 38 + 8 * (4 * 38 + 4) + 10 * 200, "{} bytes of the index", outcome.read);
}

#[test]
fn what_moved_is_found_by_its_top() {
    let old = noise(2, 8 << 20);
    let cut = 3_333_333;
    let moved = [&old[cut..], &old[..cut]].concat();
    let outcome = search(&moved, &[&old], 2048, 1 << 18);
    assert_eq!(outcome.missing, 2048, "the block in which the pieces meet");
    assert!(outcome.read < 300 + 32 * 38 + 4 * 39 + 200, "{} bytes of the index", outcome.read);
    let shifted = [noise(3, 777), old.clone()].concat();
    let outcome = search(&shifted, &[&old], 2048, 1 << 18);
    assert!(outcome.missing <= 2048, "{} bytes", outcome.missing);
    let several = search(&[&old[..], &shifted[..5000]].concat(), &[&shifted, &[], &old], 2048, 1 << 18);
    assert!(several.missing == 0, "{} bytes", several.missing);
}

#[test]
fn a_unit_between_two_edits_is_found_wherever_it_is() {
    let old = noise(8, 4 << 20);
    let mut new = old.clone();
    // Between them nothing is at its place, nor beside a top block that was found.
    new.splice(2_000_000..2_000_000, noise(9, 150));
    new.splice(1_100_000..1_100_000, noise(10, 150));
    let outcome = search(&new, &[&old], 2048, 1 << 20);
    assert!(outcome.missing <= 4 * 2048, "{} bytes are missing", outcome.missing);
    assert!(outcome.read < 300 + 4 * 42 + 16 * 38 + 8 + 4 * 200, "{} bytes of the index", outcome.read);
}

#[test]
fn equal_tops_are_found_once_and_are_everywhere() {
    let mut target = vec![0; 6 << 20];
    target[2_000_000..2_500_000].copy_from_slice(&noise(4, 500_000));
    let outcome = search(&target, &[&vec![0; 400_000]], 2048, 1 << 17);
    assert!(outcome.missing <= 500_000 + 4096, "{} bytes", outcome.missing);
    let outcome = search(&target, &[&vec![0; 60_000]], 2048, 1 << 17);
    assert!(outcome.missing <= 500_000 + 4096, "{} bytes", outcome.missing);
    let wave: Vec<u8> = (0..4 << 20).map(|at| (at % 96) as u8).collect();
    let outcome = search(&wave, &[&wave[..1 << 20]], 2048, 1 << 16);
    assert_eq!(outcome.missing, 0);
}

#[test]
fn nothing_in_common_costs_no_more_than_it_must() {
    let (target, seed) = (noise(5, 4 << 20), noise(6, 4 << 20));
    let outcome = search(&target, &[&seed], 2048, 1 << 18);
    assert_eq!((outcome.missing, outcome.cover.len()), (4 << 20, 1));
    assert!(outcome.work.hashed < 8 << 20, "{:?}", outcome.work);
    let outcome = search(&target, &[], 2048, 1 << 18);
    assert_eq!(outcome.missing, 4 << 20);
}

#[test]
fn a_seed_that_was_made_to_look_alike_is_bounded() {
    // Every window of it has the weak sum of the target's blocks and tops.
    let mut target: Vec<u8> = vec![5; 4 << 20];
    for at in (0..target.len() - 3).step_by(1024) {
        (target[at], target[at + 1], target[at + 2]) = (6, 3, 6);
    }
    let seed = vec![5; 4 << 20];
    let outcome = search(&target, &[&seed], 1024, 1 << 16);
    assert!(outcome.work.hashed < 400 << 20, "{:?}", outcome.work);
}

#[test]
fn a_seed_that_cannot_be_read_is_left_out() {
    struct Broken;
    impl ReadAt for Broken {
        fn length(&self) -> u64 {
            1 << 20
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> Result<usize> {
            Err(Error::new(gosync_core::ErrorKind::Io, "broken"))
        }
    }
    struct Quiet(Mutex<u32>);
    impl Observe for Quiet {
        fn unit(&self, _: u64, _: Verified<'_>) -> Result<()> {
            Ok(())
        }
        fn scanned(&self, _: u64) -> Result<()> {
            Ok(())
        }
        fn unreadable(&self, _: u32, _: Error) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let target = noise(7, 1 << 20);
    let options = BuildOptions { top_size: 1 << 17, ..BuildOptions::default() };
    let index = Index::build(&target, &options, &|_| Ok(())).unwrap();
    let quiet = Quiet(Mutex::new(0));
    let readers: [&dyn ReadAt; 2] = [&Broken, &target];
    let (mut found, _) = matching::find_tops(&index, &readers, &quiet, Found::new(&index)).unwrap();
    assert_eq!(found.missing_blocks(), 0, "the other seed has everything");
    matching::find_beside(&index, &readers[..1], &quiet, &mut found, 0..index.unit_count()).unwrap();
    matching::find_units(&index, &readers[..1], &quiet, &mut found).unwrap();
    assert!(*quiet.0.lock().unwrap() > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_two_versions_give_an_exact_cover(
        pieces in proptest::collection::vec((0u64..6, 0u8..8, 1usize..150_000), 1..16),
        log2 in 10u32..=15, top_log2 in 16u32..=18,
    ) {
        // A piece is noise or a run of a byte; the last bits say who has it.
        let (mut target, mut seed, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for (what, who, length) in pieces {
            let piece = if what < 2 { vec![what as u8; length] } else { noise(what, length) };
            if who & 1 == 0 { target.extend_from_slice(&piece); }
            if who & 2 == 0 { seed.extend_from_slice(&piece); }
            if who & 4 == 0 { other.extend_from_slice(&piece); }
        }
        search(&target, &[&seed, &other], 1 << log2, 1 << top_log2);
        search(&target, &[&target], 1 << log2, 1 << top_log2);
    }
}

#[test]
fn whole_tops_between_deletions_are_all_found() {
    const TOP: u64 = 1 << 18;
    let old = noise(3, 24 << 20);
    // Each deletion moves what is behind it, so that the beginnings of tops wander over those of the sections.
    let (mut new, mut edits, mut at) = (Vec::new(), Vec::new(), 215_000);
    for number in 0.. {
        let step = 700_000 + number * 31_337 % 300_000;
        if at + step + 8000 > old.len() {
            break;
        }
        new.extend_from_slice(&old[at..at + step]);
        edits.extend([new.len() as u64 - 1, new.len() as u64]);
        at += step + 3000 + (number * 977) % 4000;
    }
    new.extend_from_slice(&old[at..]);
    let options = BuildOptions { block_size: 2048, top_size: TOP as u32, ..BuildOptions::default() };
    let index = Index::build(&new, &options, &|_| Ok(())).unwrap();
    let (found, _) =
        matching::find_tops(&index, &[&old as &dyn ReadAt], &Output::new(&new), Found::new(&index)).unwrap();
    let edited: BTreeSet<u64> = edits.iter().map(|edit| edit / TOP).collect();
    let lost: Vec<u64> = (0..index.top_count())
        .filter(|top| !edited.contains(top) && index.top_units(*top).any(|unit| found.has_none(unit)))
        .collect();
    assert!(lost.is_empty(), "tops {lost:?} are whole and were not found");
}

/// Groups of an index may come while blocks are looked for: a search takes what is here when it begins.
#[test]
fn an_index_that_grows_meanwhile() {
    let target = noise(77, 3_000_000);
    let mut seed = target.clone();
    (0..seed.len()).step_by(20_000).for_each(|at| seed[at] ^= 1);
    let options = BuildOptions { block_size: 1024, ..BuildOptions::default() };
    let bytes = Index::build(&target, &options, &|_| Ok(())).unwrap().encode();
    for _ in 0..20 {
        let mut read = 1;
        let index = loop {
            match Index::decode_front(&bytes[..read], u64::MAX).unwrap() {
                Front::Needs(needed) => read = needed as usize,
                Front::Read(index) => break *index,
            }
        };
        for top in 0..index.top_count() {
            if let Some(place) = index.values_place(top) {
                index.supply_values(top, &bytes[place.offset as usize..place.end() as usize]).unwrap();
            }
        }
        let output = Output::new(&target);
        let search = || {
            let found = matching::find_blocks(&index, &[&seed], &Options::default(), &output, Found::new(&index));
            found.unwrap().missing_blocks()
        };
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                for unit in 0..index.unit_count() {
                    let place = index.blocks_place(unit).unwrap();
                    index.supply_blocks(unit, &bytes[place.offset as usize..place.end() as usize]).unwrap();
                    std::thread::yield_now();
                }
            });
            while !reading.is_finished() {
                search();
            }
        });
        assert!(search() <= 2 * 150);
    }
}
