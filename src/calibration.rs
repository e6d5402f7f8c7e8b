//! Distances between features (N, D) and centres (M, D), for the dual calibration losses.
//!
//! Two bilinear kernels, each the derivative of the other, so all orders of differentiation are theirs:
//! [`products`] makes P[n, m] = mean over d of (a[n] - b[m])·(x[n] - c[m]), which is the squared distance if
//! a = x and b = c; [`spread`] takes weights (N, M) back to the features and to the centres.

use crate::element::{Element, Real};
use crate::threads::for_each_row;
use crate::vector::vectorized;

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
    fn spread_row<E: Element>(w: &[E], stride: usize, x: &[E], c: &[E], out: &mut [E]) {
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

/// Writes P (N, M) from a and x (N, D), b and c (M, D).
///
/// # Panics
/// Never for arrays of these sizes, none of which is zero. (So for [`spread`].)
pub fn products<E: Element>(a: &[E], b: &[E], x: &[E], c: &[E], dim: usize, out: &mut [E]) {
    let centres = c.len() / dim;
    assert!(a.len() == x.len() && b.len() == c.len() && out.len() * dim == a.len() * centres);
    for_each_row(out, centres, a.len() * centres, |n, out| {
        let own = n * dim..(n + 1) * dim;
        products_row(&a[own.clone()], b, &x[own], c, out);
    });
}

/// Writes Σ over m of w[n, m]·(x[n] - c[m]) / D to `to_x` and Σ over n of w[n, m]·(c[m] - x[n]) / D to `to_c`.
pub fn spread<E: Element>(w: &[E], x: &[E], c: &[E], dim: usize, to_x: &mut [E], to_c: &mut [E]) {
    let centres = c.len() / dim;
    assert!(to_x.len() == x.len() && to_c.len() == c.len() && w.len() * dim == x.len() * centres);
    let steps = x.len() * centres;
    for_each_row(to_x, dim, steps, |n, out| {
        spread_row(&w[n * centres..][..centres], 1, &x[n * dim..][..dim], c, out);
    });
    for_each_row(to_c, dim, steps, |m, out| spread_row(&w[m..], centres, &c[m * dim..][..dim], x, out));
}

#[cfg(test)]
mod tests {
    use super::{products, spread};

    #[test]
    fn kernels_follow_their_formulas() {
        for (n, m, dim) in [(1, 1, 1), (3, 2, 5), (4, 6, 33), (70, 8, 500)] {
            let values = |count: usize, phase: f64| -> Vec<f64> {
                (0..count).map(|i| (12.9898 * i as f64 + phase).sin()).collect()
            };
            let (a, x, w) = (values(n * dim, 0.3), values(n * dim, 1.7), values(n * m, 2.9));
            let (b, c) = (values(m * dim, 4.1), values(m * dim, 5.3));
            let mut found = vec![0.0; n * m];
            products(&a, &b, &x, &c, dim, &mut found);
            for (i, found) in found.iter().enumerate() {
                let term = |d: usize| {
                    let (p, q) = (i / m * dim + d, i % m * dim + d);
                    (a[p] - b[q]) * (x[p] - c[q])
                };
                let want = (0..dim).map(term).sum::<f64>() / dim as f64;
                assert!((found - want).abs() < 1e-12);
            }
            let (mut to_x, mut to_c) = (vec![0.0; n * dim], vec![0.0; m * dim]);
            spread(&w, &x, &c, dim, &mut to_x, &mut to_c);
            for (p, found) in to_x.iter().enumerate() {
                let term = |k: usize| w[p / dim * m + k] * (x[p] - c[k * dim + p % dim]);
                assert!((found - (0..m).map(term).sum::<f64>() / dim as f64).abs() < 1e-12);
            }
            for (q, found) in to_c.iter().enumerate() {
                let term = |k: usize| w[k * m + q / dim] * (c[q] - x[k * dim + q % dim]);
                assert!((found - (0..n).map(term).sum::<f64>() / dim as f64).abs() < 1e-12);
            }
        }
    }
}
