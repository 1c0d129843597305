//! Updates in place on a simulated disk: whatever of a batch's writes reached it, the next try can go on, and fetches
//! nothing that was here.

use gosync_core::assemble::{Verified, cover_of};
use gosync_core::index::{BuildOptions, Format, UNIT};
use gosync_core::inplace::{self, Batch, Given, Moved, Order, Spill};
use gosync_core::matching::{self, Observe};
use gosync_core::{Error, Index, Origin, Piece, Range, ReadAt, Result};
use proptest::prelude::*;

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below.max(1)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll(256) as u8).collect()
    }
}

struct Silent;

impl Observe for Silent {
    fn unit(&self, _unit: u64, _bytes: Verified<'_>) -> Result<()> {
        Ok(())
    }
    fn scanned(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }
    fn unreadable(&self, _seed: u32, _error: Error) {}
}

/// A disk with a target and a journal on it, and what it is to become.
struct Disk {
    index: Index,
    new: Vec<u8>,
    target: Vec<u8>,
    journal: Vec<u8>,
    room: Range,
    batch: u64,
    in_order: bool,
    /// Whether everything that is here is surely found, so that nothing of it may be fetched later.
    strict: bool,
}

impl Disk {
    fn given(&self) -> Given {
        let seeds: [&dyn ReadAt; 2] = [&self.target, &self.journal];
        let found =
            matching::find(&self.index, &seeds, &matching::Options::default(), &Silent).expect("bytes in memory");
        Given {
            cover: found.cover(),
            length: self.index.length(),
            unit_size: self.index.unit_size(),
            block_size: self.index.block_size().into(),
            unchanged: (0..self.index.unit_count()).map(|unit| found.is_unchanged(unit)).collect(),
            held: None,
            journal: Some(1),
            room: self.room,
            batch: self.batch,
            in_order: self.in_order,
        }
    }

    /// Copies to the journal what a batch says; of the last ones only a part, if it is not to be finished.
    fn spill(&mut self, batch: &Batch, moved: &mut Moved, most: usize) {
        for spill in batch.spills.iter().take(most) {
            let bytes = self.old(moved, spill.old);
            let end = spill.at as usize + bytes.len();
            if self.journal.len() < end {
                self.journal.resize(end, 0);
            }
            self.journal[spill.at as usize..end].copy_from_slice(&bytes);
            moved.insert(*spill);
        }
    }

