//! What the scan asks at every offset: whether a window with these sums may be looked for.

/// Words of a filter at most: their numbers have to fit the lanes of a vector.
const MAX_WORDS: usize = 1 << 26;

/// A bit for each weak sum that is looked for; others may share it. Low bits of B choose the word, of A the bit:
/// no multiplication, since every offset pays for it. What passes is tested twice more in a second, larger set of bits,
/// placed by all bits of the sums that are known (a Bloom filter of two hashes).
#[derive(Clone, Debug)]
pub struct Filter {
    /// Their number is a power of two.
    pub(super) words: Vec<u32>,
    pub(super) check: Check,
}

/// The second set of bits.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// Their number is a power of two, too.
    pub(super) words: Vec<u32>,
    /// How far a key is shifted to be the number of a bit.
    pub(super) shift: u32,
    /// The bits of A and of B that are known of what is looked for.
    pub(super) kept: (u32, u32),
}

/// Spreads the sums over the high bits of a word (Fibonacci hashing): for the first bit, and for the second one.
pub(super) const SPREAD: u32 = 0x9E37_79B9;
const SPREAD_AGAIN: u32 = 0x85EB_CA6B;

impl Filter {
    /// An empty filter of one step: `words` words, which is rounded up to a power of two (2^26 at most).
    pub fn new(words: usize) -> Filter {
        // One word with all bits set is a second step that everything passes.
        let check = Check { words: vec![u32::MAX], shift: u32::BITS - 5, kept: (u32::MAX, u32::MAX) };
        Filter { words: vec![0; power_of_two(words)], check }
    }

    /// An empty filter of two steps with so many words each. `kept` are the bits of A and of B that are known of what
    /// is looked for, in each the lowest ones, and five at least.
    pub fn with_check(words: usize, check_words: usize, kept: (u32, u32)) -> Filter {
        // A word that is chosen by bits that nobody knows would be found by chance only.
        let words = power_of_two(words).min(power_of_two(1 << kept.1.trailing_ones().min(31)));
        let check_words = power_of_two(check_words);
        let shift = u32::BITS - 5 - check_words.trailing_zeros();
        Filter { words: vec![0; words], check: Check { words: vec![0; check_words], shift, kept } }
    }

    /// Lets windows with these sums through.
    pub fn insert(&mut self, a: u32, b: u32) {
        let mask = self.words.len() - 1;
        self.words[b as usize & mask] |= 1 << (a & 31);
        for spread in [SPREAD, SPREAD_AGAIN] {
            let slot = self.check.slot(a, b, spread);
            self.check.words[slot as usize >> 5] |= 1 << (slot & 31);
        }
    }

    /// Whether a window with these sums is let through.
    #[inline(always)]
    pub fn may_have(&self, a: u32, b: u32) -> bool {
        let mask = self.words.len() - 1;
        self.words.get(b as usize & mask).is_some_and(|bits| (bits >> (a & 31)) & 1 != 0) && self.check.has(a, b)
    }
}

impl Check {
    /// The number of a bit for these sums.
    fn slot(&self, a: u32, b: u32, spread: u32) -> u32 {
        let key = (a & self.kept.0) ^ (b & self.kept.1).rotate_left(16);
        key.wrapping_mul(spread) >> self.shift
    }

    fn has(&self, a: u32, b: u32) -> bool {
        self.has_bit(a, b, SPREAD) && self.has_second(a, b)
    }

    /// What the vector kernels leave to be asked one by one: few come so far.
    #[inline]
    pub(super) fn has_second(&self, a: u32, b: u32) -> bool {
        self.has_bit(a, b, SPREAD_AGAIN)
    }

    fn has_bit(&self, a: u32, b: u32, spread: u32) -> bool {
        let slot = self.slot(a, b, spread);
        self.words.get(slot as usize >> 5).is_some_and(|bits| (bits >> (slot & 31)) & 1 != 0)
    }
}

fn power_of_two(words: usize) -> usize {
    words.clamp(1, MAX_WORDS).next_power_of_two()
}
