//! Rust core of `anrl`.
//!
//! - [`adaptive_norm`]: adaptive normalization; [`center_distance`]: distances between features and class centers.
//! - [`pack`]: packs (LMDB); [`image`]: decoding and image operations; [`sample`]: from a pack's bytes to batches.
//! - [`dtype`]: number types; [`simd`]: vector units; [`thread_pool`]: the only place that owns threads; [`error`].
//!
//! Nothing here knows Python or libtorch, except the binding behind the feature `python`.

pub mod adaptive_norm;
pub mod center_distance;
pub mod dtype;
pub mod error;
pub mod face;
pub mod image;
pub mod pack;
pub mod sample;
pub mod simd;
pub mod thread_pool;

#[cfg(feature = "python")]
mod python;
