//! Resizing of 8-bit images, bit for bit as OpenCV's INTER_LINEAR and INTER_NEAREST.

use super::Image;

/// Where an output pixel reads along one axis: the left source index and both weights (of 2048).
#[derive(Clone, Copy)]
struct Tap {
    index: [usize; 2],
    weight: [i32; 2],
}

fn taps(from: usize, to: usize, clamp_fraction: bool) -> Vec<Tap> {
    let scale = 1.0 / (to as f64 / from as f64);
    let last = from as i64 - 1;
    (0..to)
        .map(|i| {
            let position = ((i as f64 + 0.5) * scale - 0.5) as f32;
            let mut left = position.floor() as i64;
            let mut fraction = position - left as f32;
            if clamp_fraction && (left < 0 || left >= last) {
                left = left.clamp(0, last);
                fraction = 0.0;
            }
            let weight = [1.0 - fraction, fraction].map(|w| (w * 2048.0).round_ties_even() as i32);
            Tap { index: [left, left + 1].map(|at| at.clamp(0, last) as usize), weight }
        })
        .collect()
}

/// Resizes to `width` x `height` with bilinear interpolation in 11-bit fixed point, without antialiasing.
///
/// # Panics
/// If `width` or `height` is zero.
#[must_use]
pub fn linear(image: &Image, width: usize, height: usize) -> Image {
    let channels = image.channels;
    let (across, down) = (taps(image.width, width, true), taps(image.height, height, false));
    let row = |y: usize, out: &mut [i32]| {
        let source = &image.data[y * image.row_len()..][..image.row_len()];
        for (tap, out) in across.iter().zip(out.chunks_exact_mut(channels)) {
            let [left, right] = tap.index.map(|x| &source[x * channels..][..channels]);
            for ((out, &l), &r) in out.iter_mut().zip(left).zip(right) {
                *out = i32::from(l) * tap.weight[0] + i32::from(r) * tap.weight[1];
            }
        }
    };
    // Two horizontally resized rows, each with the source row it holds.
    let mut rows = [vec![0; width * channels], vec![0; width * channels]];
    let mut held = [usize::MAX; 2];
    let mut data = vec![0; width * height * channels];
    for (tap, out) in down.iter().zip(data.chunks_exact_mut(width * channels)) {
        if held[1] == tap.index[0] {
            rows.swap(0, 1);
            held.swap(0, 1);
        }
        for side in 0..2 {
            if held[side] != tap.index[side] {
                row(tap.index[side], &mut rows[side]);
                held[side] = tap.index[side];
            }
        }
        let [upper, lower] = &rows;
        let [b0, b1] = tap.weight;
        for ((out, &s0), &s1) in out.iter_mut().zip(upper).zip(lower) {
            let sum = ((b0 * (s0 >> 4)) >> 16) + ((b1 * (s1 >> 4)) >> 16) + 2;
            *out = (sum >> 2).clamp(0, 255) as u8;
        }
    }
    Image { width, height, channels, data }
}

/// The source index that nearest-neighbor resizing reads for each of `to` outputs.
#[must_use]
pub fn nearest_indices(from: usize, to: usize) -> Vec<usize> {
    let scale = 1.0 / (to as f64 / from as f64);
    (0..to).map(|i| ((i as f64 * scale).floor() as usize).min(from - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Image, linear, nearest_indices};

    #[test]
    fn same_size_and_constant_images_are_kept() {
        let data: Vec<u8> = (0..60).map(|i| (i * 37 % 251) as u8).collect();
        let image = Image { width: 5, height: 4, channels: 3, data };
        assert_eq!(linear(&image, 5, 4), image);
        let flat = Image { width: 7, height: 3, channels: 1, data: vec![201; 21] };
        for (w, h) in [(1, 1), (3, 8), (20, 2)] {
            assert!(linear(&flat, w, h).data.iter().all(|&v| v == 201));
        }
    }

    #[test]
    fn halving_averages_pairs() {
        let image = Image { width: 4, height: 2, channels: 1, data: vec![0, 2, 10, 20, 4, 6, 30, 40] };
        assert_eq!(linear(&image, 2, 1).data, [3, 25]);
        assert_eq!(nearest_indices(4, 2), [0, 2]);
        assert_eq!(nearest_indices(2, 4), [0, 0, 1, 1]);
    }
}
