//! Errors both ways: an error of the shim becomes a `gosync.Error`, an exception of the user's own code becomes a kind.

use gosync_binding::{BindingError, ForeignError, Kind};
use pyo3::exceptions::{PyConnectionError, PyTimeoutError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Every kind of error: its name, its number, and whether a retry may help.
#[pyfunction]
pub(crate) fn kinds() -> Vec<(&'static str, i32, bool)> {
    Kind::ALL.iter().map(|kind| (kind.name(), kind.number(), kind.retryable())).collect()
}

/// The exception for a failed call. What the user's own code raised, whole, is its `__cause__`.
pub(crate) fn raise(py: Python<'_>, mut error: BindingError) -> PyErr {
    let cause = match error.foreign.take().map(|foreign| foreign.downcast::<PyErr>()) {
        Some(Ok(raised)) => Some(*raised),
        // A message of the library usually ends with its cause already; saying it twice helps nobody.
        _ => error.cause.take().filter(|cause| !error.message.contains(&cause.message)).map(|cause| raise(py, *cause)),
    };
    match make(py, &error) {
        Ok(exception) => {
            let raised = PyErr::from_value(exception);
            raised.set_cause(py, cause);
            raised
        }
        Err(failed) => failed,
    }
}

/// The exception for a value that cannot be used, found by this module itself.
pub(crate) fn argument(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raise(py, BindingError::new(Kind::ARGUMENT, message))
}

fn make<'py>(py: Python<'py>, error: &BindingError) -> PyResult<Bound<'py, PyAny>> {
    let context = PyDict::new(py);
    for (key, value) in &error.context {
        context.set_item(key, value)?;
    }
    let errors = py.import(intern!(py, "gosync._errors"))?;
    errors.call_method1(intern!(py, "make"), (error.kind.name(), &error.message, &error.text, context))
}

/// What a source answers when its own code raised: a `gosync.Error` says its kind itself, timeouts and connection errors
/// are worth another try, anything else is final.
pub(crate) fn source_failure(py: Python<'_>, raised: &PyErr) -> ForeignError {
    let said = raised.to_string();
    ForeignError { kind: source_kind(py, raised), message: said.lines().next().unwrap_or_default().to_owned() }
}

fn source_kind(py: Python<'_>, raised: &PyErr) -> Kind {
    let own = || -> PyResult<Option<Kind>> {
        let class = py.import(intern!(py, "gosync._errors"))?.getattr(intern!(py, "Error"))?;
        if !raised.matches(py, class)? {
            return Ok(None);
        }
        let name: String = raised.value(py).getattr(intern!(py, "kind"))?.extract()?;
        Ok(Kind::from_name(&name))
    };
    if let Ok(Some(kind)) = own() {
        kind
    } else if raised.is_instance_of::<PyTimeoutError>(py) {
        Kind::TIMEOUT
    } else if raised.is_instance_of::<PyConnectionError>(py) {
        Kind::SOURCE_TEMPORARY
    } else {
        Kind::SOURCE
    }
}
