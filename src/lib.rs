//! Rust core of `anrl`.
//!
//! - [`norm`]: the memory passes of adaptive normalization.
//! - [`data`]: packs (LMDB), image decoding, the exact pixel transform.
//! - [`threads`]: the only place that owns threads.
//!
//! Nothing here knows Python or libtorch, except the binding behind the feature `python`.

pub mod data;
pub mod norm;
pub mod threads;

#[cfg(feature = "python")]
mod python;
