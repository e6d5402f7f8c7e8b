//! Errors of the core and of torch as Python exceptions.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::GILOnceCell;
use pyo3::types::{PyDict, PyType};
use pyo3_tch::tch::TchError;

use crate::error::{DataError, InvalidSetting};

impl From<InvalidSetting> for PyErr {
    fn from(error: InvalidSetting) -> Self {
        PyValueError::new_err(error.to_string())
    }
}

impl From<DataError> for PyErr {
    fn from(error: DataError) -> Self {
        Python::with_gil(|py| data_error(py, &error).map_or_else(|failed| failed, Self::from_value))
    }
}

/// The error as an `anrl.errors.DataError`.
pub(super) fn data_error<'py>(py: Python<'py>, error: &DataError) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: GILOnceCell<Py<PyType>> = GILOnceCell::new();
    let place = PyDict::new(py);
    place.set_item("path", &error.path)?;
    place.set_item("key", &error.key)?;
    CLASS.import(py, "anrl.errors", "DataError")?.call((&error.reason,), Some(&place))
}

pub(super) fn torch_error(error: TchError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}
