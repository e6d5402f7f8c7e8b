//! y = scale·x + shift per plane, optionally followed by ReLU, with its first and second derivative.
//!
//! Each derivative takes two passes: one that reads and sums, one that reads and writes. The coefficients of
//! the second follow from the sums of the first by arithmetic on (N, C) arrays, which the caller does.
//! The ReLU mask is never stored: it is recomputed from x with the forward's own expression.

use super::layout::{Coefficients, Shape, each, same, with_coefficients};
use crate::dtype::{Element, Real};
use crate::simd::vectorized;

#[inline(always)]
fn affine<T: Real>(x: T, scale: T, shift: T) -> T {
    scale * x + shift
}

/// What follows the affine map; a type, so that loops are compiled for each.
trait Activation {
    const RELU: bool;
}
struct Relu;
impl Activation for Relu {
    const RELU: bool = true;
}
struct Identity;
impl Activation for Identity {
    const RELU: bool = false;
}

/// `value`, masked by the forward ReLU.
#[inline(always)]
fn masked<A: Activation, T: Real>(x: T, scale: T, shift: T, value: T) -> T {
    if A::RELU && affine(x, scale, shift) <= T::ZERO { T::ZERO } else { value }
}

/// Calls a kernel, with `A` the activation and `$coefficients` those of the piece that begins at `$start`.
macro_rules! specialized {
    ($shape:expr, $start:expr, $arrays:expr, $relu:expr, |$coefficients:ident| $call:expr) => {
        with_coefficients!($shape, $start, $arrays, |$coefficients| if $relu {
            type A = Relu;
            $call
        } else {
            type A = Identity;
            $call
        })
    };
}

vectorized! {
    fn forward_rows<A: Activation, E: Element, C: Coefficients<E::Compute, 2>>(
        x: &[E], coefficients: C, row: usize, y: &mut [E],
    ) {
        for (x, y) in x.chunks(row).zip(y.chunks_mut(row)) {
            let n = x.len();
            let (coefficients, y) = (coefficients.cut(n), &mut y[..n]);
            for i in 0..n {
                let [scale, shift] = coefficients.at(i);
                let value = affine(x[i].load(), scale, shift);
                // Written so that NaN passes, as in torch.relu.
                y[i] = E::store(if A::RELU && value < E::Compute::ZERO { E::Compute::ZERO } else { value });
            }
        }
    }
}

vectorized! {
    fn sums_rows<A: Activation, E: Element, C: Coefficients<E::Compute, 2>>(
        dy: &[E], x: &[E], coefficients: C, row: usize,
        dshift: &mut [E::Sum], dscale: &mut [E::Sum],
    ) {
        for (dy, x) in dy.chunks(row).zip(x.chunks(row)) {
            let n = x.len();
            let (coefficients, dy) = (coefficients.cut(n), &dy[..n]);
            let (dshift, dscale) = (&mut dshift[..n], &mut dscale[..n]);
            for i in 0..n {
                let ([scale, shift], x) = (coefficients.at(i), x[i].load());
                let passed = E::widen(masked::<A, _>(x, scale, shift, dy[i].load()));
                dshift[i] = dshift[i] + passed;
                dscale[i] = dscale[i] + passed * E::widen(x);
            }
        }
    }
}

vectorized! {
    fn gradient_rows<A: Activation, E: Element, C: Coefficients<E::Compute, 4>>(
        dy: &[E], x: &[E], coefficients: C, row: usize, dx: &mut [E],
    ) {
        for ((dy, x), dx) in dy.chunks(row).zip(x.chunks(row)).zip(dx.chunks_mut(row)) {
            let n = x.len();
            let (coefficients, dy, dx) = (coefficients.cut(n), &dy[..n], &mut dx[..n]);
            for i in 0..n {
                let ([scale, shift, slope, offset], x) = (coefficients.at(i), x[i].load());
                let passed = masked::<A, _>(x, scale, shift, dy[i].load());
                dx[i] = E::store(scale * passed + (slope * x + offset));
            }
        }
    }
}

