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
    /// So many small edits at the same places, all of which replace as many bytes as they bring: nothing moves.
    Overwrites(u64),
    /// As many edits of all sorts, but of 1 to so many bytes; the same ones whatever the length.
    LargeEdits(u64, u64),
    /// Nothing.
    None,
    /// So many hundredths of the new version are in the old one: the new one in pieces of 4 KiB to 1 MiB (as many from 4
    /// to 8 as from 512 to 1024 KiB), each of which the old one has, or has something else of 0 to 200 bytes more for. The
    /// new version is the same for every share.
    Share(u64),
    /// A disk image: about half of it zeros in long runs, and one sector of 4 KiB in so many is new in the new one.
    Zeros(u64),
    /// So many new bytes, and then the old version.
    Prefix(u64),
    /// So many pieces of one size, in another order.
    Moved(u64),
}

/// One pair of versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) length: u64,
    pub(super) relation: Relation,
}

const OLD_SEED: u64 = 1;
/// Bytes of a small edit at most.
const SMALL: u64 = 200;
const BUFFER: usize = 1 << 20;
const OTHER_SEED: u64 = 0x5eed;
/// By which the generator's state grows with each word.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Pair {
    /// Writes the two versions.
    pub(super) fn write(&self, old: &Path, new: &Path) -> Result<()> {
        self.write_old(old)?;
        self.write_new(new)
    }

    pub(super) fn write_old(&self, path: &Path) -> Result<()> {
        let mut out = BufWriter::with_capacity(BUFFER, File::create(path)?);
        match self.relation {
            Relation::Share(share) => shared(self.length, share, &mut out)?,
            Relation::Zeros(_) => image(self.length, None, &mut out)?,
            Relation::None
            | Relation::Edits(_)
            | Relation::Overwrites(_)
            | Relation::LargeEdits(..)
            | Relation::Prefix(_)
            | Relation::Moved(_) => {
                std::io::copy(&mut Noise::new(OLD_SEED).take(self.length), &mut out)?;
            }
        }
        out.flush()
    }

    pub(super) fn write_new(&self, path: &Path) -> Result<()> {
        let mut out = BufWriter::with_capacity(BUFFER, File::create(path)?);
        match self.relation {
            Relation::None | Relation::Share(_) => {
                std::io::copy(&mut Noise::new(OTHER_SEED).take(self.length), &mut out)?;
            }
            Relation::Edits(count) => edited(self.length, edits(self.length, count, SMALL), &mut out)?,
            Relation::Overwrites(count) => edited(self.length, overwrites(self.length, count), &mut out)?,
            Relation::LargeEdits(count, most) => edited(self.length, edits(self.length, count, most), &mut out)?,
            Relation::Zeros(share) => image(self.length, Some(share), &mut out)?,
            Relation::Prefix(more) => {
                std::io::copy(&mut Noise::new(OTHER_SEED).take(more), &mut out)?;
                std::io::copy(&mut Noise::new(OLD_SEED).take(self.length), &mut out)?;
            }
            Relation::Moved(pieces) => moved(self.length, pieces, &mut out)?,
        }
        out.flush()
    }

    /// Bytes of the blocks of this size that are not the same in both versions, where nothing moves.
    pub(super) fn changed(&self, block: u64) -> Option<u64> {
        let Relation::Overwrites(count) = self.relation else { return None };
        let blocks = overwrites(self.length, count).into_iter().flat_map(|edit| {
            let end = (edit.place + edit.added).div_ceil(block);
            edit.place / block..end
        });
        let length = |number| block.min(self.length - number * block);
        Some(blocks.collect::<std::collections::BTreeSet<u64>>().into_iter().map(length).sum())
    }

    /// Ranges of the new version that are farther from every edit than an update looks.
    pub(super) fn untouched(&self) -> Vec<std::ops::Range<u64>> {
        const MARGIN: u64 = 96 << 10;
        let (count, most) = match self.relation {
            Relation::Edits(count) => (count, SMALL),
            Relation::LargeEdits(count, most) => (count, most),
            _ => return Vec::new(),
        };
        let (mut from, mut added, mut gone) = (0, 0, 0);
        let mut ranges = Vec::new();
        for edit in edits(self.length, count, most) {
            let at = edit.place + added - gone;
            ranges.push(from..at.saturating_sub(MARGIN));
            from = at + edit.added + MARGIN;
            added += edit.added;
            gone += edit.gone;
        }
        ranges.retain(|range| range.start < range.end);
        ranges
    }
}

struct Edit {
    /// Where in the old version.
    place: u64,
    added: u64,
    gone: u64,
    /// Of the new bytes.
    seed: u64,
}

/// The edits in their order.
fn edits(length: u64, count: u64, most: u64) -> Vec<Edit> {
    let mut choice = SplitMix(if most == SMALL { length ^ count } else { count });
    let edit = |index| {
        // Each edit has a stretch of its own, at least three quarters of which lie before the next.
        let stretch = length / (count + 1);
        let place = (index + 1) * stretch + choice.below(stretch / 4);
        let size = 1 + choice.below(most);
        let seed = if index % 3 == 2 { 0 } else { choice.next() };
        Edit { place, added: if index % 3 == 2 { 0 } else { size }, gone: if index % 3 == 1 { 0 } else { size }, seed }
    };
    (0..count).map(edit).collect()
}

/// The same places; each replaces.
fn overwrites(length: u64, count: u64) -> Vec<Edit> {
    let replace = |(index, edit): (u64, Edit)| {
        let size = edit.added.max(edit.gone);
        Edit { added: size, gone: size, seed: OTHER_SEED ^ index, ..edit }
    };
    (0..).zip(edits(length, count, SMALL)).map(replace).collect()
}

