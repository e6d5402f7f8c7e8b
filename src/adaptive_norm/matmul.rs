//! Products of small row-major matrices.

use super::dual::Number;
use crate::simd::vectorized;
use crate::thread_pool::for_each_row;

const LANES: usize = 8;

vectorized! {
    /// out[o] = Σ x[i]·w[o, i].
    fn dots<S: Number>(x: &[S], w: &[S], out: &mut [S]) {
        let whole = x.len() / LANES * LANES;
        for (out, w) in out.iter_mut().zip(w.chunks_exact(x.len())) {
            let mut lanes = [S::ZERO; LANES];
            for (x, w) in x.chunks_exact(LANES).zip(w.chunks_exact(LANES)) {
                for k in 0..LANES {
                    lanes[k] += x[k] * w[k];
                }
            }
            let rest = x[whole..].iter().zip(&w[whole..]).map(|(&x, &w)| x * w);
            *out = lanes.into_iter().chain(rest).fold(S::ZERO, |sum, term| sum + term);
        }
    }
}

vectorized! {
    /// out[i] = Σ a[k·stride]·rows[k, i].
    fn combine<S: Number>(a: &[S], stride: usize, rows: &[S], out: &mut [S]) {
        out.fill(S::ZERO);
        for (row, &factor) in rows.chunks_exact(out.len()).zip(a.iter().step_by(stride)) {
            for (out, &value) in out.iter_mut().zip(row) {
                *out += factor * value;
            }
        }
    }
}

/// A matrix of rows of `width`, each written by `work`; on several threads if `products` are enough.
fn by_rows<S: Number>(
    rows: usize,
    width: usize,
    products: usize,
    work: impl Fn(usize, &mut [S]) + Sync,
) -> Vec<S> {
    let mut out = vec![S::ZERO; rows * width];
    for_each_row(&mut out, width, products, work);
    out
}

/// x·wᵀ for x with `rows` rows and w with `width` rows.
pub(super) fn times_transposed<S: Number>(x: &[S], w: &[S], rows: usize, width: usize) -> Vec<S> {
    let inner = x.len() / rows;
    by_rows(rows, width, x.len() * width, |i, out| dots(&x[i * inner..][..inner], w, out))
}

/// x·w for x with `rows` rows and w with columns of `width`.
pub(super) fn times<S: Number>(x: &[S], w: &[S], rows: usize, width: usize) -> Vec<S> {
    let inner = x.len() / rows;
    by_rows(rows, width, x.len() * width, |i, out| combine(&x[i * inner..][..inner], 1, w, out))
}

/// xᵀ·y for matrices with `rows` rows.
pub(super) fn transposed_times<S: Number>(x: &[S], y: &[S], rows: usize) -> Vec<S> {
    let (height, width) = (x.len() / rows, y.len() / rows);
    by_rows(height, width, x.len() * width, |i, out| combine(&x[i..], height, y, out))
}

/// The sum of all rows.
pub(super) fn sum_rows<S: Number>(x: &[S], rows: usize) -> Vec<S> {
    let width = x.len() / rows;
    let mut out = vec![S::ZERO; width];
    for row in x.chunks_exact(width) {
        out.iter_mut().zip(row).for_each(|(out, &value)| *out += value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{sum_rows, times, times_transposed, transposed_times};

    #[test]
    fn products_are_those_of_matrices() {
        let x: Vec<f64> = (0..3 * 11).map(|i| f64::from(i * i % 7)).collect();
        let w: Vec<f64> = (0..2 * 11).map(|i| f64::from(i * 5 % 9)).collect();
        let y = times_transposed(&x, &w, 3, 2);
        for (n, o) in (0..3).flat_map(|n| (0..2).map(move |o| (n, o))) {
            assert_eq!(y[n * 2 + o], (0..11).map(|i| x[n * 11 + i] * w[o * 11 + i]).sum::<f64>());
        }
        let back = times(&y, &w, 3, 11);
        let outer = transposed_times(&y, &x, 3);
        for i in 0..11 {
            assert_eq!(back[11 + i], y[2] * w[i] + y[3] * w[11 + i]);
            assert_eq!(outer[11 + i], (0..3).map(|n| y[n * 2 + 1] * x[n * 11 + i]).sum::<f64>());
        }
        assert_eq!(sum_rows(&y, 3), [y[0] + y[2] + y[4], y[1] + y[3] + y[5]]);
    }
}
