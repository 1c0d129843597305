//! `gosync.Progress` and `gosync.Event`, and the callbacks that receive them.

use std::sync::Arc;

use gosync_binding::Observer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyClass, PyClassInitializer};

use crate::calls::Call;

/// A moment of a running piece of work. Counters and the fraction never go back.
#[pyclass(frozen, get_all, eq, module = "gosync")]
#[derive(PartialEq)]
pub(crate) struct Progress {
    /// What is being done: `idle`, `indexing`, `matching`, `transferring`, `publishing`, `waiting`, `verifying`, `packing` or `done`.
    phase: &'static str,
    /// Whether a cancel now would still stop it.
    cancellable: bool,
    /// How much of all work is done, from 0 to 1.
    fraction: f64,
    /// Bytes of the target (or of the file that is indexed or verified).
    total: u64,
    /// Bytes of the target that came from seeds.
    from_seeds: u64,
    /// Bytes that arrived from the source and were lacking.
    fetched: u64,
    /// Bytes that arrived from the source and were not needed.
    wasted: u64,
    /// Verified bytes that were written; what was at its place already is not among them.
    written: u64,
    /// Round trips to the source.
    requests: u64,
    /// Requests that were repeated after a temporary failure.
    retries: u64,
}

#[pymethods]
impl Progress {
    fn __repr__(&self) -> String {
        format!("<gosync.Progress {} {:.1} % of {} bytes>", self.phase, self.fraction * 100.0, self.total)
    }
}

impl From<gosync_binding::Progress> for Progress {
    fn from(from: gosync_binding::Progress) -> Self {
        Progress {
            phase: from.phase,
            cancellable: from.cancellable,
            fraction: from.fraction,
            total: from.total,
            from_seeds: from.from_seeds,
            fetched: from.fetched,
            wasted: from.wasted,
            written: from.written,
            requests: from.requests,
            retries: from.retries,
        }
    }
}

/// Something worth telling. Holds no secrets.
#[pyclass(frozen, eq, module = "gosync")]
#[derive(PartialEq)]
pub(crate) struct Event(gosync_binding::Event);

#[pymethods]
impl Event {
    /// How much it matters: `warning`, `info` or `debug`.
    #[getter]
    fn level(&self) -> &'static str {
        self.0.level
    }

    /// A stable name for programs.
    #[getter]
    fn kind(&self) -> &str {
        &self.0.kind
    }

    /// One line for people.
    #[getter]
    fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts.
    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields = PyDict::new(py);
        for (key, value) in &self.0.fields {
            fields.set_item(key, value)?;
        }
        Ok(fields)
    }

    fn __repr__(&self) -> String {
        format!("<gosync.Event {} {}: {}>", self.0.level, self.0.kind, self.0.message)
    }
}

/// A callback argument: None, or something that can be called.
pub(crate) struct Callback(Py<PyAny>);

impl<'py> FromPyObject<'_, 'py> for Callback {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if !given.is_callable() {
            return Err(PyTypeError::new_err(format!("expected a callable, not {}", given.get_type().name()?)));
        }
        Ok(Callback(given.to_owned().unbind()))
    }
}

/// Makes the observer of one call. A callback that raises stops the call, and is not called again.
pub(crate) fn observer(call: &Call, progress: Option<Callback>, events: Option<Callback>) -> Observer {
    let mut observer = Observer { cancel: Some(call.cancel.clone()), ..Observer::default() };
    if let Some(callback) = progress {
        let call = call.clone();
        observer.progress = Some(Arc::new(move |progress| tell(&call, &callback, Progress::from(progress))));
    }
    if let Some(callback) = events {
        let call = call.clone();
        observer.events = Some(Arc::new(move |event| tell(&call, &callback, Event(event))));
    }
    observer
}

fn tell<T: PyClass + Into<PyClassInitializer<T>>>(call: &Call, callback: &Callback, what: T) {
    if call.slot.has_callback_failed() {
        return;
    }
    // At the end of the interpreter there is nobody to tell.
    Python::try_attach(|py| {
        if let Err(raised) = Py::new(py, what).and_then(|what| callback.0.call1(py, (what,))) {
            call.slot.callback_failed(Box::new(raised));
        }
    });
}
