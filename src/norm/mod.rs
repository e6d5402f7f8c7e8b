//! The passes over memory of adaptive normalization, on contiguous planes.
//!
//! A batch of shape (N, C, …) is seen as `planes = N * C` rows of `size` values each. Statistics and
//! coefficients hold one value per plane. Everything else of the layer (running statistics, the gate, the
//! mix of the branches) is arithmetic on (N, C) arrays and is done by the caller.
//!
//! Sums of float32 accumulate in float64, as ATen's batch normalization does on the CPU.

mod moments;
mod scale_shift;
mod vector;

pub use moments::instance_moments;
pub use scale_shift::{scale_shift, scale_shift_backward, scale_shift_double_backward};
pub use vector::Float;

/// Calls with fewer values than this run on the calling thread: waking the pool would cost more.
pub const PARALLEL_FROM: usize = 1 << 15;
