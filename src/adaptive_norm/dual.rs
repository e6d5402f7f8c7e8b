//! Numbers that the (N, C) arithmetic is written for: plain ones, and ones that carry a derivative.
//!
//! The second derivative of the layer is the first derivative's code run on [`Dual`] numbers.

use std::ops::{Add, AddAssign, Mul, Sub};

/// A number, perhaps with its derivative in one direction.
pub(super) trait Number:
    Copy
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Mul<f64, Output = Self>
    + 'static
{
    /// Zero, a constant.
    const ZERO: Self;
    /// The number itself.
    fn value(self) -> f64;
    /// f of this number, for a function with that value and derivative here.
    fn chain(self, value: f64, derivative: f64) -> Self;

    /// 1 / sqrt(x).
    #[inline(always)]
    fn rsqrt(self) -> Self {
        let root = self.value().sqrt().recip();
        self.chain(root, -0.5 * root * root * root)
    }

    /// 1 / x.
    #[inline(always)]
    fn recip(self) -> Self {
        let inverse = self.value().recip();
        self.chain(inverse, -inverse * inverse)
    }

    /// 1 / (1 + exp(-x)).
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let value = ((-self.value()).exp() + 1.0).recip();
        self.chain(value, value * (1.0 - value))
    }

    /// x · (1 - x): the derivative of the sigmoid, from its value.
    #[inline(always)]
    fn sigmoid_slope(self) -> Self {
        self - self * self
    }

    /// `value` where this number is above zero (or NaN, as in torch), else zero: the ReLU, and its derivative.
    #[inline(always)]
    fn relu_mask<S: Number>(self, value: S) -> S {
        if self.value() <= 0.0 { S::ZERO } else { value }
    }
}

impl Number for f64 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn value(self) -> f64 {
        self
    }
    #[inline(always)]
    fn chain(self, value: f64, _: f64) -> Self {
        value
    }
}

/// A number and its derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dual {
    pub(super) value: f64,
    pub(super) slope: f64,
}

impl Add for Dual {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, slope: self.slope + other.slope }
    }
}

impl AddAssign for Dual {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Dual {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self { value: self.value - other.value, slope: self.slope - other.slope }
    }
}

impl Mul for Dual {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let slope = self.value * other.slope + self.slope * other.value;
        Self { value: self.value * other.value, slope }
    }
}

impl Mul<f64> for Dual {
    type Output = Self;
    #[inline(always)]
    fn mul(self, factor: f64) -> Self {
        Self { value: self.value * factor, slope: self.slope * factor }
    }
}

impl Number for Dual {
    const ZERO: Self = Self { value: 0.0, slope: 0.0 };
    #[inline(always)]
    fn value(self) -> f64 {
        self.value
    }
    #[inline(always)]
    fn chain(self, value: f64, derivative: f64) -> Self {
        Self { value, slope: derivative * self.slope }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dual, Number};

    #[test]
    fn dual_numbers_carry_the_derivative() {
        fn f<S: Number>(x: S) -> S {
            (x * x + x).rsqrt() * x.sigmoid() - x.recip() * 3.0
        }
        let (x, h) = (0.7, 1e-6);
        let y = f(Dual { value: x, slope: 1.0 });
        assert_eq!(y.value, f(x));
        assert!((y.slope - (f(x + h) - f(x - h)) / (2.0 * h)).abs() < 1e-7);
    }
}
