//! `crate::pack::PackWriter` as a Python class.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::pack;

#[pyclass(module = "anrl._anrl", frozen)]
pub(super) struct PackWriter(Mutex<Option<pack::PackWriter>>);

impl PackWriter {
    fn writer(&self) -> MutexGuard<'_, Option<pack::PackWriter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finished() -> PyErr {
    PyValueError::new_err("the pack is finished")
}

#[pymethods]
impl PackWriter {
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        Ok(Self(Mutex::new(Some(pack::PackWriter::create(&path)?))))
    }

    fn put(&self, py: Python<'_>, key: &str, value: &[u8]) -> PyResult<()> {
        let put = || self.writer().as_mut().map(|writer| writer.put(key.as_bytes(), value));
        Ok(py.allow_threads(put).ok_or_else(finished)??)
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let finish = || self.writer().take().map(pack::PackWriter::finish);
        Ok(py.allow_threads(finish).ok_or_else(finished)??)
    }
}
