//! A whole update in memory and in virtual time: the real matcher and transfer, a source made of a byte array.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gosync_core::assemble::{Assembled, Verified};
use gosync_core::cost::Way;
use gosync_core::index::{BuildOptions, UNIT};
use gosync_core::matching::{self, Found, Observe};
use gosync_core::schedule::Limits;
use gosync_core::transfer::{Counters, Transfer};
use gosync_core::{Error, ErrorKind, Index, Origin, Plan, Range, ReadAt, Request, Result, Strategy, Supply};

/// An index of `target` with this block size.
pub(crate) fn index_of(target: &[u8], block_size: u32) -> Arc<Index> {
    let options = BuildOptions { block_size, ..BuildOptions::default() };
    Arc::new(Index::build(&target.to_vec(), &options, &|_| Ok(())).expect("an index of bytes in memory"))
}

/// Collects the units that matching has verified.
pub(crate) struct Collect {
    pub(crate) output: Mutex<Vec<u8>>,
    pub(crate) units: Mutex<BTreeSet<u64>>,
}

impl Observe for Collect {
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()> {
        let count = (bytes.bytes().len() as u64).div_ceil(UNIT);
        self.units.lock().unwrap().extend(unit..unit + count);
        let at = bytes.offset() as usize;
        self.output.lock().unwrap()[at..at + bytes.bytes().len()].copy_from_slice(bytes.bytes());
        Ok(())
    }
    fn scanned(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }
    fn unreadable(&self, _seed: u32, _error: Error) {}
}

/// What an update in memory did.
pub(crate) struct Outcome {
    pub(crate) output: Vec<u8>,
    pub(crate) plan: Plan,
    pub(crate) counters: Counters,
}

/// Matches `seeds`; the units found whole are in the returned bytes.
pub(crate) fn find(index: &Index, seeds: &[Vec<u8>], section: usize) -> (Found, Vec<u8>) {
    let (found, output, _) = find_units(index, seeds, section);
    (found, output)
}

/// As [`find`]; also which units those are.
fn find_units(index: &Index, seeds: &[Vec<u8>], section: usize) -> (Found, Vec<u8>, BTreeSet<u64>) {
    let collect = Collect { output: Mutex::new(vec![0; index.length() as usize]), units: Mutex::default() };
    let readers: Vec<&dyn ReadAt> = seeds.iter().map(|seed| seed as &dyn ReadAt).collect();
    let found = matching::find(index, &readers, &matching::Options { section }, &collect).expect("seeds in memory");
    (found, collect.output.into_inner().unwrap(), collect.units.into_inner().unwrap())
}

/// Updates from `seeds` and whatever `answer` does with the requests, until everything is placed.
pub(crate) fn update(
    index: &Arc<Index>,
    seeds: &[Vec<u8>],
    section: usize,
    limits: Limits,
    answer: impl FnMut(Request),
) -> Result<Outcome> {
    update_begun(index, seeds, section, limits, &Beginning::default(), answer)
}

/// How an update begins.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    /// Units that are wanted before it is known what the seeds have.
    pub(crate) ahead: Vec<u64>,
    /// Parts of others that are.
    pub(crate) parts: Vec<Range>,
    /// Requests that are made by then.
    pub(crate) requests: u64,
    /// How it is to ask, if not as the plan says.
    pub(crate) strategy: Option<Strategy>,
}

/// As [`update`], with some units fetched ahead of the search.
pub(crate) fn update_begun(
    index: &Arc<Index>,
    seeds: &[Vec<u8>],
    section: usize,
    limits: Limits,
    beginning: &Beginning,
    mut answer: impl FnMut(Request),
) -> Result<Outcome> {
    let transfer = Transfer::new(Arc::clone(index), limits, Box::new(|| {}));
    beginning.ahead.iter().for_each(|unit| transfer.want_ahead(*unit));
    beginning.parts.iter().for_each(|part| transfer.want_part(*part));
    let early_ids = (u64::MAX - beginning.requests)..u64::MAX;
    early_ids.filter_map(|id| transfer.next_request(id, Duration::ZERO)).for_each(&mut answer);
    let (found, mut output, units) = find_units(index, seeds, section);
    units.iter().for_each(|unit| transfer.unwant(*unit));
    let readers: Vec<&dyn ReadAt> = seeds.iter().map(|seed| seed as &dyn ReadAt).collect();
    let cover = matching::join_seams(index, &readers, found.cover());
    let plan = Plan::new(index, cover, &Way::default(), limits.max_gap);
    let early = transfer.begin(plan.pieces.clone(), beginning.strategy.unwrap_or(plan.strategy));
    let has_missing = |unit: u64| {
        let range = index.unit_range(unit);
        let inside =
            |piece: &&gosync_core::Piece| piece.target.offset < range.end() && piece.target.end() > range.offset;
        plan.pieces.iter().filter(inside).any(|piece| piece.origin == Origin::Missing)
    };
    let mut copies: Vec<u64> = (0..index.unit_count())
        .filter(|unit| !units.contains(unit) && !early.contains(unit) && !has_missing(*unit))
        .collect();
    let mut now = Duration::ZERO;
    for id in 0.. {
        while let Some(ready) = transfer.take_ready().or_else(|| copies.pop().map(|unit| transfer.from_seeds(unit))) {
            let fetched = ready.fetched();
            let mut bytes = Vec::with_capacity(UNIT as usize);
            for part in &ready.parts {
                match part.piece.origin {
                    Origin::Missing => bytes.extend_from_slice(&part.fetched),
                    Origin::Seed { seed, offset } => {
                        let start = bytes.len();
                        bytes.resize(start + part.piece.target.length as usize, 0);
                        seeds[seed as usize].read_at(offset, &mut bytes[start..])?;
                    }
                }
            }
            let (unit, pieces) = (ready.unit, ready.parts.into_iter().map(|part| part.piece).collect());
            match transfer.check(unit, pieces, &bytes)? {
                Assembled::Right(verified) | Assembled::RightAfterAll(verified, ..) => {
                    let at = verified.offset() as usize;
                    output[at..at + verified.bytes().len()].copy_from_slice(verified.bytes());
                }
                Assembled::Refetch(_) => {}
            }
            if fetched > 0 {
                transfer.settle(fetched);
            }
        }
        let step = transfer.step(now, 0.5)?;
        if step.over {
            break;
        }
        let (requests, bytes) = transfer.in_flight();
        assert!(requests <= limits.max_requests, "{requests} requests in flight");
        assert!(bytes <= limits.max_bytes.max(UNIT), "{bytes} bytes in flight");
        match transfer.next_request(id, now) {
            Some(request) => answer(request),
            None => now = step.wakeup.unwrap_or(now).max(now + Duration::from_millis(1)),
        }
    }
    Ok(Outcome { output, plan, counters: transfer.counters() })
}

/// Answers every range from `content`; leaves off where nothing more is taken.
pub(crate) fn answer_from(content: &[u8], request: Request) {
    for range in request.ranges() {
        let end = range.end().min(content.len() as u64);
        for at in (range.offset..end).step_by(100_000) {
            let piece = &content[at as usize..end.min(at + 100_000) as usize];
            if request.supply(at, piece) == Supply::Again {
                return request.finish(Err(Error::new(ErrorKind::SourceTemporary, "there was no room")));
            }
        }
    }
    request.finish(Ok(()));
}
