//! What the matcher has to find, whatever it costs, and what it may cost, whatever it is given.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use gosync_core::assemble::Verified;
use gosync_core::index::{BuildOptions, UNIT};
use gosync_core::matching::{self, Flow, Found, Observe, Options};
use gosync_core::{Error, Index, Origin, Piece, ReadAt, Result, weak};

/// Counts what it is told.
#[derive(Default)]
struct Counts {
    units: AtomicU64,
    scanned: AtomicU64,
    passed: AtomicU64,
}

impl Observe for Counts {
    fn unit(&self, _: u64, bytes: Verified<'_>) -> Result<()> {
        self.units.fetch_add((bytes.bytes().len() as u64).div_ceil(UNIT), Ordering::Relaxed);
        Ok(())
    }
    fn scanned(&self, bytes: u64) -> Result<()> {
        self.scanned.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
    fn passed(&self, _: &mut Found, _: u32, bytes: u64) -> Result<Flow> {
        assert!(
            self.passed.swap(bytes, Ordering::Relaxed) < bytes,
            "the same bytes of the only seed were passed twice"
        );
        Ok(Flow::On)
    }
    fn unreadable(&self, _: u32, error: Error) {
        panic!("{error}");
    }
}

fn index_of(target: &[u8], block_size: u32) -> Index {
    Index::build(&target.to_vec(), &BuildOptions { block_size, ..BuildOptions::default() }, &|_| Ok(())).unwrap()
}

fn find(index: &Index, seeds: &[&dyn ReadAt]) -> Found {
    matching::find(index, seeds, &Options::default(), &Quiet).unwrap()
}

/// Deterministic noise.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}

fn repeated(unit: &[u8], length: usize) -> Vec<u8> {
    unit.iter().copied().cycle().take(length).collect()
}

/// Changes bytes without changing either sum, in each triple whose bit of `which` is set.
fn with_the_same_sums(block: &mut [u8], which: u32) {
    for (bit, triple) in block.chunks_exact_mut(3).take(32).enumerate() {
        if which >> bit & 1 == 1 {
            triple.iter_mut().zip([1u8, 254, 1]).for_each(|(byte, by)| *byte = byte.wrapping_add(by));
        }
    }
}

/// Blocks of the target that are in the seed, counted by an exact search: every offset, every block.
fn exact(index: &Index, seed: &[u8]) -> u64 {
    let size = index.block_size() as usize;
    // By weak sum, then by hint.
    let mut blocks: HashMap<u64, HashMap<u64, u64>> = HashMap::new();
    for block in 0..index.length() / size as u64 {
        *blocks.entry(index.weak(block)).or_default().entry(index.hint(block)).or_default() += 1;
    }
    let mut count = 0;
    let (mut a, mut b) = weak::sum(&seed[..size]);
    for at in 0..=seed.len() - size {
        let cut = index.cut_weak(a, b);
        if let Some(hints) = blocks.get_mut(&cut) {
            count += hints.remove(&index.hint_of(&seed[at..at + size])).unwrap_or(0);
            if hints.is_empty() {
                blocks.remove(&cut);
            }
        }
        if at + size < seed.len() {
            (a, b) = weak::roll((a, b), seed[at], seed[at + size], size as u32);
        }
    }
    count
}

/// Short edits of every kind, about `every` bytes apart.
fn edited(old: &[u8], every: usize, seed: u64) -> Vec<u8> {
    let mut new = Vec::new();
    for (number, piece) in old.chunks(every).enumerate() {
        let random = noise(64, seed.wrapping_add(number as u64));
        let at = (usize::from(random[0]) * 256 + usize::from(random[1])) % piece.len();
        let gone = [0, 33, 20][number % 3].min(piece.len() - at);
        let come = [40, 0, 20][number % 3];
        new.extend_from_slice(&piece[..at]);
        new.extend_from_slice(&random[2..2 + come]);
        new.extend_from_slice(&piece[at + gone..]);
    }
    new
}

/// The matched part of what an exact search matches.
fn recall(name: &str, old: &[u8], every: usize, block_size: u32) -> f64 {
    let target = edited(old, every, 77);
    let index = index_of(&target, block_size);
    let short = u64::from(!index.length().is_multiple_of(u64::from(block_size)));
    let found =
        index.block_count() - short - find(&index, &[&old.to_vec()]).missing_blocks().min(index.block_count() - short);
    let exact = exact(&index, old);
    let recall = found as f64 / exact as f64;
    println!("{name:24} B={block_size:5} edits {every:6} apart: {found} of {exact} blocks, {recall:.4}");
    recall
}

/// Records of 128 bytes that have little of their own.
fn records(length: usize) -> Vec<u8> {
    let record = |number: u64| {
        let mut record = [b' '; 128];
        let text = format!(
            "{number:012} name-{:04} state={} ",
            number % 4096,
            if number.is_multiple_of(7) { "idle" } else { "busy" }
        );
        record[..text.len()].copy_from_slice(text.as_bytes());
        record[127] = b'\n';
        record
    };
    (0..).flat_map(record).take(length).collect()
}

/// Text of words that come again and again.
fn text(length: usize) -> Vec<u8> {
    let random = noise(length, 5);
    let words: Vec<Vec<u8>> = (0..800u64)
        .map(|word| noise(2 + (word % 9) as usize, word + 100).iter().map(|byte| b'a' + byte % 26).collect())
        .collect();
    let mut text = Vec::new();
    for pair in random.chunks_exact(2) {
        // Few words make most of a text.
        let at = usize::from(pair[0]) * usize::from(pair[1]) / 82;
        text.extend_from_slice(&words[at.min(words.len() - 1)]);
        text.push(if pair[0] % 16 == 0 { b'\n' } else { b' ' });
        if text.len() >= length {
            break;
        }
    }
    text.truncate(length);
    text
}

/// A program: this very test.
fn binary(length: usize) -> Vec<u8> {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    program[..program.len().min(length)].to_vec()
}

#[test]
fn nothing_is_lost_to_the_bounds() {
    const LENGTH: usize = 4 << 20;
    for block_size in [1024, 2048, 4096, 16_384] {
        for (name, old, every) in [
            ("random", noise(LENGTH, 3), 64 << 10),
            ("binary", binary(LENGTH), 32 << 10),
            ("text", text(LENGTH), 16 << 10),
            ("records of 128 bytes", records(LENGTH), 64 << 10),
            ("zeros", vec![0; LENGTH], 64 << 10),
            ("period 96", repeated(&noise(96, 4), LENGTH), 64 << 10),
        ] {
            // Where each offset has some block, and each block another, what is taken hides others.
            let least = if name == "period 96" { 0.2 } else { 0.95 };
            assert!(recall(name, &old, every, block_size) >= least, "{name} in blocks of {block_size}");
        }
    }
}

/// Pairs of target and seed that cost a matcher without bounds thousands of times what others do.
fn hostile(length: usize) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    const BLOCK: usize = 1024;
    let mut one_weak = vec![128u8; length];
    for (number, block) in (1..).zip(one_weak.chunks_exact_mut(BLOCK)) {
        with_the_same_sums(block, number);
    }
    let mut near = vec![128u8; length];
    near.chunks_exact_mut(37).for_each(|piece| with_the_same_sums(piece, 1));
    let mut dense = vec![128u8; length];
    let coins = noise(length / 96 * 4, 9);
    for (triples, coins) in dense.chunks_exact_mut(96).zip(coins.as_chunks().0) {
        with_the_same_sums(triples, u32::from_le_bytes(*coins));
    }
    let one_block = repeated(&noise(BLOCK, 5), length);
    let favourite = repeated(&noise(64, 6), length);
    let mut baits = Vec::new();
    for (number, coins) in (0..length / BLOCK).zip(noise(length / BLOCK * 4, 7).as_chunks().0) {
        baits.extend_from_slice(&favourite[number % 64..number % 64 + BLOCK]);
        with_the_same_sums(&mut baits[number * BLOCK..], u32::from_le_bytes(*coins));
    }
    let broken = |mut bytes: Vec<u8>, every: usize| {
        bytes.iter_mut().step_by(every).for_each(|byte| *byte ^= 1);
        bytes
    };
    let mut pairs = vec![
        ("one weak sum, constant seed", one_weak.clone(), vec![128; length]),
        ("one weak sum, seed near it", one_weak.clone(), near),
        ("one weak sum, seed full of it", one_weak, dense),
        ("one block repeated, noise", one_block.clone(), noise(length, 2)),
        ("one block repeated, shifted", one_block.clone(), one_block[5..].to_vec()),
        ("64 bytes repeated, only the sums", baits, favourite),
        ("zeros, nearly", vec![0; length], broken(vec![0; length], 1000)),
    ];
    for (name, period) in [("period 96", 96), ("period 4097", 4097)] {
        let all = repeated(&noise(period, 8), length);
        pairs.push((name, all.clone(), broken(all.clone(), 700)));
        pairs.push((name, broken(all.clone(), 700), all.clone()));
        pairs.push((name, all.clone(), all[7..].to_vec()));
        // Every second block is there, so that little gaps are left all over.
        let mut half = all.clone();
        for (number, block) in (1..).zip(half.chunks_exact_mut(BLOCK)).step_by(2) {
            with_the_same_sums(block, number);
        }
        pairs.push((name, half, all));
    }
    pairs
}

