//! Sources that the user implements: `read_at` by threads of the library, `async def fetch` by the driver in `_async.py`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gosync_binding::{ErrorSlot, ForeignError, ForeignRead, ForeignSource, Kind, OpenOptions, Source, Supply};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use crate::calls::Call;
use crate::errors::{raise, source_failure};
use crate::inputs::{Given, buffer};

/// Something that becomes a source on the thread of the call, because opening may block.
pub(crate) enum Opening {
    Location(gosync_binding::Location),
    Bytes(Vec<u8>),
    Made(Source),
}

impl Opening {
    /// Takes what the user gave; `None` if that is an `Index`. At most `parallel` (0 means 4) reads at the same time.
    pub(crate) fn new(py: Python<'_>, given: Given, parallel: u32, call: &Call) -> PyResult<Option<Self>> {
        let slot = call.slot.clone();
        Ok(Some(match given {
            Given::Index(_) => return Ok(None),
            Given::Location(location) => Opening::Location(location),
            Given::Bytes(bytes) => Opening::Bytes(bytes),
            Given::Reader(object) => {
                let description = describe(object.bind(py));
                let reader = Reader { object, slot, description };
                Opening::Made(Source::from_foreign_read(reader, parallel).map_err(|error| raise(py, error))?)
            }
            Given::Fetcher(object) => {
                let description = describe(object.bind(py));
                let driver = py
                    .import(intern!(py, "gosync._async"))?
                    .getattr(intern!(py, "Driver"))?
                    .call1((object, parallel))?;
                let fetcher = Fetcher { driver: driver.unbind(), slot, description };
                Opening::Made(Source::from_foreign(fetcher).map_err(|error| raise(py, error))?)
            }
        }))
    }

    /// Opens it.
    pub(crate) fn open(self, options: &OpenOptions) -> gosync_binding::Result<Source> {
        match self {
            Opening::Location(location) => Source::open(&location, options),
            Opening::Bytes(bytes) => Source::from_memory(&bytes),
            Opening::Made(source) => Ok(source),
        }
    }
}

fn describe(object: &Bound<'_, PyAny>) -> String {
    object.get_type().qualname().map_or_else(|_| String::from("source"), |name| name.to_string())
}

/// Why nothing can be asked of Python any more.
fn shut_down() -> ForeignError {
    ForeignError { kind: Kind::CANCELLED, message: String::from("the interpreter is shutting down") }
}

/// Keeps an exception of the source for the error of the call.
fn keep(py: Python<'_>, slot: &ErrorSlot, raised: PyErr) -> ForeignError {
    let failure = source_failure(py, &raised);
    slot.source_failed(failure.clone(), Box::new(raised));
    failure
}

/// An object with `read_at`.
struct Reader {
    object: Py<PyAny>,
    slot: ErrorSlot,
    description: String,
}

impl Reader {
    fn read(&self, py: Python<'_>, offset: u64, into: &mut [u8]) -> PyResult<usize> {
        let data = self.object.bind(py).call_method1(intern!(py, "read_at"), (offset, into.len()))?;
        let bytes = bytes_like(&data, "read_at")?;
        let Some(place) = into.get_mut(..bytes.len()) else {
            let message = format!("read_at returned {} bytes when asked for {}", bytes.len(), into.len());
            return Err(PyValueError::new_err(message));
        };
        place.copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl ForeignRead for Reader {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, ForeignError> {
        Python::try_attach(|py| self.read(py, offset, into).map_err(|raised| keep(py, &self.slot, raised)))
            .unwrap_or_else(|| Err(shut_down()))
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

fn bytes_like(data: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<u8>> {
    match buffer(data)? {
        Some(bytes) => Ok(bytes),
        None => Err(PyTypeError::new_err(format!(
            "{what} must return a bytes-like object, not {}",
            data.get_type().name()?
        ))),
    }
}

/// An object with `async def fetch`, and the driver that awaits it.
struct Fetcher {
    driver: Py<PyAny>,
    slot: ErrorSlot,
    description: String,
}

impl ForeignSource for Fetcher {
    fn fetch(&self, request: gosync_binding::Request) {
        // A request that the driver does not get is dropped, which answers it.
        Python::try_attach(|py| {
            let (id, ranges) = (request.id(), request.ranges());
            let request = Request { id, ranges, open: Mutex::new(Some(request)), slot: self.slot.clone() };
            if let Err(raised) = self.driver.call_method1(py, intern!(py, "fetch"), (request,)) {
                keep(py, &self.slot, raised);
            }
        });
    }

    fn cancel(&self, id: u64) {
        Python::try_attach(|py| {
            if let Err(raised) = self.driver.call_method1(py, intern!(py, "cancel"), (id,)) {
                keep(py, &self.slot, raised);
            }
        });
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        Python::try_attach(|py| {
            if let Err(raised) = self.driver.call_method0(py, intern!(py, "close")) {
                raised.write_unraisable(py, Some(self.driver.bind(py)));
            }
        });
    }
}

/// A batch of ranges that an async source has to answer; used by `gosync._async` only.
#[pyclass(frozen, module = "gosync._native")]
pub(crate) struct Request {
    #[pyo3(get)]
    id: u64,
    /// Offset and length of what is asked for; no length means up to the end of the content.
    #[pyo3(get)]
    ranges: Vec<(u64, Option<u64>)>,
    // Locked only while detached from the interpreter: what the library does meanwhile may call back into Python.
    open: Mutex<Option<gosync_binding::Request>>,
    slot: ErrorSlot,
}

impl Request {
    fn lock(&self) -> MutexGuard<'_, Option<gosync_binding::Request>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Request {
    /// Hands over bytes at `offset`. False: there is no room yet, offer them again later.
    fn supply(&self, py: Python<'_>, offset: u64, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bytes = bytes_like(data, "fetch")?;
        let supplied = py.detach(|| self.lock().as_ref().map(|request| request.supply(offset, &bytes)));
        match supplied {
            Some(Ok(supplied)) => Ok(supplied != Supply::Again),
            Some(Err(error)) => Err(raise(py, error)),
            // Bytes for a request that is over are gone, like those that nobody wants any more.
            None => Ok(true),
        }
    }

    /// Ends the request, well or with an exception. Once.
    fn finish(&self, py: Python<'_>, error: Option<Bound<'_, PyAny>>) {
        let result = match error {
            None => Ok(()),
            Some(error) => Err(keep(py, &self.slot, PyErr::from_value(error))),
        };
        py.detach(|| {
            let request = self.lock().take();
            // Outside the lock: finishing may drop the source, which calls back into Python.
            if let Some(request) = request {
                request.finish(result);
            }
        });
    }
}