vectorized! {
    fn double_sums_rows<A: Activation, E: Element, C: Coefficients<E::Compute, 2>>(
        u: &[E], dy: &[E], x: &[E], coefficients: C, row: usize, sums: [&mut [E::Sum]; 3],
    ) {
        let [passed_sum, x_sum, plain_sum] = sums;
        for ((u, dy), x) in u.chunks(row).zip(dy.chunks(row)).zip(x.chunks(row)) {
            let n = x.len();
            let (coefficients, u, dy) = (coefficients.cut(n), &u[..n], &dy[..n]);
            let (passed_sum, x_sum, plain_sum) = (&mut passed_sum[..n], &mut x_sum[..n], &mut plain_sum[..n]);
            for i in 0..n {
                let ([scale, shift], x) = (coefficients.at(i), x[i].load());
                let passed = E::widen(masked::<A, _>(x, scale, shift, dy[i].load()));
                let u = E::widen(u[i].load());
                passed_sum[i] = passed_sum[i] + u * passed;
                x_sum[i] = x_sum[i] + u * E::widen(x);
                plain_sum[i] = plain_sum[i] + u;
            }
        }
    }
}

vectorized! {
    fn double_gradient_rows<A: Activation, E: Element, C: Coefficients<E::Compute, 7>>(
        u: &[E], dy: &[E], x: &[E], coefficients: C, row: usize, to_dy: &mut [E], to_x: &mut [E],
    ) {
        let outputs = to_dy.chunks_mut(row).zip(to_x.chunks_mut(row));
        for (((u, dy), x), (to_dy, to_x)) in u.chunks(row).zip(dy.chunks(row)).zip(x.chunks(row)).zip(outputs) {
            let n = x.len();
            let (coefficients, u, dy) = (coefficients.cut(n), &u[..n], &dy[..n]);
            let (to_dy, to_x) = (&mut to_dy[..n], &mut to_x[..n]);
            for i in 0..n {
                let [scale, shift, slope, sum_x, sum_1, curve, offset] = coefficients.at(i);
                let (u, x) = (u[i].load(), x[i].load());
                let passed = masked::<A, _>(x, scale, shift, dy[i].load());
                let through = masked::<A, _>(x, scale, shift, scale * u + (sum_x * x + sum_1));
                to_dy[i] = E::store(through);
                to_x[i] = E::store((slope * u + sum_x * passed) + (curve * x + offset));
            }
        }
    }
}

/// Checks lengths once, so that slicing by pieces cannot fail.
fn check<T>(shape: Shape, large: &[usize], small: &[&[T]]) {
    assert!(!shape.is_empty() && large.iter().all(|&len| len == shape.len()));
    assert!(small.iter().all(|array| array.len() == shape.planes()));
}

/// Writes y = scale·x + shift, clamped below at zero if `relu`.
///
/// # Panics
/// If `shape` is empty, or an array is neither of that shape nor, for coefficients, one value for each plane.
pub fn scale_shift<E: Element>(
    x: &[E],
    shape: Shape,
    scale: &[E::Compute],
    shift: &[E::Compute],
    relu: bool,
    y: &mut [E],
) {
    check(shape, &[x.len(), y.len()], &[scale, shift]);
    let (piece, row) = (shape.piece(), shape.whole_row());
    shape.for_each_piece(y, |i, y| {
        let x = &x[i * piece..][..piece];
        specialized!(shape, i * piece, [scale, shift], relu, |c| forward_rows::<A, E, _>(x, c, row, y));
    });
}

/// The sums that the first derivative needs: with g = dy where y > 0 (everywhere without `relu`) writes
/// dshift = Σ g and dscale = Σ g·x.
///
/// # Panics
/// As [`scale_shift`].
pub fn scale_shift_sums<E: Element>(
    dy: &[E],
    x: &[E],
    shape: Shape,
    scale: &[E::Compute],
    shift: &[E::Compute],
    relu: bool,
    dshift: &mut [E::Compute],
    dscale: &mut [E::Compute],
) {
    check(shape, &[dy.len(), x.len()], &[scale, shift, dshift, dscale]);
    let (piece, row) = (shape.piece(), shape.row());
    shape.reduce(
        |i, [b, a]: [&mut [E::Sum]; 2]| {
            let (dy, x) = (&dy[i * piece..][..piece], &x[i * piece..][..piece]);
            specialized!(shape, i * piece, [scale, shift], relu, |c| sums_rows::<A, E, _>(
                dy, x, c, row, b, a
            ));
        },
        |plane, [b, a]| {
            dshift[plane] = E::Compute::narrow(b.wide());
            dscale[plane] = E::Compute::narrow(a.wide());
        },
    );
}

