//! torch tensors on the CPU as slices.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_tch::PyTensor;
use pyo3_tch::tch::{self, Device, Kind, Tensor};

use super::error::torch_error;
use crate::adaptive_norm::Shape;
use crate::dtype::Real;

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
    pub(super) fn per_plane(&self) -> PyResult<Tensor> {
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

/// Whether the strides are those of channels-last; that of a dimension of size 1 is arbitrary.
fn is_channels_last(tensor: &Tensor) -> bool {
    let sizes = tensor.size();
    let expected = channels_last_strides(&sizes);
    tensor
        .stride()
        .iter()
        .zip(&expected)
        .zip(&sizes)
        .all(|((stride, want), &size)| size == 1 || stride == want)
}

pub(super) fn compute_kind(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

/// The values of a tensor whose kind and layout are checked: by [`Batch`], or since it is [`prepared`].
pub(super) fn values<T>(tensor: &Tensor) -> &[T] {
    if tensor.numel() == 0 {
        return &[];
    }
    // SAFETY: the checks established kind, device and a dense layout without gaps, and that there are values;
    // the borrow keeps the storage alive.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The values of a tensor allocated here and not yet seen by anyone else.
pub(super) fn fresh<T>(tensor: &mut Tensor) -> &mut [T] {
    // SAFETY: as in `values`; the exclusive borrow of a tensor without aliases makes the slice exclusive.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The number type of coefficients, which tensors can be made of.
pub(super) trait Coefficient: Real + tch::kind::Element {}
impl<T: Real + tch::kind::Element> Coefficient for T {}

/// Contiguous tensors of the type of coefficients, on the CPU.
pub(super) fn prepared(tensors: &[PyTensor], kind: Kind) -> PyResult<Vec<Tensor>> {
    let prepare = |tensor: &PyTensor| {
        if tensor.device() != Device::Cpu {
            return Err(PyValueError::new_err("expected all tensors on the CPU, like x"));
        }
        let tensor = if tensor.kind() == kind { tensor.f_detach() } else { tensor.f_to_kind(kind) };
        tensor.and_then(|tensor| tensor.f_contiguous()).map_err(torch_error)
    };
    tensors.iter().map(prepare).collect()
}

/// A new tensor of these values.
pub(super) fn tensor<T: Coefficient>(values: &[T], shape: &[i64]) -> PyResult<PyTensor> {
    Tensor::f_from_slice(values).and_then(|t| t.f_view(shape)).map(PyTensor).map_err(torch_error)
}

/// Calls a generic function with the element type of `$x`: any that has kernels, or one of those given.
macro_rules! by_kind {
    ($x:expr, $function:ident $arguments:tt) => {
        by_kind!(
            $x,
            [Float f32, Double f64, BFloat16 $crate::dtype::Bf16, Half $crate::dtype::F16],
            $function $arguments
        )
    };
    ($x:expr, [$($kind:ident $type:ty),*], $function:ident $arguments:tt) => {
        match $x.kind() {
            $(pyo3_tch::tch::Kind::$kind => $function::<$type> $arguments,)*
            kind => Err(pyo3::exceptions::PyValueError::new_err(format!("there is no kernel for {kind:?}"))),
        }
    };
}
pub(super) use by_kind;
