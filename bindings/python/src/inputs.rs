//! Arguments: paths, buffers, whole numbers, seconds, and the many things that an index or a source may be given as.

use std::path::PathBuf;

use gosync_binding::Location;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyMemoryView, PyString};

use crate::errors::argument;
use crate::index::Index;

/// Content or an index, as the user gives it.
pub(crate) enum Given {
    Index(Py<Index>),
    Location(Location),
    Bytes(Vec<u8>),
    /// An object with `read_at`.
    Reader(Py<PyAny>),
    /// An object with `async def fetch`.
    Fetcher(Py<PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Given {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = given.py();
        if let Ok(index) = given.cast::<Index>() {
            return Ok(Given::Index(index.to_owned().unbind()));
        }
        if let Ok(text) = given.cast::<PyString>() {
            // Text that is not Unicode is a file name in the file system's own encoding: a path.
            return Ok(Given::Location(match text.to_str() {
                Ok(text) => Location::Text(text.to_owned()),
                Err(_) => Location::Path(given.extract()?),
            }));
        }
        if given.hasattr(intern!(py, "__fspath__"))? {
            return Ok(Given::Location(Location::Path(given.extract()?)));
        }
        if let Some(bytes) = buffer(&given)? {
            return Ok(Given::Bytes(bytes));
        }
        if given.hasattr(intern!(py, "read_at"))? {
            return Ok(Given::Reader(given.to_owned().unbind()));
        }
        if given.hasattr(intern!(py, "fetch"))? {
            return Ok(Given::Fetcher(given.to_owned().unbind()));
        }
        let name = given.get_type().name()?;
        Err(PyTypeError::new_err(format!(
            "expected a path, a URL, a bytes-like object, or an object with read_at or async fetch, not {name}"
        )))
    }
}

/// What an index is built from.
pub(crate) enum Content {
    Path(PathBuf),
    Bytes(Vec<u8>),
}

impl<'py> FromPyObject<'_, 'py> for Content {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match buffer(&given)? {
            Some(bytes) => Ok(Content::Bytes(bytes)),
            None => Ok(Content::Path(given.extract()?)),
        }
    }
}

/// The bytes of an object with the buffer protocol, copied; `None` for any other object.
pub(crate) fn buffer(given: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(Some(bytes.as_bytes().to_vec()));
    }
    let py = given.py();
    match PyMemoryView::from(given) {
        Ok(view) => {
            let bytes = view.call_method0(intern!(py, "tobytes"))?;
            Ok(Some(bytes.cast::<PyBytes>()?.as_bytes().to_vec()))
        }
        Err(error) if error.is_instance_of::<PyTypeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Any number of paths: an iterable, but not one path by mistake.
pub(crate) struct Paths(pub(crate) Vec<PathBuf>);

impl<'py> FromPyObject<'_, 'py> for Paths {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if given.is_instance_of::<PyString>() || given.is_instance_of::<PyBytes>() {
            return Err(PyTypeError::new_err("expected an iterable of paths, not one path"));
        }
        given.try_iter()?.map(|path| path?.extract()).collect::<PyResult<_>>().map(Paths)
    }
}

/// Any number of sources: an iterable, but not one source by mistake.
pub(crate) struct Sources(pub(crate) Vec<Given>);

impl<'py> FromPyObject<'_, 'py> for Sources {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if given.is_instance_of::<PyString>() || buffer(&given)?.is_some() {
            return Err(PyTypeError::new_err("expected an iterable of sources, not one source"));
        }
        given.try_iter()?.map(|source| source?.extract()).collect::<PyResult<_>>().map(Sources)
    }
}

/// Any number of texts: an iterable, but not one text by mistake.
pub(crate) struct Texts(pub(crate) Vec<String>);

impl<'py> FromPyObject<'_, 'py> for Texts {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if given.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("expected an iterable of strings, not one string"));
        }
        given.try_iter()?.map(|text| text?.extract()).collect::<PyResult<_>>().map(Texts)
    }
}

/// A whole number that is not negative; what does not fit is an argument error instead of an OverflowError.
pub(crate) struct Whole<T>(pub(crate) T);

impl<'py, T> FromPyObject<'_, 'py> for Whole<T>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match given.extract::<T>().map_err(Into::<PyErr>::into) {
            Ok(number) => Ok(Whole(number)),
            Err(error) if error.is_instance_of::<PyOverflowError>(given.py()) && given.is_instance_of::<PyInt>() => {
                Err(argument(given.py(), format!("{} is not a number that can be used here", given.str()?)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Seconds, as milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) u32);

impl<'py> FromPyObject<'_, 'py> for Seconds {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        // Zero means the default, so what is shorter than a millisecond is one.
        Ok(Seconds(given.extract::<Milliseconds>()?.0.ceil() as u32))
    }
}

/// Seconds, as milliseconds and fractions of them.
pub(crate) struct Milliseconds(pub(crate) f64);

impl<'py> FromPyObject<'_, 'py> for Milliseconds {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let milliseconds = given.extract::<f64>()? * 1000.0;
        if !(0.0..=f64::from(u32::MAX)).contains(&milliseconds) {
            return Err(argument(
                given.py(),
                format!("{} is not a number of seconds that can be waited", given.str()?),
            ));
        }
        Ok(Milliseconds(milliseconds))
    }
}
