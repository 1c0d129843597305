//! The sums and the scan for every machine, one offset after another. It says what the vector kernels have to find.

use super::{Filter, Hit, roll};

/// Bytes that are summed side by side, in a shape that compilers turn into packed additions on every target.
const LANES: usize = 16;
/// Rows of [`LANES`] bytes until the lanes' sums are put together: the largest power of two for which 16 bits hold them.
const ROWS: usize = 16;
const STEP: usize = LANES * ROWS;

/// The two sums of `bytes`.
pub(super) fn sum(bytes: &[u8]) -> (u32, u32) {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let (mut a, mut b) = (0u32, 0u32);
    for step in steps {
        let (plain, weighted) = sum_step(step);
        b = b.wrapping_add(a.wrapping_mul(STEP as u32)).wrapping_add(weighted);
        a = a.wrapping_add(plain);
    }
    sum_on((a, b), rest)
}

/// The sums of bytes that have the sums `(a, b)`, followed by `more`.
#[inline]
pub(super) fn sum_on((mut a, mut b): (u32, u32), more: &[u8]) -> (u32, u32) {
    for &byte in more {
        a = a.wrapping_add(u32::from(byte));
        b = b.wrapping_add(a);
    }
    (a, b)
}

/// The two sums of one step. The weight of byte `lane` of row `row` is `LANES * (ROWS - row) - lane`:
/// adding up a lane's running sums gives the first part, its plain sum the second.
#[inline]
fn sum_step(step: &[u8; STEP]) -> (u32, u32) {
    let mut plain = [0u16; LANES];
    let mut running = [0u16; LANES];
    for row in step.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            plain[lane] += u16::from(row[lane]);
            running[lane] += plain[lane];
        }
    }
    let (mut a, mut b) = (0, 0);
    for lane in 0..LANES {
        a += u32::from(plain[lane]);
        b += LANES as u32 * u32::from(running[lane]) - lane as u32 * u32::from(plain[lane]);
    }
    (a, b)
}

/// The hits at the offsets of `data` from `first` to `last`; `sums` are those of the window at `first`.
pub(super) fn scan(
    data: &[u8],
    window: usize,
    (first, last): (usize, usize),
    sums: (u32, u32),
    filter: &Filter,
    hits: &mut Vec<Hit>,
) {
    let (mut a, mut b) = sums;
    // Two views of the same data, a window apart, walked together.
    let (leaving, entering) = (&data[first..], &data[first + window..]);
    for step in 0..=last - first {
        if filter.may_have(a, b) {
            hits.push(Hit { at: (first + step) as u32, a, b });
        }
        if let (Some(&out), Some(&new)) = (leaving.get(step), entering.get(step)) {
            (a, b) = roll((a, b), out, new, window as u32);
        }
    }
}
