//! Placing batch by batch, for a target that is updated in place: nothing is written before its batch begins.

use std::sync::atomic::Ordering;

use gosync_core::{Error, ErrorKind, Piece, Result};

use super::{Site, TICK};
use crate::report::Phase;

impl Site<'_> {
    /// As [`Site::begin`], where units are placed batch by batch. `all`: each will be wanted before the first batch begins.
    pub(in crate::job) fn begin_batches(&self, cover: Vec<Piece>, all: bool) {
        self.task.shared.meter.update(|progress| progress.phase = Phase::Transferring);
        self.transfer.begin_batches(cover, all);
    }

    /// Has the missing bytes of these units fetched, which are not placed yet: up to `most` bytes. How many units that are,
    /// and which of them lack nothing.
    pub(in crate::job) fn want(&self, units: &[u64], most: u64) -> Result<(usize, Vec<u64>)> {
        let (count, whole) = self.transfer.want(units, most);
        match self.task.source {
            Err(error) if whole.len() < count => Err(error.clone()),
            _ => Ok((count, whole)),
        }
    }

    /// A batch begins: these units, which were wanted, are placed, and `whole` are those that lack nothing.
    pub(in crate::job) fn open(&self, units: &[u64], whole: Vec<u64>) {
        self.placing.store(units.len() as u64, Ordering::Release);
        self.transfer.open(units.iter().copied());
        self.copy(whole);
    }

    /// So many fetched bytes of a unit that was placed are in memory still.
    pub(in crate::job) fn keep(&self, bytes: u64) {
        self.transfer.keep(bytes);
    }

    /// Waits until the batch is placed; `idle` is called once all of it has arrived.
    pub(in crate::job) fn finish(&self, idle: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut idle = Some(idle);
        loop {
            let seen = self.bell.count();
            if self.over.load(Ordering::Acquire) {
                return Err(Error::new(ErrorKind::Cancelled, "the transfer failed"));
            }
            if self.placing.load(Ordering::Acquire) == 0 {
                return Ok(());
            }
            if let Some(idle) = idle.take_if(|_| self.transfer.is_idle()) {
                idle()?;
            }
            self.bell.wait(seen, TICK);
        }
    }

    /// The units of the batches so far that were wrong: to be placed once all others are.
    pub(in crate::job) fn take_late(&self) -> Vec<u64> {
        self.transfer.take_late()
    }
}
