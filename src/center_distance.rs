//! Distances between features (N, D) and class centers (M, D), for the dual calibration losses.
//!
//! Two bilinear kernels, each the derivative of the other, so that together they give derivatives of all orders:
//! [`products`] is P[n, m] = mean over d of (a[n] - b[m])·(x[n] - c[m]), the squared distance if a = x and b = c;
//! [`products_gradient`] is the gradient of Σ w·P with respect to a and b.

use crate::dtype::{Element, Real};
use crate::simd::vectorized;
use crate::thread_pool::for_each_row;

const LANES: usize = 16;

vectorized! {
    /// out[m] = mean over d of (a - b[m])·(x - c[m]).
    fn products_row<E: Element>(a: &[E], b: &[E], x: &[E], c: &[E], out: &mut [E]) {
        let dim = a.len();
        for ((b, c), out) in b.chunks_exact(dim).zip(c.chunks_exact(dim)).zip(out) {
            let mut lanes = [0.0f64; LANES];
            let term = |d: usize| (a[d].load() - b[d].load()).wide() * (x[d].load() - c[d].load()).wide();
            let whole = dim / LANES * LANES;
            for start in (0..whole).step_by(LANES) {
                for (k, lane) in lanes.iter_mut().enumerate() {
                    *lane += term(start + k);
                }
            }
            let sum = lanes.iter().sum::<f64>() + (whole..dim).map(term).sum::<f64>();
            *out = E::store(E::Compute::narrow(sum / dim as f64));
        }
    }
}

vectorized! {
    /// out = Σ over k of w[k·stride]·(x - c[k]) / D.
    fn weighted_differences<E: Element>(w: &[E], stride: usize, x: &[E], c: &[E], out: &mut [E]) {
        let dim = x.len();
        let mut sums = vec![0.0f64; dim];
        for (c, w) in c.chunks_exact(dim).zip(w.iter().step_by(stride)) {
            let factor = w.load().wide() / dim as f64;
            for d in 0..dim {
                sums[d] += factor * (x[d].load() - c[d].load()).wide();
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = E::store(E::Compute::narrow(sum));
        }
    }
}

/// Writes P (N, M) from a and x (N, D), b and c (M, D), with D = `dim`.
///
/// # Panics
/// If `dim` is zero or an array has another size.
pub fn products<E: Element>(a: &[E], b: &[E], x: &[E], c: &[E], dim: usize, out: &mut [E]) {
    let centers = c.len() / dim;
    assert!(a.len() == x.len() && b.len() == c.len() && out.len() * dim == a.len() * centers);
    for_each_row(out, centers, a.len() * centers, |n, out| {
        let own = n * dim..(n + 1) * dim;
        products_row(&a[own.clone()], b, &x[own], c, out);
    });
}

/// Writes the gradients of Σ w·P, for weights w (N, M): Σ over m of w[n, m]·(x[n] - c[m]) / D to `to_a` (N, D) and
/// Σ over n of w[n, m]·(c[m] - x[n]) / D to `to_b` (M, D), with D = `dim`.
///
/// # Panics
/// If `dim` is zero or an array has another size.
pub fn products_gradient<E: Element>(w: &[E], x: &[E], c: &[E], dim: usize, to_a: &mut [E], to_b: &mut [E]) {
    let centers = c.len() / dim;
    assert!(to_a.len() == x.len() && to_b.len() == c.len() && w.len() * dim == x.len() * centers);
    let steps = x.len() * centers;
    for_each_row(to_a, dim, steps, |n, out| {
        weighted_differences(&w[n * centers..][..centers], 1, &x[n * dim..][..dim], c, out);
    });
    for_each_row(to_b, dim, steps, |m, out| {
        weighted_differences(&w[m..], centers, &c[m * dim..][..dim], x, out)
    });
}

#[cfg(test)]
mod tests {
    use super::{products, products_gradient};

    #[test]
    fn kernels_follow_their_formulas() {
        for (n, m, dim) in [(1, 1, 1), (3, 2, 5), (4, 6, 33), (70, 8, 500)] {
            let values = |count: usize, phase: f64| -> Vec<f64> {
                (0..count).map(|i| (12.9898 * i as f64 + phase).sin()).collect()
            };
            let (a, x, w) = (values(n * dim, 0.3), values(n * dim, 1.7), values(n * m, 2.9));
            let (b, c) = (values(m * dim, 4.1), values(m * dim, 5.3));
            let mut out = vec![0.0; n * m];
            products(&a, &b, &x, &c, dim, &mut out);
            for (i, out) in out.iter().enumerate() {
                let term = |d: usize| {
                    let (p, q) = (i / m * dim + d, i % m * dim + d);
                    (a[p] - b[q]) * (x[p] - c[q])
                };
                let want = (0..dim).map(term).sum::<f64>() / dim as f64;
                assert!((out - want).abs() < 1e-12);
            }
            let (mut to_a, mut to_b) = (vec![0.0; n * dim], vec![0.0; m * dim]);
            products_gradient(&w, &x, &c, dim, &mut to_a, &mut to_b);
            for (p, gradient) in to_a.iter().enumerate() {
                let term = |k: usize| w[p / dim * m + k] * (x[p] - c[k * dim + p % dim]);
                assert!((gradient - (0..m).map(term).sum::<f64>() / dim as f64).abs() < 1e-12);
            }
            for (q, gradient) in to_b.iter().enumerate() {
                let term = |k: usize| w[k * m + q / dim] * (c[q] - x[k * dim + q % dim]);
                assert!((gradient - (0..n).map(term).sum::<f64>() / dim as f64).abs() < 1e-12);
            }
        }
    }
}
