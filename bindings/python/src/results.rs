//! What calls give back: `gosync.Statistics`, `gosync.Verification` and its `gosync.Difference`.

use pyo3::prelude::*;

/// What an update did.
#[pyclass(frozen, get_all, eq, module = "gosync")]
#[derive(PartialEq, Eq)]
pub(crate) struct Statistics {
    /// Bytes of the target.
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
    /// Whether the target was the new version already, so that nothing was written.
    up_to_date: bool,
    /// Bytes of the index that were read.
    index_size: u64,
    /// What proves the result, for instance `root`.
    proof: String,
    /// The root of what the target is now, which a legacy index does not have.
    root: Option<String>,
    /// Why it was done this way, one line.
    reason: String,
}

#[pymethods]
impl Statistics {
    fn __repr__(&self) -> String {
        let Statistics { total, from_seeds, fetched, requests, .. } = self;
        format!("<gosync.Statistics total={total} from_seeds={from_seeds} fetched={fetched} requests={requests}>")
    }
}

impl From<gosync_binding::Statistics> for Statistics {
    fn from(from: gosync_binding::Statistics) -> Self {
        Statistics {
            total: from.total,
            from_seeds: from.from_seeds,
            fetched: from.fetched,
            wasted: from.wasted,
            written: from.written,
            requests: from.requests,
            retries: from.retries,
            up_to_date: from.up_to_date,
            index_size: from.index_size,
            proof: from.proof,
            root: from.root,
            reason: from.reason,
        }
    }
}

/// An entry in which a directory differs from its index.
#[pyclass(frozen, get_all, eq, module = "gosync")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Names from the directory to the entry, with `/` between.
    path: String,
    /// In what it differs: `missing`, `changed`, `type`, `mode` or `extra`.
    what: String,
    /// The damaged ranges of a file, as offset and length.
    damaged: Vec<(u64, u64)>,
}

#[pymethods]
impl Difference {
    fn __repr__(&self) -> String {
        format!("<gosync.Difference {} {:?}>", self.what, self.path)
    }
}

/// What a verification found.
#[pyclass(frozen, get_all, eq, module = "gosync")]
#[derive(PartialEq, Eq)]
pub(crate) struct Verification {
    /// Whether the file is exactly what the index says.
    is_match: bool,
    /// Bytes that the file has.
    length: u64,
    /// Bytes that it should have.
    expected_length: u64,
    /// The damaged ranges of the target, as offset and length.
    damaged: Vec<(u64, u64)>,
    /// The entries in which a directory differs.
    differences: Vec<Difference>,
    /// Whether an update of the file in place was not finished.
    unfinished: bool,
}

#[pymethods]
impl Verification {
    fn __repr__(&self) -> String {
        let found = match self {
            Verification { is_match: true, .. } => String::from("match"),
            Verification { differences, .. } if !differences.is_empty() => format!("differences={}", differences.len()),
            Verification { damaged, .. } => format!("damaged={damaged:?}"),
        };
        format!("<gosync.Verification {found} length={} of {}>", self.length, self.expected_length)
    }

    /// True if the file is exactly what the index says.
    fn __bool__(&self) -> bool {
        self.is_match
    }
}

impl From<gosync_binding::Verification> for Verification {
    fn from(from: gosync_binding::Verification) -> Self {
        Verification {
            is_match: from.is_match,
            length: from.length,
            expected_length: from.expected_length,
            damaged: from.damaged,
            differences: from.differences.into_iter().map(difference).collect(),
            unfinished: from.unfinished,
        }
    }
}

fn difference(from: gosync_binding::Difference) -> Difference {
    Difference { path: from.path, what: from.what, damaged: from.damaged }
}
