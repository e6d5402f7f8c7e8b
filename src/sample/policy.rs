//! The augmentation policy: with which probability each operation happens, and how strong it may be.

use super::augmentation::Augmentation;
use super::random::{Key, Operation};
use crate::error::InvalidSetting;
use crate::image::brightness_contrast::BrightnessContrast;
use crate::image::color::HsvShift;
use crate::image::crop::Region;

/// Probabilities and ranges of the operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Probability of a flip.
    pub flip_prob: f64,
    /// Probability of shifting hue, saturation and value.
    pub jitter_prob: f64,
    /// Largest shift of the hue, of 180.
    pub hue: f64,
    /// Largest shift of the saturation, of 255.
    pub saturation: f64,
    /// Largest shift of the value, of 255.
    pub value: f64,
    /// Smallest fraction of the image's area that a random crop keeps; 1 for none.
    pub crop_area: f64,
    /// Probability of changing brightness and contrast.
    pub brightness_contrast_prob: f64,
    /// Largest change of the brightness, of 1.
    pub brightness: f64,
    /// Largest change of the contrast, of 1.
    pub contrast: f64,
    /// Probability of a blur.
    pub blur_prob: f64,
    /// Largest standard deviation of the blur in pixels; the smallest is 0.1.
    pub blur_sigma: f64,
    /// Probability of adding noise.
    pub noise_prob: f64,
    /// Largest standard deviation of the noise, of 255.
    pub noise_std: f64,
    /// Probability of JPEG compression.
    pub jpeg_prob: f64,
    /// Lowest quality of the compression, from 1; the highest is 100.
    pub jpeg_quality: f64,
    /// Probability of a cutout.
    pub cutout_prob: f64,
    /// Largest fraction of the image's area that a cutout takes.
    pub cutout_area: f64,
}

