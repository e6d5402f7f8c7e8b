//! The extension module `anrl._anrl`: argument checks, the GIL, tensors in and out. No mathematics.
//! Its Python signatures are in `python/anrl/_anrl.pyi`.

mod calibration;
mod data;
mod layer;
mod norm;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_tch::tch;

/// Runs `work` without the GIL, on as many threads as torch uses if there are `values` enough to be worth it.
fn run<R: Send>(py: Python<'_>, values: usize, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    if values < crate::threads::PARALLEL_FROM {
        return Ok(py.allow_threads(work));
    }
    run_on(py, usize::try_from(tch::get_num_threads()).unwrap_or(1), work)
}

/// Runs `work` without the GIL on so many threads.
fn run_on<R: Send>(py: Python<'_>, threads: usize, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    let pool = crate::threads::pool(threads)
        .map_err(|e| PyRuntimeError::new_err(format!("cannot start {threads} threads: {e}")))?;
    Ok(py.allow_threads(|| pool.install(work)))
}

fn torch_error(error: tch::TchError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

#[pyfunction]
fn vector_unit() -> &'static str {
    crate::vector::unit().name()
}

#[pymodule]
fn _anrl(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(vector_unit, module)?)?;
    calibration::register(module)?;
    norm::register(module)?;
    module.add_class::<layer::AdaptiveNorm>()?;
    data::register(module)
}
