//! AVX-512: 16 lanes.

use std::arch::x86_64::*;
use std::arch::x86_64::{
    _mm512_add_epi32 as add, _mm512_and_si512 as and, _mm512_mullo_epi32 as mul, _mm512_or_si512 as or,
    _mm512_slli_epi32 as shift_left, _mm512_srli_epi32 as shift_right, _mm512_sub_epi32 as sub,
    _mm512_unpackhi_epi32 as high32, _mm512_unpackhi_epi64 as high64, _mm512_unpacklo_epi32 as low32,
    _mm512_unpacklo_epi64 as low64, _mm512_xor_si512 as xor,
};

use super::scan::{QUEUE, Queue, scan_in_vectors};
use crate::weak::Hit;
use crate::weak::filter::{Check, Filter, SPREAD};
use crate::weak::lanes::{Lanes, STEP};

pub(super) const LANES: usize = 16;
type Vector = __m512i;

scan_in_vectors!("avx512f,avx2,popcnt");

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(number: u32) -> Vector {
    _mm512_set1_epi32(number as i32)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load<const N: usize>(numbers: &[u32; N]) -> Vector {
    const { assert!(N >= LANES) };
    // SAFETY: at least as many bytes as a vector has.
    unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn shift_right_by(numbers: Vector, by: u32) -> Vector {
    _mm512_srl_epi32(numbers, _mm_cvtsi32_si128(by as i32))
}

/// # Safety
/// The 16 bytes at `from`, and at each of 15 times `stride` after it, can be read.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn rows(from: *const u8, stride: usize) -> [Vector; 4] {
    // SAFETY: the caller's promise.
    let row = |lane: usize| unsafe { _mm_loadu_si128(from.add(lane * stride).cast()) };
    std::array::from_fn(|first| {
        let rows = _mm512_castsi128_si512(row(first));
        let rows = _mm512_inserti32x4::<1>(rows, row(first + 4));
        let rows = _mm512_inserti32x4::<2>(rows, row(first + 8));
        _mm512_inserti32x4::<3>(rows, row(first + 12))
    })
}

/// # Safety
/// The numbers are below the length of `words`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn look_up<const GATHER: bool>(words: &[u32], numbers: Vector) -> Vector {
    // SAFETY: the caller's promise.
    unsafe { _mm512_i32gather_epi32::<4>(numbers, words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn test(words: Vector, positions: Vector) -> u32 {
    u32::from(_mm512_test_epi32_mask(words, _mm512_rolv_epi32(_mm512_set1_epi32(1), positions)))
}

/// # Safety
/// `end` and [`LANES`] more are at most the queue's capacity.
#[inline]
#[target_feature(enable = "avx512f,popcnt")]
unsafe fn push(queue: &mut Queue, end: usize, mask: u32, at: Vector, a: Vector, b: Vector) {
    let keep = |to: &mut [u32; QUEUE], numbers| {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.as_mut_ptr().add(end);
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi32(mask as __mmask16, numbers));
        }
    };
    keep(&mut queue.at, at);
    keep(&mut queue.a, a);
    keep(&mut queue.b, b);
}
