//! y = scale·x + shift per plane, optionally followed by ReLU, with its first and second derivative.
//!
//! The ReLU mask is never stored: it is recomputed from x with the forward's own expression.

use rayon::prelude::*;

use super::PARALLEL_FROM;
use super::vector::{Float, LANES, total, vectorized};

#[inline(always)]
fn affine<T: Float>(x: T, scale: T, shift: T) -> T {
    scale * x + shift
}

/// `value` where the forward let x pass, else zero.
#[inline(always)]
fn masked<T: Float>(relu: bool, x: T, scale: T, shift: T, value: T) -> T {
    if relu && affine(x, scale, shift) <= T::ZERO { T::ZERO } else { value }
}

vectorized! {
    fn forward_plane<T>(x: &[T], scale: T, shift: T, relu: bool, y: &mut [T]) {
        if relu {
            for (y, &x) in y.iter_mut().zip(x) {
                let value = affine(x, scale, shift);
                // Written so that NaN passes, as in torch.relu.
                *y = if value < T::ZERO { T::ZERO } else { value };
            }
        } else {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = affine(x, scale, shift);
            }
        }
    }
}

vectorized! {
    fn backward_plane<T>(dy: &[T], x: &[T], scale: T, shift: T, relu: bool, dx: &mut [T]) -> (f64, f64) {
        let (mut dscale, mut dshift) = ([0.0; LANES], [0.0; LANES]);
        let body = x.len() - x.len() % LANES;
        let mut step = |i: usize, lane: usize| {
            let passed = masked(relu, x[i], scale, shift, dy[i]);
            dx[i] = scale * passed;
            dscale[lane] += passed.wide() * x[i].wide();
            dshift[lane] += passed.wide();
        };
        for start in (0..body).step_by(LANES) {
            for lane in 0..LANES {
                step(start + lane, lane);
            }
        }
        for i in body..x.len() {
            step(i, 0);
        }
        (total(dscale), total(dshift))
    }
}

/// Cotangents of [`scale_shift_backward`]'s outputs for one plane: of dx, of dscale, of dshift.
pub(super) struct Cotangent<'a, T> {
    dx: &'a [T],
    dscale: T,
    dshift: T,
}

vectorized! {
    fn double_backward_plane<T>(
        cotangent: &Cotangent<'_, T>, dy: &[T], x: &[T], scale: T, shift: T, relu: bool,
        ddy: &mut [T], ddx: &mut [T],
    ) -> f64 {
        let mut dscale = [0.0; LANES];
        let u = cotangent.dx;
        let body = x.len() - x.len() % LANES;
        let mut step = |i: usize, lane: usize| {
            let passed = masked(relu, x[i], scale, shift, dy[i]);
            let gradient = scale * u[i] + (cotangent.dscale * x[i] + cotangent.dshift);
            ddy[i] = masked(relu, x[i], scale, shift, gradient);
            ddx[i] = cotangent.dscale * passed;
            dscale[lane] += u[i].wide() * passed.wide();
        };
        for start in (0..body).step_by(LANES) {
            for lane in 0..LANES {
                step(start + lane, lane);
            }
        }
        for i in body..x.len() {
            step(i, 0);
        }
        total(dscale)
    }
}

/// Writes y = scale·x + shift for each plane of `size` values, clamped below at zero if `relu`.
///
/// # Panics
/// Never for `x.len() == y.len() == scale.len() * size`, `scale.len() == shift.len()`, `size > 0`.
pub fn scale_shift<T: Float>(x: &[T], size: usize, scale: &[T], shift: &[T], relu: bool, y: &mut [T]) {
    assert!(size > 0 && x.len() == y.len() && x.len() == scale.len() * size && scale.len() == shift.len());
    let plane = |((y, x), (&a, &b)): ((&mut [T], &[T]), (&T, &T))| forward_plane(x, a, b, relu, y);
    if x.len() < PARALLEL_FROM {
        y.chunks_exact_mut(size).zip(x.chunks_exact(size)).zip(scale.iter().zip(shift)).for_each(plane);
    } else {
        y.par_chunks_exact_mut(size)
            .zip(x.par_chunks_exact(size))
            .zip(scale.par_iter().zip(shift))
            .for_each(plane);
    }
}

/// The derivative of [`scale_shift`]: with g = dy where y > 0 (everywhere without `relu`) writes
/// dx = scale·g, dscale = Σ g·x and dshift = Σ g per plane.
///
/// # Panics
/// Never for arrays of the sizes that [`scale_shift`] asks for.
pub fn scale_shift_backward<T: Float>(
    dy: &[T],
    x: &[T],
    size: usize,
    scale: &[T],
    shift: &[T],
    relu: bool,
    dx: &mut [T],
    dscale: &mut [T],
    dshift: &mut [T],
) {
    let planes = scale.len();
    assert!(size > 0 && x.len() == planes * size && dy.len() == x.len() && dx.len() == x.len());
    assert!(shift.len() == planes && dscale.len() == planes && dshift.len() == planes);
    let plane = |((dx, p), (da, db)): ((&mut [T], usize), (&mut T, &mut T))| {
        let range = p * size..(p + 1) * size;
        let sums = backward_plane(&dy[range.clone()], &x[range], scale[p], shift[p], relu, dx);
        *da = T::narrow(sums.0);
        *db = T::narrow(sums.1);
    };
    if x.len() < PARALLEL_FROM {
        dx.chunks_exact_mut(size).zip(0..planes).zip(dscale.iter_mut().zip(dshift)).for_each(plane);
    } else {
        dx.par_chunks_exact_mut(size).zip(0..planes).zip(dscale.par_iter_mut().zip(dshift)).for_each(plane);
    }
}

