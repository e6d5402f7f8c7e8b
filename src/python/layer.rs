//! `crate::norm::Layer` on torch tensors on the CPU.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_tch::PyTensor;
use pyo3_tch::tch::{self, Device, Kind, Tensor};

use super::norm::{Batch, by_kind, compute_kind, fresh, values};
use super::{run, torch_error};
use crate::element::{Bf16, Element, F16, Real};
use crate::norm::{Form, Layer};

/// The layer's settings; the methods take x and the parameters: weight, bias, instance weight, instance bias,
/// running mean and variance if `running`, and the gate's.
#[pyclass(frozen, module = "anrl._anrl")]
pub(super) struct AdaptiveNorm {
    form: Form,
    running: bool,
    eps: f64,
    relu: bool,
}

/// The number type of coefficients, which tensors can be made of.
trait Coefficient: Real + tch::kind::Element {}
impl<T: Real + tch::kind::Element> Coefficient for T {}

/// Contiguous tensors of the type of coefficients, on the CPU.
fn prepared(tensors: &[PyTensor], kind: Kind) -> PyResult<Vec<Tensor>> {
    let prepare = |tensor: &PyTensor| {
        if tensor.device() != Device::Cpu {
            return Err(PyValueError::new_err("expected all tensors on the CPU, like x"));
        }
        let tensor = if tensor.kind() == kind { tensor.f_detach() } else { tensor.f_to_kind(kind) };
        tensor.and_then(|tensor| tensor.f_contiguous()).map_err(torch_error)
    };
    tensors.iter().map(prepare).collect()
}

fn tensor<T: Coefficient>(data: &[T], shape: &[i64]) -> PyResult<PyTensor> {
    Tensor::f_from_slice(data).and_then(|t| t.f_view(shape)).map(PyTensor).map_err(torch_error)
}

/// Gradients as tensors of the shapes of `like`.
fn tensors<T: Coefficient>(data: &[Vec<T>], like: &[Tensor]) -> PyResult<Vec<PyTensor>> {
    data.iter().zip(like).map(|(data, like)| tensor(data, &like.size())).collect()
}

impl AdaptiveNorm {
    fn layer<'a, T>(&self, parameters: &'a [Tensor]) -> Layer<'a, T> {
        let parameters = parameters.iter().map(|tensor| values(tensor)).collect();
        Layer { form: self.form, eps: self.eps, relu: self.relu, running: self.running, parameters }
    }

    fn check<T: Real>(layer: &Layer<'_, T>, batch: &Batch<'_>) -> PyResult<()> {
        if layer.fits(batch.shape) {
            return Ok(());
        }
        let lengths: Vec<usize> = layer.parameters.iter().map(|array| array.len()).collect();
        Err(PyValueError::new_err(format!(
            "parameters of {lengths:?} values do not fit input of size {:?} with a gate of the form {:?}",
            batch.x.size(),
            layer.form
        )))
    }
}

#[pymethods]
impl AdaptiveNorm {
    #[new]
    fn new(form: &str, running: bool, eps: f64, relu: bool) -> PyResult<Self> {
        let form = match form {
            "given" => Form::Given,
            "1layer" => Form::OneLayer,
            "2layer" => Form::TwoLayer,
            "static" => Form::Static,
            "dual" => Form::Dual,
            _ => return Err(PyValueError::new_err(format!("there is no kernel for a gate {form:?}"))),
        };
        Ok(Self { form, running, eps, relu })
    }

    /// (y, mean, variance, batch mean, unbiased batch variance).
    fn forward(
        &self,
        py: Python<'_>,
        x: PyTensor,
        parameters: Vec<PyTensor>,
    ) -> PyResult<(PyTensor, PyTensor, PyTensor, PyTensor, PyTensor)> {
        type Outputs = (PyTensor, PyTensor, PyTensor, PyTensor, PyTensor);
        fn typed<E: Element<Compute: Coefficient>>(
            py: Python<'_>,
            kernel: &AdaptiveNorm,
            batch: &Batch<'_>,
            parameters: &[Tensor],
        ) -> PyResult<Outputs> {
            let layer = kernel.layer::<E::Compute>(parameters);
            AdaptiveNorm::check(&layer, batch)?;
            let mut y = batch.like()?;
            let (x, shape, out) = (values::<E>(batch.x), batch.shape, fresh(&mut y));
            let found = run(py, layer.work(shape), || layer.forward(x, shape, out))?;
            let (planes, channels) = (&batch.x.size()[..2], &batch.x.size()[1..2]);
            Ok((
                PyTensor(y),
                tensor(&found.mean, planes)?,
                tensor(&found.variance, planes)?,
                tensor(&found.batch_mean, channels)?,
                tensor(&found.batch_variance, channels)?,
            ))
        }
        let parameters = prepared(&parameters, compute_kind(x.kind()))?;
        by_kind!(x, typed(py, self, &Batch::of(&x)?, &parameters))
    }

