//! Standard output: whole lines, and no panic when nobody reads them any more.

use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Standard output, line by line. A reader who went away (`gosync … | head`) is no reason to stop the work:
/// what comes after is dropped. Any other failure is kept for the end.
#[derive(Default)]
pub(crate) struct Output {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    failure: Option<io::Error>,
}

impl Output {
    /// Writes a line and flushes it.
    pub(crate) fn line(&self, text: &str) {
        let mut state = self.lock();
        self.write(&mut state, text);
    }

    /// As [`Output::line`], for the last line: whatever is said later, by threads that still run, is dropped.
    pub(crate) fn last_line(&self, text: &str) {
        let mut state = self.lock();
        self.write(&mut state, text);
        state.closed = true;
    }

    /// What kept standard output from taking everything, if its reader is still there.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.lock().failure.take()
    }

    fn write(&self, state: &mut State, text: &str) {
        if state.closed {
            return;
        }
        // One call for the whole line, so that lines stay whole in a file that others append to as well.
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(format!("{text}\n").as_bytes()).and_then(|()| stdout.flush()) {
            state.closed = true;
            state.failure = (error.kind() != ErrorKind::BrokenPipe).then_some(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a line to standard error; when even that fails there is nobody left to tell.
pub(crate) fn error_line(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
