//! Separable Gaussian blur.

use super::Image;

/// Blurs by a Gaussian of standard deviation `sigma` in pixels, positive. Pixels beyond the border mirror those
/// within; the border itself is not repeated.
pub fn blur(image: &mut Image, sigma: f32) {
    let radius = (3.0 * sigma).ceil().max(1.0) as usize;
    let weight = |distance: usize| (-0.5 * (distance as f32 / sigma).powi(2)).exp();
    let total = weight(0) + 2.0 * (1..=radius).map(weight).sum::<f32>();
    let kernel: Vec<f32> = (0..=radius).map(|distance| weight(distance) / total).collect();
    let mirror = |at: i64, side: usize| -> usize {
        let last = side as i64 - 1;
        if last == 0 {
            return 0;
        }
        let at = at.rem_euclid(2 * last);
        (if at > last { 2 * last - at } else { at }) as usize
    };
    let (width, height, channels, row) = (image.width, image.height, image.channels, image.row_len());
    let mut across = vec![0.0f32; image.data.len()];
    let mut padded = vec![0.0f32; (width + 2 * radius) * channels];
    for (out, levels) in across.chunks_exact_mut(row).zip(image.rows()) {
        for (x, pixel) in padded.chunks_exact_mut(channels).enumerate() {
            let from = mirror(x as i64 - radius as i64, width) * channels;
            pixel.iter_mut().zip(&levels[from..]).for_each(|(to, &level)| *to = f32::from(level));
        }
        add_scaled(out, &padded[radius * channels..][..row], kernel[0]);
        for (distance, &weight) in kernel.iter().enumerate().skip(1) {
            add_scaled(out, &padded[(radius - distance) * channels..][..row], weight);
            add_scaled(out, &padded[(radius + distance) * channels..][..row], weight);
        }
    }
    let mut sums = vec![0.0f32; row];
    for (y, levels) in image.rows_mut().enumerate() {
        sums.fill(0.0);
        for offset in -(radius as i64)..=radius as i64 {
            let from = &across[mirror(y as i64 + offset, height) * row..][..row];
            add_scaled(&mut sums, from, kernel[offset.unsigned_abs() as usize]);
        }
        levels.iter_mut().zip(&sums).for_each(|(to, &sum)| *to = sum.round_ties_even() as u8);
    }
}

fn add_scaled(to: &mut [f32], from: &[f32], weight: f32) {
    to.iter_mut().zip(from).for_each(|(to, &value)| *to += weight * value);
}

#[cfg(test)]
mod tests {
    use super::{Image, blur};

    #[test]
    fn flat_images_of_any_size_are_kept() {
        for (width, height) in [(1, 1), (2, 1), (3, 40), (17, 2)] {
            let mut image = Image { width, height, channels: 3, data: vec![200; width * height * 3] };
            blur(&mut image, 4.0);
            assert!(image.data.iter().all(|&level| level == 200));
        }
    }
}
