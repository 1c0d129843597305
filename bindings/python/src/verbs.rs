//! The five verbs: `index`, `plan`, `update`, `verify`, `info`.

use std::path::PathBuf;
use std::sync::Arc;

use gosync_binding::{IndexOptions, Job, JobOptions, OpenOptions, VerifyOptions};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::calls::Call;
use crate::errors::{argument, raise};
use crate::index::{GivenIndex, Index};
use crate::inputs::{Content, Given, Paths, Sources, Texts, Whole};
use crate::options::Keywords;
use crate::plan::Plan;
use crate::results::{Statistics, Verification};
use crate::sources::Opening;

type Options<'py> = Bound<'py, PyDict>;

/// Reads a file, a directory or a bytes-like object once and describes it.
#[pyfunction]
#[pyo3(signature = (path, /, **options))]
#[pyo3(
    text_signature = "(path, /, *, block_size=0, top_size=0, threads=0, source=None, format=None, name=None, version=None, sign=None, sign_password=None, exclude=(), content=None, previous=None, modes=False, times=False, progress=None, events=None, cancel=None)"
)]
pub(crate) fn index(py: Python<'_>, path: Content, options: Option<Options<'_>>) -> PyResult<Index> {
    let keywords = Keywords::new(options);
    let (call, observer) = keywords.watch(py)?;
    let options = IndexOptions {
        block_size: keywords.take::<Whole<u32>>("block_size")?.map_or(0, |size| size.0),
        top_size: keywords.take::<Whole<u32>>("top_size")?.map_or(0, |size| size.0),
        threads: keywords.threads()?,
        format: keywords.optional("format")?,
        source: keywords.optional("source")?,
        name: keywords.optional("name")?,
        version: keywords.optional("version")?,
        sign: keywords.optional::<PathBuf>("sign")?,
        sign_password: keywords.optional("sign_password")?,
        exclude: keywords.take::<Texts>("exclude")?.map(|patterns| patterns.0).unwrap_or_default(),
        content: keywords.optional::<PathBuf>("content")?,
        previous: keywords.optional::<PathBuf>("previous")?,
        modes: keywords.take("modes")?.unwrap_or(false),
        times: keywords.take("times")?.unwrap_or(false),
        observer,
    };
    keywords.end("index")?;
    let build = move || match path {
        Content::Path(path) => gosync_binding::Index::build(&path, &options),
        Content::Bytes(bytes) => gosync_binding::Index::build_from_memory(&bytes, &options),
    };
    call.run(py, build).map(|index| Index(Arc::new(index)))
}

/// Removes from the folder `content` the packs that none of the indexes at the paths `indexes` names.
#[pyfunction]
#[pyo3(signature = (content, *, indexes))]
pub(crate) fn prune(py: Python<'_>, content: PathBuf, indexes: Paths) -> PyResult<(u64, u64)> {
    py.detach(|| gosync_binding::prune(&content, &indexes.0)).map_err(|error| raise(py, error))
}

/// Reads an index: from a path, a URL, bytes, or an object with `read_at` or `async fetch`.
#[pyfunction]
#[pyo3(signature = (index, **options))]
#[pyo3(
    text_signature = "(index, *, max_index_size=0, index_cache=None, expect=None, public_key=None, retries=None, connections=0, timeout=0, connect_timeout=0, first_byte_timeout=0, stall_timeout=0, user=None, bearer=None, headers=(), proxy=None, no_proxy=None, ca_file=None, rate_limit=0, progress=None, events=None, cancel=None)"
)]
pub(crate) fn info(py: Python<'_>, index: Given, options: Option<Options<'_>>) -> PyResult<Index> {
    Index::read(py, index, options, "info")
}

/// Compares the file or directory at `target` with an index. What differs is a finding, not an error.
#[pyfunction]
#[pyo3(signature = (target, *, index, **options))]
#[pyo3(
    text_signature = "(target, *, index, threads=0, journal=None, max_index_size=0, index_cache=None, expect=None, public_key=None, retries=None, connections=0, timeout=0, connect_timeout=0, first_byte_timeout=0, stall_timeout=0, user=None, bearer=None, headers=(), proxy=None, no_proxy=None, ca_file=None, rate_limit=0, progress=None, events=None, cancel=None)"
)]
pub(crate) fn verify(
    py: Python<'_>,
    target: PathBuf,
    index: Given,
    options: Option<Options<'_>>,
) -> PyResult<Verification> {
    let keywords = Keywords::new(options);
    let (call, observer) = keywords.watch(py)?;
    let threads = keywords.threads()?;
    let open = keywords.open(observer.without_progress())?;
    let opening = OpenOptions { target: Some(target.clone()), threads, ..open };
    let options = VerifyOptions { threads, journal: keywords.optional("journal")?, observer };
    keywords.end("verify")?;
    let index = GivenIndex::new(py, index, opening.http.connections, &call)?;
    call.run(py, move || index.open(&opening)?.verify(&target, &options)).map(Verification::from)
}

