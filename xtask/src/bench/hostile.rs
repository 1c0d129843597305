//! Pairs that should make a matcher crawl: at most places of the seed the weak sum is that of some block, or of very
//! many, and nothing but a look at the bytes says that it is not there.
//!
//! What keeps the weak sum and changes the bytes: +1, −2, +1 on three neighbours. The sum of the bytes stays, and so does
//! the sum weighted by place.

use std::io::{Read, Result, Write};

use super::corpus::{Noise, SplitMix};

/// The block size of gosync's index for what is between 4 MiB and 4 GiB, which the pairs are made for.
pub(super) const BLOCK: usize = 2048;

/// How the pair is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// Nothing hostile: unrelated random data, what the others are compared with.
    Random,
    /// The seed repeats so many bytes. The target is the same, but in every block (or in every second one, `is_half`) has
    /// been changed so that its weak sum stays. With a period of 1 all blocks have one weak sum, that of every window.
    Period { bytes: usize, is_half: bool },
    /// The target is one block repeated; the seed is that too, with a byte more after each.
    OneBlock,
}

impl Shape {
    pub(super) fn name(self) -> String {
        match self {
            Shape::Random => "random".to_owned(),
            Shape::Period { bytes: 1, .. } => "every weak sum that of the seed".to_owned(),
            Shape::Period { bytes: 64, .. } => "the index's favourite 64 bytes".to_owned(),
            Shape::Period { bytes, is_half: false } => format!("period {bytes}"),
            Shape::Period { bytes, is_half: true } => format!("period {bytes}, half is there"),
            Shape::OneBlock => "one block repeated".to_owned(),
        }
    }

    /// Writes what the old version is.
    pub(super) fn seed(self, length: u64, out: &mut impl Write) -> Result<()> {
        match self {
            Shape::Random => std::io::copy(&mut Noise::new(1).take(length), out).map(drop),
            Shape::Period { bytes, .. } => {
                let pattern = pattern(bytes);
                fill(length, out, |_, piece| piece.extend_from_slice(&pattern))
            }
            Shape::OneBlock => {
                let block = pattern(BLOCK);
                let mut other = SplitMix(7);
                fill(length, out, |_, piece| {
                    piece.extend_from_slice(&block);
                    piece.push(other.next() as u8);
                })
            }
        }
    }

    /// Writes what the new version is.
    pub(super) fn target(self, length: u64, out: &mut impl Write) -> Result<()> {
        match self {
            Shape::Random => std::io::copy(&mut Noise::new(0x5eed).take(length), out).map(drop),
            Shape::Period { bytes, is_half } => {
                // One pass over the pattern and a block more, so that every block is one slice of it.
                let pattern = pattern(bytes);
                let long: Vec<u8> = pattern.iter().copied().cycle().take(bytes + BLOCK).collect();
                let mut choice = SplitMix(bytes as u64);
                fill(length, out, |number, piece| {
                    let from = (number as usize).wrapping_mul(BLOCK) % bytes;
                    let start = piece.len();
                    piece.extend_from_slice(&long[from..from + BLOCK]);
                    if !(is_half && number.is_multiple_of(2)) {
                        (0..3).for_each(|_| keep_sum(&mut piece[start..], &mut choice));
                    }
                })
            }
            Shape::OneBlock => {
                let block = pattern(BLOCK);
                fill(length, out, |_, piece| piece.extend_from_slice(&block))
            }
        }
    }
}

/// Bytes that can be made one more or two less.
fn pattern(bytes: usize) -> Vec<u8> {
    let mut choice = SplitMix(0xbad ^ bytes as u64);
    (0..bytes).map(|_| 8 + choice.below(240) as u8).collect()
}

/// Changes three neighbours somewhere in the block, not its weak sum.
fn keep_sum(block: &mut [u8], choice: &mut SplitMix) {
    let at = choice.below(block.len() as u64 - 2) as usize;
    if let [one, two, three] = &mut block[at..at + 3] {
        *one += 1;
        *two -= 2;
        *three += 1;
    }
}

/// Writes pieces, each made from its number, up to the length.
fn fill(length: u64, out: &mut impl Write, mut make: impl FnMut(u64, &mut Vec<u8>)) -> Result<()> {
    let (mut written, mut number) = (0, 0);
    let mut piece = Vec::new();
    while written < length {
        piece.clear();
        while piece.len() < 1 << 16 {
            make(number, &mut piece);
            number += 1;
        }
        piece.truncate((length - written).min(piece.len() as u64) as usize);
        out.write_all(&piece)?;
        written += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(block: &[u8]) -> (u32, u32) {
        let mut sums = (0u32, 0u32);
        for byte in block {
            sums.0 = sums.0.wrapping_add(u32::from(*byte));
            sums.1 = sums.1.wrapping_add(sums.0);
        }
        sums
    }

    fn both(shape: Shape) -> (Vec<u8>, Vec<u8>) {
        let (mut seed, mut target) = (Vec::new(), Vec::new());
        shape.seed(1 << 19, &mut seed).expect("memory");
        shape.target(1 << 19, &mut target).expect("memory");
        assert_eq!((seed.len(), target.len()), (1 << 19, 1 << 19));
        (seed, target)
    }

    #[test]
    fn every_block_has_the_weak_sum_of_a_window_that_it_is_not() {
        for bytes in [1, 64, 96, 4097] {
            let (seed, target) = both(Shape::Period { bytes, is_half: false });
            for (number, block) in target.chunks_exact(BLOCK).enumerate() {
                let window = &seed[number * BLOCK % bytes..][..BLOCK];
                assert!(block != window && sums(block) == sums(window), "{bytes}, {number}");
            }
        }
    }

    #[test]
    fn half_and_one_block_are_what_they_are_called() {
        let (seed, target) = both(Shape::Period { bytes: 96, is_half: true });
        let same = seed.chunks(BLOCK).zip(target.chunks(BLOCK)).filter(|(a, b)| a == b).count();
        assert_eq!(same, (1 << 19) / BLOCK / 2);
        let (seed, target) = both(Shape::OneBlock);
        assert_eq!(seed[..BLOCK], target[..BLOCK]);
        assert_eq!(seed[BLOCK + 1..][..BLOCK], target[BLOCK..][..BLOCK]);
    }
}