    fn old(&self, moved: &Moved, range: Range) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (range, at) in moved.pieces(range) {
            let (from, start) = at.map_or((&self.target, range.offset), |at| (&self.journal, at));
            bytes.extend_from_slice(&from[start as usize..(start + range.length) as usize]);
        }
        bytes
    }

    /// What is written of a unit, where. Whatever it was put together from, it is right.
    fn unit(&self, moved: &Moved, cover: &[Piece], unit: u32) -> Vec<(u64, Vec<u8>)> {
        let range = self.index.unit_range(unit.into());
        let (mut all, mut writes) = (Vec::new(), Vec::new());
        for piece in cover_of(cover, range) {
            let (offset, length) = (piece.target.offset, piece.target.length);
            let bytes = match piece.origin {
                Origin::Missing => self.new[offset as usize..][..length as usize].to_vec(),
                Origin::Seed { seed: 0, offset } => self.old(moved, Range::new(offset, length)),
                Origin::Seed { offset, .. } => self.journal[offset as usize..][..length as usize].to_vec(),
            };
            all.extend_from_slice(&bytes);
            if piece.origin != (Origin::Seed { seed: 0, offset }) {
                writes.push((offset, bytes));
            }
        }
        assert!(Verified::check(&self.index, unit.into(), &all).is_some(), "unit {unit} is not what it should be");
        writes
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset as usize + bytes.len();
        if self.target.len() < end {
            self.target.resize(end, 0);
        }
        self.target[offset as usize..end].copy_from_slice(bytes);
    }

    /// One try, which ends in the middle of batch `crash`. How much was fetched and is surely on the disk.
    fn run(&mut self, order: &Order, crash: usize, dice: &mut Dice) -> u64 {
        let (mut moved, mut fetched, mut ahead) = (Moved::default(), 0, false);
        for (number, batch) in order.batches.iter().enumerate() {
            let dies = number == crash;
            if dies && !ahead && dice.roll(3) == 0 {
                self.spill(batch, &mut moved, dice.roll(batch.spills.len() as u64 + 1) as usize);
                return fetched;
            }
            if !ahead {
                self.spill(batch, &mut moved, usize::MAX);
            }
            let before = self.target.clone();
            let mut writes = Vec::new();
            let mut units = batch.units.clone();
            for at in (1..units.len()).rev() {
                units.swap(at, dice.roll(at as u64 + 1) as usize);
            }
            let next = order.batches.get(number + 1).filter(|next| !next.apart);
            ahead = next.is_some();
            for (at, unit) in units.into_iter().enumerate() {
                // Somewhere in between, the next batch is prepared.
                if at as u64 == dice.0 % batch.units.len() as u64
                    && let Some(next) = next
                {
                    self.spill(next, &mut moved, if dies { dice.roll(9) as usize } else { usize::MAX });
                    ahead = false;
                }
                for (offset, bytes) in self.unit(&moved, &order.cover, unit) {
                    self.write(offset, &bytes);
                    writes.push((offset, bytes));
                }
            }
            if let Some(next) = next.filter(|_| std::mem::replace(&mut ahead, true) && !dies) {
                self.spill(next, &mut moved, usize::MAX);
            }
            if dies {
                // Nothing was synced: any part of any write may be on the disk, or not.
                let length = if dice.roll(2) == 0 { before.len() } else { self.target.len() };
                self.target = before;
                self.target.resize(length, 0);
                for (offset, bytes) in writes {
                    let from = dice.roll(bytes.len() as u64 + 1) as usize;
                    let to = from + dice.roll((bytes.len() - from) as u64 + 1) as usize;
                    let bytes = match dice.roll(3) {
                        0 => continue,
                        1 => &bytes[..],
                        _ => &bytes[from..to],
                    };
                    if !bytes.is_empty() {
                        self.write(offset + if bytes.len() == to - from { from as u64 } else { 0 }, bytes);
                    }
                }
                return fetched;
            }
            for unit in &batch.units {
                fetched += missing(&cover_of(&order.cover, self.index.unit_range((*unit).into())));
            }
        }
        self.target.truncate(self.new.len());
        fetched
    }

    /// Tries until it is done, `crashes` of the tries end early.
    fn finish(&mut self, crashes: u64, dice: &mut Dice) {
        let mut allowed = u64::MAX;
        for left in (0..=crashes).rev() {
            let given = self.given();
            let here = missing(&given.cover);
            assert!(here <= allowed || !self.strict, "{here} bytes are missing, not more than {allowed} should be");
            let order = inplace::order(given);
            check(&order, self);
            let crash = if left == 0 { usize::MAX } else { dice.roll(order.batches.len() as u64) as usize };
            let fetched = self.run(&order, crash, dice);
            // A block at the very end that is not a whole one is found nowhere but at an end.
            allowed = here + order.lost - fetched + u64::from(self.index.block_size());
        }
        assert!(self.target == self.new, "the result is not the target");
    }
}

fn missing(cover: &[Piece]) -> u64 {
    cover.iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target.length).sum()
}

