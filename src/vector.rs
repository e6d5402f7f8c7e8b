//! Compilation for several vector units.

/// Defines a generic kernel that is compiled for AVX-512, AVX2 and the baseline, and picks at run time what
/// this CPU has. Products and sums are not contracted, so all three give the same results.
macro_rules! vectorized {
    ($(#[$attribute:meta])* fn $name:ident<$($generic:ident: $bound:path),+>($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$attribute])*
        fn $name<$($generic: $bound),+>($($arg: $type),*) {
            #[inline(always)]
            fn portable<$($generic: $bound),+>($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512<$($generic: $bound),+>($($arg: $type),*) {
                    portable::<$($generic),+>($($arg),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2<$($generic: $bound),+>($($arg: $type),*) {
                    portable::<$($generic),+>($($arg),*);
                }
                if $crate::vector::has_avx512() {
                    // SAFETY: the CPU has every feature that the function is compiled for.
                    return unsafe { avx512::<$($generic),+>($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: as above.
                    return unsafe { avx2::<$($generic),+>($($arg),*) };
                }
            }
            portable::<$($generic),+>($($arg),*);
        }
    };
}
pub(crate) use vectorized;

/// The vector unit that kernels run on here: "avx512", "avx2" or "portable".
#[must_use]
pub fn vector_unit() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if has_avx512() {
            return "avx512";
        }
        if is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    "portable"
}

/// Whether this CPU has every part of AVX-512 that kernels are compiled for.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
}