/// Work, not time: what is hashed and looked up in vain is a few times what is scanned, at most.
#[test]
fn hostile_content_costs_no_more_than_noise() {
    let length = 8 << 20;
    for (name, target, seed) in hostile(length) {
        let index = index_of(&target, 1024);
        let found = find(&index, &[&seed]);
        let work = found.work();
        println!("{name:34} missing {:5} {work:?}", found.missing_blocks());
        let length = length as u64;
        assert!(work.scanned <= 3 * length, "{name}: {work:?}");
        assert!(work.hashed <= 5 * length, "{name}: {work:?}");
        assert!(work.looked <= length / 16, "{name}: {work:?}");
    }
}

#[test]
fn what_repeats_is_found() {
    let length = 4 << 20;
    // Where each offset has some block, and each block another, taking them as they come misses some.
    for (period, lost) in [(1, 1), (96, 1), (1024, 1), (4097, 1024)] {
        let all = repeated(&noise(period, 8), length);
        let found = find(&index_of(&all, 1024), &[&all[7..].to_vec()]);
        assert!(found.missing_blocks() <= lost, "period {period}: {} missing", found.missing_blocks());
    }
}

/// A seed that is mostly a hole: zeros with something at each end.
struct Sparse {
    length: u64,
    begin: Vec<u8>,
    end: Vec<u8>,
}

