//! Puts fetched bytes together with seed bytes into units, and lets nothing pass that the index does not confirm.
//! Says where bytes go; does not read seeds, write output or decide what to ask for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::index::{Blocks, Index};
use crate::plan::{Origin, Piece};
use crate::ranges::RangeSet;
use crate::source::Range;
use crate::weak;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes that are exactly one unit of the target, or several. There is no way to make one but the check, and
/// writers of the output take nothing else: this type is why no unverified byte is ever published.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a> {
    offset: u64,
    bytes: &'a [u8],
}

impl<'a> Verified<'a> {
    /// Checks `bytes` against unit `unit` of the target.
    pub fn check(index: &Index, unit: u64, bytes: &'a [u8]) -> Option<Verified<'a>> {
        index.unit_is(unit, bytes).then(|| Verified { offset: index.unit_range(unit).offset, bytes })
    }

    /// Checks `bytes` against a block of a level: a unit, or a larger one.
    pub fn check_block(level: Blocks<'_>, block: u64, bytes: &'a [u8]) -> Option<Verified<'a>> {
        level.is(block, bytes).then(|| Verified { offset: level.range(block).offset, bytes })
    }

    /// These bytes and those of `next` as one, if they follow each other in the target as they do in `data`, where both
    /// lie: they can be written in one go.
    pub fn joined(self, next: Verified<'_>, data: &'a [u8]) -> Option<Verified<'a>> {
        let position = |bytes: &[u8]| (bytes.as_ptr() as usize).checked_sub(data.as_ptr() as usize);
        let (start, middle) = (position(self.bytes)?, position(next.bytes)?);
        let follows = start + self.bytes.len() == middle && self.offset + self.bytes.len() as u64 == next.offset;
        let bytes = data.get(start..middle + next.bytes.len())?;
        follows.then_some(Verified { offset: self.offset, bytes })
    }

    /// Where in the target the bytes belong.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Which units of a target have been written, verified. A result is published only if its ledger is complete:
/// the second lock on the door that [`Verified`] is the first of.
#[derive(Debug)]
pub struct Ledger {
    unit_size: u64,
    written: Vec<AtomicBool>,
}

impl Ledger {
    /// Nothing written yet.
    pub fn new(index: &Index) -> Self {
        let written = (0..index.unit_count()).map(|_| AtomicBool::new(false)).collect();
        Ledger { unit_size: index.unit_size(), written }
    }

    /// Written are the units that were verified at their own place, and are there already.
    pub fn with(index: &Index, is_there: impl Fn(u64) -> bool) -> Self {
        let written = (0..index.unit_count()).map(|unit| AtomicBool::new(is_there(unit))).collect();
        Ledger { unit_size: index.unit_size(), written }
    }

    /// Notes that verified bytes have been written; how many of them are the first for their unit.
    pub fn note(&self, verified: &Verified<'_>) -> u64 {
        let size = self.unit_size;
        let (start, end) = (verified.offset, verified.offset + verified.bytes.len() as u64);
        let mut new = 0;
        for unit in start / size..end.div_ceil(size) {
            let is_new = self.written.get(unit as usize).is_some_and(|written| !written.swap(true, Ordering::AcqRel));
            new += if is_new { (unit + 1).saturating_mul(size).min(end) - unit * size } else { 0 };
        }
        new
    }

    /// Whether verified bytes for this unit have been written.
    pub fn has(&self, unit: u64) -> bool {
        self.written.get(unit as usize).is_some_and(|written| written.load(Ordering::Acquire))
    }

    /// Whether every unit has been.
    pub fn is_complete(&self) -> bool {
        self.written.iter().all(|written| written.load(Ordering::Acquire))
    }
}

/// A part of a unit: its bytes if they were fetched, or where in the seeds to read them.
#[derive(Debug)]
pub struct Part {
    /// Range of the target, and where its bytes come from.
    pub piece: Piece,
    /// The fetched bytes; empty for a part that a seed has.
    pub fetched: Vec<u8>,
    filled: u64,
}

