//! `crate::adaptive_norm::AdaptiveNorm` on torch tensors on the CPU.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_tch::PyTensor;
use pyo3_tch::tch::Tensor;

use super::run;
use super::tensors::{Batch, Coefficient, by_kind, compute_kind, fresh, prepared, tensor, values};
use crate::adaptive_norm::{self, Gate, Parameters};
use crate::dtype::Element;

/// The layer's settings; the methods take x and the parameters: weight, bias, instance weight, instance bias,
/// running mean and variance if `running`, and the gate's.
#[pyclass(frozen, module = "anrl._anrl")]
pub(super) struct AdaptiveNorm {
    norm: adaptive_norm::AdaptiveNorm,
    running: bool,
}

/// Gradients as tensors of the shapes of `like`.
fn tensors<T: Coefficient>(gradients: &Parameters<Vec<T>>, like: &[Tensor]) -> PyResult<Vec<PyTensor>> {
    gradients.iter().zip(like).map(|(data, like)| tensor(data, &like.size())).collect()
}

impl AdaptiveNorm {
    /// Names the parameters, and checks that they fit.
    fn parameters<'a, T>(&self, batch: &Batch<'_>, list: &'a [Tensor]) -> PyResult<Parameters<&'a [T]>> {
        Parameters::from_list(list.iter().map(values), self.running)
            .filter(|parameters| self.norm.fits(batch.shape, parameters))
            .ok_or_else(|| {
                let lengths: Vec<usize> = list.iter().map(Tensor::numel).collect();
                PyValueError::new_err(format!(
                    "parameters of {lengths:?} values do not fit input of size {:?} with a gate '{}'",
                    batch.x.size(),
                    self.norm.gate.name()
                ))
            })
    }
}

#[pymethods]
impl AdaptiveNorm {
    #[new]
    fn new(gate: &str, running: bool, eps: f64, relu: bool) -> PyResult<Self> {
        let gate = Gate::from_name(gate)
            .ok_or_else(|| PyValueError::new_err(format!("there is no kernel for a gate {gate:?}")))?;
        Ok(Self { norm: adaptive_norm::AdaptiveNorm { gate, eps, relu }, running })
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
            let (norm, list) = (kernel.norm, kernel.parameters::<E::Compute>(batch, parameters)?);
            let mut y = batch.like()?;
            let (x, shape, out) = (values::<E>(batch.x), batch.shape, fresh(&mut y));
            let work = norm.work(shape, &list);
            let moments = run(py, work, || norm.forward(x, shape, &list, out))?;
            let (planes, channels) = (&batch.x.size()[..2], &batch.x.size()[1..2]);
            Ok((
                PyTensor(y),
                tensor(&moments.mean, planes)?,
                tensor(&moments.variance, planes)?,
                tensor(&moments.batch_mean, channels)?,
                tensor(&moments.batch_variance, channels)?,
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
            let (norm, list) = (kernel.norm, kernel.parameters::<E::Compute>(batch, parameters)?);
            let mut dx = batch.like()?;
            let (dy, x, shape, out) = (values::<E>(dy), values::<E>(batch.x), batch.shape, fresh(&mut dx));
            let (mean, variance) = (values(mean), values(variance));
            let work = norm.work(shape, &list);
            let gradients = run(py, work, || norm.backward(dy, x, shape, mean, variance, &list, out))?;
            let planes = &batch.x.size()[..2];
            Ok((
                PyTensor(dx),
                tensor(&gradients.dscale, planes)?,
                tensor(&gradients.dshift, planes)?,
                tensors(&gradients.parameters, parameters)?,
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
            let (norm, list) = (kernel.norm, kernel.parameters::<E::Compute>(batch, parameters)?);
            let lengths = |list: &[Tensor]| -> Vec<usize> { list.iter().map(Tensor::numel).collect() };
            let mismatch = || PyValueError::new_err("ddparameters must be shaped like parameters");
            let directions = Parameters::from_list(ddparameters.iter().map(values), kernel.running)
                .filter(|_| lengths(ddparameters) == lengths(parameters))
                .ok_or_else(mismatch)?;
            let (mut to_dy, mut to_x) = (batch.like()?, batch.like()?);
            let (u, dy, x, shape) = (values::<E>(ddx), values::<E>(dy), values::<E>(batch.x), batch.shape);
            let (a, b) = (fresh(&mut to_dy), fresh(&mut to_x));
            let planes = planes.each_ref().map(|tensor| values(tensor));
            let gradients = run(py, norm.work(shape, &list), || {
                norm.double_backward(u, &directions, dy, x, shape, planes, &list, a, b)
            })?;
            Ok((PyTensor(to_dy), PyTensor(to_x), tensors(&gradients, parameters)?))
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
