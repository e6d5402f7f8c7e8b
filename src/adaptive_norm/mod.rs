//! Adaptive normalization of batches (N, C, …): the layer and the kernels that it is made of.
//!
//! A batch has N·C planes of `size` values, contiguous or with the channels last. Statistics and coefficients hold
//! one value for each plane. The layer takes two passes over memory forward, two backward and two for the derivative
//! of the backward ([`instance_moments`] and the `scale_shift` family). What lies between them (the gate, the mixture
//! of both normalizations) is arithmetic on (N, C) arrays.

mod dual;
mod gates;
mod layout;
mod matmul;
mod mixture;
mod moments;
mod parameters;
mod scale_shift;

use dual::Dual;
pub use gates::Gate;
pub use layout::Shape;
use mixture::{Inputs, Mixture, batch_moments};
pub use moments::instance_moments;
pub use parameters::Parameters;
pub use scale_shift::{
    scale_shift, scale_shift_double_gradient, scale_shift_double_sums, scale_shift_gradient, scale_shift_sums,
};

use crate::dtype::{Element, Real};

/// The settings of the layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveNorm {
    /// The formula of the gate.
    pub gate: Gate,
    /// Added to variances.
    pub eps: f64,
    /// Whether ReLU follows.
    pub relu: bool,
}

/// The statistics of x that a forward pass computes.
#[derive(Debug, Clone)]
pub struct Moments<T> {
    /// Mean of every plane, (N, C).
    pub mean: Vec<T>,
    /// Biased variance of every plane, (N, C).
    pub variance: Vec<T>,
    /// Mean over samples and pixels, (C).
    pub batch_mean: Vec<T>,
    /// Unbiased variance over samples and pixels, (C).
    pub batch_variance: Vec<T>,
}

/// What a backward pass computes beside dx.
#[derive(Debug, Clone)]
pub struct Gradients<T> {
    /// Σ g·x of every plane, with g = dy where y > 0; (N, C).
    pub dscale: Vec<T>,
    /// Σ g of every plane, (N, C).
    pub dshift: Vec<T>,
    /// Gradients of the parameters.
    pub parameters: Parameters<Vec<T>>,
}

fn widen<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.wide()).collect()
}

fn narrow<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&value| T::narrow(value)).collect()
}

/// Numbers with a direction to differentiate in.
fn dual(values: &[f64], slopes: &[f64]) -> Vec<Dual> {
    values.iter().zip(slopes).map(|(&value, &slope)| Dual { value, slope }).collect()
}

fn slopes(values: &[Dual]) -> Vec<f64> {
    values.iter().map(|number| number.slope).collect()
}

fn values(values: &[Dual]) -> Vec<f64> {
    values.iter().map(|number| number.value).collect()
}

/// As a function of x, mean and variance have the gradient slope·x + offset.
fn moments_gradient(dmean: &[f64], dvariance: &[f64], mean: &[f64], size: usize) -> [Vec<f64>; 2] {
    let share = (size as f64).recip();
    let slope: Vec<f64> = dvariance.iter().map(|d| 2.0 * share * d).collect();
    let offset = (0..mean.len()).map(|i| dmean[i] * share - slope[i] * mean[i]).collect();
    [slope, offset]
}

impl AdaptiveNorm {
    /// Whether the parameters fit a batch of this shape, which is not empty.
    #[must_use]
    pub fn fits<T>(&self, shape: Shape, parameters: &Parameters<&[T]>) -> bool {
        let gate: Vec<usize> = parameters.gate.iter().map(|array| array.len()).collect();
        !shape.is_empty()
            && parameters.per_channel().all(|array| array.len() == shape.channels)
            && self.gate.fits(&gate, shape.batch, shape.channels)
    }

    /// About how many products a pass over (N, C) arrays or x takes.
    #[must_use]
    pub fn work<T>(&self, shape: Shape, parameters: &Parameters<&[T]>) -> usize {
        let longest = parameters.iter().map(|array| array.len()).max().unwrap_or(0);
        shape.len().max(shape.batch * longest)
    }

    fn mixture<T>(&self, shape: Shape, parameters: &Parameters<&[T]>) -> Mixture {
        assert!(self.fits(shape, parameters));
        Mixture { batch: shape.batch, eps: self.eps, gate: self.gate }
    }

    /// Writes y.
    ///
    /// # Panics
    /// If x or y is not of `shape`, or the parameters do not fit it.
    pub fn forward<E: Element>(
        &self,
        x: &[E],
        shape: Shape,
        parameters: &Parameters<&[E::Compute]>,
        y: &mut [E],
    ) -> Moments<E::Compute> {
        let mixture = self.mixture(shape, parameters);
        let [mut mean, mut variance] = [(); 2].map(|()| vec![E::Compute::ZERO; shape.planes()]);
        instance_moments(x, shape, &mut mean, &mut variance);
        let inputs = inputs(&mean, &variance, parameters);
        let [scale, shift] = mixture.forward(&inputs).map(|values| narrow(&values));
        scale_shift(x, shape, &scale, &shift, self.relu, y);
        let [batch_mean, batch_variance] = batch_moments(&inputs.mean, &inputs.variance, shape.batch);
        let count = (shape.batch * shape.size) as f64;
        let unbiased: Vec<f64> =
            batch_variance.iter().map(|v| v * (count / (count - 1.0).max(1.0))).collect();
        Moments { mean, variance, batch_mean: narrow(&batch_mean), batch_variance: narrow(&unbiased) }
    }

