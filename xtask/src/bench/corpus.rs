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
    /// So many hundredths of the new version are in the old one: the new one in pieces of 4 KiB to 1 MiB (as many from 4
    /// to 8 as from 512 to 1024 KiB), each of which the old one has, or has something else of 0 to 200 bytes more for. The
    /// new version is the same for every share.
    Share(u64),
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
        match self.relation {
            Relation::Share(share) => shared(self.length, share, &mut out)?,
            Relation::None | Relation::Edits(_) => {
                std::io::copy(&mut Noise::new(OLD_SEED).take(self.length), &mut out)?;
            }
        }
        out.flush()?;
        let mut out = BufWriter::new(File::create(new)?);
        match self.relation {
            Relation::None | Relation::Share(_) => {
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

/// The old version that has `share` hundredths of the new one.
fn shared(length: u64, share: u64, out: &mut impl Write) -> Result<()> {
    let mut new = Noise::new(OTHER_SEED);
    let mut choice = SplitMix(length);
    let (mut at, mut kept) = (0, 0);
    while at < length {
        let least = 4096 << choice.below(8);
        let piece = (least + choice.below(least)).min(length - at);
        let (seed, more) = (choice.next(), choice.below(200));
        at += piece;
        // Kept where that brings the share nearer to what it should be by now.
        let is_kept = (2 * kept + piece) * 100 <= 2 * at * share;
        if is_kept {
            kept += piece;
            std::io::copy(&mut (&mut new).take(piece), out)?;
        } else {
            std::io::copy(&mut (&mut new).take(piece), &mut std::io::sink())?;
            std::io::copy(&mut Noise::new(seed).take(piece + more), out)?;
        }
    }
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
        let mut filled = 0;
        while filled < buffer.len() {
            if self.used == 8 {
                self.word = self.source.next().to_le_bytes();
                self.used = 0;
            }
            let count = (8 - self.used).min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&self.word[self.used..self.used + count]);
            filled += count;
            self.used += count;
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

    #[test]
    fn noise_does_not_depend_on_how_it_is_read() {
        let mut whole = [0; 100];
        Noise::new(7).read_exact(&mut whole).expect("endless");
        let (mut parts, mut noise) = (Vec::new(), Noise::new(7));
        for size in [3, 8, 1, 20, 5, 24, 39] {
            (&mut noise).take(size).read_to_end(&mut parts).expect("endless");
        }
        assert_eq!(parts, whole);
    }

    #[test]
    fn the_share_is_what_it_is_called() {
        let length = 8 << 20;
        let mut new = Vec::new();
        Noise::new(OTHER_SEED).take(length).read_to_end(&mut new).expect("memory");
        let places: std::collections::HashSet<&[u8]> = new.chunks_exact(8).collect();
        for share in [0, 10, 50, 90, 99, 100] {
            let mut old = Vec::new();
            shared(length, share, &mut old).expect("memory");
            // Pieces move by what others before them have more. A sample is enough.
            let sample = |from: usize| old[from..].chunks_exact(8).step_by(61).filter(|eight| places.contains(eight));
            let found = (0..8).map(|from| sample(from).count()).sum::<usize>() as u64 * 8 * 61;
            assert!(found.abs_diff(length * share / 100) < length / 30, "{share}: {found}");
        }
    }
}
