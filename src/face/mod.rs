//! Faces: MediaPipe's short-range detector and its mesh of 468 points, run without another runtime, and depth maps.
//!
//! [`find`] joins [`detector`] and [`mesh`], whose networks see a [`region`] of the image. [`network`] runs a TFLite
//! file: [`tflite`] reads it, [`plan`] joins its operators into blocks, [`kernels`] runs those on [`vector`]s.

pub mod depth;
mod detector;
pub mod find;
mod kernels;
pub mod mesh;
pub mod network;
mod plan;
pub mod region;
mod tflite;
mod vector;
