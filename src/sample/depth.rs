//! Resizing of depth maps to what the network predicts.

use crate::image::Image;
use crate::image::resize::nearest_indices;

/// Writes depth in [0, 1] to `out` (depth_size, depth_size), zeros without a map: resizes to `size` x `size` (nearest),
/// then to `depth_size` (bilinear, half-pixel centers, no antialiasing). Only the pixels that the second step reads
/// are computed.
pub(super) fn write_depth(depth: Option<&Image>, size: usize, depth_size: usize, out: &mut [f32]) {
    let Some(depth) = depth else {
        out.fill(0.0);
        return;
    };
    let (columns, rows) = (nearest_indices(depth.width, size), nearest_indices(depth.height, size));
    let scale = size as f32 / depth_size as f32;
    let taps: Vec<([usize; 2], [f32; 2])> = (0..depth_size)
        .map(|i| {
            let position = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (position as usize).min(size - 1);
            let fraction = position - first as f32;
            ([first, (first + 1).min(size - 1)], [1.0 - fraction, fraction])
        })
        .collect();
    for (out, (ys, wy)) in out.chunks_exact_mut(depth_size).zip(&taps) {
        for (out, (xs, wx)) in out.iter_mut().zip(&taps) {
            let row = |y: usize| {
                let at = |x: usize| f32::from(depth.data[rows[y] * depth.width + columns[x]]);
                wx[0] * at(xs[0]) + wx[1] * at(xs[1])
            };
            *out = (wy[0] * row(ys[0]) + wy[1] * row(ys[1])) / 255.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Image, write_depth};
    use crate::image::flip::flip;

    #[test]
    fn depth_is_the_mean_of_the_center_pixels() {
        let mut depth = Image { width: 8, height: 8, channels: 1, data: (0..64).collect() };
        let mut out = [0.0];
        write_depth(Some(&depth), 8, 1, &mut out);
        let center = [27.0, 28.0, 35.0, 36.0].iter().sum::<f32>() / 4.0;
        assert_eq!(out, [center / 255.0]);
        let (mut flipped, mut other) = ([0.0; 16], [0.0; 16]);
        write_depth(Some(&depth), 8, 4, &mut other);
        flip(&mut depth);
        write_depth(Some(&depth), 8, 4, &mut flipped);
        other.chunks_exact_mut(4).for_each(<[f32]>::reverse);
        assert_eq!(flipped, other);
    }
}
