//! Mean and biased variance of every plane, in one pass over memory.

use super::layout::{Coefficients, Shape, each, same, with_coefficients};
use crate::dtype::{Element, Real};
use crate::simd::vectorized;

vectorized! {
    fn shifted_sums<E: Element, C: Coefficients<E::Compute, 1>>(
        x: &[E], shift: C, row: usize, sum: &mut [E::Sum], squares: &mut [E::Sum],
    ) {
        for x in x.chunks(row) {
            let n = x.len();
            let (shift, sum, squares) = (shift.cut(n), &mut sum[..n], &mut squares[..n]);
            for i in 0..n {
                let [origin] = shift.at(i);
                let value = E::widen(x[i].load()) - E::widen(origin);
                sum[i] = sum[i] + value;
                squares[i] = squares[i] + value * value;
            }
        }
    }
}

/// Writes mean and biased variance of each plane.
///
/// Sums are taken of the distance to the plane's first value: they do not cancel at large means.
///
/// # Panics
/// If `shape` is empty, `x` is not of that shape, or there is not one mean and variance for each plane.
pub fn instance_moments<E: Element>(
    x: &[E],
    shape: Shape,
    mean: &mut [E::Compute],
    variance: &mut [E::Compute],
) {
    assert!(!shape.is_empty() && x.len() == shape.len());
    assert!(mean.len() == shape.planes() && variance.len() == shape.planes());
    let step = if shape.channels_last { 1 } else { shape.size };
    let sample = shape.channels * shape.size;
    let first = |plane: usize| (plane / shape.channels) * sample + (plane % shape.channels) * step;
    let origin: Vec<E::Compute> = (0..shape.planes()).map(|plane| x[first(plane)].load()).collect();
    let (piece, row) = (shape.piece(), shape.row());
    shape.reduce(
        |i, [sum, squares]: [&mut [E::Sum]; 2]| {
            let x = &x[i * piece..][..piece];
            with_coefficients!(shape, i * piece, [&origin[..]], |shift| shifted_sums(
                x, shift, row, sum, squares
            ));
        },
        |plane, [sum, squares]| {
            let count = shape.size as f64;
            let distance = sum.wide() / count;
            mean[plane] = E::Compute::narrow(origin[plane].wide() + distance);
            variance[plane] = E::Compute::narrow((squares.wide() / count - distance * distance).max(0.0));
        },
    );
}

#[cfg(test)]
mod tests {
    use super::instance_moments;
    use crate::adaptive_norm::Shape;
    use crate::dtype::{Bf16, Element};

    fn moments<E: Element>(x: &[E], shape: Shape) -> (Vec<E::Compute>, Vec<E::Compute>) {
        let zero = x[0].load();
        let (mut mean, mut variance) = (vec![zero; shape.planes()], vec![zero; shape.planes()]);
        instance_moments(x, shape, &mut mean, &mut variance);
        (mean, variance)
    }

    #[test]
    fn moments_of_shifted_ramps_in_both_layouts() {
        for size in [1, 2, 15, 64, 65, 100, 50_000] {
            for channels_last in [false, true] {
                let shape = Shape { batch: 2, channels: 3, size, channels_last };
                let n = size as f64;
                let value = |c: usize, p: usize| 1000.0 * (c + 1) as f64 + p as f64;
                let x: Vec<f64> = (0..shape.len())
                    .map(|i| {
                        let i = i % (3 * size);
                        if channels_last { value(i % 3, i / 3) } else { value(i / size, i % size) }
                    })
                    .collect();
                let (mean, variance) = moments(&x, shape);
                for plane in 0..6 {
                    let want = 1000.0 * (plane % 3 + 1) as f64 + (n - 1.0) / 2.0;
                    assert!((mean[plane] - want).abs() < 1e-9 * want, "{shape:?}");
                    let want = (n * n - 1.0) / 12.0;
                    assert!((variance[plane] - want).abs() <= 1e-9 * want.max(1.0), "{shape:?}");
                }
            }
        }
    }

    #[test]
    fn large_means_and_far_first_values_keep_the_variance() {
        let shape = Shape { batch: 1, channels: 1, size: 4096, channels_last: false };
        let mut x: Vec<f32> = (0..4096).map(|i| 1000.0 + if i % 2 == 0 { 0.5 } else { -0.5 }).collect();
        assert_eq!(moments(&x, shape), (vec![1000.0], vec![0.25]));
        x[0] = 1e6;
        let exact_mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / 4096.0;
        let exact = x.iter().map(|&v| (f64::from(v) - exact_mean).powi(2)).sum::<f64>() / 4096.0;
        let (_, variance) = moments(&x, shape);
        assert!((f64::from(variance[0]) / exact - 1.0).abs() < 1e-6);
    }

    #[test]
    fn half_types_sum_long_planes() {
        let shape = Shape { batch: 1, channels: 1, size: 1 << 16, channels_last: false };
        let x: Vec<Bf16> = (0..1 << 16).map(|i| Bf16::store(if i % 2 == 0 { 1.5 } else { 0.5 })).collect();
        assert_eq!(moments(&x, shape), (vec![1.0], vec![0.25]));
    }
}
