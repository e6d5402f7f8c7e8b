//! Many samples at once, each written to its place in one buffer.

use rayon::prelude::*;

use super::DataError;
use super::transform::{Draws, Landmarks, Transform, Value};

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
/// Returns the positions and errors of those that failed, in order; what is written for them is of no use.
///
/// # Panics
/// Never for buffers of these sizes.
pub fn load<V: Value>(
    transform: &Transform,
    items: &[Item<'_>],
    images: &mut [V],
    depths: &mut [f32],
) -> Vec<(usize, DataError)> {
    let (channels, size, depth_size) = (transform.channels(), transform.size(), transform.depth_size());
    let (image_len, depth_len) = (channels * size * size, depth_size * depth_size);
    assert!(images.len() == items.len() * image_len && depths.len() == items.len() * depth_len);
    let outputs = images.par_chunks_exact_mut(image_len).zip(depths.par_chunks_exact_mut(depth_len));
    items
        .par_iter()
        .zip(outputs)
        .enumerate()
        .filter_map(|(position, (item, (image, depth)))| {
            let result = transform.apply(item.image, item.depth, item.landmarks, item.draws, image, depth);
            Some((position, result.err()?))
        })
        .collect()
}
