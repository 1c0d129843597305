//! Tells the observer of units that were found. Those that follow each other in a section are told as one, so that they
//! are written in one go.

use std::cell::Cell;

use super::Observe;
use crate::assemble::Verified;
use crate::error::Result;

/// What is still to be told of a section.
pub(super) struct Telling<'a> {
    observer: &'a dyn Observe,
    /// The section.
    data: &'a [u8],
    /// The first unit, and the bytes of it and of those that follow it.
    waiting: Cell<Option<(u64, Verified<'a>)>>,
}

impl<'a> Telling<'a> {
    pub(super) fn new(observer: &'a dyn Observe, data: &'a [u8]) -> Telling<'a> {
        Telling { observer, data, waiting: Cell::new(None) }
    }

    /// A unit, or several from this one on, was found in the section.
    pub(super) fn unit(&self, unit: u64, verified: Verified<'a>) -> Result<()> {
        let joined = self.waiting.get().and_then(|(first, so_far)| Some((first, so_far.joined(verified, self.data)?)));
        if joined.is_none() {
            self.end()?;
        }
        self.waiting.set(joined.or(Some((unit, verified))));
        Ok(())
    }

    /// Tells what is left to tell.
    pub(super) fn end(&self) -> Result<()> {
        match self.waiting.take() {
            Some((unit, verified)) => self.observer.unit(unit, verified),
            None => Ok(()),
        }
    }
}
