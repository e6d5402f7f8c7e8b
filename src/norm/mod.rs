//! The passes over memory of adaptive normalization.
//!
//! A batch (N, C, …) has N·C planes of `size` values, contiguous or with the channels last. Statistics and
//! coefficients hold one value per plane. Everything else of the layer (running statistics, the gate, the
//! mix of the branches) is arithmetic on (N, C) arrays and is done by the caller.

mod element;
mod layout;
mod moments;
mod scale_shift;
mod vector;

pub use element::{Bf16, Element, F16, Real};
pub use layout::Shape;
pub use moments::instance_moments;
pub use scale_shift::{
    scale_shift, scale_shift_double_gradient, scale_shift_double_sums, scale_shift_gradient, scale_shift_sums,
};

/// Calls with fewer values than this run on the calling thread: waking the pool would cost more.
pub const PARALLEL_FROM: usize = 1 << 18;
