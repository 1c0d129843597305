//! `gosync.Index`.

use std::path::PathBuf;
use std::sync::Arc;

use gosync_binding::{OpenOptions, VerifyOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::calls::Call;
use crate::errors::raise;
use crate::inputs::Given;
use crate::options::Keywords;
use crate::results::Verification;
use crate::sources::Opening;

/// What a target is: its length, its root, and the checksums of its blocks. Made by `gosync.index` or `Index.open`.
#[pyclass(frozen, module = "gosync")]
pub(crate) struct Index(pub(crate) Arc<gosync_binding::Index>);

#[pymethods]
impl Index {
    /// Reads an index: from a path, a URL, bytes, or an object with `read_at` or `async fetch`.
    #[staticmethod]
    #[pyo3(signature = (index, **options))]
    #[pyo3(
        text_signature = "(index, *, max_index_size=0, index_cache=None, expect=None, public_key=None, retries=None, connections=0, timeout=0, connect_timeout=0, first_byte_timeout=0, stall_timeout=0, user=None, bearer=None, headers=(), proxy=None, no_proxy=None, ca_file=None, rate_limit=0, progress=None, events=None, cancel=None)"
    )]
    fn open(py: Python<'_>, index: Given, options: Option<Bound<'_, PyDict>>) -> PyResult<Self> {
        Index::read(py, index, options, "open")
    }

    /// Writes the index to `path`: beside it first, then by one rename.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.0.save(&path)).map_err(|error| raise(py, error))
    }

    /// The bytes that `save` would write.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.0.encode()).map_err(|error| raise(py, error))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The bytes that `save` would write.
    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.to_bytes(py)
    }

    /// Compares the file or directory at `path` with the index. What differs is a finding, not an error.
    #[pyo3(signature = (path, **options))]
    #[pyo3(text_signature = "($self, path, *, threads=0, journal=None, progress=None, events=None, cancel=None)")]
    fn verify(&self, py: Python<'_>, path: PathBuf, options: Option<Bound<'_, PyDict>>) -> PyResult<Verification> {
        let keywords = Keywords::new(options);
        let (call, observer) = keywords.watch(py)?;
        let options = VerifyOptions { threads: keywords.threads()?, journal: keywords.optional("journal")?, observer };
        keywords.end("verify")?;
        let index = self.0.clone();
        call.run(py, move || index.verify(&path, &options)).map(Verification::from)
    }

    /// What it describes: `file`, or `tree` for a directory.
    #[getter]
    fn kind(&self) -> String {
        self.0.kind()
    }

    /// Number of files, directories and links in a directory; 0 for a file.
    #[getter]
    fn entry_count(&self) -> u64 {
        self.0.entry_count()
    }

    /// Bytes of the target.
    #[getter]
    fn length(&self) -> u64 {
        self.0.length()
    }

    /// The BLAKE3 hash of the target, in hexadecimal digits: what `b3sum` prints. None in a legacy index.
    #[getter]
    fn root(&self) -> Option<String> {
        self.0.root_hex()
    }

    /// The format: `gosync`, or `legacy`.
    #[getter]
    fn format(&self) -> String {
        self.0.format()
    }

    /// Bytes of a block.
    #[getter]
    fn block_size(&self) -> u32 {
        self.0.block_size()
    }

    /// Bytes of a block of the top level, which is looked for first.
    #[getter]
    fn top_size(&self) -> u64 {
        self.0.top_size()
    }

    /// Number of blocks.
    #[getter]
    fn block_count(&self) -> u64 {
        self.0.block_count()
    }

    /// Number of verified units.
    #[getter]
    fn unit_count(&self) -> u64 {
        self.0.unit_count()
    }

    /// Bytes that `save` would write.
    #[getter]
    fn encoded_size(&self) -> u64 {
        self.0.encoded_size()
    }

    /// Where the content is, as the index says it: a name beside the index, or a URL.
    #[getter]
    fn source(&self) -> Option<String> {
        self.0.source()
    }

    /// What the publisher calls the content. Nothing vouches for it unless the index was opened with a public key.
    #[getter]
    fn name(&self) -> Option<String> {
        self.0.name()
    }

    /// Which version of it this is, as the publisher says it.
    #[getter]
    fn version(&self) -> Option<String> {
        self.0.version()
    }

    /// The signature, as minisign writes it. That there is one proves nothing: `public_key` checks it.
    #[getter]
    fn signature(&self) -> Option<String> {
        self.0.signature()
    }

    /// Where the index was opened from, without what may be secret in a URL; None if it was built, or read from memory.
    #[getter]
    fn origin(&self) -> Option<String> {
        self.0.origin()
    }

    fn __repr__(&self) -> String {
        format!(
            "<gosync.Index length={} block_size={} root={}>",
            self.0.length(),
            self.0.block_size(),
            self.0.root_hex().as_deref().unwrap_or("none")
        )
    }
}

impl Index {
    /// What `Index.open` and `info` do; `function` is the one that was called.
    pub(crate) fn read(
        py: Python<'_>,
        index: Given,
        options: Option<Bound<'_, PyDict>>,
        function: &str,
    ) -> PyResult<Self> {
        let keywords = Keywords::new(options);
        let (call, observer) = keywords.watch(py)?;
        let options = keywords.open(observer)?;
        keywords.end(function)?;
        let given = GivenIndex::new(py, index, options.http.connections, &call)?;
        call.run(py, move || given.open(&options)).map(Index)
    }
}

/// An index as the user gives it; opened on the thread of the call.
pub(crate) enum GivenIndex {
    Here(Arc<gosync_binding::Index>),
    There(Opening),
}

impl GivenIndex {
    pub(crate) fn new(py: Python<'_>, given: Given, parallel: u32, call: &Call) -> PyResult<Self> {
        if let Given::Index(index) = &given {
            return Ok(GivenIndex::Here(index.get().0.clone()));
        }
        match Opening::new(py, given, parallel, call)? {
            Some(opening) => Ok(GivenIndex::There(opening)),
            None => Err(crate::errors::argument(py, "this cannot be an index")),
        }
    }

    /// Reads the index, unless it is here already; then it is checked.
    pub(crate) fn open(self, options: &OpenOptions) -> gosync_binding::Result<Arc<gosync_binding::Index>> {
        let index = match self {
            GivenIndex::Here(index) => return index.check(options).map(|()| index),
            GivenIndex::There(Opening::Location(location)) => gosync_binding::Index::open(&location, options)?,
            GivenIndex::There(Opening::Bytes(bytes)) => gosync_binding::Index::from_memory(&bytes, options)?,
            GivenIndex::There(Opening::Made(source)) => gosync_binding::Index::open_source(&source, options)?,
        };
        Ok(Arc::new(index))
    }
}
