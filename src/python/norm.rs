//! The kernels of `crate::norm` on torch tensors: contiguous, on the CPU, float32 or float64.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use pyo3_tch::PyTensor;
use pyo3_tch::tch::{Device, Kind, Tensor};

use super::{run, torch_error};
use crate::norm::{self, Float};

/// Checks that the kernels serve `tensor`.
fn check(name: &str, tensor: &Tensor, kind: Kind, shape: &[i64]) -> PyResult<()> {
    if tensor.device() != Device::Cpu || tensor.kind() != kind || !tensor.is_contiguous() {
        return Err(PyValueError::new_err(format!("{name} must be a contiguous CPU tensor of {kind:?}")));
    }
    if tensor.size() != shape {
        return Err(PyValueError::new_err(format!(
            "{name} must have shape {shape:?}, not {:?}",
            tensor.size()
        )));
    }
    Ok(())
}

/// (N, C, …) → ([N, C], values in a plane).
fn planes(x: &Tensor) -> PyResult<([i64; 2], usize)> {
    match x.size().as_slice() {
        [n, c, spatial @ ..] if !spatial.is_empty() && spatial.iter().all(|&s| s > 0) => {
            Ok(([*n, *c], spatial.iter().product::<i64>() as usize))
        }
        size => Err(PyValueError::new_err(format!(
            "expected (N, C, …) with at least one non-empty spatial dimension, got {size:?}"
        ))),
    }
}

/// The values of a tensor that [`check`] let pass.
fn values<T: Float>(tensor: &Tensor) -> &[T] {
    // SAFETY: `check` established kind, device and contiguity; the borrow keeps the storage alive. An empty
    // tensor may have a null pointer, which a slice must not.
    unsafe {
        match tensor.numel() {
            0 => &[],
            n => std::slice::from_raw_parts(tensor.data_ptr().cast(), n),
        }
    }
}

/// The values of a tensor allocated here and not yet seen by anyone else.
fn fresh_values<T: Float>(tensor: &mut Tensor) -> &mut [T] {
    // SAFETY: as in `values`; the exclusive borrow of a tensor without aliases makes the slice exclusive.
    unsafe {
        match tensor.numel() {
            0 => &mut [],
            n => std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), n),
        }
    }
}

fn empty(shape: &[i64], like: &Tensor) -> PyResult<Tensor> {
    Tensor::f_empty(shape, (like.kind(), Device::Cpu)).map_err(torch_error)
}

/// Calls a generic function with the element type of `$x`.
macro_rules! by_kind {
    ($x:expr, $function:ident($($arg:expr),*)) => {
        match $x.kind() {
            Kind::Float => $function::<f32>($($arg),*),
            Kind::Double => $function::<f64>($($arg),*),
            kind => Err(PyValueError::new_err(format!("no kernel for {kind:?}"))),
        }
    };
}

#[pyfunction]
fn instance_moments(py: Python<'_>, x: PyTensor) -> PyResult<(PyTensor, PyTensor)> {
    fn typed<T: Float>(py: Python<'_>, x: &Tensor) -> PyResult<(PyTensor, PyTensor)> {
        let (shape, size) = planes(x)?;
        let (mut mean, mut variance) = (empty(&shape, x)?, empty(&shape, x)?);
        let (m, v) = (fresh_values::<T>(&mut mean), fresh_values::<T>(&mut variance));
        let x = values::<T>(x);
        run(py, x.len(), || norm::instance_moments(x, size, m, v))?;
        Ok((PyTensor(mean), PyTensor(variance)))
    }
    check("x", &x, x.kind(), &x.size())?;
    by_kind!(x, typed(py, &x))
}

#[pyfunction]
fn scale_shift(
    py: Python<'_>,
    x: PyTensor,
    scale: PyTensor,
    shift: PyTensor,
    relu: bool,
) -> PyResult<PyTensor> {
    fn typed<T: Float>(
        py: Python<'_>,
        [x, scale, shift]: [&Tensor; 3],
        size: usize,
        relu: bool,
    ) -> PyResult<PyTensor> {
        let mut y = empty(&x.size(), x)?;
        let out = fresh_values::<T>(&mut y);
        let (x, scale, shift) = (values::<T>(x), values::<T>(scale), values::<T>(shift));
        run(py, x.len(), || norm::scale_shift(x, size, scale, shift, relu, out))?;
        Ok(PyTensor(y))
    }
    let size = check_affine(&x, &scale, &shift)?;
    by_kind!(x, typed(py, [&*x, &*scale, &*shift], size, relu))
}

