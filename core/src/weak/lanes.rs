//! Cuts a scan into lanes: stretches of equal length that a vector kernel rolls over side by side.

use super::{Filter, Hit, Kernel, scalar};

/// Offsets that a lane goes on at a time: the kernels load 16 bytes of each lane at once.
pub(super) const STEP: usize = 16;
/// What is shorter for a lane is not worth the sums that it starts from.
const SHORTEST: usize = 4 * STEP;
/// Lanes of any kernel at most.
pub(super) const MOST: usize = 16;

/// What a vector kernel rolls over. Only [`scan`] makes one, so that its fields always fit each other.
pub(super) struct Lanes<'a> {
    pub(super) data: &'a [u8],
    pub(super) window: usize,
    /// Offsets of each lane, and from one lane's first to the next one's.
    pub(super) stride: usize,
    /// The sums at each lane's first offset.
    pub(super) a: [u32; MOST],
    pub(super) b: [u32; MOST],
    pub(super) filter: &'a Filter,
}

/// See `weak::scan`.
pub(super) fn scan(kernel: Kernel, data: &[u8], window: usize, filter: &Filter, hits: &mut Vec<Hit>) {
    let data = &data[..data.len().min(u32::MAX as usize)];
    let Some(last) = data.len().checked_sub(window).filter(|_| window > 0) else { return };
    // The last offset has no byte that enters after it, so that a lane must not contain it.
    let stride = stride(last / kernel.lanes());
    let mut sums = kernel.sum(&data[..window]);
    let mut rest = 0;
    if kernel.lanes() > 1 && stride >= SHORTEST {
        rest = kernel.lanes() * stride;
        let mut lanes = Lanes { data, window, stride, a: [0; MOST], b: [0; MOST], filter };
        for lane in 0..kernel.lanes() {
            (lanes.a[lane], lanes.b[lane]) = sums;
            sums = advance(kernel, sums, data, window, lane * stride, stride);
        }
        let before = hits.len();
        kernel.roll(&lanes, hits);
        order(&mut hits[before..], stride);
    }
    scalar::scan(data, window, (rest, last), sums, filter, hits);
}

/// Whole steps. Not a multiple of half a page: the lines that the lanes are on would share one set of the cache.
fn stride(most: usize) -> usize {
    const LINE: usize = 64;
    let steps = most - most % STEP;
    if steps >= LINE && (steps / LINE).is_multiple_of(32) { steps - LINE } else { steps }
}

/// The sums of the window at `at + by`, from those at `at`.
fn advance(kernel: Kernel, (a, b): (u32, u32), data: &[u8], window: usize, at: usize, by: usize) -> (u32, u32) {
    if 2 * by >= window {
        return kernel.sum(&data[at + by..][..window]);
    }
    // As a roll does it for one byte: what leaves had the whole window as weight when it was first, and what stays
    // gains a weight of `by`.
    let (out_a, out_b) = kernel.sum(&data[at..][..by]);
    let (in_a, in_b) = kernel.sum(&data[at + window..][..by]);
    let next_b = b
        .wrapping_add(a.wrapping_mul(by as u32))
        .wrapping_sub(out_a.wrapping_mul(window as u32))
        .wrapping_sub(out_b)
        .wrapping_add(in_b);
    (a.wrapping_sub(out_a).wrapping_add(in_a), next_b)
}

/// Puts hits in order that are ascending in each lane, but mixed: each goes to the end of its lane's share.
fn order(hits: &mut [Hit], stride: usize) {
    let mixed = hits.to_vec();
    let mut counts = [0; MOST];
    for hit in &mixed {
        counts[hit.at as usize / stride] += 1;
    }
    let mut ends = [0; MOST];
    for lane in 1..MOST {
        ends[lane] = ends[lane - 1] + counts[lane - 1];
    }
    for hit in mixed {
        let end: &mut usize = &mut ends[hit.at as usize / stride];
        hits[*end] = hit;
        *end += 1;
    }
}
