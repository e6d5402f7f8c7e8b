//! Mean and biased variance of every plane, in one trip through memory.

use rayon::prelude::*;

use super::PARALLEL_FROM;
use super::vector::{Float, LANES, total, vectorized};

vectorized! {
    fn plane_sum<T>(x: &[T]) -> f64 {
        let mut lanes = [0.0; LANES];
        let chunks = x.chunks_exact(LANES);
        let tail: f64 = chunks.remainder().iter().map(|v| v.wide()).sum();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] += chunk[i].wide();
            }
        }
        total(lanes) + tail
    }
}

vectorized! {
    fn plane_sum_of_squares<T>(x: &[T], mean: f64) -> f64 {
        let mut lanes = [0.0; LANES];
        let chunks = x.chunks_exact(LANES);
        let square = |v: &T| (v.wide() - mean) * (v.wide() - mean);
        let tail: f64 = chunks.remainder().iter().map(square).sum();
        for chunk in chunks {
            for i in 0..LANES {
                lanes[i] += square(&chunk[i]);
            }
        }
        total(lanes) + tail
    }
}

/// Writes mean and biased variance of each plane of `size` values. The second read of a plane comes from
/// the cache; the deviation form has no cancellation at large means.
///
/// # Panics
/// Never for `x.len() == mean.len() * size`, `mean.len() == variance.len()` and `size > 0`.
pub fn instance_moments<T: Float>(x: &[T], size: usize, mean: &mut [T], variance: &mut [T]) {
    assert!(size > 0 && x.len() == mean.len() * size && mean.len() == variance.len());
    let plane = |x: &[T], mean: &mut T, variance: &mut T| {
        let average = plane_sum(x) / size as f64;
        *mean = T::narrow(average);
        *variance = T::narrow(plane_sum_of_squares(x, average) / size as f64);
    };
    if x.len() < PARALLEL_FROM {
        for ((x, m), v) in x.chunks_exact(size).zip(mean).zip(variance) {
            plane(x, m, v);
        }
    } else {
        x.par_chunks_exact(size)
            .zip(mean.par_iter_mut())
            .zip(variance.par_iter_mut())
            .for_each(|((x, m), v)| plane(x, m, v));
    }
}

#[cfg(test)]
mod tests {
    use super::instance_moments;

    #[test]
    fn moments_of_a_shifted_ramp() {
        for size in [1, 2, 15, 16, 17, 100, 40_000] {
            let x: Vec<f64> = (0..3 * size).map(|i| 1000.0 + (i % size) as f64).collect();
            let (mut mean, mut variance) = (vec![0.0; 3], vec![0.0; 3]);
            instance_moments(&x, size, &mut mean, &mut variance);
            let n = size as f64;
            for plane in 0..3 {
                assert!((mean[plane] - (1000.0 + (n - 1.0) / 2.0)).abs() < 1e-8 * n);
                let want = (n * n - 1.0) / 12.0;
                assert!((variance[plane] - want).abs() <= 1e-9 * want.max(1.0));
            }
        }
    }

    #[test]
    fn large_mean_keeps_the_variance_in_float32() {
        let x: Vec<f32> = (0..4096).map(|i| 1000.0 + if i % 2 == 0 { 0.5 } else { -0.5 }).collect();
        let (mut mean, mut variance) = (vec![0.0], vec![0.0]);
        instance_moments(&x, x.len(), &mut mean, &mut variance);
        assert_eq!((mean[0], variance[0]), (1000.0, 0.25));
    }
}
