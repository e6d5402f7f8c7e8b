//! Memory of batches, used again once nobody holds it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::ArrayViewMutD;
use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The images of a batch.
pub(super) enum Memory {
    Float(Vec<f32>),
    Bytes(Vec<u8>),
}

/// Memory that nobody holds any more, kept for the next batch: fresh pages cost more than filling them.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Vec<Memory>>);

/// How much memory is kept: what a few batches in flight give back.
const SHELF_ROOM: usize = 4;

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for `len` values, with any content.
    pub(super) fn take(&self, float: bool, len: usize) -> Memory {
        let mut kept = self.kept();
        let fits = |memory: &Memory| match memory {
            Memory::Float(values) => float && values.len() == len,
            Memory::Bytes(values) => !float && values.len() == len,
        };
        match kept.iter().position(fits) {
            Some(at) => kept.swap_remove(at),
            None if float => Memory::Float(vec![0.0; len]),
            None => Memory::Bytes(vec![0; len]),
        }
    }

    fn give(&self, memory: Memory) {
        let mut kept = self.kept();
        if kept.len() == SHELF_ROOM {
            kept.remove(0);
        }
        kept.push(memory);
    }
}

/// Owns the memory of an array, and gives it back to its shelf when the last view of it is gone.
#[pyclass(module = "anrl._anrl", frozen)]
struct Lent {
    memory: Option<Memory>,
    shelf: Arc<Shelf>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.shelf.give(memory);
        }
    }
}

/// Where the values of a [`Memory`] begin.
enum Pointer {
    Float(*mut f32),
    Bytes(*mut u8),
}

impl Memory {
    /// A writeable array over this memory, which returns to `shelf` when the array is gone.
    pub(super) fn into_array<'py>(
        mut self,
        py: Python<'py>,
        shape: &[usize],
        shelf: &Arc<Shelf>,
    ) -> PyResult<Bound<'py, PyUntypedArray>> {
        /// # Safety
        /// `values` are as many as `shape` says, and `owner` keeps them where they are, for the array alone.
        unsafe fn over<'py, T: numpy::Element>(
            values: *mut T,
            shape: &[usize],
            owner: Bound<'py, PyAny>,
        ) -> Bound<'py, PyUntypedArray> {
            // SAFETY: the caller's promise.
            unsafe {
                let view = ArrayViewMutD::from_shape_ptr(shape, values);
                PyArrayDyn::borrow_from_array(&view, owner).as_untyped().clone()
            }
        }
        let (len, values) = match &mut self {
            Self::Float(values) => (values.len(), Pointer::Float(values.as_mut_ptr())),
            Self::Bytes(values) => (values.len(), Pointer::Bytes(values.as_mut_ptr())),
        };
        if len != shape.iter().product::<usize>() {
            return Err(PyValueError::new_err(format!("{len} values are no array of shape {shape:?}")));
        }
        let owner = Bound::new(py, Lent { memory: Some(self), shelf: shelf.clone() })?.into_any();
        // SAFETY: the number was checked; the values lie on the heap, where moving the vector did not move them,
        // and `owner` never touches them before it is dropped.
        Ok(unsafe {
            match values {
                Pointer::Float(values) => over(values, shape, owner),
                Pointer::Bytes(values) => over(values, shape, owner),
            }
        })
    }
}
