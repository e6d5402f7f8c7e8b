//! The passes over memory of adaptive normalization.
//!
//! A batch (N, C, …) has N·C planes of `size` values, contiguous or with the channels last. Statistics and
//! coefficients hold one value per plane. Everything else of the layer (the gate, the mixture of the branches)
//! is arithmetic on (N, C) arrays. [`Layer`] puts it all together.

mod gate;
mod layer;
mod layout;
mod linear;
mod mixture;
mod moments;
mod number;
mod scale_shift;

pub use gate::Form;
pub use layer::{Gradients, Layer, Moments};
pub use layout::Shape;
pub use moments::instance_moments;
pub use scale_shift::{
    scale_shift, scale_shift_double_gradient, scale_shift_double_sums, scale_shift_gradient, scale_shift_sums,
};