impl Policy {
    /// Checks every range.
    ///
    /// # Errors
    /// A setting is out of its range; the error names it.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let require = |holds: bool, name: &str, what: &str, value: f64| {
            if holds { Ok(()) } else { Err(InvalidSetting(format!("{name} must be {what}, not {value}"))) }
        };
        for (name, value) in [
            ("flip_prob", self.flip_prob),
            ("jitter_prob", self.jitter_prob),
            ("brightness_contrast_prob", self.brightness_contrast_prob),
            ("blur_prob", self.blur_prob),
            ("noise_prob", self.noise_prob),
            ("jpeg_prob", self.jpeg_prob),
            ("cutout_prob", self.cutout_prob),
        ] {
            require((0.0..=1.0).contains(&value), name, "a probability in [0, 1]", value)?;
        }
        for (name, value) in [
            ("hue", self.hue),
            ("saturation", self.saturation),
            ("value", self.value),
            ("contrast", self.contrast),
            ("brightness", self.brightness),
            ("noise_std", self.noise_std),
        ] {
            require((0.0..f64::INFINITY).contains(&value), name, "a number from 0", value)?;
        }
        for (name, value) in [("crop_area", self.crop_area), ("cutout_area", self.cutout_area)] {
            require(value > 0.0 && value <= 1.0, name, "a fraction in (0, 1]", value)?;
        }
        let sigma = self.blur_sigma;
        require((0.1..=50.0).contains(&sigma), "blur_sigma", "from 0.1 to 50 pixels", sigma)?;
        let quality = self.jpeg_quality;
        require((1.0..=100.0).contains(&quality), "jpeg_quality", "from 1 to 100", quality)
    }

    /// The augmentation of the sample that `key` identifies.
    #[must_use]
    pub fn draw(&self, key: Key) -> Augmentation {
        use Operation as O;
        let wanted = |operation, probability: f64| key.uniform(operation) < probability;
        let place = |[left, top]: [O; 2], width: f64, height: f64| -> Region {
            let [x, y] = [(left, width), (top, height)].map(|(o, side)| key.uniform(o) * (1.0 - side));
            [x, y, width, height]
        };
        Augmentation {
            crop: (self.crop_area < 1.0).then(|| {
                let area = key.between(O::CropArea, self.crop_area, 1.0);
                let limit = (4.0f64 / 3.0).ln().min(-area.ln());
                let stretch = (0.5 * key.symmetric(O::CropAspect, limit)).exp();
                let side = area.sqrt();
                place([O::CropLeft, O::CropTop], (side * stretch).min(1.0), (side / stretch).min(1.0))
            }),
            brightness_contrast: wanted(O::BrightnessContrast, self.brightness_contrast_prob).then(|| {
                BrightnessContrast {
                    brightness: key.symmetric(O::Brightness, self.brightness) as f32,
                    contrast: (1.0 + key.symmetric(O::Contrast, self.contrast)) as f32,
                }
            }),
            blur: wanted(O::Blur, self.blur_prob)
                .then(|| key.between(O::BlurSigma, 0.1, self.blur_sigma) as f32),
            noise: wanted(O::Noise, self.noise_prob)
                .then(|| (key.between(O::NoiseStd, 0.0, self.noise_std) as f32, key)),
            jpeg: wanted(O::Jpeg, self.jpeg_prob)
                .then(|| key.between(O::JpegQuality, self.jpeg_quality, 101.0).clamp(1.0, 100.0) as u8),
            cutout: wanted(O::Cutout, self.cutout_prob).then(|| {
                let side = key.between(O::CutoutArea, 0.0, self.cutout_area).sqrt();
                place([O::CutoutLeft, O::CutoutTop], side, side)
            }),
            jitter: wanted(O::Jitter, self.jitter_prob).then(|| HsvShift {
                hue: key.symmetric(O::Hue, self.hue),
                saturation: key.symmetric(O::Saturation, self.saturation),
                value: key.symmetric(O::Value, self.value),
            }),
            flip: wanted(O::Flip, self.flip_prob),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Augmentation, Key, Policy};

    /// Every operation happens.
    const ALL: Policy = Policy {
        flip_prob: 1.0,
        jitter_prob: 1.0,
        hue: 20.0,
        saturation: 30.0,
        value: 25.0,
        crop_area: 0.3,
        brightness_contrast_prob: 1.0,
        brightness: 0.1,
        contrast: 0.2,
        blur_prob: 1.0,
        blur_sigma: 2.0,
        noise_prob: 1.0,
        noise_std: 10.0,
        jpeg_prob: 1.0,
        jpeg_quality: 30.0,
        cutout_prob: 1.0,
        cutout_area: 0.2,
    };

    /// None happens.
    const NONE: Policy = Policy {
        flip_prob: 0.0,
        jitter_prob: 0.0,
        crop_area: 1.0,
        brightness_contrast_prob: 0.0,
        blur_prob: 0.0,
        noise_prob: 0.0,
        jpeg_prob: 0.0,
        cutout_prob: 0.0,
        ..ALL
    };

    fn keys() -> impl Iterator<Item = Key> {
        (0..2000).map(|i| Key { seed: i % 3, epoch: i % 5, domain: i % 7, sample: i, repeat: 0 })
    }

    #[test]
    fn draws_are_those_of_their_key() {
        for key in keys() {
            assert_eq!(ALL.draw(key), ALL.draw(key));
            for other in [
                Key { seed: key.seed + 1, ..key },
                Key { epoch: key.epoch + 1, ..key },
                Key { domain: key.domain + 1, ..key },
                Key { sample: key.sample + 1, ..key },
                Key { repeat: 1, ..key },
            ] {
                assert_ne!(ALL.draw(key), ALL.draw(other));
            }
        }
    }

    #[test]
    fn probabilities_are_kept() {
        assert!(keys().all(|key| NONE.draw(key) == Augmentation::default()));
        let happens = |policy: Policy| {
            let mut counts = [0; 8];
            for key in keys() {
                let drawn = policy.draw(key);
                let each = [
                    drawn.crop.is_some(),
                    drawn.brightness_contrast.is_some(),
                    drawn.blur.is_some(),
                    drawn.noise.is_some(),
                    drawn.jpeg.is_some(),
                    drawn.cutout.is_some(),
                    drawn.jitter.is_some(),
                    drawn.flip,
                ];
                counts.iter_mut().zip(each).for_each(|(count, happens)| *count += usize::from(happens));
            }
            counts
        };
        assert_eq!(happens(ALL), [2000; 8]);
        let quarter = Policy {
            flip_prob: 0.25,
            jitter_prob: 0.25,
            brightness_contrast_prob: 0.25,
            blur_prob: 0.25,
            noise_prob: 0.25,
            jpeg_prob: 0.25,
            cutout_prob: 0.25,
            ..ALL
        };
        // Five standard deviations of 2000 draws.
        assert!(happens(quarter)[1..].iter().all(|count| count.abs_diff(500) < 100));
    }

    #[test]
    fn draws_fill_their_ranges_and_no_more() {
        let drawn: Vec<Augmentation> = keys().map(|key| ALL.draw(key)).collect();
        let fills = |low: f64, high: f64, value: &dyn Fn(&Augmentation) -> f64| {
            let values: Vec<f64> = drawn.iter().map(value).collect();
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let slack = 0.02 * (high - low);
            assert!(low - 1e-6 <= least && least < low + slack, "{least} {low}");
            assert!(high - slack < most && most <= high + 1e-6, "{most} {high}");
        };
        fills(-20.0, 20.0, &|a| a.jitter.expect("jitter").hue);
        fills(-30.0, 30.0, &|a| a.jitter.expect("jitter").saturation);
        fills(-25.0, 25.0, &|a| a.jitter.expect("jitter").value);
        fills(-0.1, 0.1, &|a| f64::from(a.brightness_contrast.expect("change").brightness));
        fills(0.8, 1.2, &|a| f64::from(a.brightness_contrast.expect("change").contrast));
        fills(0.1, 2.0, &|a| f64::from(a.blur.expect("blur")));
        fills(0.0, 10.0, &|a| f64::from(a.noise.expect("noise").0));
        fills(30.0, 100.0, &|a| f64::from(a.jpeg.expect("jpeg")));
        fills(0.3, 1.0, &|a| a.crop.map(|[_, _, width, height]| width * height).expect("crop"));
        fills(0.0, 0.2, &|a| a.cutout.map(|[_, _, width, height]| width * height).expect("cutout"));
        for [x, y, width, height] in drawn.iter().flat_map(|a| [a.crop, a.cutout]).flatten() {
            assert!(x >= 0.0 && y >= 0.0 && x + width <= 1.0 + 1e-12 && y + height <= 1.0 + 1e-12);
        }
        for [_, _, width, height] in drawn.iter().filter_map(|a| a.crop) {
            assert!((0.75 - 1e-9..=4.0 / 3.0 + 1e-9).contains(&(width / height)));
        }
    }

    #[test]
    fn draws_of_one_operation_do_not_depend_on_the_others() {
        let one_off = [
            Policy { flip_prob: 0.0, ..ALL },
            Policy { jitter_prob: 0.0, ..ALL },
            Policy { crop_area: 1.0, ..ALL },
            Policy { brightness_contrast_prob: 0.0, ..ALL },
            Policy { blur_prob: 0.0, ..ALL },
            Policy { noise_prob: 0.0, ..ALL },
            Policy { jpeg_prob: 0.0, ..ALL },
            Policy { cutout_prob: 0.0, ..ALL },
        ];
        for key in keys() {
            let all = ALL.draw(key);
            let expected = [
                Augmentation { flip: false, ..all },
                Augmentation { jitter: None, ..all },
                Augmentation { crop: None, ..all },
                Augmentation { brightness_contrast: None, ..all },
                Augmentation { blur: None, ..all },
                Augmentation { noise: None, ..all },
                Augmentation { jpeg: None, ..all },
                Augmentation { cutout: None, ..all },
            ];
            assert_eq!(one_off.map(|policy| policy.draw(key)), expected);
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert_eq!((ALL.check(), NONE.check()), (Ok(()), Ok(())));
        for (policy, name) in [
            (Policy { flip_prob: 1.5, ..ALL }, "flip_prob"),
            (Policy { blur_prob: f64::NAN, ..ALL }, "blur_prob"),
            (Policy { hue: -1.0, ..ALL }, "hue"),
            (Policy { noise_std: f64::INFINITY, ..ALL }, "noise_std"),
            (Policy { crop_area: 0.0, ..ALL }, "crop_area"),
            (Policy { cutout_area: 1.1, ..ALL }, "cutout_area"),
            (Policy { blur_sigma: 0.0, ..ALL }, "blur_sigma"),
            (Policy { jpeg_quality: 0.5, ..ALL }, "jpeg_quality"),
        ] {
            let error = policy.check().expect_err(name).to_string();
            assert!(error.starts_with(&format!("{name} must be ")), "{error}");
        }
    }
}