/// A unit whose fetched bytes are all here.
#[derive(Debug)]
pub struct ReadyUnit {
    /// Number of the unit.
    pub unit: u64,
    /// Its parts, ascending: an exact cover.
    pub parts: Vec<Part>,
}

impl ReadyUnit {
    /// Bytes that were fetched for it.
    pub fn fetched(&self) -> u64 {
        self.parts.iter().map(|part| part.filled).sum()
    }
}

/// Who was to blame for a unit that was wrong at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// Blocks of this seed, or a whole unit, have the identities that the index gives, and are others even so: one of its hints is wrong, by
    /// intent or by chance.
    Hint(u32),
    /// This seed has changed since it was matched.
    Seed(u32),
    /// The source sent other bytes the first time.
    Source,
}

/// What came of putting a unit together.
#[derive(Debug)]
pub enum Assembled<'a> {
    /// It is right, and at the first try.
    Right(Verified<'a>),
    /// It is right now; at the first try these bytes were wrong.
    RightAfterAll(Verified<'a>, Culprit, Range),
    /// It is wrong; all of it is to be fetched.
    Refetch(Range),
}

/// A unit that was wrong once: what it was made of, a hash of each piece, and who is to blame for it if it is the wrong one.
/// Not the bytes: every unit may turn out wrong (the seed was replaced) long before the source has sent it again.
struct Suspect {
    pieces: Vec<(Piece, u64, Culprit)>,
    /// How often it was wrong.
    failures: u32,
}

/// Collects fetched bytes by unit.
pub struct Assembler {
    index: Arc<Index>,
    cover: Vec<Piece>,
    early: BTreeSet<u64>,
    /// Units of which parts are fetched before there is a cover, and what has come of them by then.
    in_parts: BTreeSet<u64>,
    waiting: Vec<(u64, Box<[u8]>)>,
    partial: HashMap<u64, ReadyUnit>,
    suspects: HashMap<u64, Suspect>,
    copies: u32,
    held: u64,
}

impl Assembler {
    /// For the target of `index`, of which all is missing until there is a cover.
    pub fn new(index: Arc<Index>) -> Self {
        let whole = Piece { target: Range::new(0, index.length()), origin: Origin::Missing };
        Assembler {
            index,
            cover: vec![whole],
            early: BTreeSet::new(),
            in_parts: BTreeSet::new(),
            waiting: Vec::new(),
            partial: HashMap::new(),
            suspects: HashMap::new(),
            copies: 1,
            held: 0,
        }
    }

    /// A part of the target is fetched before there is a cover: what comes of its units waits for that.
    pub fn expect(&mut self, part: Range) {
        let size = self.index.unit_size();
        self.in_parts.extend(part.offset / size..part.end().div_ceil(size));
    }

    /// The target is covered exactly by `cover`; units in `early` come whole even so, and so do `parts`. Returns the units
    /// that are complete by what has come of these.
    pub fn set_cover(&mut self, cover: Vec<Piece>, early: &BTreeSet<u64>, parts: &RangeSet) -> Vec<ReadyUnit> {
        self.cover = if parts.is_empty() { cover } else { with_missing(&cover, parts) };
        self.early.clone_from(early);
        self.in_parts.clear();
        let mut ready = Vec::new();
        for (offset, bytes) in std::mem::take(&mut self.waiting) {
            self.held -= bytes.len() as u64;
            ready.extend(self.supply(offset, &bytes));
        }
        ready
    }

    /// From how many places the content can be asked for: so many, and one more, may send a unit wrong.
    pub fn set_copies(&mut self, copies: u32) {
        // Places that were given up count as well: their chance has been had.
        self.copies = self.copies.max(copies);
    }

    /// Bytes in memory that belong to units which still lack some.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Unit `unit`, as the cover says it.
    pub fn from_seeds(&self, unit: u64) -> ReadyUnit {
        let pieces = cover_of(&self.cover, self.index.unit_range(unit));
        ReadyUnit { unit, parts: pieces.into_iter().map(Part::new).collect() }
    }

    /// The ranges to fetch for unit `unit`: what is missing in the cover, or all of it if it was wrong.
    pub fn lacking(&self, unit: u64) -> Vec<Range> {
        let range = self.index.unit_range(unit);
        if self.suspects.contains_key(&unit) {
            return vec![range];
        }
        let pieces = cover_of(&self.cover, range).into_iter();
        pieces.filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target).collect()
    }

    /// Takes lacking bytes (each byte comes here once, see `schedule`); returns the units that are complete now.
    pub fn supply(&mut self, offset: u64, data: &[u8]) -> Vec<ReadyUnit> {
        let mut ready = Vec::new();
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let unit = at / self.index.unit_size();
            let room = (unit + 1) * self.index.unit_size() - at;
            let (now, later) = rest.split_at(rest.len().min(room as usize));
            if let Some(done) = self.fill(unit, at, now) {
                ready.push(done);
            }
            at += now.len() as u64;
            rest = later;
        }
        ready
    }

    fn fill(&mut self, unit: u64, offset: u64, data: &[u8]) -> Option<ReadyUnit> {
        if self.in_parts.contains(&unit) {
            self.held += data.len() as u64;
            self.waiting.push((offset, data.into()));
            return None;
        }
        if !self.partial.contains_key(&unit) {
            let entry = if self.suspects.contains_key(&unit) || self.early.contains(&unit) {
                let whole = Piece { target: self.index.unit_range(unit), origin: Origin::Missing };
                ReadyUnit { unit, parts: vec![Part::new(whole)] }
            } else {
                self.from_seeds(unit)
            };
            self.partial.insert(unit, entry);
        }
        let entry = self.partial.get_mut(&unit)?;
        let end = offset + data.len() as u64;
        for part in entry.parts.iter_mut().filter(|part| part.piece.origin == Origin::Missing) {
            let target = part.piece.target;
            let (low, high) = (offset.max(target.offset), end.min(target.end()));
            if low < high {
                let bytes = &data[(low - offset) as usize..(high - offset) as usize];
                part.fetched[(low - target.offset) as usize..(high - target.offset) as usize].copy_from_slice(bytes);
                part.filled += high - low;
                self.held += high - low;
            }
        }
        if entry.parts.iter().all(|part| part.filled == part.fetched.len() as u64) {
            let done = self.partial.remove(&unit)?;
            self.held -= done.fetched();
            return Some(done);
        }
        None
    }

    /// Checks a unit that was put together in `bytes` from `pieces`. One that is wrong again is an error, once every
    /// place that the content can be asked for had its chance.
    pub fn check<'a>(&mut self, unit: u64, pieces: Vec<Piece>, bytes: &'a [u8]) -> Result<Assembled<'a>> {
        let suspect = self.suspects.remove(&unit);
        match (Verified::check(&self.index, unit, bytes), suspect) {
            (Some(verified), None) => Ok(Assembled::Right(verified)),
            (Some(verified), Some(suspect)) => {
                let (culprit, range) = suspect.compare(bytes, self.index.unit_range(unit).offset);
                Ok(Assembled::RightAfterAll(verified, culprit, range))
            }
            (None, None) => {
                self.suspects.insert(unit, Suspect::new(&self.index, unit, pieces, bytes));
                Ok(Assembled::Refetch(self.index.unit_range(unit)))
            }
            (None, Some(suspect)) if suspect.failures < self.copies => {
                self.suspects.insert(unit, Suspect { failures: suspect.failures + 1, ..suspect });
                Ok(Assembled::Refetch(self.index.unit_range(unit)))
            }
            (None, Some(_)) => {
                let range = self.index.unit_range(unit);
                let text = "the source's content is not what the index describes";
                Err(Error::new(ErrorKind::Mismatch, text)
                    .with("offset", range.offset)
                    .with("length", range.length)
                    .with("block", range.offset / u64::from(self.index.block_size().max(1))))
            }
        }
    }
}

