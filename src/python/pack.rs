//! `crate::pack::Pack` as a Python class.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::pack;

#[pyclass(module = "anrl._anrl", frozen)]
pub(super) struct Pack(pub(super) Arc<pack::Pack>);

#[pymethods]
impl Pack {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self(Arc::new(py.allow_threads(|| pack::Pack::open(&path))?)))
    }

    fn get<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.0.get(key.as_bytes())?.map(|bytes| PyBytes::new(py, bytes)))
    }

    /// Every key in order with the length of its value, reserved keys left out.
    fn keys(&self, py: Python<'_>) -> PyResult<Vec<(String, usize)>> {
        let keys = py.allow_threads(|| self.0.keys())?;
        Ok(keys.into_iter().map(|(key, size)| (String::from_utf8_lossy(&key).into_owned(), size)).collect())
    }
}