/// The gradient with respect to x, when scale and shift depend on x too: writes
/// dx = scale·g + slope·x + offset, with g as in [`scale_shift_sums`] and `coefficients` (scale, shift,
/// slope, offset).
///
/// # Panics
/// As [`scale_shift`].
pub fn scale_shift_gradient<E: Element>(
    dy: &[E],
    x: &[E],
    shape: Shape,
    coefficients: [&[E::Compute]; 4],
    relu: bool,
    dx: &mut [E],
) {
    check(shape, &[dy.len(), x.len(), dx.len()], &coefficients);
    let (piece, row) = (shape.piece(), shape.whole_row());
    shape.for_each_piece(dx, |i, dx| {
        let (dy, x) = (&dy[i * piece..][..piece], &x[i * piece..][..piece]);
        specialized!(shape, i * piece, coefficients, relu, |c| gradient_rows::<A, E, _>(dy, x, c, row, dx));
    });
}

/// The sums that the second derivative needs, for a cotangent u of dx: writes Σ u·g, Σ u·x and Σ u, with g as
/// in [`scale_shift_sums`].
///
/// # Panics
/// As [`scale_shift`].
pub fn scale_shift_double_sums<E: Element>(
    u: &[E],
    dy: &[E],
    x: &[E],
    shape: Shape,
    scale: &[E::Compute],
    shift: &[E::Compute],
    relu: bool,
    [passed_sum, x_sum, plain_sum]: [&mut [E::Compute]; 3],
) {
    check(shape, &[u.len(), dy.len(), x.len()], &[scale, shift, passed_sum, x_sum, plain_sum]);
    let (piece, row) = (shape.piece(), shape.row());
    shape.reduce(
        |i, sums: [&mut [E::Sum]; 3]| {
            let [u, dy, x] = [u, dy, x].map(|array| &array[i * piece..][..piece]);
            specialized!(shape, i * piece, [scale, shift], relu, |c| double_sums_rows::<A, E, _>(
                u, dy, x, c, row, sums
            ));
        },
        |plane, [a, b, c]| {
            passed_sum[plane] = E::Compute::narrow(a.wide());
            x_sum[plane] = E::Compute::narrow(b.wide());
            plain_sum[plane] = E::Compute::narrow(c.wide());
        },
    );
}

/// The derivative of [`scale_shift_gradient`] and [`scale_shift_sums`] together, for a cotangent u of dx:
/// writes ddy = mask·(scale·u + sum_x·x + sum_1) and ddx = slope·u + sum_x·g + curve·x + offset, with
/// `coefficients` (scale, shift, slope, sum_x, sum_1, curve, offset).
///
/// # Panics
/// As [`scale_shift`].
pub fn scale_shift_double_gradient<E: Element>(
    u: &[E],
    dy: &[E],
    x: &[E],
    shape: Shape,
    coefficients: [&[E::Compute]; 7],
    relu: bool,
    ddy: &mut [E],
    ddx: &mut [E],
) {
    check(shape, &[u.len(), dy.len(), x.len(), ddy.len(), ddx.len()], &coefficients);
    let (piece, row) = (shape.piece(), shape.whole_row());
    shape.for_each_piece_of_two(ddy, ddx, |i, ddy, ddx| {
        let [u, dy, x] = [u, dy, x].map(|array| &array[i * piece..][..piece]);
        specialized!(shape, i * piece, coefficients, relu, |c| double_gradient_rows::<A, E, _>(
            u, dy, x, c, row, ddy, ddx
        ));
    });
}

#[cfg(test)]
mod tests {
    use super::{
        Shape, scale_shift, scale_shift_double_gradient, scale_shift_double_sums, scale_shift_gradient,
        scale_shift_sums,
    };

    /// A deterministic, irregular sequence in (-1, 1).
    fn values(count: usize, phase: f64) -> Vec<f64> {
        (0..count).map(|i| (12.9898 * i as f64 + phase).sin()).collect()
    }

    fn plane_of(shape: Shape, i: usize) -> usize {
        let (sample, place) = (i / (shape.channels * shape.size), i % (shape.channels * shape.size));
        let channel = if shape.channels_last { place % shape.channels } else { place / shape.size };
        sample * shape.channels + channel
    }

