//! The five verbs: `index`, `plan`, `update`, `verify`, `info`.

use std::path::PathBuf;
use std::sync::Arc;

use gosync_binding::{IndexOptions, Job, JobOptions, Observer, OpenOptions, VerifyOptions};
use pyo3::prelude::*;

use crate::calls::Call;
use crate::cancel::Cancel;
use crate::errors::argument;
use crate::index::{GivenIndex, Index};
use crate::inputs::{Content, Given, Paths, Seconds, Whole};
use crate::plan::Plan;
use crate::results::{Statistics, Verification};
use crate::sources::Opening;
use crate::watch::{Callback, observer};

/// Reads a file (or a bytes-like object) once and describes it.
#[pyfunction]
#[pyo3(signature = (content, *, block_size=Whole(0), threads=Whole(0), source=None, progress=None, events=None, cancel=None))]
#[pyo3(text_signature = "(content, *, block_size=0, threads=0, source=None, progress=None, events=None, cancel=None)")]
#[allow(clippy::too_many_arguments, reason = "the keyword arguments of Python")]
pub(crate) fn index(
    py: Python<'_>,
    content: Content,
    block_size: Whole<u32>,
    threads: Whole<u32>,
    source: Option<String>,
    progress: Option<Callback>,
    events: Option<Callback>,
    cancel: Option<Bound<'_, Cancel>>,
) -> PyResult<Index> {
    let call = Call::new(py, cancel.as_ref().map(|cancel| &cancel.get().0))?;
    let observer = observer(&call, progress, events);
    let options = IndexOptions { block_size: block_size.0, threads: threads.0, source, observer };
    let build = move || match content {
        Content::Path(path) => gosync_binding::Index::build(&path, &options),
        Content::Bytes(bytes) => gosync_binding::Index::build_from_memory(&bytes, &options),
    };
    call.run(py, build).map(|index| Index(Arc::new(index)))
}

/// Reads an index: from a path, a URL, bytes, or an object with `read_at` or `async fetch`.
#[pyfunction]
#[pyo3(signature = (index, *, max_index_size=Whole(0), connections=Whole(0), timeout=Seconds(0), progress=None, events=None, cancel=None))]
#[pyo3(
    text_signature = "(index, *, max_index_size=0, connections=0, timeout=0, progress=None, events=None, cancel=None)"
)]
#[allow(clippy::too_many_arguments, reason = "the keyword arguments of Python")]
pub(crate) fn info(
    py: Python<'_>,
    index: Given,
    max_index_size: Whole<u64>,
    connections: Whole<u32>,
    timeout: Seconds,
    progress: Option<Callback>,
    events: Option<Callback>,
    cancel: Option<Bound<'_, Cancel>>,
) -> PyResult<Index> {
    Index::open(py, index, max_index_size, connections, timeout, progress, events, cancel)
}

/// Compares the file at `target` with an index. A file that differs is a finding, not an error.
#[pyfunction]
#[pyo3(signature = (target, *, index, threads=Whole(0), max_index_size=Whole(0), connections=Whole(0), timeout=Seconds(0), progress=None, events=None, cancel=None))]
#[pyo3(
    text_signature = "(target, *, index, threads=0, max_index_size=0, connections=0, timeout=0, progress=None, events=None, cancel=None)"
)]
#[allow(clippy::too_many_arguments, reason = "the keyword arguments of Python")]
pub(crate) fn verify(
    py: Python<'_>,
    target: PathBuf,
    index: Given,
    threads: Whole<u32>,
    max_index_size: Whole<u64>,
    connections: Whole<u32>,
    timeout: Seconds,
    progress: Option<Callback>,
    events: Option<Callback>,
    cancel: Option<Bound<'_, Cancel>>,
) -> PyResult<Verification> {
    let call = Call::new(py, cancel.as_ref().map(|cancel| &cancel.get().0))?;
    let observer = observer(&call, progress, events);
    let parallel = connections.0;
    let opening = opening(max_index_size, connections, timeout, &observer);
    let options = VerifyOptions { threads: threads.0, observer };
    let index = GivenIndex::new(py, index, parallel, &call)?;
    call.run(py, move || index.open(&opening)?.verify(&target, &options)).map(Verification::from)
}

