//! Rust core of `anrl`.
//!
//! - [`norm`]: adaptive normalization.
//! - [`calibration`]: distances between features and class centres.
//! - [`data`]: packs (LMDB), image decoding, the exact pixel transform.
//! - [`element`]: number types; [`vector`]: vector units; [`threads`]: the only place that owns threads.
//!
//! Nothing here knows Python or libtorch, except the binding behind the feature `python`.

pub mod calibration;
pub mod data;
pub mod element;
pub mod norm;
pub mod threads;
pub mod vector;

#[cfg(feature = "python")]
mod python;