/// Says what `update` with the same arguments would do. Fetches no content and writes nothing.
#[pyfunction]
#[pyo3(signature = (target, *, index, **options))]
#[pyo3(
    text_signature = "(target, *, index, source=None, mirrors=(), seeds=(), threads=0, max_requests=0, max_bytes_in_flight=0, max_gap=0, assume_rtt=0, assume_rate=0, ignore_target=False, allow_any_source=False, thorough=False, replace_timeout=0, move_aside=False, keep=None, refuse_symlink=False, in_place=False, journal=None, quick=False, delete=False, max_index_size=0, index_cache=None, expect=None, public_key=None, retries=None, connections=0, timeout=0, connect_timeout=0, first_byte_timeout=0, stall_timeout=0, user=None, bearer=None, headers=(), proxy=None, no_proxy=None, ca_file=None, rate_limit=0, progress=None, events=None, cancel=None)"
)]
pub(crate) fn plan(py: Python<'_>, target: PathBuf, index: Given, options: Option<Options<'_>>) -> PyResult<Plan> {
    let (call, task) = Task::new(py, target, index, options, "plan")?;
    call.run(py, move || task.job()?.plan()).map(Plan)
}

/// Brings the file at `target` up to date: takes from the seeds and from an existing target what is there, fetches the rest,
/// verifies every block, and publishes the result by one rename. Until then, what was at `target` stays as it was.
#[pyfunction]
#[pyo3(signature = (target, *, index, **options))]
#[pyo3(
    text_signature = "(target, *, index, source=None, mirrors=(), seeds=(), threads=0, max_requests=0, max_bytes_in_flight=0, max_gap=0, assume_rtt=0, assume_rate=0, ignore_target=False, allow_any_source=False, thorough=False, replace_timeout=0, move_aside=False, keep=None, refuse_symlink=False, in_place=False, journal=None, quick=False, delete=False, max_index_size=0, index_cache=None, expect=None, public_key=None, retries=None, connections=0, timeout=0, connect_timeout=0, first_byte_timeout=0, stall_timeout=0, user=None, bearer=None, headers=(), proxy=None, no_proxy=None, ca_file=None, rate_limit=0, progress=None, events=None, cancel=None)"
)]
pub(crate) fn update(
    py: Python<'_>,
    target: PathBuf,
    index: Given,
    options: Option<Options<'_>>,
) -> PyResult<Statistics> {
    let (call, task) = Task::new(py, target, index, options, "update")?;
    call.run(py, move || task.job()?.run()).map(Statistics::from)
}

/// What a job is made of, until the thread of the call makes it.
struct Task {
    target: PathBuf,
    index: GivenIndex,
    source: Option<Opening>,
    mirrors: Vec<Opening>,
    seeds: Vec<PathBuf>,
    options: JobOptions,
}

impl Task {
    fn new(
        py: Python<'_>,
        target: PathBuf,
        index: Given,
        options: Option<Options<'_>>,
        function: &str,
    ) -> PyResult<(Call, Self)> {
        let keywords = Keywords::new(options);
        let (call, observer) = keywords.watch(py)?;
        let source = keywords.take::<Option<Given>>("source")?.flatten();
        let mirrors = keywords.take::<Sources>("mirrors")?.map(|mirrors| mirrors.0).unwrap_or_default();
        let seeds = keywords.take::<Paths>("seeds")?.map(|seeds| seeds.0).unwrap_or_default();
        let options = keywords.job(&target, observer)?;
        keywords.end(function)?;
        let parallel = options.open.as_ref().map_or(0, |open| open.http.connections);
        let open = |given| -> PyResult<Opening> {
            Opening::new(py, given, parallel, &call)?
                .ok_or_else(|| argument(py, "an Index says what the content is, it cannot be its source"))
        };
        let index = GivenIndex::new(py, index, parallel, &call)?;
        let source = source.map(open).transpose()?;
        let mirrors = mirrors.into_iter().map(open).collect::<PyResult<_>>()?;
        Ok((call, Task { target, index, source, mirrors, seeds, options }))
    }

    fn job(self) -> gosync_binding::Result<Job> {
        let open = self.options.open.clone().unwrap_or_default();
        let index = self.index.open(&open)?;
        let source = self.source.map(|source| source.open(&open)).transpose()?;
        let job = Job::new(&index, source.as_ref(), &self.target, &self.options)?;
        for mirror in self.mirrors {
            job.add_mirror(&mirror.open(&open)?)?;
        }
        for seed in &self.seeds {
            job.add_seed(seed)?;
        }
        Ok(job)
    }
}
