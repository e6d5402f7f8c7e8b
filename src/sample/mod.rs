//! From the bytes in a pack to the arrays that the network reads.
//!
//! [`policy`] draws the augmentation of a sample from [`random`] numbers, [`transform`] decodes, augments, resizes and
//! normalizes the sample, and [`batch`] does so for many samples on many threads.

pub mod augmentation;
pub mod batch;
mod depth;
pub mod policy;
pub mod random;
pub mod transform;