    fn shapes() -> Vec<Shape> {
        let sizes = [(1, 1, 1), (2, 3, 5), (1, 2, 64), (3, 2, 65), (2, 5, 30_000)];
        sizes
            .iter()
            .flat_map(|&(batch, channels, size)| {
                [false, true].map(|channels_last| Shape { batch, channels, size, channels_last })
            })
            .collect()
    }

    #[test]
    fn every_kernel_follows_its_formula_in_both_layouts() {
        for shape in shapes() {
            for relu in [false, true] {
                let (len, planes) = (shape.len(), shape.planes());
                let [x, dy, u] = [0.1, 0.7, 3.3].map(|phase| values(len, phase));
                let coefficients: Vec<Vec<f64>> =
                    (0..7).map(|k| values(planes, 1.3 + f64::from(k))).collect();
                let (scale, shift) = (&coefficients[0], &coefficients[1]);
                let c = |k: usize, i: usize| coefficients[k][plane_of(shape, i)];
                let y = |i: usize| c(0, i) * x[i] + c(1, i);
                let mask = |i: usize| if relu && y(i) <= 0.0 { 0.0 } else { 1.0 };
                let close = |values: &[f64], want: &dyn Fn(usize) -> f64| {
                    for (i, value) in values.iter().enumerate() {
                        assert!((value - want(i)).abs() < 1e-9 * (1.0 + want(i).abs()), "{shape:?} {i}");
                    }
                };
                let sum_of = |term: &dyn Fn(usize) -> f64| {
                    let mut sums = vec![0.0; planes];
                    (0..len).for_each(|i| sums[plane_of(shape, i)] += term(i));
                    sums
                };

                let mut out = vec![0.0; len];
                scale_shift(&x, shape, scale, shift, relu, &mut out);
                close(&out, &|i| y(i) * mask(i));

                let (mut dshift, mut dscale) = (vec![0.0; planes], vec![0.0; planes]);
                scale_shift_sums(&dy, &x, shape, scale, shift, relu, &mut dshift, &mut dscale);
                let want = sum_of(&|i| mask(i) * dy[i]);
                close(&dshift, &|p| want[p]);
                let want = sum_of(&|i| mask(i) * dy[i] * x[i]);
                close(&dscale, &|p| want[p]);

                let four: [&[f64]; 4] = std::array::from_fn(|k| &coefficients[k][..]);
                scale_shift_gradient(&dy, &x, shape, four, relu, &mut out);
                close(&out, &|i| c(0, i) * mask(i) * dy[i] + c(2, i) * x[i] + c(3, i));

                let mut sums = [vec![0.0; planes], vec![0.0; planes], vec![0.0; planes]];
                let [a, b, d] = &mut sums;
                scale_shift_double_sums(&u, &dy, &x, shape, scale, shift, relu, [a, b, d]);
                for (sum, term) in sums.iter().zip([
                    &(|i: usize| u[i] * mask(i) * dy[i]) as &dyn Fn(usize) -> f64,
                    &|i| u[i] * x[i],
                    &|i| u[i],
                ]) {
                    let want = sum_of(term);
                    close(sum, &|p| want[p]);
                }

                let seven: [&[f64]; 7] = std::array::from_fn(|k| &coefficients[k][..]);
                let (mut ddy, mut ddx) = (vec![0.0; len], vec![0.0; len]);
                scale_shift_double_gradient(&u, &dy, &x, shape, seven, relu, &mut ddy, &mut ddx);
                close(&ddy, &|i| mask(i) * (c(0, i) * u[i] + c(3, i) * x[i] + c(4, i)));
                close(&ddx, &|i| c(2, i) * u[i] + c(3, i) * mask(i) * dy[i] + c(5, i) * x[i] + c(6, i));
            }
        }
    }

    #[test]
    fn relu_lets_nan_pass() {
        let shape = Shape { batch: 1, channels: 1, size: 2, channels_last: false };
        let mut y = vec![0.0f32; 2];
        scale_shift(&[f32::NAN, -1.0], shape, &[1.0], &[0.0], true, &mut y);
        assert!(y[0].is_nan() && y[1] == 0.0);
    }
}