impl Part {
    fn new(piece: Piece) -> Self {
        let length = if piece.origin == Origin::Missing { piece.target.length as usize } else { 0 };
        Part { piece, fetched: vec![0; length], filled: 0 }
    }
}

impl Suspect {
    fn new(index: &Index, unit: u64, pieces: Vec<Piece>, bytes: &[u8]) -> Self {
        let base = index.unit_range(unit).offset;
        let looks_whole = unit_looks_right(index, unit, bytes);
        let looks_right = |target: Range| looks_whole || blocks_look_right(index, unit, target, bytes);
        let suspected = |piece: Piece| {
            let culprit = match piece.origin {
                Origin::Seed { seed, .. } if looks_right(piece.target) => Culprit::Hint(seed),
                Origin::Seed { seed, .. } => Culprit::Seed(seed),
                Origin::Missing => Culprit::Source,
            };
            (piece, xxh3_64(bytes_of(&piece, bytes, base)), culprit)
        };
        Suspect { pieces: pieces.into_iter().map(suspected).collect(), failures: 1 }
    }

    /// The first piece that was not right.
    fn compare(&self, right: &[u8], base: u64) -> (Culprit, Range) {
        let wrong = self.pieces.iter().find(|(piece, hash, _)| *hash != xxh3_64(bytes_of(piece, right, base)));
        wrong.map_or((Culprit::Source, Range::new(base, right.len() as u64)), |(piece, _, who)| (*who, piece.target))
    }
}

