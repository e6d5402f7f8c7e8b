//! The kernels of `crate::norm` on torch tensors on the CPU: float32, float64, bfloat16 and float16, contiguous
//! or with the channels last. Coefficients and statistics are (N, C), in float32 for the half types.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use pyo3_tch::PyTensor;
use pyo3_tch::tch::{Device, Kind, Tensor};

use super::{run, torch_error};
use crate::element::{Bf16, Element, F16};
use crate::norm::{self, Shape};

/// A batch that the kernels serve, and what its companions must look like.
pub(super) struct Batch<'a> {
    pub(super) x: &'a Tensor,
    pub(super) shape: Shape,
}

impl<'a> Batch<'a> {
    pub(super) fn of(x: &'a Tensor) -> PyResult<Self> {
        let sizes = x.size();
        let [batch, channels, spatial @ ..] = sizes.as_slice() else {
            return Err(PyValueError::new_err(format!("expected (N, C, …), got {sizes:?}")));
        };
        if spatial.is_empty() || sizes.contains(&0) || x.device() != Device::Cpu {
            return Err(PyValueError::new_err(format!(
                "expected a CPU tensor (N, C, …) without empty dimensions, got {sizes:?}"
            )));
        }
        let channels_last = !x.is_contiguous();
        if channels_last && !is_channels_last(x) {
            return Err(PyValueError::new_err(format!(
                "expected a contiguous or channels-last tensor, got strides {:?}",
                x.stride()
            )));
        }
        let size = spatial.iter().product::<i64>() as usize;
        let shape = Shape { batch: *batch as usize, channels: *channels as usize, size, channels_last };
        Ok(Self { x, shape })
    }

    /// Checks that `tensor` is laid out like x.
    pub(super) fn same(&self, name: &str, tensor: &Tensor) -> PyResult<()> {
        let dense = if self.shape.channels_last { is_channels_last(tensor) } else { tensor.is_contiguous() };
        if tensor.device() != Device::Cpu
            || tensor.kind() != self.x.kind()
            || tensor.size() != self.x.size()
            || !dense
        {
            return Err(PyValueError::new_err(format!("{name} must be laid out like x")));
        }
        Ok(())
    }

    /// Checks that `tensor` holds one coefficient for each plane.
    pub(super) fn coefficients(&self, name: &str, tensor: &Tensor) -> PyResult<()> {
        let shape = [self.shape.batch as i64, self.shape.channels as i64];
        if tensor.device() != Device::Cpu
            || tensor.kind() != compute_kind(self.x.kind())
            || tensor.size() != shape
            || !tensor.is_contiguous()
        {
            return Err(PyValueError::new_err(format!(
                "{name} must be a contiguous {:?} tensor of shape {shape:?}",
                compute_kind(self.x.kind())
            )));
        }
        Ok(())
    }

    /// A new tensor laid out like x.
    pub(super) fn like(&self) -> PyResult<Tensor> {
        let (sizes, options) = (self.x.size(), (self.x.kind(), Device::Cpu));
        if self.shape.channels_last {
            Tensor::f_empty_strided(&sizes, channels_last_strides(&sizes), options).map_err(torch_error)
        } else {
            Tensor::f_empty(&sizes, options).map_err(torch_error)
        }
    }

    /// A new tensor with one value for each plane.
    fn per_plane(&self) -> PyResult<Tensor> {
        let shape = [self.shape.batch as i64, self.shape.channels as i64];
        Tensor::f_empty(shape, (compute_kind(self.x.kind()), Device::Cpu)).map_err(torch_error)
    }
}

fn channels_last_strides(sizes: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; sizes.len()];
    let mut step = sizes[1];
    for dimension in (2..sizes.len()).rev() {
        strides[dimension] = step;
        step *= sizes[dimension];
    }
    strides[0] = step;
    strides
}

/// Whether the strides are those of channels-last; that of a dimension of size 1 says nothing.
fn is_channels_last(tensor: &Tensor) -> bool {
    let sizes = tensor.size();
    let expected = channels_last_strides(&sizes);
    tensor.stride().iter().zip(&expected).zip(&sizes).all(|((found, want), &size)| size == 1 || found == want)
}

pub(super) fn compute_kind(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

/// The values of a tensor that [`Batch`] has checked.
pub(super) fn values<T>(tensor: &Tensor) -> &[T] {
    // SAFETY: the checks established kind, device and a dense layout without gaps, and that there are values;
    // the borrow keeps the storage alive.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The values of a tensor allocated here and not yet seen by anyone else.
pub(super) fn fresh<T>(tensor: &mut Tensor) -> &mut [T] {
    // SAFETY: as in `values`; the exclusive borrow of a tensor without aliases makes the slice exclusive.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// Calls a generic function with the element type of `$x`.
macro_rules! by_kind {
    ($x:expr, $function:ident($($arg:expr),* $(,)?)) => {
        match $x.kind() {
            Kind::Float => $function::<f32>($($arg),*),
            Kind::Double => $function::<f64>($($arg),*),
            Kind::BFloat16 => $function::<Bf16>($($arg),*),
            Kind::Half => $function::<F16>($($arg),*),
            kind => Err(PyValueError::new_err(format!("there is no kernel for {kind:?}"))),
        }
    };
}
pub(super) use by_kind;

#[pyfunction]
fn instance_moments(py: Python<'_>, x: PyTensor) -> PyResult<(PyTensor, PyTensor)> {
    fn typed<E: Element>(py: Python<'_>, batch: &Batch<'_>) -> PyResult<(PyTensor, PyTensor)> {
        let (mut mean, mut variance) = (batch.per_plane()?, batch.per_plane()?);
        let (m, v) = (fresh(&mut mean), fresh(&mut variance));
        let (x, shape) = (values::<E>(batch.x), batch.shape);
        run(py, x.len(), || norm::instance_moments(x, shape, m, v))?;
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
        run(py, x.len(), || norm::scale_shift(x, shape, scale, shift, relu, out))?;
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
        run(py, x.len(), || norm::scale_shift_sums(dy, x, shape, scale, shift, relu, b, a))?;
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
        run(py, x.len(), || norm::scale_shift_gradient(dy, x, shape, four, relu, out))?;
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
        run(py, x.len(), || norm::scale_shift_double_sums(u, dy, x, shape, scale, shift, relu, out))?;
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
        run(py, x.len(), || norm::scale_shift_double_gradient(u, dy, x, shape, seven, relu, a, b))?;
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
