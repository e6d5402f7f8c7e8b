//! The augmentation of one sample.

use super::random::{Key, Operation};
use crate::error::DataError;
use crate::image::Image;
use crate::image::blur::blur;
use crate::image::brightness_contrast::{BrightnessContrast, adjust};
use crate::image::color::HsvShift;
use crate::image::compress::compress;
use crate::image::crop::{Region, crop_to_region};
use crate::image::cutout::cut_out;
use crate::image::noise::add_noise;

/// What is done to one sample, in this order. All but the jitter and the flip happen before color conversion, so
/// that both the RGB and the HSV channels have them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Augmentation {
    /// Keep this part only.
    pub crop: Option<Region>,
    /// Change brightness and contrast.
    pub brightness_contrast: Option<BrightnessContrast>,
    /// Blur by a Gaussian of this standard deviation in pixels.
    pub blur: Option<f32>,
    /// Add noise of this standard deviation in levels, drawn from the key.
    pub noise: Option<(f32, Key)>,
    /// Compress to a JPEG file of this quality, 1 to 100.
    pub jpeg: Option<u8>,
    /// Make this part black.
    pub cutout: Option<Region>,
    /// Shift hue, saturation and value.
    pub jitter: Option<HsvShift>,
    /// Mirror left and right.
    pub flip: bool,
}

impl Augmentation {
    /// Does what happens before color conversion.
    pub(super) fn apply_before_color(
        &self,
        image: &mut Image,
        depth: Option<&mut Image>,
    ) -> Result<(), DataError> {
        if let Some(region) = self.crop {
            crop_to_region(image, depth, region);
        }
        if let Some(change) = self.brightness_contrast {
            adjust(image, change);
        }
        if let Some(sigma) = self.blur {
            blur(image, sigma);
        }
        if let Some((std, key)) = self.noise {
            add_noise(image, std, key.normals(Operation::NoiseValue));
        }
        if let Some(quality) = self.jpeg {
            compress(image, quality)?;
        }
        if let Some(region) = self.cutout {
            cut_out(image, region);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Augmentation, Image, Key};

    #[test]
    fn nothing_is_done_unless_asked() {
        let data: Vec<u8> = (0..9 * 5 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let image = Image { width: 9, height: 5, channels: 3, data };
        let mut same = image.clone();
        Augmentation::default().apply_before_color(&mut same, None).expect("augmentation");
        assert_eq!(same, image);
    }

    #[test]
    fn noise_has_its_standard_deviation_and_follows_its_key() {
        let key = Key { seed: 1, epoch: 0, domain: 0, sample: 0, repeat: 0 };
        let noisy = |key| {
            let mut image = Image { width: 100, height: 100, channels: 3, data: vec![128; 30_000] };
            let noise = Some((10.0, key));
            Augmentation { noise, ..Augmentation::default() }
                .apply_before_color(&mut image, None)
                .expect("augmentation");
            image.data
        };
        let data = noisy(key);
        assert_eq!(data, noisy(key));
        assert_ne!(data, noisy(Key { sample: 1, ..key }));
        let moment = |power| data.iter().map(|&v| (f64::from(v) - 128.0).powi(power)).sum::<f64>() / 30_000.0;
        let (mean, std) = (moment(1), moment(2).sqrt());
        assert!(mean.abs() < 0.3 && (std - 10.0).abs() < 0.3, "{mean} {std}");
    }
}
