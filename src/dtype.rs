//! Element types: what is stored, what is computed with, what sums are kept in.

use std::fmt::Debug;
use std::ops::{Add, Mul, Sub};

/// A type to compute with: float32 or float64.
pub trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// The value as float64.
    fn wide(self) -> f64;
    /// The nearest value to `value`.
    fn narrow(value: f64) -> Self;
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            #[inline(always)]
            fn wide(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn narrow(value: f64) -> Self {
                value as $type
            }
        }
    };
}
real!(f32);
real!(f64);

/// A type of tensor elements that the kernels serve.
pub trait Element: Copy + Send + Sync + 'static {
    /// Type of coefficients and statistics, and of all elementwise arithmetic.
    type Compute: Real;
    /// Type that sums are kept in: float64 for float32, as in ATen; float32 for the half types.
    type Sum: Real;
    /// The value to compute with.
    fn load(self) -> Self::Compute;
    /// The nearest storable value.
    fn store(value: Self::Compute) -> Self;
    /// The value to sum.
    fn widen(value: Self::Compute) -> Self::Sum;
}

macro_rules! full {
    ($type:ty) => {
        impl Element for $type {
            type Compute = $type;
            type Sum = f64;
            #[inline(always)]
            fn load(self) -> $type {
                self
            }
            #[inline(always)]
            fn store(value: $type) -> Self {
                value
            }
            #[inline(always)]
            fn widen(value: $type) -> f64 {
                value as f64
            }
        }
    };
}
full!(f32);
full!(f64);

/// bfloat16: the upper half of a float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl Element for Bf16 {
    type Compute = f32;
    type Sum = f32;
    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
    #[inline(always)]
    fn store(value: f32) -> Self {
        let bits = value.to_bits();
        let even = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // A NaN must not be rounded up to infinity.
        Self(if value.is_nan() { 0x7fc0 } else { even as u16 })
    }
    #[inline(always)]
    fn widen(value: f32) -> f32 {
        value
    }
}

/// IEEE 754 half precision. The conversions are free of branches, so that loops of them vectorize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct F16(pub u16);

impl Element for F16 {
    type Compute = f32;
    type Sum = f32;
    #[inline(always)]
    fn load(self) -> f32 {
        let magnitude = u32::from(self.0 & 0x7fff) << 13;
        // Moves the exponent's bias from 15 to 127; exact for subnormal numbers too.
        let finite = f32::from_bits(magnitude) * f32::from_bits((254 - 15) << 23);
        let special = f32::from_bits(magnitude | 255 << 23);
        let value = if magnitude >= 31 << 23 { special } else { finite };
        f32::from_bits(value.to_bits() | u32::from(self.0 & 0x8000) << 16)
    }
    #[inline(always)]
    fn store(value: f32) -> Self {
        let sign = value.to_bits() >> 16 & 0x8000;
        let magnitude = value.to_bits() & 0x7fff_ffff;
        // Subnormal results: adding 0.5 shifts their bits to the end of the mantissa and rounds them.
        let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
        let normal =
            magnitude.wrapping_sub((127 - 15) << 23).wrapping_add(0xfff + (magnitude >> 13 & 1)) >> 13;
        let finite = if magnitude < (127 - 14) << 23 { subnormal } else { normal };
        let bits = if magnitude >= (127 + 16) << 23 { 0x7c00 } else { finite };
        let bits = if magnitude > 255 << 23 { 0x7e00 } else { bits };
        Self((bits | sign) as u16)
    }
    #[inline(always)]
    fn widen(value: f32) -> f32 {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::{Bf16, Element, F16};

    /// Every float32 with few mantissa bits, and its neighbors: all ties, overflows and underflows.
    fn interesting() -> impl Iterator<Item = f32> {
        (0..=u16::MAX).flat_map(|high| {
            [0u32, 1, 0x7fff, 0x8000, 0x8001, 0xffff].map(|low| f32::from_bits(u32::from(high) << 16 | low))
        })
    }

    #[test]
    fn half_types_convert_as_ieee_says() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (F16(bits).load(), half::f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{bits:#x}");
            let (ours, theirs) = (Bf16(bits).load(), half::bf16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{bits:#x}");
        }
        let steps = (0..1 << 20).map(|i| f32::from_bits(i << 12));
        for value in interesting().chain(steps) {
            let (ours, theirs) = (F16::store(value), half::f16::from_f32(value));
            assert!(ours.0 == theirs.to_bits() || (value.is_nan() && ours.load().is_nan()), "{value:e}");
            let (ours, theirs) = (Bf16::store(value), half::bf16::from_f32(value));
            assert!(ours.0 == theirs.to_bits() || (value.is_nan() && ours.load().is_nan()), "{value:e}");
        }
    }
}
