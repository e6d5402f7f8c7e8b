//! `crate::center_distance` on torch tensors on the CPU: float32 and float64, contiguous.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use pyo3_tch::PyTensor;
use pyo3_tch::tch::{Device, Tensor};

use super::error::torch_error;
use super::run;
use super::tensors::{by_kind, fresh, values};
use crate::center_distance;
use crate::dtype::Element;

/// Sizes (N, M, D) of features and centers, after checking both and what is like them.
fn sizes(features: &[&Tensor], centers: &[&Tensor]) -> PyResult<[i64; 3]> {
    let (x, c) = (features[0], centers[0]);
    let (&[n, d], &[m, e]) = (&x.size()[..], &c.size()[..]) else {
        return Err(PyValueError::new_err("expected features (N, D) and centers (M, D)"));
    };
    let fits = |tensor: &Tensor, like: &Tensor| {
        tensor.size() == like.size()
            && tensor.kind() == x.kind()
            && tensor.device() == Device::Cpu
            && tensor.is_contiguous()
    };
    let all_fit = features.iter().all(|f| fits(f, x)) && centers.iter().all(|f| fits(f, c));
    if d != e || n * m * d == 0 || !all_fit {
        return Err(PyValueError::new_err(format!(
            "expected contiguous CPU tensors of one type, not empty, features (N, D) and centers (M, D); got {:?} \
             and {:?}",
            x.size(),
            c.size()
        )));
    }
    Ok([n, m, d])
}

fn empty(shape: &[i64], like: &Tensor) -> PyResult<Tensor> {
    Tensor::f_empty(shape, (like.kind(), Device::Cpu)).map_err(torch_error)
}

#[pyfunction]
fn center_products(py: Python<'_>, a: PyTensor, b: PyTensor, x: PyTensor, c: PyTensor) -> PyResult<PyTensor> {
    fn typed<E: Element>(py: Python<'_>, [a, b, x, c]: [&Tensor; 4]) -> PyResult<PyTensor> {
        let [n, m, d] = sizes(&[x, a], &[c, b])?;
        let mut out = empty(&[n, m], x)?;
        let (to, [a, b, x, c]) = (fresh::<E>(&mut out), [a, b, x, c].map(values));
        run(py, x.len() * m as usize, || center_distance::products(a, b, x, c, d as usize, to))?;
        Ok(PyTensor(out))
    }
    by_kind!(x, [Float f32, Double f64], typed(py, [&a, &b, &x, &c]))
}

#[pyfunction]
fn center_products_gradient(
    py: Python<'_>,
    w: PyTensor,
    x: PyTensor,
    c: PyTensor,
) -> PyResult<(PyTensor, PyTensor)> {
    fn typed<E: Element>(py: Python<'_>, [w, x, c]: [&Tensor; 3]) -> PyResult<(PyTensor, PyTensor)> {
        let [n, m, d] = sizes(&[x], &[c])?;
        if w.size() != [n, m] || w.kind() != x.kind() || w.device() != Device::Cpu || !w.is_contiguous() {
            return Err(PyValueError::new_err(format!("w must be (N, M) = ({n}, {m}), like x")));
        }
        let (mut to_a, mut to_b) = (empty(&[n, d], x)?, empty(&[m, d], x)?);
        let (out, [w, x, c]) = ([fresh::<E>(&mut to_a), fresh(&mut to_b)], [w, x, c].map(values));
        let [a, b] = out;
        run(py, x.len() * m as usize, || center_distance::products_gradient(w, x, c, d as usize, a, b))?;
        Ok((PyTensor(to_a), PyTensor(to_b)))
    }
    by_kind!(x, [Float f32, Double f64], typed(py, [&w, &x, &c]))
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(center_products, module)?)?;
    module.add_function(wrap_pyfunction!(center_products_gradient, module)?)
}
