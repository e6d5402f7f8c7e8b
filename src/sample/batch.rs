//! Many samples at once, each written to its place in one buffer.

use rayon::prelude::*;

use super::transform::{Item, Transform, Value};
use crate::error::DataError;

/// Loads `items` into `images` (items, channels, S, S) and `depths` (items, D, D) on the current pool.
///
/// Returns the positions and errors of the items that failed, in order; what is written for them has no meaning.
///
/// # Panics
/// If a buffer has another size.
pub fn load<V: Value>(
    transform: &Transform,
    items: &[Item<'_>],
    images: &mut [V],
    depths: &mut [f32],
) -> Vec<(usize, DataError)> {
    let (image_len, depth_len) = (transform.image_len(), transform.depth_len());
    assert!(images.len() == items.len() * image_len && depths.len() == items.len() * depth_len);
    let outputs = images.par_chunks_exact_mut(image_len).zip(depths.par_chunks_exact_mut(depth_len));
    items
        .par_iter()
        .zip(outputs)
        .enumerate()
        .filter_map(|(position, (item, (image, depth)))| {
            Some((position, transform.apply(item, image, depth).err()?))
        })
        .collect()
}