impl ReadAt for Sparse {
    fn length(&self) -> u64 {
        self.length
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.length.saturating_sub(offset) as usize);
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        for (bytes, at) in [(&self.begin, 0), (&self.end, self.length - self.end.len() as u64)] {
            let (from, to) = (at.max(offset), (at + bytes.len() as u64).min(offset + count as u64));
            if from < to {
                let piece = &bytes[(from - at) as usize..(to - at) as usize];
                buffer[(from - offset) as usize..(to - offset) as usize].copy_from_slice(piece);
            }
        }
        Ok(count)
    }
}

/// 64 GiB of seed, with what is wanted at both ends.
#[test]
fn offsets_have_64_bits() {
    let (begin, end) = (noise(300_000, 1), noise(300_001, 2));
    let seed = Sparse { length: (64 << 30) + 12_345, begin: begin.clone(), end: end.clone() };
    let target = [&end[1..], &vec![0; 200_000], &noise(5000, 3), &begin[7..]].concat();
    let index = index_of(&target, 1024);
    let counts = Counts::default();
    let found = matching::find(&index, &[&seed], &Options { section: 4 << 20 }, &counts).unwrap();
    assert!(found.missing_blocks() <= 10, "{} blocks missing", found.missing_blocks());
    assert!(found.work().scanned < 16 << 20, "{:?}", found.work());
    assert_eq!(counts.scanned.into_inner(), seed.length);
    let mut far = 0;
    for piece in found.cover() {
        if let Origin::Seed { offset, .. } = piece.origin {
            let mut bytes = vec![0; piece.target.length as usize];
            assert_eq!(seed.read_at(offset, &mut bytes).unwrap(), bytes.len());
            assert_eq!(bytes, target[piece.target.offset as usize..piece.target.end() as usize]);
            far += if offset > 63 << 30 { piece.target.length } else { 0 };
        }
    }
    assert!(far > 290_000, "{far} bytes from the end");
}

