//! The samples of one domain: rows of the columns of an index, in numpy arrays. Their bytes are looked up when they
//! are wanted.

use std::sync::Arc;

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

use super::pack::Pack;
use crate::error::DataError;
use crate::pack;
use crate::pack::index::{Index, Record, Texts};

/// The arrays of [`Texts`].
type TextArrays = (Py<PyArray1<u8>>, Py<PyArray1<i64>>, Py<PyArray1<i32>>);

#[pyclass(module = "anrl._anrl", frozen)]
pub(super) struct Samples {
    pub(super) pack: Arc<pack::Pack>,
    paths: TextArrays,
    depths: TextArrays,
    labels: Py<PyArray1<u8>>,
    landmarks: Py<PyArray2<f32>>,
    rows: Py<PyArray1<i64>>,
}

type BorrowedTexts<'py> = (PyReadonlyArray1<'py, u8>, PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i32>);

fn borrow<'py>(py: Python<'py>, (blob, ends, codes): &TextArrays) -> PyResult<BorrowedTexts<'py>> {
    Ok((blob.bind(py).try_readonly()?, ends.bind(py).try_readonly()?, codes.bind(py).try_readonly()?))
}

fn texts<'a>((blob, ends, codes): &'a BorrowedTexts<'_>) -> PyResult<Texts<'a>> {
    Ok(Texts { blob: blob.as_slice()?, ends: ends.as_slice()?, codes: codes.as_slice()? })
}

impl Samples {
    fn len(&self, py: Python<'_>) -> usize {
        self.rows.bind(py).len()
    }

    /// The samples at these indices, in their order.
    pub(super) fn records(
        &self,
        py: Python<'_>,
        indices: impl Iterator<Item = usize>,
    ) -> PyResult<Vec<Record>> {
        let (paths, depths) = (borrow(py, &self.paths)?, borrow(py, &self.depths)?);
        let labels = self.labels.bind(py).try_readonly()?;
        let landmarks = self.landmarks.bind(py).try_readonly()?;
        let rows = self.rows.bind(py).try_readonly()?;
        let (rows, labels, landmarks) = (rows.as_slice()?, labels.as_slice()?, landmarks.as_slice()?);
        let index = Index { paths: texts(&paths)?, depths: texts(&depths)?, labels, landmarks };
        let record = |at: usize| {
            let outside = || PyIndexError::new_err(format!("a domain has {} samples, not {at}", rows.len()));
            let row = rows.get(at).ok_or_else(outside)?;
            let damaged =
                || DataError::of_pack(self.pack.path(), "its index is damaged; pack the files again");
            let record = usize::try_from(*row).ok().and_then(|row| index.record(row));
            Ok(record.ok_or_else(damaged)?)
        };
        indices.map(record).collect()
    }
}

#[pymethods]
impl Samples {
    #[new]
    fn new(
        pack: &Pack,
        paths: TextArrays,
        depths: TextArrays,
        labels: Py<PyArray1<u8>>,
        landmarks: Py<PyArray2<f32>>,
        rows: Py<PyArray1<i64>>,
    ) -> Self {
        Self { pack: pack.0.clone(), paths, depths, labels, landmarks, rows }
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.len(py)
    }

    /// Looks every sample up, so that a missing one is reported now.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        for record in self.records(py, 0..self.len(py))? {
            record.read(&self.pack).map_err(|error| error.in_sample(self.pack.path(), &record.key))?;
        }
        Ok(())
    }
}
