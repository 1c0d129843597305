//! The benchmark's files: pseudo-random, the same every time, written without being held in memory.
//! (The memory of this process would count as the memory of each program that it starts.)

use std::fs::File;
use std::io::{BufWriter, Read, Result, Write};
use std::path::Path;

/// What the old version has to do with the new one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relation {
    /// So many small edits, evenly scattered: a third replace, a third insert, a third delete 1 to 200 bytes.
    Edits(u64),
    /// Nothing.
    None,
}

/// One pair of versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) length: u64,
    pub(super) relation: Relation,
}

const OLD_SEED: u64 = 1;
const OTHER_SEED: u64 = 0x5eed;

impl Case {
    /// Writes the two versions.
    pub(super) fn write(&self, old: &Path, new: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(old)?);
        std::io::copy(&mut Noise::new(OLD_SEED).take(self.length), &mut out)?;
        out.flush()?;
        let mut out = BufWriter::new(File::create(new)?);
        match self.relation {
            Relation::None => {
                std::io::copy(&mut Noise::new(OTHER_SEED).take(self.length), &mut out)?;
            }
            Relation::Edits(count) => edited(self.length, count, &mut out)?,
        }
        out.flush()
    }
}

/// The old version with edits, as long as the old one but for what the edits add and take.
fn edited(length: u64, count: u64, out: &mut impl Write) -> Result<()> {
    let mut old = Noise::new(OLD_SEED);
    let mut choice = SplitMix(length ^ count);
    let mut at = 0;
    for index in 0..count {
        // Each edit has a stretch of its own, at least three quarters of which lie before the next.
        let stretch = length / (count + 1);
        let place = (index + 1) * stretch + choice.below(stretch / 4);
        std::io::copy(&mut (&mut old).take(place - at), out)?;
        let size = 1 + choice.below(200);
        if index % 3 != 2 {
            std::io::copy(&mut Noise::new(choice.next()).take(size), out)?;
        }
        let gone = if index % 3 == 1 { 0 } else { size };
        std::io::copy(&mut (&mut old).take(gone), &mut std::io::sink())?;
        at = place + gone;
    }
    std::io::copy(&mut old.take(length - at), out)?;
    Ok(())
}

/// Steele, Lea and Flood's generator: fast, and as random as a compressor can tell.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// An endless stream of its bytes.
struct Noise {
    source: SplitMix,
    word: [u8; 8],
    used: usize,
}

impl Noise {
    fn new(seed: u64) -> Self {
        Noise { source: SplitMix(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)), word: [0; 8], used: 8 }
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        for byte in &mut *buffer {
            if self.used == 8 {
                self.word = self.source.next().to_le_bytes();
                self.used = 0;
            }
            *byte = self.word[self.used];
            self.used += 1;
        }
        Ok(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_change_little_and_are_the_same_every_time() {
        let make = || {
            let mut out = Vec::new();
            edited(1 << 20, 15, &mut out).expect("memory");
            out
        };
        let mut old = Vec::new();
        Noise::new(OLD_SEED).take(1 << 20).read_to_end(&mut old).expect("memory");
        let new = make();
        assert_eq!(new, make());
        assert!(new != old && new.len().abs_diff(old.len()) < 15 * 200);
        let first = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let last = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(first >= (1 << 20) / 16 && last >= (1 << 20) / 32, "{first} {last}");
    }
}
