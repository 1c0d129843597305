//! Micro-benchmarks of the kernels, beside what else a matcher needs: GB/s on one core, the best of several rounds.
//! `cargo xtask bench --kernels` runs it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use gosync_core::weak::{Filter, Kernel};

const UNIT: usize = 64 << 10;

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    data.truncate(length);
    data
}

/// GB/s of `work`, which goes through so many bytes.
fn speed(bytes: usize, mut work: impl FnMut()) -> f64 {
    const ROUND: Duration = Duration::from_millis(40);
    work();
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let (start, mut times) = (Instant::now(), 0);
        while start.elapsed() < ROUND {
            work();
            times += 1;
        }
        best = best.max((times * bytes) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    best
}

fn main() {
    let small = noise(256 << 10);
    let large = noise(64 << 20);
    let first: Vec<u32> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    for kernel in Kernel::available() {
        for (name, data) in [("L2", &small), ("memory", &large)] {
            for block in [2048, 65536] {
                let s = speed(data.len(), || {
                    data.chunks(block).for_each(|b| {
                        black_box(kernel.sum(b));
                    })
                });
                println!("sum {:8} {name:6} {block:6} {s:6.2}", kernel.name());
            }
        }
    }
    for kernel in Kernel::available() {
        for (count, bits, check) in [
            (512, 18, 20),
            (8192, 18, 22),
            (8192, 20, 22),
            (131072, 22, 24),
            (1 << 20, 23, 26),
            (1 << 20, 24, 26),
            (8 << 20, 26, 29),
        ] {
            if !first.is_empty() && !first.contains(&bits) {
                continue;
            }
            let mut filter = Filter::with_check(1 << (bits - 5), 1 << (check - 5), (0xffff, 0xff_ffff));
            let mut state = 1u64;
            for _ in 0..count {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                filter.insert((state >> 40) as u32, (state >> 20) as u32);
            }
            for (name, data, piece) in [
                ("L2", &small, 64 << 10),
                ("L2", &small, 256 << 10),
                ("memory", &large, 64 << 10),
                ("memory", &large, 128 << 10),
                ("memory", &large, 256 << 10),
                ("memory", &large, 4 << 20),
            ] {
                let mut hits = Vec::new();
                let s = speed(data.len(), || {
                    hits.clear();
                    let mut at = 0;
                    while at + 2048 <= data.len() {
                        let end = (at + piece + 2047).min(data.len());
                        kernel.scan(&data[at..end], 2048, &filter, &mut hits);
                        at += piece;
                    }
                });
                println!(
                    "scan {:8} N {count:8} 2^{bits} 2^{check} {name:6} {:4}K {s:6.2}  hits {:.6}",
                    kernel.name(),
                    piece >> 10,
                    hits.len() as f64 / data.len() as f64
                );
            }
        }
    }
    black_box(UNIT);
}
