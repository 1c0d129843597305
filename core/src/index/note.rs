//! Something that whoever opens an index keeps with it for whoever uses it: no part of it, and nothing that core knows.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use super::Index;

/// What is kept. Clones of an index share it.
#[derive(Clone, Default)]
pub(super) struct Note(Arc<Mutex<Option<Box<dyn Any + Send>>>>);

impl Index {
    /// Keeps something with this index, for the first who takes it, in place of what was kept before.
    pub fn keep_note(&self, note: Box<dyn Any + Send>) {
        *self.note.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
    }

    /// Takes what is kept with this index.
    pub fn take_note(&self) -> Option<Box<dyn Any + Send>> {
        self.note.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