    /// Writes dx, given mean and variance as the forward pass returned them.
    ///
    /// # Panics
    /// If an array is not of `shape` or does not have one value for each plane, or the parameters do not fit.
    pub fn backward<E: Element>(
        &self,
        dy: &[E],
        x: &[E],
        shape: Shape,
        mean: &[E::Compute],
        variance: &[E::Compute],
        parameters: &Parameters<&[E::Compute]>,
        dx: &mut [E],
    ) -> Gradients<E::Compute> {
        let mixture = self.mixture(shape, parameters);
        let inputs = inputs(mean, variance, parameters);
        let [mut dscale, mut dshift] = [(); 2].map(|()| vec![E::Compute::ZERO; shape.planes()]);
        let ([scale, shift], gradients) = mixture.gradient(&inputs, |line| {
            let [scale, shift] = line.each_ref().map(|values| narrow::<E::Compute>(values));
            scale_shift_sums(dy, x, shape, &scale, &shift, self.relu, &mut dshift, &mut dscale);
            [widen(&dscale), widen(&dshift)]
        });
        let [slope, offset] =
            moments_gradient(&gradients.mean, &gradients.variance, &inputs.mean, shape.size);
        let four = [scale, shift, slope, offset].map(|values| narrow(&values));
        scale_shift_gradient(dy, x, shape, four.each_ref().map(|v| &v[..]), self.relu, dx);
        Gradients { dscale, dshift, parameters: gradients.parameters.map(|g| narrow(g)) }
    }

    /// The derivative of [`AdaptiveNorm::backward`] for cotangents `ddx` of dx and `ddparameters` of the
    /// parameters' gradients: writes the gradients of dy and x, and returns those of the parameters. Mean, variance,
    /// dscale and dshift are those that the passes before returned.
    ///
    /// # Panics
    /// As [`AdaptiveNorm::backward`], and if `ddparameters` are not as many as `parameters`.
    pub fn double_backward<E: Element>(
        &self,
        ddx: &[E],
        ddparameters: &Parameters<&[E::Compute]>,
        dy: &[E],
        x: &[E],
        shape: Shape,
        [mean, variance, dscale, dshift]: [&[E::Compute]; 4],
        parameters: &Parameters<&[E::Compute]>,
        to_dy: &mut [E],
        to_x: &mut [E],
    ) -> Parameters<Vec<E::Compute>> {
        let mixture = self.mixture(shape, parameters);
        assert!(ddparameters.iter().count() == parameters.iter().count());
        let share = (shape.size as f64).recip();
        let inputs = inputs(mean, variance, parameters);
        let mean = &inputs.mean;

        // dx = scale·g + slope·x + offset: the cotangents of scale, slope and offset.
        let [scale, shift] = mixture.forward(&inputs).map(|values| narrow::<E::Compute>(&values));
        let mut sums = [(); 3].map(|()| vec![E::Compute::ZERO; shape.planes()]);
        let [a, b, c] = &mut sums;
        scale_shift_double_sums(ddx, dy, x, shape, &scale, &shift, self.relu, [a, b, c]);
        let [passed, with_x, plain] = sums.map(|values| widen(&values));

        // The backward pass is the gradient of φ = Σ scale·dscale + shift·dshift, so its derivative is φ's
        // second derivative times the direction that the cotangents make: one run on dual numbers.
        let to_dmean: Vec<f64> = plain.iter().map(|p| p * share).collect();
        let to_dvariance: Vec<f64> =
            (0..mean.len()).map(|i| 2.0 * share * (with_x[i] - mean[i] * plain[i])).collect();
        let moving = Inputs {
            mean: dual(mean, &to_dmean),
            variance: dual(&inputs.variance, &to_dvariance),
            parameters: inputs.parameters.zip(ddparameters, |values, dd| dual(values, &widen(dd))),
        };
        let (line, gradients) = mixture.gradient(&moving, |_| {
            let still = vec![0.0; shape.planes()];
            [dual(&widen(dscale), &passed), dual(&widen(dshift), &still)]
        });
        let [sum_x, sum_1] = line.map(|values| slopes(&values));
        let [slope, _] =
            moments_gradient(&values(&gradients.mean), &values(&gradients.variance), mean, shape.size);
        let through = slopes(&gradients.mean);
        // offset = dmean/M - slope·mean depends on the mean directly too.
        let to_mean: Vec<f64> = (0..mean.len()).map(|i| through[i] - slope[i] * plain[i]).collect();
        let [curve, constant] = moments_gradient(&to_mean, &slopes(&gradients.variance), mean, shape.size);
        let rest = [slope, sum_x, sum_1, curve, constant].map(|values| narrow::<E::Compute>(&values));
        let [slope, sum_x, sum_1, curve, constant] = rest.each_ref().map(|values| &values[..]);
        let seven = [&scale[..], &shift[..], slope, sum_x, sum_1, curve, constant];
        scale_shift_double_gradient(ddx, dy, x, shape, seven, self.relu, to_dy, to_x);
        gradients.parameters.map(|gradient| narrow(&slopes(gradient)))
    }
}

fn inputs<T: Real>(mean: &[T], variance: &[T], parameters: &Parameters<&[T]>) -> Inputs<f64> {
    let parameters = parameters.map(|array| widen(array));
    Inputs { mean: widen(mean), variance: widen(variance), parameters }
}
