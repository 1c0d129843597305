//! Whatever the target, the seeds, the block size and the sections: the rebuilt file is the target.

use crate::common::{Beginning, answer_from, find, index_of, update, update_begun};
use gosync_core::schedule::Limits;
use gosync_core::{ErrorKind, Origin, Plan, Supply};
use proptest::prelude::*;

/// Deterministic noise.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Content of the kinds that break matchers.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0usize..5000, 60_000usize..70_000, 100_000usize..300_000];
    prop_oneof![
        (length.clone(), any::<u64>()).prop_map(|(length, seed)| noise(length, seed)),
        (length.clone(), any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
        (length.clone(), 2usize..200, any::<u64>()).prop_map(|(length, period, seed)| noise(period, seed)
            .into_iter()
            .cycle()
            .take(length)
            .collect()),
        (length, any::<u64>()).prop_map(|(length, seed)| {
            let mut bytes = vec![0; length];
            for (at, byte) in noise(length, seed).into_iter().enumerate() {
                if at % 9000 < 40 {
                    bytes[at] = byte;
                }
            }
            bytes
        }),
    ]
}

/// A change to an older version.
#[derive(Clone, Debug)]
enum Edit {
    Overwrite(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Delete(usize, usize),
    Move(usize, usize, usize),
    Duplicate(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..3000);
    prop_oneof![
        (any::<usize>(), bytes()).prop_map(|(at, bytes)| Edit::Overwrite(at, bytes)),
        (any::<usize>(), bytes()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<usize>(), 0usize..70_000).prop_map(|(at, length)| Edit::Delete(at, length)),
        (any::<usize>(), 0usize..70_000, any::<usize>()).prop_map(|(at, length, to)| Edit::Move(at, length, to)),
        (any::<usize>(), 0usize..70_000).prop_map(|(at, length)| Edit::Duplicate(at, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let span = |bytes: &Vec<u8>, at: usize, length: usize| {
        let at = at % (bytes.len() + 1);
        at..at + length.min(bytes.len() - at)
    };
    match edit {
        Edit::Overwrite(at, new) => {
            let span = span(bytes, *at, new.len());
            let count = span.len();
            bytes[span].copy_from_slice(&new[..count]);
        }
        Edit::Insert(at, new) => {
            let span = span(bytes, *at, 0);
            bytes.splice(span, new.iter().copied());
        }
        Edit::Delete(at, length) => {
            let span = span(bytes, *at, *length);
            bytes.drain(span);
        }
        Edit::Move(at, length, to) => {
            let span = span(bytes, *at, *length);
            let moved: Vec<u8> = bytes.drain(span).collect();
            let to = self::at(bytes, *to);
            bytes.splice(to..to, moved);
        }
        Edit::Duplicate(at, length) => {
            let copy = bytes[span(bytes, *at, *length)].to_vec();
            bytes.extend(copy);
        }
    }
}

fn at(bytes: &[u8], to: usize) -> usize {
    to % (bytes.len() + 1)
}

fn assert_covers(plan: &Plan, seeds: &[Vec<u8>]) {
    let mut at = 0;
    for piece in &plan.pieces {
        assert_eq!(piece.target.offset, at, "the cover has a gap or an overlap");
        assert!(piece.target.length > 0);
        if let Origin::Seed { seed, offset } = piece.origin {
            assert!(offset + piece.target.length <= seeds[seed as usize].len() as u64);
        }
        at = piece.target.end();
    }
    assert_eq!(at, plan.total);
    assert_eq!(plan.from_seeds + plan.missing, plan.total);
}

proptest! {

    #[test]
    fn rebuilt_is_target(
        old in content(),
        edits in proptest::collection::vec(edit(), 0..6),
        other in proptest::option::of(content()),
        block_size in prop_oneof![Just(1024u32), Just(2048), Just(4096), Just(32768)],
        section in prop_oneof![Just(1usize), 500usize..5000, 50_000usize..150_000, Just(4usize << 20)],
        max_bytes in prop_oneof![Just(1u64), Just(200_000), Just(16 << 20)],
    ) {
        let mut target = old.clone();
        edits.iter().for_each(|edit| apply(&mut target, edit));
        // A section of one byte is the worst cut there is; it takes long, so only on small seeds.
        let section = if section == 1 && old.len() > 5000 { 997 } else { section };
        let seeds: Vec<Vec<u8>> = std::iter::once(old).chain(other).collect();
        let index = index_of(&target, block_size);
        let limits = Limits { max_bytes, ..Limits::default() };
        let outcome = update(&index, &seeds, section, limits, |request| answer_from(&target, request)).unwrap();
        assert_covers(&outcome.plan, &seeds);
        prop_assert!(outcome.output == target, "the rebuilt file differs");
        prop_assert!(outcome.counters.fetched >= outcome.plan.missing);
    }

    /// Whatever is fetched ahead of the search, and however much of it was asked for by then.
    #[test]
    fn fetched_ahead_is_target(
        old in content(),
        edits in proptest::collection::vec(edit(), 0..6),
        ahead in proptest::collection::vec(0u64..6, 0..6),
        parts in proptest::collection::vec((0u64..300_000, 1u64..70_000), 0..6),
        requests in 0u64..4,
        whole in any::<bool>(),
        max_bytes in prop_oneof![Just(1u64), Just(200_000), Just(16 << 20)],
    ) {
        let mut target = old.clone();
        edits.iter().for_each(|edit| apply(&mut target, edit));
        let index = index_of(&target, 1024);
        let limits = Limits { max_bytes, ..Limits::default() };
        let ahead: Vec<u64> = ahead.into_iter().filter(|unit| *unit < index.unit_count()).collect();
        let strategy = whole.then_some(gosync_core::Strategy::Whole);
        let inside = |range: &gosync_core::Range| range.end() <= index.length();
        let parts = parts.into_iter().map(|(offset, length)| gosync_core::Range::new(offset, length)).filter(inside);
        let beginning = Beginning { ahead, parts: parts.collect(), requests, strategy };
        let outcome =
            update_begun(&index, &[old], 4 << 20, limits, &beginning, |request| answer_from(&target, request)).unwrap();
        prop_assert!(outcome.output == target, "the rebuilt file differs");
    }

    /// The same runs are found whatever the number of threads.
    #[test]
    fn threads_change_nothing(old in content(), edits in proptest::collection::vec(edit(), 0..4), section in 1000usize..90_000) {
        let mut target = old.clone();
        edits.iter().for_each(|edit| apply(&mut target, edit));
        let index = index_of(&target, 1024);
        let covers: Vec<_> = [1, 2, 5]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| find(&index, std::slice::from_ref(&old), section).0.cover())
            })
            .into();
        prop_assert!(covers.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

/// Scattered edits cost little more than themselves: this is what would go wrong silently.
#[test]
fn finds_what_is_there() {
    let old = noise(8 << 20, 7);
    let mut target = old.clone();
    for i in 0..20 {
        let at = i * 400_000 + 12_345;
        target.splice(at..at + 3, noise(10 + i, 99)); // shifts everything behind it
    }
    let index = index_of(&target, 2048);
    let outcome = update(&index, &[old], 4 << 20, Limits::default(), |request| answer_from(&target, request)).unwrap();
    assert!(outcome.output == target);
    assert!(outcome.plan.missing <= 20 * 3 * 2048, "{} bytes missing", outcome.plan.missing);
    assert_eq!(outcome.counters.fetched, outcome.plan.missing, "nothing was guessed wrong");
}

/// Pieces in another order, and a seed that is only a part.
#[test]
fn finds_moved_and_partial() {
    let old = noise(1 << 20, 3);
    let mut target = old[600_000..].to_vec();
    target.extend_from_slice(&old[..600_000]);
    let index = index_of(&target, 1024);
    let (found, _) = find(&index, &[old[..300_000].to_vec(), old[200_000..].to_vec()], 4 << 20);
    assert!(found.missing_blocks() <= 4, "{} blocks missing", found.missing_blocks());
}

/// Work is linear on content that is all the same, and all of it is found.
#[test]
fn all_equal_content() {
    let target = vec![0; 32 << 20];
    let index = index_of(&target, 1024);
    let (found, output) = find(&index, &[vec![0; (16 << 20) + 77]], 4 << 20);
    assert_eq!(found.missing_blocks(), 0);
    assert_eq!(output.len(), target.len());
    // One byte off everywhere: the weak sums of neighbours are close, none is right.
    let (found, _) = find(&index, &[vec![1; 32 << 20]], 4 << 20);
    assert_eq!(found.missing_blocks(), found_blocks(&index));
}

/// Any number of blocks with one weak sum, at every offset of the seed: made by whoever wishes a matcher ill.
#[test]
fn blocks_that_only_differ_in_their_hint() {
    let blocks = 60_000u32;
    let mut target = vec![128u8; blocks as usize * 1024];
    for (number, block) in (1..).zip(target.chunks_exact_mut(1024)) {
        // Neither the plain nor the weighted sum changes by +1, -2, +1.
        for group in block.chunks_exact_mut(3).enumerate().filter(|(bit, _)| *bit < 32 && number >> bit & 1u32 == 1) {
            group.1.copy_from_slice(&[129, 126, 129]);
        }
    }
    let index = index_of(&target, 1024);
    assert_eq!(index.weak(0), index.weak(u64::from(blocks) - 1), "the blocks are not what the test needs");
    let start = std::time::Instant::now();
    let (found, _) = find(&index, &[vec![128; 8 << 20]], 4 << 20);
    assert!(found.missing_blocks() + 10 > u64::from(blocks));
    // Well under a second on an idle machine; half a minute where candidates are compared one by one.
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
}

fn found_blocks(index: &gosync_core::Index) -> u64 {
    index.block_count()
}

/// A source that lies once is asked again for that unit, and told apart; one that lies twice ends in MISMATCH.
#[test]
fn lying_source() {
    let target = noise(300_000, 5);
    let index = index_of(&target, 1024);
    for lies in [1, 2] {
        let mut left = lies;
        let result = update(&index, &[], 4 << 20, Limits::default(), |request| {
            let mut content = target.clone();
            if request.ranges().iter().any(|range| range.offset <= 100_000 && range.end() > 100_000) && left > 0 {
                left -= 1;
                content[100_000] ^= 1;
            }
            answer_from(&content, request);
        });
        match (lies, result) {
            (1, Ok(outcome)) => {
                assert!(outcome.output == target);
                assert_eq!(outcome.counters.fetched, 300_000 + 65_536);
            }
            (2, Err(error)) => assert_eq!(error.kind(), ErrorKind::Mismatch),
            (_, other) => panic!("{lies} lies: {:?}", other.map(|outcome| outcome.counters)),
        }
    }
}

/// Answers that are late, out of order, in small pieces, twice, larger than asked, or unasked.
#[test]
fn answers_of_every_kind() {
    let target = noise(700_000, 8);
    let old = noise(100_000, 9);
    let index = index_of(&target, 1024);
    let mut open = Vec::new();
    let limits = Limits { max_bytes: 512 << 10, ..Limits::default() };
    let outcome = update(&index, &[old], 4 << 20, limits, |request| {
        open.push(request);
        if open.len() < 3 {
            return;
        }
        for request in open.drain(..).rev() {
            let ranges = request.ranges().to_vec();
            for range in ranges.iter().rev() {
                let (low, high) = (range.offset.saturating_sub(10), (range.end() + 10).min(target.len() as u64));
                for at in (low..high).step_by(777).collect::<Vec<_>>().into_iter().rev() {
                    let end = (at + 780).min(high);
                    assert_eq!(request.supply(at, &target[at as usize..end as usize]), Supply::Taken);
                }
            }
            request.finish(Ok(()));
        }
    });
    // The last requests stay open until their turn comes; the driver's clock gives up on them and asks again.
    let outcome = outcome.unwrap();
    assert!(outcome.output == target);
    assert!(outcome.counters.wasted > 0);
}

/// A whole body in answer to the first range: everything it brings is used, and nothing is asked twice.
#[test]
fn whole_body_is_used() {
    let target = noise(3_000_000, 11);
    let index = index_of(&target, 1024);
    let mut requests = 0;
    let limits = Limits { max_bytes: 1 << 20, ..Limits::default() };
    let outcome = update(&index, &[], 4 << 20, limits, |request| {
        requests += 1;
        let mut at = 0;
        while at < target.len() {
            let end = (at + 10_000).min(target.len());
            match request.supply(at as u64, &target[at..end]) {
                Supply::Taken => at = end,
                // Nobody places while this closure runs, so the rest has to be asked for.
                Supply::Again => break,
                Supply::Closed => panic!("closed"),
            }
        }
        request.finish(Ok(()));
    })
    .unwrap();
    assert!(outcome.output == target);
    assert!(requests <= 4, "{requests} requests");
}
