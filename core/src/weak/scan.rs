//! The first step of the scan: rolls the weak sum over every offset of a stretch of data and keeps the offsets that a
//! bit filter lets through. What they are worth is decided elsewhere (`matching`).

use super::{roll, sum};

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

/// A bit for each weak sum that is looked for; others may share it. Low bits of B choose the word, of A the bit:
/// no multiplication, since every offset pays for it.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Their number is a power of two.
    words: Vec<u32>,
}

impl Filter {
    /// An empty filter of `words` words, which is rounded up to a power of two.
    pub fn new(words: usize) -> Filter {
        Filter { words: vec![0; words.max(1).next_power_of_two()] }
    }

    /// Lets windows with these sums through.
    pub fn insert(&mut self, a: u32, b: u32) {
        let mask = self.words.len() - 1;
        self.words[b as usize & mask] |= 1 << (a & 31);
    }

    /// Whether a window with these sums is let through.
    #[inline(always)]
    pub fn may_have(&self, a: u32, b: u32) -> bool {
        let mask = self.words.len() - 1;
        self.words.get(b as usize & mask).is_some_and(|bits| (bits >> (a & 31)) & 1 != 0)
    }
}

/// Appends to `hits`, ascending, every offset of `data` where a window of `window` bytes fits and passes `filter`.
pub fn scan(data: &[u8], window: usize, filter: &Filter, hits: &mut Vec<Hit>) {
    let Some(last) = data.len().checked_sub(window).filter(|_| window > 0) else { return };
    let (mut a, mut b) = sum(&data[..window]);
    let entering = &data[window..];
    for at in 0..=last {
        if filter.may_have(a, b) {
            hits.push(Hit { at: at as u32, a, b });
        }
        if let Some(&new) = entering.get(at) {
            (a, b) = roll((a, b), data[at], new, window as u32);
        }
    }
}