/// What of a unit that begins at `base` a piece is.
fn bytes_of<'a>(piece: &Piece, unit: &'a [u8], base: u64) -> &'a [u8] {
    unit.get((piece.target.offset - base) as usize..(piece.target.end() - base) as usize).unwrap_or_default()
}

/// Whether a unit as a whole has the identity that the index gives it, by which it may have been found.
fn unit_looks_right(index: &Index, unit: u64, bytes: &[u8]) -> bool {
    let units = index.units();
    let (a, b) = weak::sum(bytes);
    units.identity(unit).is_some_and(|(weak, hint)| units.cut_weak(a, b) == weak && units.hint_of(bytes) == hint)
}

/// Whether the blocks that `target` touches have the identities that the index gives them, where `unit` is `bytes`.
fn blocks_look_right(index: &Index, unit: u64, target: Range, bytes: &[u8]) -> bool {
    let (size, base) = (u64::from(index.block_size()), index.unit_range(unit).offset);
    let blocks = target.offset / size..target.end().div_ceil(size);
    index.has_blocks(unit)
        && (base / size..).zip(bytes.chunks(size as usize)).filter(|(block, _)| blocks.contains(block)).all(
            |(block, bytes)| {
                let (a, b) = weak::sum(bytes);
                index.cut_weak(a, b) == index.weak(block) && index.hint_of(bytes) == index.hint(block)
            },
        )
}

/// An ascending, exact `cover`, but what is in `parts` is missing in it.
fn with_missing(cover: &[Piece], parts: &RangeSet) -> Vec<Piece> {
    let (mut pieces, mut at) = (Vec::with_capacity(cover.len()), 0);
    for part in parts.iter() {
        pieces.extend(cover_of(cover, Range::new(at, part.offset - at)));
        pieces.push(Piece { target: part, origin: Origin::Missing });
        at = part.end();
    }
    let end = cover.last().map_or(at, |last| last.target.end());
    pieces.extend(cover_of(cover, Range::new(at, end.saturating_sub(at))));
    pieces
}

/// The parts of an ascending, exact `cover` that lie in `range`.
pub fn cover_of(cover: &[Piece], range: Range) -> Vec<Piece> {
    let first = cover.partition_point(|piece| piece.target.end() <= range.offset);
    cover[first..]
        .iter()
        .take_while(|piece| piece.target.offset < range.end())
        .map(|piece| {
            let low = piece.target.offset.max(range.offset);
            let high = piece.target.end().min(range.end());
            let origin = match piece.origin {
                Origin::Seed { seed, offset } => Origin::Seed { seed, offset: offset + (low - piece.target.offset) },
                Origin::Missing => Origin::Missing,
            };
            Piece { target: Range::new(low, high - low), origin }
        })
        .collect()
}
