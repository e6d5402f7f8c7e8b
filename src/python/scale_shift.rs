//! The passes over memory of `crate::adaptive_norm` on torch tensors on the CPU: float32, float64, bfloat16 and
//! float16, contiguous or with the channels last. Coefficients and statistics are (N, C), in float32 for the half types.

use pyo3::prelude::*;
use pyo3::types::PyModule;
use pyo3_tch::PyTensor;
use pyo3_tch::tch::Tensor;

use super::run;
use super::tensors::{Batch, by_kind, fresh, values};
use crate::adaptive_norm;
use crate::dtype::Element;

#[pyfunction]
fn instance_moments(py: Python<'_>, x: PyTensor) -> PyResult<(PyTensor, PyTensor)> {
    fn typed<E: Element>(py: Python<'_>, batch: &Batch<'_>) -> PyResult<(PyTensor, PyTensor)> {
        let (mut mean, mut variance) = (batch.per_plane()?, batch.per_plane()?);
        let (m, v) = (fresh(&mut mean), fresh(&mut variance));
        let (x, shape) = (values::<E>(batch.x), batch.shape);
        run(py, x.len(), || adaptive_norm::instance_moments(x, shape, m, v))?;
        Ok((PyTensor(mean), PyTensor(variance)))
    }
    by_kind!(x, typed(py, &Batch::of(&x)?))
}

#[pyfunction]
fn scale_shift(
    py: Python<'_>,
    x: PyTensor,
    scale: PyTensor,
    shift: PyTensor,
    relu: bool,
) -> PyResult<PyTensor> {
    fn typed<E: Element>(
        py: Python<'_>,
        batch: &Batch<'_>,
        [scale, shift]: [&Tensor; 2],
        relu: bool,
    ) -> PyResult<PyTensor> {
        let mut y = batch.like()?;
        let (x, shape, out) = (values::<E>(batch.x), batch.shape, fresh(&mut y));
        let (scale, shift) = (values(scale), values(shift));
        run(py, x.len(), || adaptive_norm::scale_shift(x, shape, scale, shift, relu, out))?;
        Ok(PyTensor(y))
    }
    let batch = Batch::of(&x)?;
    batch.coefficients("scale", &scale)?;
    batch.coefficients("shift", &shift)?;
    by_kind!(x, typed(py, &batch, [&scale, &shift], relu))
}

#[pyfunction]
fn scale_shift_sums(
    py: Python<'_>,
    dy: PyTensor,
    x: PyTensor,
    scale: PyTensor,
    shift: PyTensor,
    relu: bool,
) -> PyResult<(PyTensor, PyTensor)> {
    fn typed<E: Element>(
        py: Python<'_>,
        batch: &Batch<'_>,
        [dy, scale, shift]: [&Tensor; 3],
        relu: bool,
    ) -> PyResult<(PyTensor, PyTensor)> {
        let (mut dshift, mut dscale) = (batch.per_plane()?, batch.per_plane()?);
        let (b, a) = (fresh(&mut dshift), fresh(&mut dscale));
        let (dy, x, shape) = (values::<E>(dy), values::<E>(batch.x), batch.shape);
        let (scale, shift) = (values(scale), values(shift));
        run(py, x.len(), || adaptive_norm::scale_shift_sums(dy, x, shape, scale, shift, relu, b, a))?;
        Ok((PyTensor(dshift), PyTensor(dscale)))
    }
    let batch = Batch::of(&x)?;
    batch.same("dy", &dy)?;
    batch.coefficients("scale", &scale)?;
    batch.coefficients("shift", &shift)?;
    by_kind!(x, typed(py, &batch, [&dy, &scale, &shift], relu))
}