/// Says what `update` with the same arguments would do. Fetches no content and writes nothing.
#[pyfunction]
#[pyo3(signature = (
    target, *, index, source=None, seeds=Paths(Vec::new()), threads=Whole(0), max_requests=Whole(0), max_bytes_in_flight=Whole(0),
    retries=None, timeout=Seconds(0), ignore_target=false, allow_any_source=false, max_index_size=Whole(0), connections=Whole(0),
    progress=None, events=None, cancel=None
))]
#[pyo3(
    text_signature = "(target, *, index, source=None, seeds=(), threads=0, max_requests=0, max_bytes_in_flight=0, retries=None, timeout=0, ignore_target=False, allow_any_source=False, max_index_size=0, connections=0, progress=None, events=None, cancel=None)"
)]
#[allow(clippy::too_many_arguments, reason = "the keyword arguments of Python")]
pub(crate) fn plan(
    py: Python<'_>,
    target: PathBuf,
    index: Given,
    source: Option<Given>,
    seeds: Paths,
    threads: Whole<u32>,
    max_requests: Whole<u32>,
    max_bytes_in_flight: Whole<u64>,
    retries: Option<Whole<u32>>,
    timeout: Seconds,
    ignore_target: bool,
    allow_any_source: bool,
    max_index_size: Whole<u64>,
    connections: Whole<u32>,
    progress: Option<Callback>,
    events: Option<Callback>,
    cancel: Option<Bound<'_, Cancel>>,
) -> PyResult<Plan> {
    let call = Call::new(py, cancel.as_ref().map(|cancel| &cancel.get().0))?;
    let observer = observer(&call, progress, events);
    let options = JobOptions {
        threads: threads.0,
        max_requests: max_requests.0,
        max_bytes_in_flight: max_bytes_in_flight.0,
        retries: retries.map(|retries| retries.0),
        timeout_ms: timeout.0,
        ignore_target,
        allow_any_source,
        open: Some(opening(max_index_size, connections, timeout, &observer)),
        observer,
    };
    let task = Task::new(py, target, index, source, seeds, options, &call)?;
    call.run(py, move || task.job()?.plan()).map(Plan)
}

/// Brings the file at `target` up to date: takes from the seeds and from an existing target what is there, fetches the rest,
/// verifies every block, and publishes the result by one rename. Until then, what was at `target` stays as it was.
#[pyfunction]
#[pyo3(signature = (
    target, *, index, source=None, seeds=Paths(Vec::new()), threads=Whole(0), max_requests=Whole(0), max_bytes_in_flight=Whole(0),
    retries=None, timeout=Seconds(0), ignore_target=false, allow_any_source=false, max_index_size=Whole(0), connections=Whole(0),
    progress=None, events=None, cancel=None
))]
#[pyo3(
    text_signature = "(target, *, index, source=None, seeds=(), threads=0, max_requests=0, max_bytes_in_flight=0, retries=None, timeout=0, ignore_target=False, allow_any_source=False, max_index_size=0, connections=0, progress=None, events=None, cancel=None)"
)]
#[allow(clippy::too_many_arguments, reason = "the keyword arguments of Python")]
pub(crate) fn update(
    py: Python<'_>,
    target: PathBuf,
    index: Given,
    source: Option<Given>,
    seeds: Paths,
    threads: Whole<u32>,
    max_requests: Whole<u32>,
    max_bytes_in_flight: Whole<u64>,
    retries: Option<Whole<u32>>,
    timeout: Seconds,
    ignore_target: bool,
    allow_any_source: bool,
    max_index_size: Whole<u64>,
    connections: Whole<u32>,
    progress: Option<Callback>,
    events: Option<Callback>,
    cancel: Option<Bound<'_, Cancel>>,
) -> PyResult<Statistics> {
    let call = Call::new(py, cancel.as_ref().map(|cancel| &cancel.get().0))?;
    let observer = observer(&call, progress, events);
    let options = JobOptions {
        threads: threads.0,
        max_requests: max_requests.0,
        max_bytes_in_flight: max_bytes_in_flight.0,
        retries: retries.map(|retries| retries.0),
        timeout_ms: timeout.0,
        ignore_target,
        allow_any_source,
        open: Some(opening(max_index_size, connections, timeout, &observer)),
        observer,
    };
    let task = Task::new(py, target, index, source, seeds, options, &call)?;
    call.run(py, move || task.job()?.run()).map(Statistics::from)
}

/// How an index or a source is opened within a larger call. Its progress is a step of that call, not the call's from 0 to 1.
fn opening(max_index_size: Whole<u64>, connections: Whole<u32>, timeout: Seconds, observer: &Observer) -> OpenOptions {
    let observer = observer.without_progress();
    OpenOptions { max_index_size: max_index_size.0, connections: connections.0, timeout_ms: timeout.0, observer }
}

/// What a job is made of, until the thread of the call makes it.
struct Task {
    target: PathBuf,
    index: GivenIndex,
    source: Option<Opening>,
    seeds: Vec<PathBuf>,
    options: JobOptions,
}

impl Task {
    fn new(
        py: Python<'_>,
        target: PathBuf,
        index: Given,
        source: Option<Given>,
        seeds: Paths,
        options: JobOptions,
        call: &Call,
    ) -> PyResult<Self> {
        let parallel = options.open.as_ref().map_or(0, |open| open.connections);
        let index = GivenIndex::new(py, index, parallel, call)?;
        let source = match source {
            None => None,
            Some(given) => {
                let opening = Opening::new(py, given, parallel, call)?;
                Some(
                    opening
                        .ok_or_else(|| argument(py, "an Index says what the content is, it cannot be its source"))?,
                )
            }
        };
        Ok(Task { target, index, source, seeds: seeds.0, options })
    }

    fn job(self) -> gosync_binding::Result<Job> {
        let open = self.options.open.clone().unwrap_or_default();
        let index = self.index.open(&open)?;
        let source = self.source.map(|source| source.open(&open)).transpose()?;
        let job = Job::new(&index, source.as_ref(), &self.target, &self.options)?;
        for seed in &self.seeds {
            job.add_seed(seed)?;
        }
        Ok(job)
    }
}
