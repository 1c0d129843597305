//! The threads that put units together: each takes a unit whose fetched bytes are here, or one that the seeds have whole,
//! reads what it lacks into one buffer, has it checked, and writes it from that very buffer.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gosync_core::assemble::{Assembled, Culprit, ReadyUnit};
use gosync_core::{Error, Origin, Piece, Result};

use super::Site;
use crate::report::Level;
use crate::verbs::share;

impl Site<'_> {
    /// Places units until the driver says that it is over. What had arrived by then is placed even so: after a failure it
    /// is kept for the next update.
    pub(super) fn work(&self) {
        let mut buffer = Vec::new();
        loop {
            // Before anything is looked at, the end included: a bell that rings in between is not slept through.
            let seen = self.bell.count();
            let is_over = self.over.load(Ordering::Acquire);
            if self.task.shared.observer.cancel.is_cancelled() {
                return;
            }
            // A failure is noted before the unit counts as dealt with: the driver must never see the one without the other.
            if let Some(ready) = self.transfer.take_ready() {
                let fetched = ready.fetched();
                self.place(ready, &mut buffer).unwrap_or_else(|error| self.fail(error));
                self.dealt();
                self.transfer.settle(fetched);
            } else if is_over {
                return;
            } else if let Some(unit) = self.take_copy() {
                self.place(self.transfer.from_seeds(unit), &mut buffer).unwrap_or_else(|error| self.fail(error));
                self.dealt();
                self.copying.fetch_sub(1, Ordering::AcqRel);
                self.bell.ring();
            } else {
                self.bell.wait(seen, Duration::from_secs(1));
            }
        }
    }

    /// The first failure is the one that is reported.
    pub(super) fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.bell.ring();
    }

    fn take_copy(&self) -> Option<u64> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Puts a unit together in `buffer`, has it checked, and writes it from that very buffer.
    fn place(&self, ready: ReadyUnit, buffer: &mut Vec<u8>) -> Result<()> {
        let unit = ready.unit;
        buffer.clear();
        for part in &ready.parts {
            match part.piece.origin {
                Origin::Missing => buffer.extend_from_slice(&part.fetched),
                Origin::Seed { seed, offset } => self.read(seed, offset, part.piece.target.length, buffer),
            }
        }
        let pieces: Vec<Piece> = ready.parts.into_iter().map(|part| part.piece).collect();
        let local: u64 =
            pieces.iter().filter(|piece| piece.origin != Origin::Missing).map(|piece| piece.target.length).sum();
        let (verified, wrong) = match self.transfer.check(unit, pieces.clone(), buffer)? {
            Assembled::Right(verified) => (verified, None),
            Assembled::RightAfterAll(verified, culprit, place) => (verified, Some((culprit, place.offset))),
            Assembled::Refetch(range) => {
                let text = "a unit was wrong at first and is fetched whole";
                self.task.shared.observer.event(Level::Warning, "refetch", text, &[("offset", &range.offset)]);
                return Ok(());
            }
        };
        let (written, there) = self.task.output.write(verified, &pieces)?;
        if let Some((culprit, offset)) = wrong {
            self.blame(culprit, offset);
        }
        let total = self.task.index.length();
        let there = self.there.fetch_add(there, Ordering::Relaxed) + there;
        self.task.shared.meter.update(|progress| {
            progress.from_seeds += local;
            progress.written += written;
            progress.fraction = progress.fraction.max(share(progress.written + there, total) * 0.999);
        });
        Ok(())
    }

    /// Reads from a seed. What cannot be read becomes zeros: the check finds out, and the unit is fetched.
    fn read(&self, seed: u32, offset: u64, length: u64, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.resize(start + length as usize, 0);
        if let Some(reader) = self.task.seeds.readers.get(seed as usize)
            && let Err(error) = reader.read_at(offset, &mut buffer[start..])
        {
            let text = format!("a part of a seed cannot be read and is fetched: {error}");
            self.task.shared.observer.event(Level::Warning, "seed_unreadable", text, &[("seed", &seed)]);
        }
    }

    fn blame(&self, culprit: Culprit, offset: u64) {
        let (kind, text) = match culprit {
            Culprit::Hint(seed) => (
                "wrong_hint",
                format!("a part of seed {seed} only looked like the target's: the index's hint of it is wrong"),
            ),
            Culprit::Seed(seed) => ("wrong_seed", format!("a part of seed {seed} has changed since it was looked at")),
            Culprit::Source => ("wrong_source", String::from("the source sent wrong bytes at first")),
        };
        self.task.shared.observer.event(Level::Warning, kind, text, &[("offset", &offset)]);
    }
}