/// The derivative of [`scale_shift_backward`] for cotangents (u, a, b) of its outputs (dx, dscale, dshift):
/// writes ddy = mask·(scale·u + a·x + b), ddx = a·g and dscale = Σ u·g. (The mask has no derivative, so
/// the shift's is zero.)
///
/// # Panics
/// Never for arrays of the sizes that [`scale_shift`] asks for.
pub fn scale_shift_double_backward<T: Float>(
    (u, a, b): (&[T], &[T], &[T]),
    dy: &[T],
    x: &[T],
    size: usize,
    scale: &[T],
    shift: &[T],
    relu: bool,
    ddy: &mut [T],
    ddx: &mut [T],
    dscale: &mut [T],
) {
    let planes = scale.len();
    assert!(size > 0 && x.len() == planes * size && dy.len() == x.len() && u.len() == x.len());
    assert!(ddy.len() == x.len() && ddx.len() == x.len() && shift.len() == planes);
    assert!(a.len() == planes && b.len() == planes && dscale.len() == planes);
    let plane = |((ddy, ddx), (p, da)): ((&mut [T], &mut [T]), (usize, &mut T))| {
        let range = p * size..(p + 1) * size;
        let cotangent = Cotangent { dx: &u[range.clone()], dscale: a[p], dshift: b[p] };
        let (dy, x) = (&dy[range.clone()], &x[range]);
        *da = T::narrow(double_backward_plane(&cotangent, dy, x, scale[p], shift[p], relu, ddy, ddx));
    };
    if x.len() < PARALLEL_FROM {
        ddy.chunks_exact_mut(size)
            .zip(ddx.chunks_exact_mut(size))
            .zip((0..planes).zip(dscale))
            .for_each(plane);
    } else {
        ddy.par_chunks_exact_mut(size)
            .zip(ddx.par_chunks_exact_mut(size))
            .zip((0..planes).into_par_iter().zip(dscale))
            .for_each(plane);
    }
}

#[cfg(test)]
mod tests {
    use super::{scale_shift, scale_shift_backward, scale_shift_double_backward};

    /// A deterministic, irregular sequence in (-1, 1).
    fn values(count: usize, phase: f64) -> Vec<f64> {
        (0..count).map(|i| (12.9898 * i as f64 + phase).sin()).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for (planes, size) in [(1, 1), (2, 5), (3, 16), (2, 35), (4, 9000)] {
            for relu in [false, true] {
                let (x, dy) = (values(planes * size, 0.1), values(planes * size, 0.7));
                let (scale, shift) = (values(planes, 1.3), values(planes, 2.9));
                let y = |x: &[f64], scale: &[f64], shift: &[f64]| {
                    let mut y = vec![0.0; x.len()];
                    scale_shift(x, size, scale, shift, relu, &mut y);
                    y
                };
                let grad = |dy: &[f64], x: &[f64], scale: &[f64]| {
                    let mut out = (vec![0.0; x.len()], vec![0.0; planes], vec![0.0; planes]);
                    scale_shift_backward(
                        dy, x, size, scale, &shift, relu, &mut out.0, &mut out.1, &mut out.2,
                    );
                    out
                };
                let (tx, ts, tb) = (values(x.len(), 4.4), values(planes, 5.5), values(planes, 6.6));
                let tdy = values(x.len(), 8.8);
                let h = 1e-6;
                let plus = |v: &[f64], t: &[f64], h: f64| -> Vec<f64> {
                    v.iter().zip(t).map(|(v, t)| v + h * t).collect()
                };

                let first = grad(&dy, &x, &scale);
                let up = y(&plus(&x, &tx, h), &plus(&scale, &ts, h), &plus(&shift, &tb, h));
                let down = y(&plus(&x, &tx, -h), &plus(&scale, &ts, -h), &plus(&shift, &tb, -h));
                let numeric = (dot(&up, &dy) - dot(&down, &dy)) / (2.0 * h);
                let exact = dot(&first.0, &tx) + dot(&first.1, &ts) + dot(&first.2, &tb);
                assert!((numeric - exact).abs() < 1e-5 * (1.0 + exact.abs()), "{numeric} {exact}");

                let (u, a, b) = (values(x.len(), 3.3), values(planes, 7.7), values(planes, 9.9));
                let inner = |g: (Vec<f64>, Vec<f64>, Vec<f64>)| dot(&g.0, &u) + dot(&g.1, &a) + dot(&g.2, &b);
                let up = inner(grad(&plus(&dy, &tdy, h), &plus(&x, &tx, h), &plus(&scale, &ts, h)));
                let down = inner(grad(&plus(&dy, &tdy, -h), &plus(&x, &tx, -h), &plus(&scale, &ts, -h)));
                let mut second = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; planes]);
                scale_shift_double_backward(
                    (&u, &a, &b),
                    &dy,
                    &x,
                    size,
                    &scale,
                    &shift,
                    relu,
                    &mut second.0,
                    &mut second.1,
                    &mut second.2,
                );
                let numeric = (up - down) / (2.0 * h);
                let exact = dot(&second.0, &tdy) + dot(&second.1, &tx) + dot(&second.2, &ts);
                assert!((numeric - exact).abs() < 1e-4 * (1.0 + exact.abs()), "{numeric} {exact}");
            }
        }
    }

    #[test]
    fn relu_lets_nan_pass() {
        let mut y = vec![0.0f32; 2];
        scale_shift(&[f32::NAN, -1.0], 2, &[1.0], &[0.0], true, &mut y);
        assert!(y[0].is_nan() && y[1] == 0.0);
    }
}
