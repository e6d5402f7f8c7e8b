//! The extension module `anrl._anrl`: argument checks, the GIL, tensors in and out. No mathematics.
//! Its Python signatures are in `python/anrl/_anrl.pyi`.

mod adaptive_norm;
mod buffers;
mod center_distance;
mod error;
mod face;
mod image;
mod pack;
mod pack_writer;
mod samples;
mod scale_shift;
mod settings;
mod tensors;
mod transform;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_tch::tch;

/// Runs `work` without the GIL, on as many threads as torch uses if there are `values` enough to be worth it.
fn run<R: Send>(py: Python<'_>, values: usize, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    if values < crate::thread_pool::PARALLEL_FROM {
        return Ok(py.allow_threads(work));
    }
    run_on(py, usize::try_from(tch::get_num_threads()).unwrap_or(1), work)
}

/// Runs `work` without the GIL on this many threads.
fn run_on<R: Send>(py: Python<'_>, num_threads: usize, work: impl FnOnce() -> R + Send) -> PyResult<R> {
    let pool = crate::thread_pool::pool(num_threads)
        .map_err(|e| PyRuntimeError::new_err(format!("cannot start {num_threads} threads: {e}")))?;
    Ok(py.allow_threads(|| pool.install(work)))
}

#[pyfunction]
fn vector_unit() -> &'static str {
    crate::simd::unit().name()
}

#[pymodule]
fn _anrl(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MAX_KEY", crate::pack::MAX_KEY)?;
    module.add_function(wrap_pyfunction!(vector_unit, module)?)?;
    module.add_class::<adaptive_norm::AdaptiveNorm>()?;
    scale_shift::register(module)?;
    center_distance::register(module)?;
    face::register(module)?;
    module.add_class::<pack::Pack>()?;
    module.add_class::<pack_writer::PackWriter>()?;
    module.add_class::<samples::Samples>()?;
    module.add_class::<transform::Transform>()?;
    image::register(module)
}
