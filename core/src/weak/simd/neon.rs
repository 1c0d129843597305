//! NEON: 4 lanes, on every 64-bit ARM. It cannot gather, so that the words are loaded one by one.

use std::arch::aarch64::*;
use std::arch::aarch64::{
    vaddq_u32 as add, vandq_u32 as and, vdupq_n_u32 as splat, veorq_u32 as xor, vmulq_u32 as mul, vorrq_u32 as or,
    vshlq_n_u32 as shift_left, vshrq_n_u32 as shift_right, vsubq_u32 as sub, vzip1q_u32 as low32, vzip2q_u32 as high32,
};

use super::scan::{QUEUE, Queue, scan_in_vectors};
use crate::weak::filter::{Check, Filter, SPREAD};
use crate::weak::lanes::{Lanes, STEP};
use crate::weak::{Hit, scalar};

pub(super) const LANES: usize = 4;
type Vector = uint32x4_t;

scan_in_vectors!("neon");

/// The two sums of `bytes`. Of each 16 bytes three things are added up: their sum, what was summed before them (which
/// gains a weight of 16), and themselves with the weights 16 to 1.
#[target_feature(enable = "neon")]
pub(super) fn sum(bytes: &[u8]) -> (u32, u32) {
    const WEIGHTS: [u8; 16] = [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    let (parts, rest) = bytes.as_chunks::<16>();
    // SAFETY: as many bytes as a vector has.
    let weights = unsafe { vld1q_u8(WEIGHTS.as_ptr()) };
    let (mut plain, mut before, mut weighted) = (splat(0), splat(0), splat(0));
    for part in parts {
        // SAFETY: as many bytes as a vector has.
        let part = unsafe { vld1q_u8(part.as_ptr()) };
        before = add(before, plain);
        plain = vpadalq_u16(plain, vpaddlq_u8(part));
        // A product has 16 * 255 at most, which 16 bits hold.
        weighted = vpadalq_u16(weighted, vmull_u8(vget_low_u8(part), vget_low_u8(weights)));
        weighted = vpadalq_u16(weighted, vmull_high_u8(part, weights));
    }
    let b = add(vshlq_n_u32::<4>(before), weighted);
    scalar::sum_on((vaddvq_u32(plain), vaddvq_u32(b)), rest)
}

#[inline]
#[target_feature(enable = "neon")]
fn load<const N: usize>(numbers: &[u32; N]) -> Vector {
    const { assert!(N >= LANES) };
    // SAFETY: at least as many bytes as a vector has.
    unsafe { vld1q_u32(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(numbers: Vector) -> [u32; LANES] {
    let mut stored = [0; LANES];
    // SAFETY: as many bytes as a vector has.
    unsafe { vst1q_u32(stored.as_mut_ptr(), numbers) };
    stored
}

#[inline]
#[target_feature(enable = "neon")]
fn shift_right_by(numbers: Vector, by: u32) -> Vector {
    vshlq_u32(numbers, vdupq_n_s32(-(by as i32)))
}

#[inline]
#[target_feature(enable = "neon")]
fn low64(first: Vector, second: Vector) -> Vector {
    vreinterpretq_u32_u64(vzip1q_u64(vreinterpretq_u64_u32(first), vreinterpretq_u64_u32(second)))
}

#[inline]
#[target_feature(enable = "neon")]
fn high64(first: Vector, second: Vector) -> Vector {
    vreinterpretq_u32_u64(vzip2q_u64(vreinterpretq_u64_u32(first), vreinterpretq_u64_u32(second)))
}

/// # Safety
/// The 16 bytes at `from`, and at each of 3 times `stride` after it, can be read.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn rows(from: *const u8, stride: usize) -> [Vector; 4] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|lane| vreinterpretq_u32_u8(unsafe { vld1q_u8(from.add(lane * stride)) }))
}

/// # Safety
/// The numbers are below the length of `words`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn look_up<const GATHER: bool>(words: &[u32], numbers: Vector) -> Vector {
    // SAFETY: the caller's promise.
    load(&store(numbers).map(|number| unsafe { *words.get_unchecked(number as usize) }))
}

#[inline]
#[target_feature(enable = "neon")]
fn test(words: Vector, positions: Vector) -> u32 {
    // The bit that is asked for comes first, then goes to the place of its lane.
    let back = vnegq_s32(vreinterpretq_s32_u32(and(positions, splat(31))));
    let bits = and(vshlq_u32(words, back), splat(1));
    vaddvq_u32(mul(bits, load(&[1, 2, 4, 8])))
}

/// # Safety
/// `end` and [`LANES`] more are at most the queue's capacity.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn push(queue: &mut Queue, end: usize, mask: u32, at: Vector, a: Vector, b: Vector) {
    let (at, a, b) = (store(at), store(a), store(b));
    let mut end = end;
    for lane in (0..LANES).filter(|lane| mask >> lane & 1 == 1) {
        (queue.at[end], queue.a[end], queue.b[end]) = (at[lane], a[lane], b[lane]);
        end += 1;
    }
}