/// Every unit that changed comes once; the journal stays in its bounds.
fn check(order: &Order, disk: &Disk) {
    let mut units: Vec<u32> = order.batches.iter().flat_map(|batch| batch.units.clone()).collect();
    units.sort_unstable();
    assert!(units.windows(2).all(|pair| pair[0] < pair[1]), "a unit is written twice");
    let given = disk.given();
    let changed = (0..disk.index.unit_count() as u32).filter(|unit| !given.unchanged[*unit as usize]);
    assert_eq!(units, changed.collect::<Vec<u32>>());
    let ends = order.batches.iter().flat_map(|batch| &batch.spills).map(|spill| spill.at + spill.old.length);
    assert!(ends.max().unwrap_or(0) <= disk.room.end());
    let total: u64 = order.cover.iter().map(|piece| piece.target.length).sum();
    assert_eq!(total, disk.index.length());
}

/// Content made of pieces of `old` in any order, some left out, and of new bytes. With `twice`, pieces may come more than
/// once, in whole or in part.
fn shuffled(old: &[u8], dice: &mut Dice, most: u64, twice: bool) -> Vec<u8> {
    let mut cuts: Vec<usize> = (0..dice.roll(most)).map(|_| dice.roll(old.len() as u64) as usize).collect();
    cuts.extend([0, old.len()]);
    cuts.sort_unstable();
    let mut pieces: Vec<Vec<u8>> = cuts.windows(2).map(|cut| old[cut[0]..cut[1]].to_vec()).collect();
    for at in (1..pieces.len()).rev() {
        pieces.swap(at, dice.roll(at as u64 + 1) as usize);
    }
    let mut new = Vec::new();
    for piece in &pieces {
        match dice.roll(8) {
            0 => {}
            1 => {
                let count = dice.roll(5000) as usize;
                new.extend(dice.bytes(count));
            }
            2 if twice => {
                let from = dice.roll(old.len() as u64) as usize;
                new.extend_from_slice(&old[from..][..dice.roll((old.len() - from) as u64) as usize]);
            }
            _ => new.extend_from_slice(piece),
        }
    }
    new
}

fn disk(old: Vec<u8>, new: Vec<u8>, format: Format, room: u64, batch: u64) -> Disk {
    let options = BuildOptions { format, ..BuildOptions::default() };
    let index = Index::build(&new, &options, &|_| Ok(())).expect("an index of bytes in memory");
    Disk {
        index,
        new,
        target: old,
        journal: Vec::new(),
        room: Range::new(4096, room),
        batch,
        in_order: false,
        strict: true,
    }
}

fn go(mut disk: Disk, crashes: u64, dice: &mut Dice) {
    disk.finish(crashes, dice);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_moves_survive_power_cuts(
        seed in 1u64..u64::MAX, length in 1usize..1_500_000, pieces in 1u64..12, room in 0u64..400_000,
        batch in 1u64..300_000, crashes in 0u64..5, in_order: bool, twice: bool, legacy in 0u8..4,
    ) {
        let mut dice = Dice(seed);
        let old = dice.bytes(length);
        let new = shuffled(&old, &mut dice, pieces, twice);
        let format = if legacy == 0 { Format::Legacy } else { Format::Gosync };
        let disk = Disk { in_order, strict: !twice, ..disk(old, new, format, room, batch) };
        go(disk, crashes, &mut dice);
    }
}

const ROOM: u64 = 1 << 20;
const BATCH: u64 = 256 << 10;

/// The order for an update from `old` to `new` with room enough, which is also tried, with power cuts.
fn order_of(old: &[u8], new: &[u8]) -> Order {
    let disk = disk(old.to_vec(), new.to_vec(), Format::Gosync, ROOM, BATCH);
    let order = inplace::order(disk.given());
    go(disk, 6, &mut Dice(77));
    order
}

fn spilled(order: &Order) -> u64 {
    order.batches.iter().flat_map(|batch| &batch.spills).map(|spill| spill.old.length).sum()
}