#[pyfunction]
fn scale_shift_gradient(
    py: Python<'_>,
    dy: PyTensor,
    x: PyTensor,
    coefficients: [PyTensor; 4],
    relu: bool,
) -> PyResult<PyTensor> {
    fn typed<E: Element>(
        py: Python<'_>,
        batch: &Batch<'_>,
        dy: &Tensor,
        coefficients: &[PyTensor; 4],
        relu: bool,
    ) -> PyResult<PyTensor> {
        let mut dx = batch.like()?;
        let (dy, x, shape, out) = (values::<E>(dy), values::<E>(batch.x), batch.shape, fresh(&mut dx));
        let four = coefficients.each_ref().map(|tensor| values(tensor));
        run(py, x.len(), || adaptive_norm::scale_shift_gradient(dy, x, shape, four, relu, out))?;
        Ok(PyTensor(dx))
    }
    let batch = Batch::of(&x)?;
    batch.same("dy", &dy)?;
    for tensor in &coefficients {
        batch.coefficients("a coefficient", tensor)?;
    }
    by_kind!(x, typed(py, &batch, &dy, &coefficients, relu))
}

#[pyfunction]
fn scale_shift_double_sums(
    py: Python<'_>,
    ddx: PyTensor,
    dy: PyTensor,
    x: PyTensor,
    scale: PyTensor,
    shift: PyTensor,
    relu: bool,
) -> PyResult<(PyTensor, PyTensor, PyTensor)> {
    fn typed<E: Element>(
        py: Python<'_>,
        batch: &Batch<'_>,
        [ddx, dy, scale, shift]: [&Tensor; 4],
        relu: bool,
    ) -> PyResult<(PyTensor, PyTensor, PyTensor)> {
        let (mut passed, mut with_x, mut plain) =
            (batch.per_plane()?, batch.per_plane()?, batch.per_plane()?);
        let out = [fresh(&mut passed), fresh(&mut with_x), fresh(&mut plain)];
        let (u, dy, x, shape) = (values::<E>(ddx), values::<E>(dy), values::<E>(batch.x), batch.shape);
        let (scale, shift) = (values(scale), values(shift));
        run(py, x.len(), || {
            adaptive_norm::scale_shift_double_sums(u, dy, x, shape, scale, shift, relu, out)
        })?;
        Ok((PyTensor(passed), PyTensor(with_x), PyTensor(plain)))
    }
    let batch = Batch::of(&x)?;
    batch.same("ddx", &ddx)?;
    batch.same("dy", &dy)?;
    batch.coefficients("scale", &scale)?;
    batch.coefficients("shift", &shift)?;
    by_kind!(x, typed(py, &batch, [&ddx, &dy, &scale, &shift], relu))
}

#[pyfunction]
fn scale_shift_double_gradient(
    py: Python<'_>,
    ddx: PyTensor,
    dy: PyTensor,
    x: PyTensor,
    coefficients: [PyTensor; 7],
    relu: bool,
) -> PyResult<(PyTensor, PyTensor)> {
    fn typed<E: Element>(
        py: Python<'_>,
        batch: &Batch<'_>,
        [ddx, dy]: [&Tensor; 2],
        coefficients: &[PyTensor; 7],
        relu: bool,
    ) -> PyResult<(PyTensor, PyTensor)> {
        let (mut to_dy, mut to_x) = (batch.like()?, batch.like()?);
        let (a, b) = (fresh(&mut to_dy), fresh(&mut to_x));
        let (u, dy, x, shape) = (values::<E>(ddx), values::<E>(dy), values::<E>(batch.x), batch.shape);
        let seven = coefficients.each_ref().map(|tensor| values(tensor));
        run(py, x.len(), || adaptive_norm::scale_shift_double_gradient(u, dy, x, shape, seven, relu, a, b))?;
        Ok((PyTensor(to_dy), PyTensor(to_x)))
    }
    let batch = Batch::of(&x)?;
    batch.same("ddx", &ddx)?;
    batch.same("dy", &dy)?;
    for tensor in &coefficients {
        batch.coefficients("a coefficient", tensor)?;
    }
    by_kind!(x, typed(py, &batch, [&ddx, &dy], &coefficients, relu))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(instance_moments, module)?)?;
    module.add_function(wrap_pyfunction!(scale_shift, module)?)?;
    module.add_function(wrap_pyfunction!(scale_shift_sums, module)?)?;
    module.add_function(wrap_pyfunction!(scale_shift_gradient, module)?)?;
    module.add_function(wrap_pyfunction!(scale_shift_double_sums, module)?)?;
    module.add_function(wrap_pyfunction!(scale_shift_double_gradient, module)?)
}
