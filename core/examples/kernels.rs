//! Micro-benchmarks of the kernels of `weak`, each beside the others and beside the two hashes that a matcher waits
//! for: GB/s on one core, the best of many short rounds, since whatever else the machine does only slows them down.
//! `cargo xtask bench --kernels` runs it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use gosync_core::weak::{Filter, Hit, Kernel};
use xxhash_rust::xxh3::xxh3_64;

const BLOCK: usize = 2 << 10;
const UNIT: usize = 64 << 10;
/// What a scan is given at a time.
const PIECE: usize = 256 << 10;

/// Blocks that are looked for, and the bits of the filter's two steps, as powers of two.
const FILTERS: &[(usize, u32, u32)] =
    &[(512, 18, 20), (8 << 10, 18, 22), (32 << 10, 20, 23), (128 << 10, 22, 24), (1 << 20, 23, 26), (8 << 20, 26, 29)];

fn main() {
    let memory = noise(64 << 20);
    let cache = &memory[..PIECE + BLOCK];
    println!("{:46} {:>8} {:>8}", "GB/s", "from L2", "memory");
    let row = |name: String, work: &mut dyn FnMut(&[u8])| {
        println!("{name:46} {:8.2} {:8.2}", speed(cache, work), speed(&memory, work));
    };
    for kernel in Kernel::available() {
        row(format!("sum of {BLOCK} bytes, {}", kernel.name()), &mut |data| {
            data.chunks(BLOCK).for_each(|block| consume(kernel.sum(block)));
        });
    }
    row(format!("XXH3 of {BLOCK} bytes"), &mut |data| {
        data.chunks(BLOCK).for_each(|block| consume(xxh3_64(block)));
    });
    row(format!("BLAKE3 of {UNIT} bytes"), &mut |data| {
        data.chunks(UNIT).for_each(|unit| consume(blake3::hash(unit)));
    });
    for &(blocks, first, second) in FILTERS {
        let filter = filter(blocks, first, second);
        let mut hits: Vec<Hit> = Vec::new();
        for kernel in Kernel::available() {
            let name = format!("scan, {blocks} blocks, 2^{first}/2^{second} bits, {}", kernel.name());
            row(name, &mut |data| {
                hits.clear();
                kernel.scan(data, BLOCK, &filter, &mut hits);
                consume(hits.len());
            });
        }
    }
}

/// Has the compiler compute it.
fn consume<T>(result: T) {
    black_box(result);
}

/// GB/s of `work` over `data`, which it gets in pieces that overlap by a block.
fn speed(data: &[u8], work: &mut dyn FnMut(&[u8])) -> f64 {
    const ROUNDS: u32 = 60;
    const ROUND: Duration = Duration::from_millis(4);
    let mut best: f64 = 0.0;
    let mut at = 0;
    for _ in 0..ROUNDS {
        let (start, mut bytes) = (Instant::now(), 0);
        while start.elapsed() < ROUND {
            if at + PIECE + BLOCK > data.len() {
                at = 0;
            }
            work(&data[at..at + PIECE + BLOCK]);
            at += PIECE;
            bytes += PIECE;
        }
        best = best.max(bytes as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    best
}

/// A filter with as many sums as there are blocks, all of them invented.
fn filter(blocks: usize, first: u32, second: u32) -> Filter {
    let mut filter = Filter::with_check(1 << (first - 5), 1 << (second - 5), (0xffff, 0xff_ffff));
    for sums in noise(8 * blocks).as_chunks::<8>().0 {
        let [a, b] = [&sums[..4], &sums[4..]].map(|half| half.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)));
        filter.insert(a, b);
    }
    filter
}

/// Bytes that no pattern is in (xorshift64*, by Vigna).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        data.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    data.truncate(length);
    data
}
