//! The scan in vectors, for any instruction set: 32-bit lanes roll over distant stretches of the data, a lane each.
//!
//! Of each lane 16 bytes that leave and 16 that enter are loaded at a time and transposed in registers, so that a
//! vector holds four bytes of every lane. Each step looks the sums of all lanes up in the filter (the gather is what
//! costs most), and what passes goes into a queue, without a branch where the instruction set can do that. A full queue
//! goes through the filter's second step.

use crate::weak::lanes::{MOST, STEP};

/// Entries of a queue. Small enough to leave the nearest cache to the filter.
pub(super) const QUEUE: usize = 1024;

/// What passed the first step of the filter: `length` offsets, and the sums there.
pub(super) struct Queue {
    pub(super) length: usize,
    pub(super) at: [u32; QUEUE],
    pub(super) a: [u32; QUEUE],
    pub(super) b: [u32; QUEUE],
}

impl Queue {
    /// The most that one round of [`STEP`] steps adds.
    pub(super) const ROUND: usize = STEP * MOST;

    pub(super) fn new() -> Queue {
        Queue { length: 0, at: [0; QUEUE], a: [0; QUEUE], b: [0; QUEUE] }
    }
}

/// Writes the functions `roll` and `drain` in the words of the module that calls it:
/// `Vector` of `LANES` numbers, their arithmetic, and
/// - `load`, `splat`: a vector of these numbers, of this number
/// - `rows`: row `i` is 16 bytes each of the lanes `i`, `i + 4`, …; `low32` … `high64` interleave pairs within 16 bytes
/// - `look_up`: the words with these numbers, by one instruction if `GATHER`, which is what some processors do slowly,
///   otherwise one by one; `test`: whether bit `position & 31` is set, a bit for each lane
/// - `push`: writes the lanes of a mask to the queue, which has room for a whole vector there
macro_rules! scan_in_vectors {
    ($features:literal) => {
        /// Rolls over all lanes. Appends the hits: those of each lane ascending, but those of one among those of others.
        #[target_feature(enable = $features)]
        pub(super) fn roll<const GATHER: bool>(lanes: &Lanes<'_>, hits: &mut Vec<Hit>) {
            let (data, stride, window) = (lanes.data, lanes.stride, lanes.window);
            let words = lanes.filter.words.as_slice();
            assert!(stride % STEP == 0 && LANES * stride + window <= data.len());
            assert!(words.len().is_power_of_two() && words.len() <= 1 << 31);
            let mask = splat(words.len() as u32 - 1);
            let byte = splat(0xff);
            let length = splat(window as u32);
            let round_length = splat(STEP as u32);
            let (mut a, mut b) = (load(&lanes.a), load(&lanes.b));
            let mut at = load(&std::array::from_fn::<u32, LANES, _>(|lane| (lane * stride) as u32));
            let mut queue = Queue::new();
            let mut passed = [(0u32, a, b); STEP];
            for round in (0..stride).step_by(STEP) {
                if queue.length > QUEUE - Queue::ROUND {
                    drain::<GATHER>(&mut queue, lanes.filter, hits);
                }
                // SAFETY: the last lane's last step ends at `LANES * stride`, and `window` more are in `data`.
                let (leaving, entering) = unsafe {
                    let from = data.as_ptr().add(round);
                    (transpose(rows(from, stride)), transpose(rows(from.add(window), stride)))
                };
                // First every look-up of the round, then what came of them: a gather waits for every store before it
                // whose address is not known yet, and where the queue ends is known last of all.
                let mut some = 0;
                for quad in 0..4 {
                    let (mut leaving, mut entering) = (leaving[quad], entering[quad]);
                    for step in 4 * quad..4 * quad + 4 {
                        // SAFETY: `mask` keeps the numbers below the length of `words`, which is a power of two.
                        let found = test(unsafe { look_up::<GATHER>(words, and(b, mask)) }, a);
                        some |= u32::from(found != 0) << step;
                        passed[step] = (found, a, b);
                        let out = and(leaving, byte);
                        a = add(sub(a, out), and(entering, byte));
                        b = add(sub(b, mul(out, length)), a);
                        leaving = shift_right::<8>(leaving);
                        entering = shift_right::<8>(entering);
                    }
                }
                let mut end = queue.length;
                while some != 0 {
                    let step = some.trailing_zeros() as usize;
                    some &= some - 1;
                    let (found, a, b) = passed[step % STEP];
                    // SAFETY: there was room for a whole round.
                    unsafe { push(&mut queue, end, found, add(at, splat(step as u32)), a, b) };
                    end += found.count_ones() as usize;
                }
                queue.length = end;
                at = add(at, round_length);
            }
            drain::<GATHER>(&mut queue, lanes.filter, hits);
        }

        /// Empties the queue: what passes the second step of the filter is a hit.
        #[target_feature(enable = $features)]
        fn drain<const GATHER: bool>(queue: &mut Queue, filter: &Filter, hits: &mut Vec<Hit>) {
            let Check { words, shift, kept } = &filter.check;
            assert!(*shift > 0 && words.len() << 5 == 1 << (u32::BITS - shift));
            let (kept_a, kept_b) = (splat(kept.0), splat(kept.1));
            let spread = splat(SPREAD);
            let ats = queue.at.as_chunks::<LANES>().0.iter();
            let sums = queue.a.as_chunks::<LANES>().0.iter().zip(queue.b.as_chunks::<LANES>().0);
            let mut left = queue.length as u32;
            for (at, (a, b)) in ats.zip(sums).take(queue.length.div_ceil(LANES)) {
                let low = and(load(b), kept_b);
                let turned = or(shift_left::<16>(low), shift_right::<16>(low));
                let slot = shift_right_by(mul(xor(and(load(a), kept_a), turned), spread), *shift);
                // SAFETY: a slot has as many bits as the length of `words` has, and five.
                let passed = test(unsafe { look_up::<GATHER>(words, shift_right::<5>(slot)) }, slot);
                let mut passed = if left < LANES as u32 { passed & ((1 << left) - 1) } else { passed };
                left = left.saturating_sub(LANES as u32);
                while passed != 0 {
                    let lane = passed.trailing_zeros() as usize;
                    if filter.check.has_second(a[lane], b[lane]) {
                        hits.push(Hit { at: at[lane], a: a[lane], b: b[lane] });
                    }
                    passed &= passed - 1;
                }
            }
            queue.length = 0;
        }

        /// Four rows, in each 16 bytes of a lane in four, to four vectors with four bytes of every lane each.
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose([r0, r1, r2, r3]: [Vector; 4]) -> [Vector; 4] {
            let (low01, high01) = (low32(r0, r1), high32(r0, r1));
            let (low23, high23) = (low32(r2, r3), high32(r2, r3));
            [low64(low01, low23), high64(low01, low23), low64(high01, high23), high64(high01, high23)]
        }
    };
}

pub(super) use scan_in_vectors;
