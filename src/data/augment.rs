//! Augmentations of the decoded pixels, before colour conversion: both halves of the input see them.

use super::decode::Image;
use super::random::{Key, Operation};
use super::{DataError, turbo};

/// A rectangle in fractions of an image's sides: left, top, width, height.
pub type Region = [f64; 4];

/// What is done to one sample, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Augmentation {
    /// Keep this part only.
    pub crop: Option<Region>,
    /// Contrast and brightness: level → contrast · (level - 127.5) + 127.5 + 255 · brightness.
    pub linear: Option<(f32, f32)>,
    /// Blur by a Gaussian of this standard deviation in pixels.
    pub blur: Option<f32>,
    /// Add noise of this standard deviation in levels, drawn from the key.
    pub noise: Option<(f32, Key)>,
    /// Store as a JPEG file of this quality, 1 to 100.
    pub jpeg: Option<u8>,
    /// Make this part black.
    pub cutout: Option<Region>,
}

impl Augmentation {
    /// Changes the image.
    pub(super) fn apply(&self, image: &mut Image) -> Result<(), DataError> {
        if let Some(region) = self.crop {
            *image = crop(image, region);
        }
        if let Some((contrast, brightness)) = self.linear {
            let table: [u8; 256] = std::array::from_fn(|level| {
                let value = contrast * (level as f32 - 127.5) + 127.5 + 255.0 * brightness;
                value.round_ties_even() as u8
            });
            image.data.iter_mut().for_each(|level| *level = table[usize::from(*level)]);
        }
        if let Some(sigma) = self.blur {
            blur(image, sigma);
        }
        if let Some((deviation, key)) = self.noise {
            let normal = key.normals(Operation::NoiseValue);
            for (level, index) in image.data.iter_mut().zip(0..) {
                *level = (f32::from(*level) + deviation * normal(index)).round_ties_even() as u8;
            }
        }
        if let Some(quality) = self.jpeg {
            *image = turbo::compressed(image, quality)?;
        }
        if let Some(region) = self.cutout {
            let ([x, end], [top, bottom]) = bounds(image, region);
            let row = image.width * image.channels;
            for pixels in image.data.chunks_exact_mut(row).take(bottom).skip(top) {
                pixels[x * image.channels..end * image.channels].fill(0);
            }
        }
        Ok(())
    }
}

/// Columns and rows of a region, at least one of each.
fn bounds(image: &Image, [x, y, width, height]: Region) -> ([usize; 2], [usize; 2]) {
    let range = |start: f64, share: f64, side: usize| {
        let from = ((start * side as f64).round().max(0.0) as usize).min(side - 1);
        let to = ((start + share) * side as f64).round().max(0.0) as usize;
        [from, to.clamp(from + 1, side)]
    };
    (range(x, width, image.width), range(y, height, image.height))
}

/// A part of an image.
pub(super) fn crop(image: &Image, region: Region) -> Image {
    let ([x, end], [top, bottom]) = bounds(image, region);
    image.part(x..end, top..bottom)
}

/// Separable Gaussian blur; pixels beyond the border mirror those within (the border itself is not repeated).
fn blur(image: &mut Image, sigma: f32) {
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
    let (width, height, channels) = (image.width, image.height, image.channels);
    let row = width * channels;
    let mut across = vec![0.0f32; image.data.len()];
    let mut padded = vec![0.0f32; (width + 2 * radius) * channels];
    for (out, levels) in across.chunks_exact_mut(row).zip(image.data.chunks_exact(row)) {
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
    for (y, levels) in image.data.chunks_exact_mut(row).enumerate() {
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
    use super::{Augmentation, Image};
    use crate::data::random::Key;

    fn ramp(width: usize, height: usize) -> Image {
        let data = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        Image { width, height, channels: 3, data }
    }

    #[test]
    fn nothing_is_done_unless_asked() {
        let mut image = ramp(9, 5);
        Augmentation::default().apply(&mut image).expect("augmentation");
        assert_eq!(image, ramp(9, 5));
    }

    #[test]
    fn regions_are_cut_to_the_image() {
        let mut image = ramp(10, 8);
        let crop = Some([0.5, 0.25, 0.9, 0.5]);
        Augmentation { crop, ..Augmentation::default() }.apply(&mut image).expect("augmentation");
        assert_eq!((image.width, image.height, image.data[0]), (5, 4, ramp(10, 8).data[(2 * 10 + 5) * 3]));
        let mut dot = ramp(1, 1);
        let cutout = Some([0.9, -3.0, 0.0, 0.0]);
        Augmentation { crop, cutout, ..Augmentation::default() }.apply(&mut dot).expect("augmentation");
        assert_eq!(dot.data, [0, 0, 0]);
    }

    #[test]
    fn blur_keeps_flat_images_and_any_size() {
        for (width, height) in [(1, 1), (2, 1), (3, 40), (17, 2)] {
            let mut image = Image { width, height, channels: 3, data: vec![200; width * height * 3] };
            Augmentation { blur: Some(4.0), ..Augmentation::default() }
                .apply(&mut image)
                .expect("augmentation");
            assert!(image.data.iter().all(|&level| level == 200));
        }
    }

    #[test]
    fn noise_has_its_deviation_and_follows_its_key() {
        let key = Key { seed: 1, epoch: 0, domain: 0, sample: 0 };
        let noisy = |key| {
            let mut image = Image { width: 100, height: 100, channels: 3, data: vec![128; 30_000] };
            Augmentation { noise: Some((10.0, key)), ..Augmentation::default() }
                .apply(&mut image)
                .expect("augmentation");
            image.data
        };
        let data = noisy(key);
        assert_eq!(data, noisy(key));
        assert_ne!(data, noisy(Key { sample: 1, ..key }));
        let moment = |power| data.iter().map(|&v| (f64::from(v) - 128.0).powi(power)).sum::<f64>() / 30_000.0;
        assert!(
            moment(1).abs() < 0.3 && (moment(2).sqrt() - 10.0).abs() < 0.3,
            "{} {}",
            moment(1),
            moment(2)
        );
    }
}
