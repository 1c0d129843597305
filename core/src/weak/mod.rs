//! The rolling checksum (rsync type, by Tridgell) that finds candidates at every byte offset. It proves nothing:
//! what it finds is compared by hint, and what is placed is verified by BLAKE3 (see `index`).
//! The scan that uses it is `matching`.
//!
//! Over `len` bytes `x`: `a` is the sum of `x[i]`, `b` the sum of `(len - i) * x[i]`, both modulo 2^32.
//!
//! `scalar` is the plain form of it, and what the kernels of `simd` are tested against, bit for bit; `lanes` cuts a
//! scan for them; `filter` is what is asked at every offset.

mod filter;
mod lanes;
mod scalar;
mod simd;

pub use filter::Filter;
pub use simd::Kernel;

/// An offset that passed a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where in the data the window begins.
    pub at: u32,
    /// The sums of the window.
    pub a: u32,
    /// See `a`.
    pub b: u32,
}

/// The two sums of `bytes`.
#[inline]
pub fn sum(bytes: &[u8]) -> (u32, u32) {
    Kernel::best().sum(bytes)
}

/// The sums of the window of `len` bytes one byte further on: `out` leaves at the front, `in_` comes in at the end.
#[inline]
pub fn roll((a, b): (u32, u32), out: u8, in_: u8, len: u32) -> (u32, u32) {
    let next_a = a.wrapping_sub(u32::from(out)).wrapping_add(u32::from(in_));
    let next_b = b.wrapping_sub(len.wrapping_mul(u32::from(out))).wrapping_add(next_a);
    (next_a, next_b)
}

/// Appends to `hits`, ascending, every offset of `data` where a window of `window` bytes fits and passes `filter`.
/// No more than the first 2^32 - 1 bytes are looked at: cut what is longer, with an overlap of a window less one byte.
pub fn scan(data: &[u8], window: usize, filter: &Filter, hits: &mut Vec<Hit>) {
    Kernel::best().scan(data, window, filter, hits);
}
