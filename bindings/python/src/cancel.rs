//! `gosync.Cancel`.

use pyo3::prelude::*;

use crate::errors::raise;

/// Stops work: pass it to any number of calls, and call `cancel()` from any thread. It cannot be reset.
#[pyclass(frozen, module = "gosync")]
pub(crate) struct Cancel(pub(crate) gosync_binding::Cancel);

#[pymethods]
impl Cancel {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        gosync_binding::Cancel::new().map(Cancel).map_err(|error| raise(py, error))
    }

    /// Asks the calls to stop; they raise `gosync.Cancelled` within about 100 ms.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether `cancel()` was called.
    #[getter]
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    fn __repr__(&self) -> String {
        format!("<gosync.Cancel cancelled={}>", if self.0.is_cancelled() { "True" } else { "False" })
    }
}
