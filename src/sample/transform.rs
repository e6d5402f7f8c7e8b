//! One sample: bytes to the normalized image (channels, S, S) and the depth map (D, D).

use super::augmentation::Augmentation;
use super::depth::write_depth;
use crate::error::{DataError, InvalidSetting};
use crate::image::color::{HsvShift, Row};
use crate::image::crop::{Landmarks, crop_to_landmarks};
use crate::image::decode::decode;
use crate::image::flip::flip;
use crate::image::resize::linear;
use crate::image::{Image, PixelFormat};
use crate::simd::vectorized;

/// The longest side of an output, in pixels; an image of that size takes 1.6 GB.
const MAX_SIDE: usize = 8192;

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
    pub augmentation: Augmentation,
}

/// A type of output values.
pub trait Value: Copy + Send + Sync + Default + 'static {
    /// The value of one of 256 levels.
    fn of(level: u8, scaling: Scaling) -> Self;
}

/// (level - offset) · factor.
#[derive(Debug, Clone, Copy)]
pub struct Scaling {
    offset: f32,
    factor: f32,
}

impl Value for f32 {
    #[inline(always)]
    fn of(level: u8, scaling: Scaling) -> Self {
        (Self::from(level) - scaling.offset) * scaling.factor
    }
}

/// The levels themselves: to be scaled later, where the network runs.
impl Value for u8 {
    #[inline(always)]
    fn of(level: u8, _: Scaling) -> Self {
        level
    }
}

vectorized! {
    fn write_row<V: Value>(levels: &[u8], scaling: Scaling, out: &mut [V]) {
        for (out, &level) in out.iter_mut().zip(levels) {
            *out = V::of(level, scaling);
        }
    }
}

/// Which channels the network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Red, green, blue, then hue, saturation, value of the same pixels.
    RgbHsv,
    /// Red, green, blue.
    Rgb,
    /// Hue, saturation, value.
    Hsv,
}

impl Color {
    /// The channels of this name in Python.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "rgb_hsv" => Some(Self::RgbHsv),
            "rgb" => Some(Self::Rgb),
            "hsv" => Some(Self::Hsv),
            _ => None,
        }
    }

    /// The number of channels.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::RgbHsv => 6,
            Self::Rgb | Self::Hsv => 3,
        }
    }
}

/// What every sample becomes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Side S of the output image, a multiple of 8.
    pub image_size: usize,
    /// Side D of the output depth map; by default S / 8.
    pub depth_size: Option<usize>,
    /// The channels of the output image.
    pub color: Color,
    /// Subtracted from every channel, as a fraction of 255.
    pub mean: Vec<f32>,
    /// Divides every channel, as a fraction of 255.
    pub std: Vec<f32>,
    /// Whether HSV is computed from the jittered pixels. The official code computes it from the original ones, so
    /// that its RGB and HSV channels disagree.
    pub consistent_hsv: bool,
    /// Crops to the square of the landmarks, widened by this fraction of its side.
    pub crop_margin: Option<f64>,
}

/// From bytes to the network's input, by fixed settings.
#[derive(Debug, Clone)]
pub struct Transform {
    size: usize,
    depth_size: usize,
    color: Color,
    consistent_hsv: bool,
    crop_margin: Option<f64>,
    /// For each channel.
    scaling: Vec<Scaling>,
}

impl Transform {
    /// Checks the settings.
    ///
    /// # Errors
    /// A setting is out of its range; the error names it.
    pub fn new(settings: &Settings) -> Result<Self, InvalidSetting> {
        let &Settings { image_size: size, color, consistent_hsv, crop_margin, .. } = settings;
        let Settings { mean, std, .. } = settings;
        if size == 0 || !size.is_multiple_of(8) {
            return Err(InvalidSetting(format!("image_size must be a positive multiple of 8, not {size}")));
        }
        let depth_size = settings.depth_size.unwrap_or(size / 8);
        if depth_size == 0 {
            return Err(InvalidSetting("depth_size must be positive".into()));
        }
        for (name, side) in [("image_size", size), ("depth_size", depth_size)] {
            if side > MAX_SIDE {
                return Err(InvalidSetting(format!("{name} must be at most {MAX_SIDE}, not {side}")));
            }
        }
        let channels = color.channels();
        if mean.len() != channels || std.len() != channels || std.contains(&0.0) {
            return Err(InvalidSetting(format!(
                "mean and std need {channels} values each, std none that is zero"
            )));
        }
        let scaling = mean
            .iter()
            .zip(std)
            .map(|(mean, std)| Scaling { offset: mean * 255.0, factor: 1.0 / (std * 255.0) })
            .collect();
        Ok(Self { size, depth_size, color, consistent_hsv, crop_margin, scaling })
    }

    /// Shape of the output image: channels, S, S.
    #[must_use]
    pub fn image_shape(&self) -> [usize; 3] {
        [self.color.channels(), self.size, self.size]
    }