    /// (dx, dscale, dshift, gradients of the parameters).
    fn backward(
        &self,
        py: Python<'_>,
        dy: PyTensor,
        x: PyTensor,
        mean: PyTensor,
        variance: PyTensor,
        parameters: Vec<PyTensor>,
    ) -> PyResult<(PyTensor, PyTensor, PyTensor, Vec<PyTensor>)> {
        type Outputs = (PyTensor, PyTensor, PyTensor, Vec<PyTensor>);
        fn typed<E: Element<Compute: Coefficient>>(
            py: Python<'_>,
            kernel: &AdaptiveNorm,
            batch: &Batch<'_>,
            [dy, mean, variance]: [&Tensor; 3],
            parameters: &[Tensor],
        ) -> PyResult<Outputs> {
            let layer = kernel.layer::<E::Compute>(parameters);
            AdaptiveNorm::check(&layer, batch)?;
            let mut dx = batch.like()?;
            let (dy, x, shape, out) = (values::<E>(dy), values::<E>(batch.x), batch.shape, fresh(&mut dx));
            let (mean, variance) = (values(mean), values(variance));
            let found = run(py, layer.work(shape), || layer.backward(dy, x, shape, mean, variance, out))?;
            let planes = &batch.x.size()[..2];
            Ok((
                PyTensor(dx),
                tensor(&found.dscale, planes)?,
                tensor(&found.dshift, planes)?,
                tensors(&found.parameters, parameters)?,
            ))
        }
        let batch = Batch::of(&x)?;
        batch.same("dy", &dy)?;
        batch.coefficients("mean", &mean)?;
        batch.coefficients("variance", &variance)?;
        let parameters = prepared(&parameters, compute_kind(x.kind()))?;
        by_kind!(x, typed(py, self, &batch, [&dy, &mean, &variance], &parameters))
    }

    /// What comes back to (dy, x, the parameters) for cotangents of dx and of the parameters' gradients;
    /// `planes` are mean, variance, dscale and dshift.
    fn double_backward(
        &self,
        py: Python<'_>,
        ddx: PyTensor,
        ddparameters: Vec<PyTensor>,
        dy: PyTensor,
        x: PyTensor,
        planes: [PyTensor; 4],
        parameters: Vec<PyTensor>,
    ) -> PyResult<(PyTensor, PyTensor, Vec<PyTensor>)> {
        type Outputs = (PyTensor, PyTensor, Vec<PyTensor>);
        fn typed<E: Element<Compute: Coefficient>>(
            py: Python<'_>,
            kernel: &AdaptiveNorm,
            batch: &Batch<'_>,
            [ddx, dy]: [&Tensor; 2],
            planes: &[PyTensor; 4],
            [ddparameters, parameters]: [&[Tensor]; 2],
        ) -> PyResult<Outputs> {
            let layer = kernel.layer::<E::Compute>(parameters);
            AdaptiveNorm::check(&layer, batch)?;
            let directions: Vec<&[E::Compute]> = ddparameters.iter().map(values).collect();
            if directions.iter().map(|a| a.len()).ne(layer.parameters.iter().map(|a| a.len())) {
                return Err(PyValueError::new_err("ddparameters must be shaped like parameters"));
            }
            let (mut to_dy, mut to_x) = (batch.like()?, batch.like()?);
            let (u, dy, x, shape) = (values::<E>(ddx), values::<E>(dy), values::<E>(batch.x), batch.shape);
            let (a, b) = (fresh(&mut to_dy), fresh(&mut to_x));
            let planes = planes.each_ref().map(|tensor| values(tensor));
            let found = run(py, layer.work(shape), || {
                layer.double_backward(u, &directions, dy, x, shape, planes, a, b)
            })?;
            Ok((PyTensor(to_dy), PyTensor(to_x), tensors(&found, parameters)?))
        }
        let batch = Batch::of(&x)?;
        batch.same("ddx", &ddx)?;
        batch.same("dy", &dy)?;
        for tensor in &planes {
            batch.coefficients("mean, variance, dscale and dshift", tensor)?;
        }
        let kind = compute_kind(x.kind());
        let (ddparameters, parameters) = (prepared(&ddparameters, kind)?, prepared(&parameters, kind)?);
        by_kind!(x, typed(py, self, &batch, [&ddx, &dy], &planes, [&ddparameters, &parameters]))
    }
}
