//! From bytes in a pack to the arrays that the network reads.
//!
//! `pack` (LMDB) → `decode` (JPEG, by Rust or `turbo`; PNG) → `color`, `resize` (OpenCV's 8-bit arithmetic) → `transform`
//! (one sample) → `batch` (many samples on many threads). `random` draws the augmentations, `augment` and
//! `transform` apply them.

pub mod augment;
pub mod batch;
pub mod color;
pub mod decode;
mod error;
mod exif;
pub mod pack;
pub mod random;
pub mod resize;
pub mod transform;
mod turbo;

pub use error::DataError;
pub use turbo::is_vectorized as exact_decoder_is_vectorized;