    /// Shape of the output depth map: D, D.
    #[must_use]
    pub fn depth_shape(&self) -> [usize; 2] {
        [self.depth_size; 2]
    }

    /// The number of values of the output image.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.image_shape().iter().product()
    }

    /// The number of values of the output depth map.
    #[must_use]
    pub fn depth_len(&self) -> usize {
        self.depth_shape().iter().product()
    }

    /// Fills `image_out` (channels, S, S) and `depth_out` (D, D) with depth in [0, 1]; zeros without depth map.
    ///
    /// # Panics
    /// If a buffer has another size.
    ///
    /// # Errors
    /// An image does not decode, or a crop is asked for without landmarks or with a depth map of another size than
    /// the image.
    pub fn apply<V: Value>(
        &self,
        item: &Item<'_>,
        image_out: &mut [V],
        depth_out: &mut [f32],
    ) -> Result<(), DataError> {
        assert!(image_out.len() == self.image_len() && depth_out.len() == self.depth_len());
        let mut image = decode(item.image, PixelFormat::Rgb)?;
        let mut depth = item
            .depth
            .map(|bytes| decode(bytes, PixelFormat::Gray))
            .transpose()
            .map_err(|e| DataError::new(format!("depth map: {e}")))?;
        if let Some(margin) = self.crop_margin {
            crop_to_landmarks(&mut image, depth.as_mut(), item.landmarks, margin)?;
        }
        item.augmentation.apply_before_color(&mut image, depth.as_mut())?;
        self.write_image(&image, &item.augmentation, image_out);
        if let Some(depth) = depth.as_mut().filter(|_| item.augmentation.flip) {
            flip(depth);
        }
        write_depth(depth.as_ref(), self.size, self.depth_size, depth_out);
        Ok(())
    }

    /// Converts colors, jitters, flips, resizes and normalizes.
    fn write_image<V: Value>(&self, image: &Image, augmentation: &Augmentation, out: &mut [V]) {
        // As in albumentations, no shift leaves the pixels alone: a round trip through HSV would not.
        let jitter = augmentation.jitter.filter(|shift| *shift != HsvShift::default()).map(HsvShift::tables);
        let mut rows = Rows::new(image.width);
        if (image.width, image.height) == (self.size, self.size) {
            for (y, pixels) in image.rows().enumerate() {
                rows.compute(self, pixels, jitter.as_ref(), augmentation.flip);
                self.write_rows(&rows, y, out);
            }
            return;
        }
        let (mut rgb, mut hsv) = (image.clone(), image.clone());
        for (pixels, (rgb, hsv)) in image.rows().zip(rgb.rows_mut().zip(hsv.rows_mut())) {
            rows.compute(self, pixels, jitter.as_ref(), augmentation.flip);
            rows.rgb.join(rgb);
            rows.hsv.join(hsv);
        }
        let [rgb, hsv] = [rgb, hsv].map(|half| linear(&half, self.size, self.size));
        let mut rows = Rows::new(self.size);
        for (y, (rgb, hsv)) in rgb.rows().zip(hsv.rows()).enumerate() {
            rows.rgb.split(rgb);
            rows.hsv.split(hsv);
            self.write_rows(&rows, y, out);
        }
    }

    /// Writes row `y` of every channel.
    fn write_rows<V: Value>(&self, rows: &Rows, y: usize, out: &mut [V]) {
        let (rgb, hsv) = (rows.rgb.planes(), rows.hsv.planes());
        let halves = match self.color {
            Color::RgbHsv => [&rgb[..], &hsv[..]],
            Color::Rgb => [&rgb[..], &[]],
            Color::Hsv => [&hsv[..], &[]],
        };
        let planes = halves.into_iter().flatten().zip(&self.scaling);
        for (out, (levels, &scaling)) in out.chunks_exact_mut(self.size * self.size).zip(planes) {
            write_row(levels, scaling, &mut out[y * self.size..][..self.size]);
        }
    }
}

/// One row of an image in both color spaces.
struct Rows {
    rgb: Row,
    hsv: Row,
    jittered: Row,
}

impl Rows {
    fn new(width: usize) -> Self {
        Self { rgb: Row::new(width), hsv: Row::new(width), jittered: Row::new(width) }
    }

    /// Converts RGB pixels to both, jittered by `tables` and flipped. The conversion depends on a pixel's place in its
    /// row, so the flip comes last.
    fn compute(&mut self, transform: &Transform, pixels: &[u8], tables: Option<&[[u8; 256]; 3]>, flip: bool) {
        self.rgb.split(pixels);
        if transform.color != Color::Rgb || tables.is_some() {
            self.hsv.hsv_of(&self.rgb);
        }
        if let Some(tables) = tables {
            self.jittered.shifted(&self.hsv, tables);
            self.rgb.rgb_of(&self.jittered);
            if transform.consistent_hsv {
                self.hsv.hsv_of(&self.rgb);
            }
        }
        if flip {
            self.rgb.flip();
            self.hsv.flip();
        }
    }
}
