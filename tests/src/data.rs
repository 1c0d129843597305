//! Bytes that are the same on every machine and in every language.

/// Byte `i` is `i mod 251`: what the vectors describe.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// Noise that depends on the seed only: a linear congruential generator, of which each step gives its top byte.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(step).collect()
}

/// A copy with `count` single bytes changed, spread evenly.
pub fn edited(data: &[u8], count: usize) -> Vec<u8> {
    let mut copy = data.to_vec();
    let step = data.len() / count.max(1);
    for i in 0..count {
        copy[i * step + step / 2] ^= 0x5a;
    }
    copy
}
