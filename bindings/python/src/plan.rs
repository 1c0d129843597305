//! `gosync.Plan`, its pieces and changes, which are made as they are asked for: there may be many.

use gosync_binding::Seen;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// What an update would do: an exact cover of the target by pieces, and its cost.
#[pyclass(frozen, module = "gosync")]
pub(crate) struct Plan(pub(crate) gosync_binding::Plan);

#[pymethods]
impl Plan {
    /// Bytes of the target.
    #[getter]
    fn total(&self) -> u64 {
        self.0.total()
    }

    /// Bytes that the seeds have.
    #[getter]
    #[allow(clippy::wrong_self_convention, reason = "the name that all faces share")]
    fn from_seeds(&self) -> u64 {
        self.0.from_seeds()
    }

    /// Bytes that are missing.
    #[getter]
    fn missing(&self) -> u64 {
        self.0.missing()
    }

    /// Bytes that would be asked for: what is missing, and gaps that are cheaper to fetch than to skip.
    #[getter]
    fn to_fetch(&self) -> u64 {
        self.0.to_fetch()
    }

    /// Ranges that would be asked for.
    #[getter]
    fn ranges(&self) -> u64 {
        self.0.ranges()
    }

    /// Bytes of the index that was read.
    #[getter]
    fn index_size(&self) -> u64 {
        self.0.index_size()
    }

    /// Whether the target is the new version already.
    #[getter]
    fn up_to_date(&self) -> bool {
        self.0.up_to_date()
    }

    /// Whether an update of the target, in place or of a directory, was not finished.
    #[getter]
    fn unfinished(&self) -> bool {
        self.0.unfinished()
    }

    /// How the missing bytes would be fetched: `local`, `ranges` or `whole`.
    #[getter]
    fn strategy(&self) -> String {
        self.0.strategy()
    }

    /// The round trip that the plan reckons with, measured or assumed, in seconds; None if it is not known.
    #[getter]
    fn round_trip(&self) -> Option<f64> {
        self.0.round_trip_ms().map(seconds)
    }

    /// The rate that the plan reckons with, measured or assumed, in bytes per second; None if it is not known.
    #[getter]
    fn rate(&self) -> Option<u64> {
        self.0.rate()
    }

    /// Seconds that fetching the missing ranges would take; None if that is not known, or nothing is missing.
    #[getter]
    fn time(&self) -> Option<f64> {
        self.0.time_ms().map(seconds)
    }

    /// Seconds that fetching everything in one go would take; None if that is not known, or nothing is missing.
    #[getter]
    fn time_whole(&self) -> Option<f64> {
        self.0.time_whole_ms().map(seconds)
    }

    /// Why it would be done this way, one line.
    #[getter]
    fn reason(&self) -> String {
        self.0.reason()
    }

    /// The pieces of the target, in its order. Made anew each time it is asked for.
    #[getter]
    fn pieces<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let pieces =
            (0..self.0.piece_count()).filter_map(|i| self.0.piece(i)).map(|piece| Py::new(py, Piece::from(piece)));
        PyList::new(py, pieces.collect::<PyResult<Vec<_>>>()?)
    }

    /// What would become of the entries of a directory, in the order of their paths. Made anew each time it is asked for.
    #[getter]
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let changes =
            (0..self.0.change_count()).filter_map(|i| self.0.change(i)).map(|change| Py::new(py, Change::from(change)));
        PyList::new(py, changes.collect::<PyResult<Vec<_>>>()?)
    }

    fn __repr__(&self) -> String {
        let plan = &self.0;
        format!(
            "<gosync.Plan total={} from_seeds={} to_fetch={} ranges={}>",
            plan.total(),
            plan.from_seeds(),
            plan.to_fetch(),
            plan.ranges()
        )
    }
}

fn seconds(milliseconds: f64) -> f64 {
    milliseconds / 1000.0
}

/// A run of the target that comes from one place.
#[pyclass(frozen, get_all, eq, module = "gosync")]
#[derive(PartialEq, Eq)]
pub(crate) struct Piece {
    /// Offset in the target.
    target_offset: u64,
    /// Number of bytes.
    length: u64,
    /// Number of the seed that has it (0 is the target itself, those that were given count from 1); None if it is missing.
    seed: Option<u32>,
    /// Offset in the seed; None if it is missing.
    seed_offset: Option<u64>,
}

#[pymethods]
impl Piece {
    /// Whether it has to be fetched.
    #[getter]
    fn is_missing(&self) -> bool {
        self.seed.is_none()
    }

    fn __repr__(&self) -> String {
        let from = match (self.seed, self.seed_offset) {
            (Some(seed), Some(offset)) => format!("seed {seed} at {offset}"),
            _ => String::from("missing"),
        };
        format!("<gosync.Piece {}+{}: {from}>", self.target_offset, self.length)
    }
}

impl From<gosync_binding::Piece> for Piece {
    fn from(from: gosync_binding::Piece) -> Self {
        let (seed, seed_offset) = match from.seen {
            Seen::Seed { seed, offset } => (Some(seed), Some(offset)),
            Seen::Missing => (None, None),
        };
        Piece { target_offset: from.offset, length: from.length, seed, seed_offset }
    }
}

/// An entry of a directory that would change, or be kept although the index has it otherwise.
#[pyclass(frozen, get_all, eq, module = "gosync")]
#[derive(PartialEq, Eq)]
pub(crate) struct Change {
    /// Names from the directory to the entry, with `/` between; a directory ends with one too.
    path: String,
    /// What becomes of it: `added`, `changed`, `renamed`, `removed`, `kept`, `mode` or `link`.
    what: String,
    /// The path that a renamed file has now; None for all others.
    #[pyo3(name = "from_")]
    from: Option<String>,
    /// Bytes of the file: of the new one, or for `removed` and `kept` of the old one.
    size: u64,
}

#[pymethods]
impl Change {
    fn __repr__(&self) -> String {
        match &self.from {
            Some(from) => format!("<gosync.Change {} {from:?} to {:?}>", self.what, self.path),
            None => format!("<gosync.Change {} {:?}>", self.what, self.path),
        }
    }
}

impl From<gosync_binding::Change> for Change {
    fn from(from: gosync_binding::Change) -> Self {
        Change { path: from.path, what: from.what, from: from.from, size: from.size }
    }
}