/// The bytes that a cover takes from nowhere; what it takes from seeds is as it should be.
fn missing(cover: &[Piece], target: &[u8], seeds: &[Vec<u8>]) -> u64 {
    let (mut at, mut missing) = (0, 0);
    for piece in cover {
        assert!(piece.target.offset == at && piece.target.length > 0, "a gap at {at}");
        match piece.origin {
            Origin::Missing => missing += piece.target.length,
            Origin::Seed { seed, offset } => {
                let bytes = &seeds[seed as usize][offset as usize..(offset + piece.target.length) as usize];
                assert!(bytes == &target[at as usize..piece.target.end() as usize], "wrong at {at}");
            }
        }
        at = piece.target.end();
    }
    assert_eq!(at, target.len() as u64);
    missing
}

/// The cover before and after its seams are joined: the bytes that are missing.
fn seams(target: &[u8], seeds: &[Vec<u8>]) -> (u64, u64) {
    let index = index_of(target, 1024);
    let readers: Vec<&dyn ReadAt> = seeds.iter().map(|seed| seed as &dyn ReadAt).collect();
    let cover = find(&index, &readers).cover();
    let before = missing(&cover, target, seeds);
    (before, missing(&matching::join_seams(&index, &readers, cover), target, seeds))
}

/// Where something was taken out, and where pieces were put beside each other, nothing is new.
#[test]
fn what_two_neighbours_have_together_is_not_missing() {
    let old = noise(2 << 20, 21);
    let mut cut = old.clone();
    for (number, place) in (1..40_usize).rev().map(|number| (number, number * 50_011)) {
        cut.drain(place..place + number * number * 3);
    }
    let (before, after) = seams(&cut, std::slice::from_ref(&old));
    assert!(before >= 39 * 1024 && after == 0, "{before} {after}");

    let other = noise(1 << 20, 22);
    let pieces = [&old[500_001..900_002], &other[70_003..400_004], &old[3..300_005], &other[800_006..]];
    let (before, after) = seams(&pieces.concat(), &[old.clone(), other]);
    // At the beginning there is no neighbour, and none is needed.
    assert!(before >= 3 * 1024 && after == 0, "{before} {after}");

    // New bytes stay missing, whatever they lie between.
    let mut new = old.clone();
    new.splice(100_000..100_000, *b"new");
    let (before, after) = seams(&new, std::slice::from_ref(&old));
    assert!(before > 0 && after == before, "{before} {after}");
    // Blocks that equal each other are all at the first one's place, which nothing lies before.
    let zeros = vec![0; 300_000];
    let (_, after) = seams(&[&old[..123_456], &zeros, &old[1_900_000..]].concat(), &[old.clone(), zeros.clone()]);
    assert!(after <= 1024, "{after}");
    // A seed may end in the middle of a block.
    let (_, after) = seams(&[&old[..100_500], &old[200_000..]].concat(), &[old[..100_500].to_vec(), old.clone()]);
    assert_eq!(after, 0);
}

/// Many seeds, several threads, sections and waves: always the same.
#[test]
fn threads_change_nothing() {
    let old = noise(6 << 20, 11);
    let mut target = edited(&old, 100_000, 12);
    target.extend(vec![0; 1 << 20]);
    target.extend_from_slice(&old[..1 << 20]);
    target.extend(noise(1 << 20, 13));
    let index = index_of(&target, 1024);
    let seeds =
        [old[..3 << 20].to_vec(), vec![0; 100_000], Vec::new(), edited(&old, 200_000, 14), target[7 << 20..].to_vec()];
    let seeds: Vec<&dyn ReadAt> = seeds.iter().map(|seed| seed as &dyn ReadAt).collect();
    for section in [10_000, 64 << 10, 1 << 20] {
        let results: Vec<_> = [1, 2, 7]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let found = pool.install(|| matching::find(&index, &seeds, &Options { section }, &Quiet)).unwrap();
                (found.cover(), found.work())
            })
            .into();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "sections of {section}");
        let found = find(&index, &seeds);
        let missing = found.missing_blocks();
        let uncovered: u64 =
            found.cover().iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target.length).sum();
        assert_eq!(uncovered.div_ceil(1024), missing);
        assert!(missing < 250, "{missing} blocks missing");
    }
}

