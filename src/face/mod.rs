//! Faces: MediaPipe's detectors and its mesh of 468 points, run without another runtime, and depth maps.
//!
//! [`find`] joins [`detector`] and [`mesh`], whose networks see a [`region`] of the image. [`network`] runs a TFLite
//! file: [`tflite`] reads it, [`plan`] joins its operators into blocks, [`kernels`] runs
//! those on [`vector`]s, [`doubling`] enlarges maps.

pub mod depth;
mod detector;
mod doubling;
pub mod find;
mod kernels;
pub mod mesh;
pub mod network;
mod plan;
pub mod region;
mod tflite;
mod vector;
