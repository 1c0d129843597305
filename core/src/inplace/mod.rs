//! Updating a target in place: in which order its units are written, so that no old byte that is still needed is lost.
//!
//! The units are written in batches. Between two syncs a disk may keep any part of what was written, so a batch first copies
//! to a journal (and syncs it) what it overwrites and what a unit of the batch itself, or of a later one, is made from. A
//! unit that others read from waits for them; where all wait for each other, one goes first, and what it overwrites lies
//! in the journal for longer. What the journal has no room for becomes missing: it is fetched.
//!
//! Nothing here reads or writes: `order` makes the list of batches, `moved` knows where old bytes are at any moment.

mod moved;
mod order;

use crate::plan::Piece;
use crate::source::Range;

pub use self::moved::{Moved, Spill};
pub use self::order::order;

/// What an order is made of.
#[derive(Clone, Debug)]
pub struct Given {
    /// The exact cover of the target. Seed 0 is the target as it is now.
    pub cover: Vec<Piece>,
    /// Bytes of the target as it shall be.
    pub length: u64,
    /// Bytes of a unit.
    pub unit_size: u64,
    /// Bytes of a block. A unit is made of whole ones.
    pub block_size: u64,
    /// The units that are at their place already, verified.
    pub unchanged: Vec<bool>,
    /// A unit that is in memory: it is written without reading anything.
    pub held: Option<u64>,
    /// The seed that is the journal which an earlier try left.
    pub journal: Option<u32>,
    /// The part of the journal that may be written to.
    pub room: Range,
    /// Bytes that a batch may copy to the journal, and that are enough for one to be worth its syncs.
    pub batch: u64,
    /// Write units in the order that they have in the target, whatever that costs: for a source that gives everything in
    /// one go.
    pub in_order: bool,
}

/// Units that are written between two syncs, in any order, once what has to be has been copied to the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What to copy to the journal.
    pub spills: Vec<Spill>,
    /// The units, ascending.
    pub units: Vec<u32>,
    /// The batch before must be on the disk before anything is copied; otherwise both can be done at the same time.
    pub apart: bool,
}

/// The batches, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// All of them.
    pub batches: Vec<Batch>,
    /// The cover that they follow: what could not be kept is missing in it.
    pub cover: Vec<Piece>,
    /// Bytes that could not be kept.
    pub lost: u64,
    /// The end of what is used of the journal.
    pub journal_end: u64,
}
