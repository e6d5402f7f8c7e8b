//! The whole layer: two passes over memory forward, two backward, two for the derivative of the backward.

use super::gate::Form;
use super::layout::Shape;
use super::mixture::{Inputs, Mixture, batch_moments};
use super::moments::instance_moments;
use super::number::Dual;
use super::scale_shift::{
    scale_shift, scale_shift_double_gradient, scale_shift_double_sums, scale_shift_gradient, scale_shift_sums,
};
use crate::element::{Element, Real};

/// The layer's settings and parameters.
#[derive(Debug, Clone)]
pub struct Layer<'a, T> {
    /// How the gate computes.
    pub form: Form,
    /// Added to variances.
    pub eps: f64,
    /// Whether ReLU follows.
    pub relu: bool,
    /// Whether `parameters` hold running statistics, to be used instead of those of the batch.
    pub running: bool,
    /// Weight, bias, instance weight, instance bias; running mean and variance if `running`; the gate's.
    pub parameters: Vec<&'a [T]>,
}

/// What a forward pass learns about x.
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

/// What a backward pass finds beside dx.
#[derive(Debug, Clone)]
pub struct Gradients<T> {
    /// Σ g·x of every plane, with g = dy where y > 0; (N, C).
    pub dscale: Vec<T>,
    /// Σ g of every plane, (N, C).
    pub dshift: Vec<T>,
    /// Gradients of [`Layer::parameters`].
    pub parameters: Vec<Vec<T>>,
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

impl<T: Real> Layer<'_, T> {
    /// Whether the parameters fit a batch of this shape.
    #[must_use]
    pub fn fits(&self, shape: Shape) -> bool {
        let lengths: Vec<usize> = self.parameters.iter().map(|array| array.len()).collect();
        let of_channels = 4 + 2 * usize::from(self.running);
        !shape.is_empty()
            && lengths.len() >= of_channels
            && lengths[..of_channels].iter().all(|&len| len == shape.channels)
            && self.form.fits(&lengths[of_channels..], shape.batch, shape.channels)
    }

    /// About how many products a pass over (N, C) arrays or x takes.
    #[must_use]
    pub fn work(&self, shape: Shape) -> usize {
        let longest = self.parameters.iter().map(|array| array.len()).max().unwrap_or(0);
        shape.len().max(shape.batch * longest)
    }

    fn mixture(&self, shape: Shape) -> Mixture {
        assert!(self.fits(shape));
        Mixture { batch: shape.batch, eps: self.eps, running: self.running, form: self.form }
    }

    fn inputs(&self, mean: &[T], variance: &[T]) -> Inputs<f64> {
        [mean, variance].iter().chain(&self.parameters).map(|array| widen(array)).collect()
    }

    /// Writes y.
    ///
    /// # Panics
    /// Never for arrays of `shape`, which is not empty, and parameters that fit. (So for all below.)
    pub fn forward<E: Element<Compute = T>>(&self, x: &[E], shape: Shape, y: &mut [E]) -> Moments<T> {
        let mixture = self.mixture(shape);
        let (mut mean, mut variance) = (vec![T::ZERO; shape.planes()], vec![T::ZERO; shape.planes()]);
        instance_moments(x, shape, &mut mean, &mut variance);
        let inputs = self.inputs(&mean, &variance);
        let [scale, shift] = mixture.forward(&inputs).map(|values| narrow(&values));
        scale_shift(x, shape, &scale, &shift, self.relu, y);
        let [batch_mean, batch_variance] = batch_moments(&inputs[0], &inputs[1], shape.batch);
        let count = (shape.batch * shape.size) as f64;
        let unbiased: Vec<f64> =
            batch_variance.iter().map(|v| v * (count / (count - 1.0).max(1.0))).collect();
        Moments { mean, variance, batch_mean: narrow(&batch_mean), batch_variance: narrow(&unbiased) }
    }

