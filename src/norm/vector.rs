//! Element types and compilation for several vector units.

/// An element type that the kernels serve.
pub trait Float:
    Copy
    + Send
    + Sync
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::fmt::Debug
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// The value as float64.
    fn wide(self) -> f64;
    /// The nearest value to `value`.
    fn narrow(value: f64) -> Self;
}

impl Float for f32 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value as f32
    }
}

impl Float for f64 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value
    }
}

/// Partial sums of a reduction: as many as two AVX-512 registers of float64 hold.
pub(super) const LANES: usize = 16;

/// Adds partial sums pairwise.
#[inline(always)]
pub(super) fn total(mut lanes: [f64; LANES]) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Defines a generic kernel that is compiled for AVX-512, AVX2 and the baseline, and picks at run time what
/// this CPU has. Products and sums are not contracted, so all three give the same elementwise results.
macro_rules! vectorized {
    ($(#[$attribute:meta])* fn $name:ident<$T:ident>($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$attribute])*
        pub(super) fn $name<$T: Float>($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn portable<$T: Float>($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512<$T: Float>($($arg: $type),*) $(-> $out)? {
                    portable($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2<$T: Float>($($arg: $type),*) $(-> $out)? {
                    portable($($arg),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                {
                    // SAFETY: the CPU has every feature that the function is compiled for.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            portable($($arg),*)
        }
    };
}
pub(super) use vectorized;
