//! AVX2: 8 lanes.

use std::arch::x86_64::*;
use std::arch::x86_64::{
    _mm256_add_epi32 as add, _mm256_and_si256 as and, _mm256_mullo_epi32 as mul, _mm256_or_si256 as or,
    _mm256_slli_epi32 as shift_left, _mm256_srli_epi32 as shift_right, _mm256_sub_epi32 as sub,
    _mm256_unpackhi_epi32 as high32, _mm256_unpackhi_epi64 as high64, _mm256_unpacklo_epi32 as low32,
    _mm256_unpacklo_epi64 as low64, _mm256_xor_si256 as xor,
};

use super::scan::{QUEUE, Queue, scan_in_vectors};
use crate::weak::filter::{Check, Filter, SPREAD};
use crate::weak::lanes::{Lanes, STEP};
use crate::weak::{Hit, scalar};

pub(super) const LANES: usize = 8;
type Vector = __m256i;

scan_in_vectors!("avx2,popcnt");

/// The two sums of `bytes`. Of each 32 bytes three things are added up: their sum, what was summed before them (which
/// gains a weight of 32), and themselves with the weights 32 to 1.
#[target_feature(enable = "avx2")]
pub(super) fn sum(bytes: &[u8]) -> (u32, u32) {
    const WEIGHTS: [i8; 32] = {
        let mut weights = [0; 32];
        let mut at = 0;
        while at < 32 {
            weights[at] = 32 - at as i8;
            at += 1;
        }
        weights
    };
    let (parts, rest) = bytes.as_chunks::<32>();
    // SAFETY: as many bytes as a vector has.
    let weights = unsafe { _mm256_loadu_si256(WEIGHTS.as_ptr().cast()) };
    let ones = _mm256_set1_epi16(1);
    let zero = _mm256_setzero_si256();
    let (mut plain, mut before, mut weighted) = (zero, zero, zero);
    for part in parts {
        // SAFETY: as many bytes as a vector has.
        let part = unsafe { _mm256_loadu_si256(part.as_ptr().cast()) };
        before = add(before, plain);
        plain = add(plain, _mm256_sad_epu8(part, zero));
        // A pair has (32 + 31) * 255 at most, which 16 bits hold.
        weighted = add(weighted, _mm256_madd_epi16(_mm256_maddubs_epi16(part, weights), ones));
    }
    let b = add(_mm256_slli_epi32::<5>(before), weighted);
    scalar::sum_on((total(plain), total(b)), rest)
}

/// The sum of all numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn total(numbers: Vector) -> u32 {
    let half = _mm_add_epi32(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256::<1>(numbers));
    let pair = _mm_add_epi32(half, _mm_shuffle_epi32::<0b01_00_11_10>(half));
    _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32::<0b10_11_00_01>(pair))) as u32
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(number: u32) -> Vector {
    _mm256_set1_epi32(number as i32)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load<const N: usize>(numbers: &[u32; N]) -> Vector {
    const { assert!(N >= LANES) };
    // SAFETY: at least as many bytes as a vector has.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn shift_right_by(numbers: Vector, by: u32) -> Vector {
    _mm256_srl_epi32(numbers, _mm_cvtsi32_si128(by as i32))
}

/// # Safety
/// The 16 bytes at `from`, and at each of 7 times `stride` after it, can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn rows(from: *const u8, stride: usize) -> [Vector; 4] {
    // SAFETY: the caller's promise.
    let row = |lane: usize| unsafe { _mm_loadu_si128(from.add(lane * stride).cast()) };
    std::array::from_fn(|first| _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(row(first)), row(first + 4)))
}

/// # Safety
/// The numbers are below the length of `words`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn look_up<const GATHER: bool>(words: &[u32], numbers: Vector) -> Vector {
    if GATHER {
        // SAFETY: the caller's promise.
        return unsafe { _mm256_i32gather_epi32::<4>(words.as_ptr().cast(), numbers) };
    }
    let mut stored = [0u32; LANES];
    // SAFETY: as many bytes as a vector has.
    unsafe { _mm256_storeu_si256(stored.as_mut_ptr().cast(), numbers) };
    // SAFETY: the caller's promise.
    load(&stored.map(|number| unsafe { *words.get_unchecked(number as usize) }))
}

#[inline]
#[target_feature(enable = "avx2")]
fn test(words: Vector, positions: Vector) -> u32 {
    // The bit that is asked for becomes the sign.
    let signs = _mm256_sllv_epi32(words, _mm256_andnot_si256(positions, _mm256_set1_epi32(31)));
    _mm256_movemask_ps(_mm256_castsi256_ps(signs)) as u32
}

/// For each mask of eight lanes the numbers of the lanes that are in it, a byte each.
const KEEP: [u64; 256] = {
    let mut keep = [0; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut lane, mut count) = (0, 0);
        while lane < 8 {
            if mask >> lane & 1 == 1 {
                keep[mask] |= lane << (8 * count);
                count += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    keep
};

/// # Safety
/// `end` and [`LANES`] more are at most the queue's capacity.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn push(queue: &mut Queue, end: usize, mask: u32, at: Vector, a: Vector, b: Vector) {
    let order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(KEEP[mask as usize & 0xff] as i64));
    let keep = |to: &mut [u32; QUEUE], numbers| {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.as_mut_ptr().add(end);
            _mm256_storeu_si256(to.cast(), _mm256_permutevar8x32_epi32(numbers, order));
        }
    };
    keep(&mut queue.at, at);
    keep(&mut queue.a, a);
    keep(&mut queue.b, b);
}