    /// Writes dx, given the moments that the forward pass found.
    pub fn backward<E: Element<Compute = T>>(
        &self,
        dy: &[E],
        x: &[E],
        shape: Shape,
        mean: &[T],
        variance: &[T],
        dx: &mut [E],
    ) -> Gradients<T> {
        let mixture = self.mixture(shape);
        let inputs = self.inputs(mean, variance);
        let (mut dscale, mut dshift) = (vec![T::ZERO; shape.planes()], vec![T::ZERO; shape.planes()]);
        let ([scale, shift], gradients) = mixture.gradient(&inputs, |line| {
            let [scale, shift] = line.each_ref().map(|values| narrow::<T>(values));
            scale_shift_sums(dy, x, shape, &scale, &shift, self.relu, &mut dshift, &mut dscale);
            [widen(&dscale), widen(&dshift)]
        });
        let [slope, offset] = moments_gradient(&gradients[0], &gradients[1], &inputs[0], shape.size);
        let four = [scale, shift, slope, offset].map(|values| narrow(&values));
        scale_shift_gradient(dy, x, shape, four.each_ref().map(|v| &v[..]), self.relu, dx);
        Gradients { dscale, dshift, parameters: gradients[2..].iter().map(|g| narrow(g)).collect() }
    }

    /// The derivative of [`Layer::backward`] for cotangents `ddx` of dx and `ddparameters` of the parameters'
    /// gradients: writes what comes back to dy and to x, and returns what comes back to the parameters.
    pub fn double_backward<E: Element<Compute = T>>(
        &self,
        ddx: &[E],
        ddparameters: &[&[T]],
        dy: &[E],
        x: &[E],
        shape: Shape,
        [mean, variance, dscale, dshift]: [&[T]; 4],
        to_dy: &mut [E],
        to_x: &mut [E],
    ) -> Vec<Vec<T>> {
        let mixture = self.mixture(shape);
        assert!(ddparameters.len() == self.parameters.len());
        let share = (shape.size as f64).recip();
        let inputs = self.inputs(mean, variance);
        let mean = &inputs[0];

        // dx = scale·g + slope·x + offset: the cotangents of scale, slope and offset.
        let [scale, shift] = mixture.forward(&inputs).map(|values| narrow::<T>(&values));
        let mut sums = [(); 3].map(|()| vec![T::ZERO; shape.planes()]);
        let [a, b, c] = &mut sums;
        scale_shift_double_sums(ddx, dy, x, shape, &scale, &shift, self.relu, [a, b, c]);
        let [passed, with_x, plain] = sums.map(|values| widen(&values));

        // The backward pass is the gradient of φ = Σ scale·dscale + shift·dshift, so its derivative is φ's
        // second derivative times the direction that the cotangents make: one run on dual numbers.
        let to_dmean = plain.iter().map(|p| p * share).collect();
        let to_dvariance = (0..mean.len()).map(|i| 2.0 * share * (with_x[i] - mean[i] * plain[i])).collect();
        let direction: Inputs<f64> =
            [to_dmean, to_dvariance].into_iter().chain(ddparameters.iter().map(|dd| widen(dd))).collect();
        let moving: Inputs<Dual> =
            inputs.iter().zip(&direction).map(|(values, slopes)| dual(values, slopes)).collect();
        let (line, gradients) = mixture.gradient(&moving, |_| {
            let still = vec![0.0; shape.planes()];
            [dual(&widen(dscale), &passed), dual(&widen(dshift), &still)]
        });
        let [sum_x, sum_1] = line.map(|values| slopes(&values));
        let [slope, _] = moments_gradient(&values(&gradients[0]), &values(&gradients[1]), mean, shape.size);
        let through = slopes(&gradients[0]);
        // offset = dmean/M - slope·mean depends on the mean directly too.
        let to_mean: Vec<f64> = (0..mean.len()).map(|i| through[i] - slope[i] * plain[i]).collect();
        let [curve, constant] = moments_gradient(&to_mean, &slopes(&gradients[1]), mean, shape.size);
        let rest = [slope, sum_x, sum_1, curve, constant].map(|values| narrow::<T>(&values));
        let [slope, sum_x, sum_1, curve, constant] = rest.each_ref().map(|values| &values[..]);
        let seven = [&scale[..], &shift[..], slope, sum_x, sum_1, curve, constant];
        scale_shift_double_gradient(ddx, dy, x, shape, seven, self.relu, to_dy, to_x);
        gradients[2..].iter().map(|gradient| narrow(&slopes(gradient))).collect()
    }
}
