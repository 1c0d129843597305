//! The keyword arguments that several calls share: each is taken by its name, and what nobody took is refused.
//! What they mean is said in `_native.pyi`.

use std::path::{Path, PathBuf};

use gosync_binding::{HttpOptions, JobOptions, Observer, OpenOptions};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::calls::Call;
use crate::cancel::Cancel;
use crate::inputs::{Milliseconds, Seconds, Texts, Whole};
use crate::watch::{Callback, observer};

/// The keyword arguments of one call that nobody has taken yet.
pub(crate) struct Keywords<'py>(Option<Bound<'py, PyDict>>);

impl<'py> Keywords<'py> {
    /// Those that came in as `**options`.
    pub(crate) fn new(options: Option<Bound<'py, PyDict>>) -> Self {
        Keywords(options)
    }

    /// The argument with this name, if it was given. A wrong type is told with the name, as Python itself does.
    pub(crate) fn take<T: for<'a> FromPyObject<'a, 'py>>(&self, name: &str) -> PyResult<Option<T>> {
        let Some(options) = &self.0 else { return Ok(None) };
        let Some(value) = options.get_item(name)? else { return Ok(None) };
        options.del_item(name)?;
        value.extract::<T>().map(Some).map_err(|error| named(options.py(), name, error.into()))
    }

    /// As [`Keywords::take`], where `None` is the default.
    pub(crate) fn optional<T: for<'a> FromPyObject<'a, 'py>>(&self, name: &str) -> PyResult<Option<T>> {
        self.take::<Option<T>>(name).map(Option::flatten)
    }

    /// A number, where zero is the default.
    fn number<T: Default + for<'a> FromPyObject<'a, 'py>>(&self, name: &str) -> PyResult<T> {
        Ok(self.take::<Whole<T>>(name)?.map(|number| number.0).unwrap_or_default())
    }

    /// A time in seconds as milliseconds, where zero is the default.
    fn milliseconds(&self, name: &str) -> PyResult<u32> {
        Ok(self.take::<Seconds>(name)?.map_or(0, |seconds| seconds.0))
    }

    /// `threads`, which every call that computes has.
    pub(crate) fn threads(&self) -> PyResult<u32> {
        self.number("threads")
    }

    /// `progress`, `events` and `cancel`, which every call has: the call, and who watches it.
    pub(crate) fn watch(&self, py: Python<'py>) -> PyResult<(Call, Observer)> {
        let cancel = self.optional::<Bound<'py, Cancel>>("cancel")?;
        let (progress, events) = (self.optional::<Callback>("progress")?, self.optional::<Callback>("events")?);
        let call = Call::new(py, cancel.as_ref().map(|cancel| &cancel.get().0))?;
        let observer = observer(&call, progress, events);
        Ok((call, observer))
    }

    /// How an index or a source is opened.
    pub(crate) fn open(&self, observer: Observer) -> PyResult<OpenOptions> {
        Ok(OpenOptions {
            max_index_size: self.number("max_index_size")?,
            index_cache: self.optional::<PathBuf>("index_cache")?,
            expect: self.optional("expect")?,
            public_key: self.optional("public_key")?,
            retries: self.optional::<Whole<u32>>("retries")?.map(|retries| retries.0),
            target: None,
            threads: 0,
            assume_rtt_ms: 0.0,
            assume_rate: 0,
            http: HttpOptions {
                connections: self.number("connections")?,
                timeout_ms: self.milliseconds("timeout")?,
                connect_timeout_ms: self.milliseconds("connect_timeout")?,
                first_byte_timeout_ms: self.milliseconds("first_byte_timeout")?,
                stall_timeout_ms: self.milliseconds("stall_timeout")?,
                user: self.optional("user")?,
                bearer: self.optional("bearer")?,
                headers: self.take::<Texts>("headers")?.map(|headers| headers.0).unwrap_or_default(),
                proxy: self.optional("proxy")?,
                no_proxy: self.optional("no_proxy")?,
                ca_file: self.optional::<PathBuf>("ca_file")?,
                rate_limit: self.number("rate_limit")?,
            },
            observer,
        })
    }

    /// How an update of `target` is planned and run. `timeout` and `retries` are for the job and for opening what it needs, whose
    /// progress is a step of the call and not the call's from 0 to 1.
    pub(crate) fn job(&self, target: &Path, observer: Observer) -> PyResult<JobOptions> {
        let open = OpenOptions {
            target: Some(target.to_owned()),
            threads: self.threads()?,
            assume_rtt_ms: self.take::<Milliseconds>("assume_rtt")?.map_or(0.0, |time| time.0),
            assume_rate: self.number("assume_rate")?,
            ..self.open(observer.without_progress())?
        };
        Ok(JobOptions {
            threads: open.threads,
            max_requests: self.number("max_requests")?,
            max_bytes_in_flight: self.number("max_bytes_in_flight")?,
            retries: open.retries,
            timeout_ms: open.http.timeout_ms,
            max_gap: self.number("max_gap")?,
            assume_rtt_ms: open.assume_rtt_ms,
            assume_rate: open.assume_rate,
            ignore_target: self.take("ignore_target")?.unwrap_or(false),
            allow_any_source: self.take("allow_any_source")?.unwrap_or(false),
            thorough: self.take("thorough")?.unwrap_or(false),
            replace_timeout_ms: self.milliseconds("replace_timeout")?,
            move_aside: self.take("move_aside")?.unwrap_or(false),
            keep: self.optional("keep")?,
            refuse_symlink: self.take("refuse_symlink")?.unwrap_or(false),
            in_place: self.take("in_place")?.unwrap_or(false),
            quick: self.take("quick")?.unwrap_or(false),
            delete: self.take("delete")?.unwrap_or(false),
            journal: self.optional::<PathBuf>("journal")?,
            open: Some(open),
            observer,
        })
    }

    /// Refuses what is left.
    pub(crate) fn end(self, function: &str) -> PyResult<()> {
        let Some(name) = self.0.and_then(|options| options.keys().iter().next()) else { return Ok(()) };
        let name = name.cast::<PyString>()?.to_string();
        Err(PyTypeError::new_err(format!("{function}() got an unexpected keyword argument '{name}'")))
    }
}

fn named(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyTypeError>(py) {
        return error;
    }
    let named = PyTypeError::new_err(format!("argument '{name}': {}", error.value(py)));
    named.set_cause(py, error.cause(py));
    named
}