/// The old version with edits, as long as the old one but for what the edits add and take.
fn edited(length: u64, edits: Vec<Edit>, out: &mut impl Write) -> Result<()> {
    let mut old = Noise::new(OLD_SEED);
    let mut at = 0;
    for edit in edits {
        std::io::copy(&mut (&mut old).take(edit.place - at), out)?;
        std::io::copy(&mut Noise::new(edit.seed).take(edit.added), out)?;
        std::io::copy(&mut (&mut old).take(edit.gone), &mut std::io::sink())?;
        at = edit.place + edit.gone;
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

/// The disk image. What a sector is depends on its number alone, and on whether it is one of the new ones.
fn image(length: u64, new: Option<u64>, out: &mut impl Write) -> Result<()> {
    const SECTOR: u64 = 4096;
    const EXTENT: u64 = 64;
    let zeros = [0; SECTOR as usize];
    for sector in 0..length.div_ceil(SECTOR) {
        let own = SplitMix(sector).next();
        let is_changed = new.is_some_and(|share| own.is_multiple_of(share));
        if is_changed {
            std::io::copy(&mut Noise::new(!own).take(SECTOR), out)?;
        } else if SplitMix(!(sector / EXTENT)).next().is_multiple_of(2) {
            out.write_all(&zeros)?;
        } else {
            std::io::copy(&mut Noise::new(own).take(SECTOR), out)?;
        }
    }
    Ok(())
}

/// The old version with its pieces shuffled.
fn moved(length: u64, pieces: u64, out: &mut impl Write) -> Result<()> {
    let mut order: Vec<u64> = (0..pieces).collect();
    let mut choice = SplitMix(length ^ pieces);
    for last in (1..order.len()).rev() {
        order.swap(last, choice.below(last as u64 + 1) as usize);
    }
    let size = length / pieces;
    for piece in order {
        std::io::copy(&mut Noise::from_word(OLD_SEED, piece * size / 8).take(size), out)?;
    }
    Ok(())
}

/// Steele, Lea and Flood's generator: fast, and as random as a compressor can tell.
pub(super) struct SplitMix(pub(super) u64);

impl SplitMix {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// An endless stream of its bytes.
pub(super) struct Noise {
    source: SplitMix,
    word: [u8; 8],
    used: usize,
}

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self::from_word(seed, 0)
    }

    /// From the word with this number on.
    fn from_word(seed: u64, number: u64) -> Self {
        let start = seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(number.wrapping_mul(STEP));
        Noise { source: SplitMix(start), word: [0; 8], used: 8 }
    }
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.used == 8 {
                // Whole words straight to their place: most of it.
                for word in buffer[filled..].chunks_exact_mut(8) {
                    word.copy_from_slice(&self.source.next().to_le_bytes());
                    filled += 8;
                }
                if filled == buffer.len() {
                    break;
                }
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
            edited(1 << 20, edits(1 << 20, 15, SMALL), &mut out).expect("memory");
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
    fn overwrites_move_nothing_and_change_the_blocks_that_they_are_said_to() {
        let case = Pair { length: (1 << 20) + 77, relation: Relation::Overwrites(15) };
        let (mut old, mut new) = (Vec::new(), Vec::new());
        Noise::new(OLD_SEED).take(case.length).read_to_end(&mut old).expect("memory");
        edited(case.length, overwrites(case.length, 15), &mut new).expect("memory");
        assert_eq!(old.len(), new.len());
        let blocks = old.chunks(1024).zip(new.chunks(1024)).filter(|(old, new)| old != new);
        let changed: usize = blocks.map(|(old, _)| old.len()).sum();
        assert_eq!(case.changed(1024), Some(changed as u64));
        assert!(changed >= 15 * 1024, "{changed}");
    }

    #[test]
    fn what_is_called_untouched_has_no_edit() {
        let case = Pair { length: 8 << 20, relation: Relation::Edits(7) };
        let (mut old, mut new) = (Vec::new(), Vec::new());
        Noise::new(OLD_SEED).take(case.length).read_to_end(&mut old).expect("memory");
        edited(case.length, edits(case.length, 7, SMALL), &mut new).expect("memory");
        let ranges = case.untouched();
        assert_eq!(ranges.len(), 7);
        for range in ranges {
            let part = &new[range.start as usize..range.end as usize];
            let near =
                |shift: i64| old.get((range.start as i64 + shift) as usize..).is_some_and(|old| old.starts_with(part));
            assert!((-1400..1400).any(near), "{range:?}");
        }
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
    fn an_image_is_half_zeros_and_changes_a_little() {
        let make = |new| {
            let mut out = Vec::new();
            image(16 << 20, new, &mut out).expect("memory");
            out
        };
        let (old, new) = (make(None), make(Some(100)));
        let sectors = || old.chunks_exact(4096).zip(new.chunks_exact(4096));
        let zeros = sectors().filter(|(old, _)| old.iter().all(|byte| *byte == 0)).count();
        let changed = sectors().filter(|(old, new)| old != new).count();
        assert!((1400..2700).contains(&zeros) && (15..80).contains(&changed), "{zeros} {changed}");
    }

    #[test]
    fn moved_pieces_are_all_there_and_elsewhere() {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        Noise::new(OLD_SEED).take(1 << 20).read_to_end(&mut old).expect("memory");
        moved(1 << 20, 16, &mut new).expect("memory");
        assert_ne!(old, new);
        let sorted = |bytes: &[u8]| {
            let mut pieces: Vec<Vec<u8>> = bytes.chunks(1 << 16).map(<[u8]>::to_vec).collect();
            pieces.sort();
            pieces
        };
        assert_eq!(sorted(&old), sorted(&new));
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
