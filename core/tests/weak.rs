//! The weak sum and the scan: what they are by definition, and that every kernel of this machine does just that.

use gosync_core::weak::{self, Filter, Hit, Kernel};
use proptest::prelude::*;

/// The sums, word for word.
fn by_definition(bytes: &[u8]) -> (u32, u32) {
    let weights = (1..=bytes.len() as u64).rev();
    let a: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    let b = bytes.iter().zip(weights).fold(0u64, |sum, (byte, weight)| sum.wrapping_add(u64::from(*byte) * weight));
    (a as u32, b as u32)
}

/// The scan, word for word: each window is summed by itself.
fn hits_by_definition(data: &[u8], window: usize, filter: &Filter) -> Vec<Hit> {
    let windows = data.windows(window).map(by_definition);
    let all = (0..).zip(windows).map(|(at, (a, b))| Hit { at, a, b });
    all.filter(|hit| filter.may_have(hit.a, hit.b)).collect()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A filter with the sums of every so manieth window.
fn filter_of(mut filter: Filter, data: &[u8], window: usize, every: usize) -> Filter {
    for bytes in data.windows(window).step_by(every) {
        let (a, b) = weak::sum(bytes);
        filter.insert(a, b);
    }
    filter
}

/// A filter that everything passes.
fn full() -> Filter {
    let mut filter = Filter::new(1);
    (0..32).for_each(|a| filter.insert(a, 0));
    filter
}

/// Filters of both kinds, that few, many, all and no windows pass.
fn filters(data: &[u8], window: usize) -> Vec<Filter> {
    let cut = (0xffff, 0xf_ffff);
    vec![
        Filter::new(1 << 10),
        full(),
        filter_of(Filter::new(4), data, window, 3),
        filter_of(Filter::new(1 << 12), data, window, 50),
        filter_of(Filter::with_check(2, 1 << 8, cut), data, window, 9),
        filter_of(Filter::with_check(1 << 9, 1 << 12, cut), data, window, 40),
    ]
}

fn scan(kernel: Kernel, data: &[u8], window: usize, filter: &Filter) -> Vec<Hit> {
    let mut hits = Vec::new();
    kernel.scan(data, window, filter, &mut hits);
    hits
}

#[test]
fn sums_are_their_definition() {
    let noise = noise(70_100);
    let high = vec![255u8; 70_100];
    for kernel in Kernel::available() {
        for data in [&noise, &high] {
            for length in (0..600).chain([1023, 1024, 1025, 4096, 65_535, 65_536, 65_537, 70_000]) {
                for start in [0, 1, 31, 100] {
                    let bytes = &data[start..start + length];
                    assert_eq!(kernel.sum(bytes), by_definition(bytes), "{kernel:?}, length {length}, start {start}");
                }
            }
        }
    }
}

#[test]
fn a_roll_is_the_sum_one_byte_further() {
    let data = noise(5_000);
    for window in [1usize, 2, 31, 32, 33, 1024] {
        let mut rolled = weak::sum(&data[..window]);
        for offset in 1..=data.len() - window {
            rolled = weak::roll(rolled, data[offset - 1], data[offset + window - 1], window as u32);
            assert_eq!(rolled, weak::sum(&data[offset..offset + window]), "window {window}, offset {offset}");
        }
    }
}

/// Around every length at which a kernel's lanes begin to be used or grow by a step.
#[test]
fn scans_of_short_data_are_their_definition() {
    let data = noise(1_800);
    for window in [1, 2, 15, 16, 17, 64, 300] {
        let filters = filters(&data, window);
        for length in (0..200).chain((200..1_800).step_by(7)).chain(250..280).chain(505..530).chain(1020..1045) {
            for (number, filter) in filters.iter().enumerate() {
                let expected = hits_by_definition(&data[..length], window, filter);
                for kernel in Kernel::available() {
                    let found = scan(kernel, &data[..length], window, filter);
                    assert_eq!(found, expected, "{kernel:?}, window {window}, length {length}, filter {number}");
                }
            }
        }
    }
}

/// The plain kernel is checked against the definition above; here the others are against it.
#[test]
fn kernels_agree_on_real_sizes() {
    let mut data = noise(300_000);
    data[100_000..150_000].fill(0xff);
    data[200_000..220_000].fill(0);
    let [scalar, others @ ..] = &Kernel::available()[..] else { panic!("there is always one") };
    for window in [1, 1000, 1024, 2048, 4097, 65_536] {
        for (number, filter) in filters(&data, window).iter().enumerate() {
            for (start, length) in [(0, 300_000), (1, 299_999), (63, 131_072 + window), (7, 70_000)] {
                let bytes = &data[start..(start + length).min(300_000)];
                let expected = scan(*scalar, bytes, window, filter);
                for kernel in others {
                    let same = scan(*kernel, bytes, window, filter) == expected;
                    assert!(same, "{kernel:?}, window {window}, filter {number}, {length} bytes from {start}");
                }
            }
        }
    }
}

#[test]
fn constant_data_hits_everywhere_or_nowhere() {
    let data = vec![0xff; 100_000];
    for kernel in Kernel::available() {
        let filter = filter_of(Filter::with_check(1 << 12, 1 << 13, (0xffff, 0xffff)), &data[..2048], 2048, 1);
        let everywhere = scan(kernel, &data, 2048, &filter);
        let (a, b) = weak::sum(&data[..2048]);
        let expected: Vec<Hit> = (0..=100_000 - 2048).map(|at| Hit { at, a, b }).collect();
        assert_eq!(everywhere, expected, "{kernel:?}");
        assert_eq!(scan(kernel, &data, 2048, &Filter::new(1 << 12)), [], "{kernel:?}");
    }
}

#[test]
fn hits_are_added_to_what_is_there() {
    let there = Hit { at: 5, a: 6, b: 7 };
    for kernel in Kernel::available() {
        let mut hits = vec![there];
        kernel.scan(&[1, 2], 2, &full(), &mut hits);
        assert_eq!(hits, [there, Hit { at: 0, a: 3, b: 4 }], "{kernel:?}");
        kernel.scan(&[1, 2], 3, &full(), &mut hits);
        kernel.scan(&[1, 2], 0, &full(), &mut hits);
        assert_eq!(hits.len(), 2, "{kernel:?}: no window fits, or there is none");
    }
}

#[test]
fn a_second_step_lets_through_what_was_inserted() {
    let data = noise(70_000);
    for kept in [(0xffff, 0xffff), (0xffff, 0xff_ffff), (u32::MAX, u32::MAX)] {
        let one = filter_of(Filter::new(1 << 10), &data, 1024, 64);
        let two = filter_of(Filter::with_check(1 << 10, 1 << 14, kept), &data, 1024, 64);
        let passed = hits_by_definition(&data, 1024, &two);
        for at in (0..data.len() - 1024).step_by(64) {
            assert!(passed.iter().any(|hit| hit.at as usize == at), "offset {at} was inserted");
        }
        assert!(2 * passed.len() < hits_by_definition(&data, 1024, &one).len(), "and hardly anything else");
    }
}

proptest! {
    #[test]
    fn kernels_agree(
        seed in prop::collection::vec(any::<u8>(), 1..300),
        length in 0usize..9_000,
        start in 0usize..70,
        window in 1usize..5_000,
        words in 0u32..12,
        every in 1usize..400,
    ) {
        let data: Vec<u8> = seed.iter().copied().cycle().take(start + length).collect();
        let data = &data[start..];
        let mut filter = Filter::with_check(1 << words, 1 << (words / 2), (0xffff, 0xff_ffff));
        if window <= data.len() {
            filter = filter_of(filter, data, window, every);
        }
        let kernels = Kernel::available();
        let expected = scan(kernels[0], data, window, &filter);
        for kernel in kernels {
            prop_assert_eq!(kernel.sum(data), by_definition(data));
            prop_assert!(scan(kernel, data, window, &filter) == expected, "{:?}", kernel);
        }
    }
}
