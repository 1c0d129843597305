//! How a call runs: on a thread of its own, with the interpreter lock released, while the calling thread looks after signals.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use gosync_binding::{BindingError, ErrorSlot, Kind, Result};
use pyo3::prelude::*;

use crate::errors::raise;

/// How often signals are looked for. Python runs handlers (Ctrl-C) on its main thread only, when that asks.
const POLL: Duration = Duration::from_millis(50);
/// How long an interrupted call is waited for. A callback of the user's that never returns must not hold Ctrl-C up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The two things that belong to one call: what stops it, and where exceptions of the user's own code wait.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) cancel: gosync_binding::Cancel,
    pub(crate) slot: ErrorSlot,
}

impl Call {
    /// A call that `parent` stops, if there is one.
    pub(crate) fn new(py: Python<'_>, parent: Option<&gosync_binding::Cancel>) -> PyResult<Self> {
        let cancel = parent.map_or_else(gosync_binding::Cancel::new, gosync_binding::Cancel::child);
        let cancel = cancel.map_err(|error| raise(py, error))?;
        Ok(Call { slot: ErrorSlot::new(cancel.clone()), cancel })
    }

    /// Runs `work`. A signal handler that raises (Ctrl-C does) stops the work, and its exception is what comes back.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let (send, receive) = channel();
        let started = thread::Builder::new().name(String::from("gosync-call")).spawn(move || {
            // Nobody receives any more when the call was interrupted.
            let _ = send.send(work());
        });
        if let Err(error) = started {
            return Err(raise(py, BindingError::new(Kind::IO, format!("cannot start a thread: {error}"))));
        }
        let mut receive = receive;
        loop {
            let received;
            (receive, received) = wait(py, receive, POLL);
            match received {
                Ok(result) => return self.slot.finish(result).map_err(|error| raise(py, error)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(raise(
                        py,
                        BindingError::new(Kind::INTERNAL, "the thread of the call ended without a result"),
                    ));
                }
            }
            if let Err(interrupt) = py.check_signals() {
                self.cancel.cancel();
                settle(py, receive);
                return Err(interrupt);
            }
        }
    }
}

/// Waits for the end of a call that was stopped; an impatient second signal does not end the wait earlier.
fn settle<T: Send>(py: Python<'_>, mut receive: Receiver<Result<T>>) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let received;
        (receive, received) = wait(py, receive, POLL);
        if !matches!(received, Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

type Received<T> = std::result::Result<Result<T>, RecvTimeoutError>;

fn wait<T: Send>(py: Python<'_>, receive: Receiver<Result<T>>, time: Duration) -> (Receiver<Result<T>>, Received<T>) {
    py.detach(move || {
        let received = receive.recv_timeout(time);
        (receive, received)
    })
}
