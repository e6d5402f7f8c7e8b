//! Compilation for several vector units.

use std::sync::OnceLock;

/// What kernels are compiled for, the widest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Whatever every CPU of the architecture has.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512,
}

impl Unit {
    /// Its name, as in the environment variable `ANRL_VECTOR_UNIT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// The widest that this CPU has.
    fn widest() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw");
            if avx512 {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// The unit that kernels run on: the widest of this CPU, or a narrower one that `ANRL_VECTOR_UNIT` names.
#[must_use]
pub fn unit() -> Unit {
    static UNIT: OnceLock<Unit> = OnceLock::new();
    *UNIT.get_or_init(|| {
        let widest = Unit::widest();
        let wanted = std::env::var("ANRL_VECTOR_UNIT").unwrap_or_default();
        let narrower = [Unit::Portable, Unit::Avx2].into_iter().find(|unit| unit.name() == wanted);
        narrower.map_or(widest, |unit| unit.min(widest))
    })
}

/// Defines a generic kernel that is compiled for every unit, and picks at run time. Products and sums are not
/// contracted, so all give the same results.
macro_rules! vectorized {
    ($(#[$attribute:meta])* fn $name:ident<$($generic:ident: $bound:path),*>($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$attribute])*
        fn $name<$($generic: $bound),*>($($arg: $type),*) {
            #[inline(always)]
            fn portable<$($generic: $bound),*>($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512<$($generic: $bound),*>($($arg: $type),*) {
                    portable::<$($generic),*>($($arg),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2<$($generic: $bound),*>($($arg: $type),*) {
                    portable::<$($generic),*>($($arg),*);
                }
                match $crate::simd::unit() {
                    // SAFETY: `unit` is never wider than what this CPU has.
                    $crate::simd::Unit::Avx512 => return unsafe { avx512::<$($generic),*>($($arg),*) },
                    // SAFETY: as above.
                    $crate::simd::Unit::Avx2 => return unsafe { avx2::<$($generic),*>($($arg),*) },
                    $crate::simd::Unit::Portable => {}
                }
            }
            portable::<$($generic),*>($($arg),*);
        }
    };
}
pub(crate) use vectorized;
