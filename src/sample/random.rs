//! Random draws without a stream: every draw is a function of (seed, epoch, domain, sample, repeat, operation),
//! so a batch is the same for any number of threads and after any restart.

/// What a draw decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Operation {
    /// Whether to flip.
    Flip = 1,
    /// Whether to jitter.
    Jitter = 2,
    /// How far to shift the hue.
    Hue = 3,
    /// How far to shift the saturation.
    Saturation = 4,
    /// How far to shift the value.
    Value = 5,
    /// Which fraction of the image's area to crop to.
    CropArea = 6,
    /// Width over height of that part.
    CropAspect = 7,
    /// Where it begins, horizontally.
    CropLeft = 8,
    /// Where it begins, vertically.
    CropTop = 9,
    /// Whether to change brightness and contrast.
    BrightnessContrast = 10,
    /// The contrast.
    Contrast = 11,
    /// The brightness.
    Brightness = 12,
    /// Whether to blur.
    Blur = 13,
    /// How much.
    BlurSigma = 14,
    /// Whether to add noise.
    Noise = 15,
    /// How much.
    NoiseStd = 16,
    /// The noise of one value.
    NoiseValue = 17,
    /// Whether to cut a part out.
    Cutout = 18,
    /// How large a part, of the image's area.
    CutoutArea = 19,
    /// Where it begins, horizontally.
    CutoutLeft = 20,
    /// Where it begins, vertically.
    CutoutTop = 21,
    /// Whether to compress.
    Jpeg = 22,
    /// To which quality.
    JpegQuality = 23,
}

/// Identifies the sample that draws are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The run's seed.
    pub seed: u64,
    /// The epoch.
    pub epoch: u64,
    /// The domain's position among the loader's domains.
    pub domain: u64,
    /// The sample's index within its domain.
    pub sample: u64,
    /// How often the sample was drawn before in the epoch.
    pub repeat: u64,
}

/// SplitMix64's output function: a bijection of 64 bits that passes statistical tests on counters.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Key {
    /// 64 random bits for `operation`.
    fn bits(self, operation: Operation) -> u64 {
        let words = [self.epoch, self.domain, self.sample, operation as u64];
        let state = words.iter().fold(mix(self.seed), |state, &word| mix(state ^ mix(word)));
        if self.repeat == 0 { state } else { mix(state ^ mix(self.repeat)) }
    }

    /// A number in [0, 1) for `operation`.
    #[must_use]
    pub fn uniform(self, operation: Operation) -> f64 {
        (self.bits(operation) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in [low, high) for `operation`.
    #[must_use]
    pub fn between(self, operation: Operation, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform(operation)
    }

    /// Numbers, by their index, that are about normally distributed with mean 0 and standard deviation 1: each is
    /// the sum of four uniform ones.
    pub fn normals(self, operation: Operation) -> impl Fn(u64) -> f32 {
        let own = self.bits(operation);
        move |index| {
            let bits = mix(own.wrapping_add(index));
            let sum: u32 = (0..4).map(|k| (bits >> (16 * k)) as u32 & 0xffff).sum();
            // Four numbers up to 65535 have the mean 131070 and the deviation 65536 / sqrt(3).
            (sum as f32 - 131_070.0) * (1.732_050_8 / 65_536.0)
        }
    }

    /// A number in [-limit, limit) for `operation`.
    #[must_use]
    pub fn symmetric(self, operation: Operation, limit: f64) -> f64 {
        (2.0 * self.uniform(operation) - 1.0) * limit
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Operation};

    #[test]
    fn draws_never_change() {
        let key = Key { seed: 1, epoch: 2, domain: 3, sample: 4, repeat: 0 };
        assert_eq!(key.bits(Operation::Flip), 0x72da_d5a2_f859_7d7c);
        assert_eq!(key.bits(Operation::JpegQuality), 0x372a_e024_66d4_fef6);
    }

    #[test]
    fn draws_are_uniform_and_differ_between_operations() {
        let key = |sample| Key { seed: 1, epoch: 2, domain: 0, sample, repeat: 0 };
        let n = 20_000;
        let flips: Vec<f64> = (0..n).map(|i| key(i).uniform(Operation::Flip)).collect();
        let jitters: Vec<f64> = (0..n).map(|i| key(i).uniform(Operation::Jitter)).collect();
        let mean = flips.iter().sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        let both = flips.iter().zip(&jitters).filter(|(a, b)| **a < 0.5 && **b < 0.5).count();
        assert!((both as f64 / n as f64 - 0.25).abs() < 0.015, "{both}");
    }
}
