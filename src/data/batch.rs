//! Many samples at once, each written to its place in one buffer.

use ndarray::{ArrayViewMut2, ArrayViewMut3};
use rayon::prelude::*;

use super::DataError;
use super::transform::{Draws, Landmarks, Transform};

/// One sample to load.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The encoded image.
    pub image: &'a [u8],
    /// The encoded depth map; none means zero everywhere (an attack).
    pub depth: Option<&'a [u8]>,
    /// Landmarks for the crop.
    pub landmarks: Option<&'a Landmarks>,
    /// The augmentation.
    pub draws: Draws,
}

/// Loads `items` into `images` (items, channels, S, S) and `depths` (items, D, D) on the current pool.
///
/// # Errors
/// The position of the first item that failed, whatever thread met it, and its error.
///
/// # Panics
/// Never for buffers of these sizes.
pub fn load(
    transform: &Transform,
    items: &[Item<'_>],
    images: &mut [f32],
    depths: &mut [f32],
) -> Result<(), (usize, DataError)> {
    let (channels, size, depth_size) = (transform.channels(), transform.size(), transform.depth_size());
    let (image_len, depth_len) = (channels * size * size, depth_size * depth_size);
    assert!(images.len() == items.len() * image_len && depths.len() == items.len() * depth_len);
    let results: Vec<Result<(), DataError>> = items
        .par_iter()
        .zip(images.par_chunks_exact_mut(image_len).zip(depths.par_chunks_exact_mut(depth_len)))
        .map(|(item, (image, depth))| {
            let shape = |e: ndarray::ShapeError| DataError::Image(e.to_string());
            let image = ArrayViewMut3::from_shape((channels, size, size), image).map_err(shape)?;
            let depth = ArrayViewMut2::from_shape((depth_size, depth_size), depth).map_err(shape)?;
            transform.apply(item.image, item.depth, item.landmarks, item.draws, image, depth)
        })
        .collect();
    match results.into_iter().enumerate().find_map(|(i, result)| Some((i, result.err()?))) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}