fn check_affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> PyResult<usize> {
    let (shape, size) = planes(x)?;
    check("x", x, x.kind(), &x.size())?;
    check("scale", scale, x.kind(), &shape)?;
    check("shift", shift, x.kind(), &shape)?;
    Ok(size)
}

type Three = (PyTensor, PyTensor, PyTensor);

#[pyfunction]
fn scale_shift_backward(
    py: Python<'_>,
    dy: PyTensor,
    x: PyTensor,
    scale: PyTensor,
    shift: PyTensor,
    relu: bool,
) -> PyResult<Three> {
    fn typed<T: Float>(
        py: Python<'_>,
        [dy, x, scale, shift]: [&Tensor; 4],
        size: usize,
        relu: bool,
    ) -> PyResult<Three> {
        let mut dx = empty(&x.size(), x)?;
        let (mut dscale, mut dshift) = (empty(&scale.size(), x)?, empty(&scale.size(), x)?);
        let out =
            (fresh_values::<T>(&mut dx), fresh_values::<T>(&mut dscale), fresh_values::<T>(&mut dshift));
        let (dy, x) = (values::<T>(dy), values::<T>(x));
        let (scale, shift) = (values::<T>(scale), values::<T>(shift));
        run(py, x.len(), || {
            norm::scale_shift_backward(dy, x, size, scale, shift, relu, out.0, out.1, out.2);
        })?;
        Ok((PyTensor(dx), PyTensor(dscale), PyTensor(dshift)))
    }
    let size = check_affine(&x, &scale, &shift)?;
    check("dy", &dy, x.kind(), &x.size())?;
    by_kind!(x, typed(py, [&*dy, &*x, &*scale, &*shift], size, relu))
}

#[pyfunction]
fn scale_shift_double_backward(
    py: Python<'_>,
    ddx: PyTensor,
    ddscale: PyTensor,
    ddshift: PyTensor,
    dy: PyTensor,
    x: PyTensor,
    scale: PyTensor,
    shift: PyTensor,
    relu: bool,
) -> PyResult<Three> {
    fn typed<T: Float>(
        py: Python<'_>,
        cotangents: [&Tensor; 3],
        [dy, x, scale, shift]: [&Tensor; 4],
        size: usize,
        relu: bool,
    ) -> PyResult<Three> {
        let (mut to_dy, mut to_x) = (empty(&x.size(), x)?, empty(&x.size(), x)?);
        let mut to_scale = empty(&scale.size(), x)?;
        let out =
            (fresh_values::<T>(&mut to_dy), fresh_values::<T>(&mut to_x), fresh_values::<T>(&mut to_scale));
        let [u, a, b] = cotangents.map(values::<T>);
        let (dy, x) = (values::<T>(dy), values::<T>(x));
        let (scale, shift) = (values::<T>(scale), values::<T>(shift));
        run(py, x.len(), || {
            norm::scale_shift_double_backward(
                (u, a, b),
                dy,
                x,
                size,
                scale,
                shift,
                relu,
                out.0,
                out.1,
                out.2,
            );
        })?;
        Ok((PyTensor(to_dy), PyTensor(to_x), PyTensor(to_scale)))
    }
    let size = check_affine(&x, &scale, &shift)?;
    check("dy", &dy, x.kind(), &x.size())?;
    check("ddx", &ddx, x.kind(), &x.size())?;
    check("ddscale", &ddscale, x.kind(), &scale.size())?;
    check("ddshift", &ddshift, x.kind(), &scale.size())?;
    let cotangents = [&*ddx, &*ddscale, &*ddshift];
    by_kind!(x, typed(py, cotangents, [&*dy, &*x, &*scale, &*shift], size, relu))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(instance_moments, module)?)?;
    module.add_function(wrap_pyfunction!(scale_shift, module)?)?;
    module.add_function(wrap_pyfunction!(scale_shift_backward, module)?)?;
    module.add_function(wrap_pyfunction!(scale_shift_double_backward, module)?)
}
