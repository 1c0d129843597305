//! The Python module `gosync._native`: arguments in, one call of the shim with the interpreter lock released, results out.
//! What is Python by nature (exception classes, the event loop that drives async sources) is in `python/gosync/`.
#![forbid(unsafe_code)]

mod calls;
mod cancel;
mod errors;
mod index;
mod inputs;
mod options;
mod plan;
mod results;
mod sources;
mod verbs;
mod watch;

use pyo3::prelude::*;

/// The native half of gosync; import `gosync` instead.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::cancel::Cancel;
    #[pymodule_export]
    use crate::errors::kinds;
    #[pymodule_export]
    use crate::index::Index;
    #[pymodule_export]
    use crate::plan::{Change, Piece, Plan};
    #[pymodule_export]
    use crate::results::{Difference, Statistics, Verification};
    #[pymodule_export]
    use crate::sources::Request;
    #[pymodule_export]
    use crate::verbs::{index, info, plan, prune, update, verify};
    #[pymodule_export]
    use crate::watch::{Event, Progress};

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", gosync_binding::version())
    }
}
