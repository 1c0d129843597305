//! What keeps the work on a section within bounds, whatever seed and index have been made to look like: the scan of
//! each byte earns a little, a check that finds nothing is paid from that, and without means candidates are left out.
//! So hostile content costs matches (a larger download), never time.

use super::Work;

/// What each byte scanned earns, in bytes that may be hashed in vain. XXH3 is an order of magnitude faster than the scan.
const REFILL: i64 = 4;
/// What a byte costs where the hash is no faster than the scan: the MD5 of the legacy format.
const SLOW: i64 = 4;
/// What each step of looking for a weak sum in vain costs, in the same money: reads all over the index.
const LOOK: i64 = 256;
/// What a stretch begins with, and what can be saved up, in blocks: a short one this, a long one up to that. Of large
/// blocks there are fewer, for so many bytes.
const LEAST: i64 = 4;
const RESERVE: i64 = 64;
const RESERVE_BYTES: i64 = 1 << 20;
/// Where more than one offset in so many passes the filter, and nothing comes of it, the scan itself is slower than on
/// other data: it has to leave out some of what follows.
const DENSE: usize = 8;
/// How many offsets are left out for each that passed in vain.
const LEFT_OUT: usize = 8;

/// The means of one section, and what it has cost.
pub(super) struct Guard {
    block_size: i64,
    /// What a block costs that is hashed in vain.
    price: i64,
    reserve: i64,
    means: i64,
    pub(super) work: Work,
}

impl Guard {
    /// For a stretch of so many bytes, and blocks whose hash may be a slow one. There may be one for each second block of a
    /// seed.
    pub(super) fn new(block_size: usize, inside: usize, is_slow: bool) -> Guard {
        let block_size = block_size as i64;
        let cost = if is_slow { SLOW } else { 1 };
        let (least, most) = (LEAST * block_size, (RESERVE * block_size).min(RESERVE_BYTES));
        let reserve = (REFILL * inside as i64).min(cost * most).max(cost * least);
        Guard { block_size, price: cost * block_size, reserve, means: reserve, work: Work::default() }
    }

    /// So many offsets have been scanned, in one go.
    pub(super) fn earn(&mut self, offsets: usize) {
        self.work.scanned += offsets as u64;
        self.work.summed += offsets as u64 + self.block_size as u64;
        let most = self.reserve + REFILL * offsets as i64;
        self.means = (self.means + REFILL * offsets as i64).min(most);
    }

    /// Whether a block may be looked up and hashed.
    pub(super) fn may_check(&self) -> bool {
        self.means >= self.price
    }

    /// A weak sum has been looked up in vain among so many blocks.
    pub(super) fn looked(&mut self, blocks: usize) {
        self.work.looked += 1;
        self.means -= LOOK * (1 + i64::from(blocks.max(1).ilog2()));
    }

    /// A block has been hashed in vain.
    pub(super) fn checked(&mut self) {
        self.work.hashed += self.block_size as u64;
        self.means -= self.price;
    }

    /// A block is not what it looked like, so that up to so many offsets are scanned once more. They earn nothing by that.
    pub(super) fn scans_again(&mut self, offsets: usize) {
        self.means -= (REFILL + 1) * offsets as i64;
    }

    /// How many offsets are to be left out after `hits` of `offsets` have passed the filter and nothing has come of it.
    pub(super) fn left_out(hits: usize, offsets: usize) -> usize {
        if hits > offsets / DENSE { LEFT_OUT * (hits - offsets / DENSE) } else { 0 }
    }
}