/// Once nothing is missing, nothing more is read.
#[test]
fn stops_when_all_is_found() {
    let target = noise(1 << 20, 21);
    let mut seed = target.clone();
    seed.extend(noise(40 << 20, 22));
    let counts = Counts::default();
    let found =
        matching::find(&index_of(&target, 1024), &[&seed, &vec![1; 1 << 20]], &Options::default(), &counts).unwrap();
    assert_eq!(found.missing_blocks(), 0);
    assert!(counts.passed.into_inner() <= 8 << 20);
    assert_eq!(counts.units.into_inner(), 16);
}

struct Quiet;

impl Observe for Quiet {
    fn unit(&self, _: u64, _: Verified<'_>) -> Result<()> {
        Ok(())
    }
    fn scanned(&self, _: u64) -> Result<()> {
        Ok(())
    }
    fn unreadable(&self, _: u32, _: Error) {}
}

/// Compares what it is told with the target.
struct Compare<'a> {
    target: &'a [u8],
    calls: AtomicU64,
    bytes: AtomicU64,
}

impl Observe for Compare<'_> {
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()> {
        let at = bytes.offset() as usize;
        assert_eq!(at as u64, unit * UNIT);
        assert!(self.target[at..at + bytes.bytes().len()] == *bytes.bytes(), "unit {unit} is not what it is called");
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes.bytes().len() as u64, Ordering::Relaxed);
        Ok(())
    }
    fn scanned(&self, _: u64) -> Result<()> {
        Ok(())
    }
    fn unreadable(&self, _: u32, _: Error) {}
}

#[test]
fn what_moved_a_little_is_found_by_whole_units() {
    let old = noise(24 << 20, 5);
    // 300 bytes more in front, and an edit in each 2 MiB: in place, more, less.
    let mut new = [noise(300, 6), old.clone()].concat();
    for (number, at) in (1_000_000..new.len() - 1_000_000).step_by(2 << 20).enumerate() {
        match number % 3 {
            0 => new[at..at + 100].fill(7),
            1 => drop(new.splice(at..at, noise(150, at as u64))),
            _ => drop(new.drain(at..at + 120)),
        }
    }
    let index = index_of(&new, 2048);
    let compare = Compare { target: &new, calls: AtomicU64::default(), bytes: AtomicU64::default() };
    let found = matching::find(&index, &[&old], &Options::default(), &compare).unwrap();
    let edits = 11 + 1;
    assert!(found.missing_blocks() <= 2 * edits, "{} blocks are missing", found.missing_blocks());
    let work = found.work();
    assert!(work.scanned < old.len() as u64 / 8, "{} bytes were scanned", work.scanned);
    // All units but those with an edit, and those that lie next to each other in one go.
    let (calls, bytes) = (compare.calls.into_inner(), compare.bytes.into_inner());
    assert!(bytes >= new.len() as u64 - 2 * edits * UNIT, "{bytes} bytes were told");
    assert!(calls < bytes / UNIT / 4, "{calls} calls for {} units", bytes / UNIT);
}

#[test]
fn equal_units_are_found_once_and_known_everywhere() {
    // Zeros in long runs, shifted, so that nothing is at its own place.
    let parts: Vec<Vec<u8>> =
        (0..24).map(|part| if part % 2 == 0 { noise(700_000, part) } else { vec![0; 700_000] }).collect();
    let new = parts.concat();
    let old = [noise(5000, 99), new.clone()].concat();
    let index = index_of(&new, 2048);
    let compare = Compare { target: &new, calls: AtomicU64::default(), bytes: AtomicU64::default() };
    let found = matching::find(&index, &[&old], &Options::default(), &compare).unwrap();
    assert_eq!(found.missing_blocks(), 0);
}
