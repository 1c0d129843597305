//! The rolling checksum (rsync type) that finds candidates at every byte offset. It proves nothing:
//! what it finds is compared by hint, and what is placed is verified by BLAKE3 (see `index`).
//! The scan that uses it is `matching`.
//!
//! Over `len` bytes `x`: `a` is the sum of `x[i]`, `b` the sum of `(len - i) * x[i]`, both modulo 2^32.

mod scan;

pub use scan::{Filter, Hit, scan};

/// Bytes that are summed side by side, in a shape that compilers turn into packed additions on every target.
const LANES: usize = 16;
/// Rows of [`LANES`] bytes until the lanes' sums are put together: the largest power of two for which 16 bits hold them.
const ROWS: usize = 16;
const STEP: usize = LANES * ROWS;

/// The two sums of `bytes`.
#[inline]
pub fn sum(bytes: &[u8]) -> (u32, u32) {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let (mut a, mut b) = (0u32, 0u32);
    for step in steps {
        let (plain, weighted) = sum_step(step);
        b = b.wrapping_add(a.wrapping_mul(STEP as u32)).wrapping_add(weighted);
        a = a.wrapping_add(plain);
    }
    for &byte in rest {
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

/// The sums of the window of `len` bytes one byte further on: `out` leaves at the front, `in_` comes in at the end.
#[inline]
pub fn roll((a, b): (u32, u32), out: u8, in_: u8, len: u32) -> (u32, u32) {
    let next_a = a.wrapping_sub(u32::from(out)).wrapping_add(u32::from(in_));
    let next_b = b.wrapping_sub(len.wrapping_mul(u32::from(out))).wrapping_add(next_a);
    (next_a, next_b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_definition(bytes: &[u8]) -> (u32, u32) {
        let len = bytes.len() as u64;
        let a = bytes.iter().fold(0u64, |sum, &byte| sum.wrapping_add(u64::from(byte)));
        let b = bytes
            .iter()
            .enumerate()
            .fold(0u64, |sum, (i, &byte)| sum.wrapping_add((len - i as u64).wrapping_mul(u64::from(byte))));
        (a as u32, b as u32)
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn sum_is_its_definition() {
        let data = noise(70_000);
        for length in (0..200).chain([1023, 1024, 1025, 4096, 65_536, 70_000]) {
            assert_eq!(sum(&data[..length]), by_definition(&data[..length]), "length {length}");
        }
        let high = vec![255u8; 70_000];
        assert_eq!(sum(&high), by_definition(&high), "the sums wrap");
    }

    #[test]
    fn roll_is_the_sum_one_byte_further() {
        let data = noise(5_000);
        for len in [1usize, 2, 31, 32, 33, 1024] {
            let mut rolled = sum(&data[..len]);
            for offset in 1..=data.len() - len {
                rolled = roll(rolled, data[offset - 1], data[offset + len - 1], len as u32);
                assert_eq!(rolled, sum(&data[offset..offset + len]), "len {len}, offset {offset}");
            }
        }
    }
}
