//! Where an error of the language's own code waits until the call that it ended comes back.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{BindingError, Cancel, ForeignError, Kind, Result};

/// An error object of the language (a Python exception, a JavaScript value), whole.
pub type Foreign = Box<dyn Any + Send>;

/// One per call; clones are the same slot. Sources and callbacks put in what was raised, [`ErrorSlot::finish`] takes it out.
///
/// The first callback failure stays and stops the work. Of source failures the first of each kind stays, because a
/// temporary one may have been survived: only a failure of the kind that the call ended with is its cause.
#[derive(Clone, Default)]
pub struct ErrorSlot(Arc<Inner>);

#[derive(Default)]
struct Inner {
    kept: Mutex<Kept>,
    cancel: Option<Cancel>,
}

#[derive(Default)]
struct Kept {
    callback: Option<Foreign>,
    source: Vec<(ForeignError, Foreign)>,
}

impl ErrorSlot {
    /// A slot for a call that `cancel` stops.
    pub fn new(cancel: Cancel) -> Self {
        ErrorSlot(Arc::new(Inner { kept: Mutex::default(), cancel: Some(cancel) }))
    }

    /// A callback raised `foreign`: keeps it if it is the first, and stops the work.
    pub fn callback_failed(&self, foreign: Foreign) {
        {
            let mut kept = self.lock();
            if kept.callback.is_none() {
                kept.callback = Some(foreign);
            }
        }
        if let Some(cancel) = &self.0.cancel {
            cancel.cancel();
        }
    }

    /// Whether a callback failed: then no callback needs to be called any more.
    pub fn has_callback_failed(&self) -> bool {
        self.lock().callback.is_some()
    }

    /// A source raised `foreign` and answers its request with `failure`.
    pub fn source_failed(&self, failure: ForeignError, foreign: Foreign) {
        let mut kept = self.lock();
        if kept.source.iter().all(|(known, _)| known.kind != failure.kind) {
            kept.source.push((failure, foreign));
        }
    }

    /// The result of the call, with what the language's own code raised.
    ///
    /// A callback that fails when the work is already done is told too: as `CANCELLED` with the fact `done`.
    pub fn finish<T>(&self, result: Result<T>) -> Result<T> {
        let mut kept = self.lock();
        match (result, kept.callback.take()) {
            (Ok(value), None) => Ok(value),
            (Ok(_), Some(foreign)) => {
                let message = "a callback failed when the work was already done";
                let mut error = BindingError::new(Kind::CANCELLED, message);
                error.context.push((String::from("done"), String::from("true")));
                error.foreign = Some(foreign);
                Err(error)
            }
            (Err(mut error), Some(foreign)) if error.kind == Kind::CANCELLED => {
                error.message = String::from("a callback failed, so the work was stopped");
                error.text.clone_from(&error.message);
                error.foreign = Some(foreign);
                Err(error)
            }
            (Err(mut error), _) => {
                if let Some(i) = kept.source.iter().position(|(failure, _)| failure.kind == error.kind) {
                    let (failure, foreign) = kept.source.swap_remove(i);
                    say(&mut error, &failure.message);
                    error.foreign = Some(foreign);
                }
                Err(error)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds what the source said to an error that does not say it: a blocking read hands over no more than a number.
fn say(error: &mut BindingError, what: &str) {
    if what.is_empty() || error.text.contains(what) {
        return;
    }
    let facts = error.text.strip_prefix(&error.message).unwrap_or_default().to_owned();
    error.message = format!("{}: {what}", error.message);
    error.text = format!("{}{facts}", error.message);
}