#[test]
fn what_does_not_move_needs_no_journal() {
    let mut dice = Dice(1);
    let old = dice.bytes(30 * UNIT as usize);
    let mut new = old.clone();
    for at in [0, 5, 17] {
        new[at * UNIT as usize + 3] ^= 1;
    }
    let order = order_of(&old, &new);
    assert_eq!((order.batches.len(), spilled(&order), order.lost), (1, 0, 0));
    assert_eq!(order.batches[0].units, [0, 5, 17]);
    // Growing and shrinking overwrites nothing either.
    let grown = [&old[..], &dice.bytes(100_000)].concat();
    assert_eq!(spilled(&order_of(&old, &grown)), 0);
    assert_eq!(spilled(&order_of(&old, &old[..1_000_000])), 0);
    assert_eq!(order_of(&old, &[]).batches.len(), 0);
    assert_eq!(spilled(&order_of(&[], &new)), 0);
}

#[test]
fn a_shift_copies_everything_once() {
    let mut dice = Dice(2);
    let old = dice.bytes(100 * UNIT as usize);
    let inserted = [&dice.bytes(777), &old[..]].concat();
    let removed = old[777..].to_vec();
    for new in [inserted, removed] {
        let order = order_of(&old, &new);
        let length = old.len() as u64;
        assert_eq!(order.lost, 0);
        assert!(spilled(&order) <= length + length / 20, "{} of {length} bytes", spilled(&order));
        assert!(order.batches.len() as u64 <= length / BATCH + 2, "{} batches", order.batches.len());
    }
}

#[test]
fn a_move_by_more_than_a_batch_needs_no_journal() {
    let mut dice = Dice(3);
    let old = dice.bytes(100 * UNIT as usize);
    let new = [&dice.bytes(10 * UNIT as usize), &old[..]].concat();
    let order = order_of(&old, &new);
    assert_eq!((spilled(&order), order.lost), (0, 0));
    assert!(order.batches.len() <= 11, "{} batches", order.batches.len());
}

#[test]
fn cycles_go_through_the_journal() {
    let mut dice = Dice(4);
    let old = dice.bytes(80 * UNIT as usize);
    for middle in [40 * UNIT as usize, 40 * UNIT as usize + 777, 7 * UNIT as usize + 5, 79 * UNIT as usize] {
        let swapped = [&old[middle..], &old[..middle]].concat();
        let order = order_of(&old, &swapped);
        assert_eq!(order.lost, 0, "swapped at {middle}");
        assert!(spilled(&order) <= old.len() as u64 * 11 / 10);
    }
    let reversed: Vec<u8> = old.rchunks(50_000).flatten().copied().collect();
    let order = order_of(&old, &reversed);
    assert_eq!(order.lost, 0);
    let units: Vec<&[u8]> = old.chunks(UNIT as usize).collect();
    let permuted: Vec<u8> = (0..80).flat_map(|at| units[at * 37 % 80].to_vec()).collect();
    assert_eq!(order_of(&old, &permuted).lost, 0);
}

#[test]
fn what_the_journal_has_no_room_for_is_fetched() {
    let mut dice = Dice(5);
    let old = dice.bytes(64 * UNIT as usize);
    // Each unit is made of blocks from everywhere.
    let blocks: Vec<&[u8]> = old.chunks(1024).collect();
    let tangled: Vec<u8> = (0..blocks.len()).flat_map(|at| blocks[at * 1237 % blocks.len()].to_vec()).collect();
    let disk = disk(old, tangled, Format::Gosync, 300_000, 100_000);
    let order = inplace::order(disk.given());
    assert!(order.lost > 0 && order.lost < disk.new.len() as u64);
    go(disk, 3, &mut dice);
}

#[test]
fn a_unit_in_memory_reads_nothing() {
    let mut dice = Dice(6);
    let old = dice.bytes(20 * UNIT as usize);
    let disk = disk(old.clone(), [&old[777..], &old[..777]].concat(), Format::Gosync, ROOM, BATCH);
    let order = inplace::order(Given { held: Some(19), ..disk.given() });
    // Nobody but the last unit needs the first bytes.
    let first = order.batches.iter().flat_map(|batch| &batch.spills).map(|spill: &Spill| spill.old.offset).min();
    assert!(first.is_some_and(|first| first >= 777), "{first:?}");
}
