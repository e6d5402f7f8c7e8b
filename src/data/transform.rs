//! One sample: bytes to the normalized image (channels, S, S) and the depth map (D, D).

use super::DataError;
use super::augment::{self, Augmentation};
use super::color::{HsvShift, Row};
use super::decode::{Codec, Image, Pixels, decode};
use super::resize::{linear, nearest_indices};
use crate::vector::vectorized;

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
    /// The number of channels.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::RgbHsv => 6,
            Self::Rgb | Self::Hsv => 3,
        }
    }
}

/// Five landmarks: x1 y1 … x5 y5 in pixels.
pub type Landmarks = [f32; 10];

/// The augmentation of one sample.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Draws {
    /// Mirror left and right.
    pub flip: bool,
    /// Shift the colours.
    pub jitter: Option<HsvShift>,
    /// What happens to the pixels before all else.
    pub augmentation: Augmentation,
}

/// How a sample becomes the network's input.
#[derive(Debug, Clone)]
pub struct Transform {
    size: usize,
    depth_size: usize,
    color: Color,
    /// Whether the HSV half is computed from the jittered pixels. The official code computes it from the
    /// original ones, so its two halves disagree.
    consistent_hsv: bool,
    crop_margin: Option<f64>,
    codec: Codec,
    /// For each channel.
    scaling: Vec<Scaling>,
}

impl Transform {
    /// A transform to `size` x `size` pixels and `depth_size` x `depth_size` depth maps. `mean` and `std`
    /// are fractions of 255, one per channel; `crop_margin` crops to the landmarks' square, widened by
    /// that fraction of its side.
    ///
    /// # Errors
    /// [`DataError::Image`] if a size is zero or `mean` and `std` do not have one value per channel.
    pub fn new(
        size: usize,
        depth_size: usize,
        color: Color,
        (mean, std): (&[f32], &[f32]),
        consistent_hsv: bool,
        crop_margin: Option<f64>,
        codec: Codec,
    ) -> Result<Self, DataError> {
        if size == 0 || depth_size == 0 {
            return Err(DataError::Image("image and depth size must be positive".into()));
        }
        let channels = color.channels();
        if mean.len() != channels || std.len() != channels || std.contains(&0.0) {
            return Err(DataError::Image(format!(
                "mean and std need {channels} values each, std none that is zero"
            )));
        }
        let scaling = mean
            .iter()
            .zip(std)
            .map(|(mean, std)| Scaling { offset: mean * 255.0, factor: 1.0 / (std * 255.0) })
            .collect();
        Ok(Self { size, depth_size, color, consistent_hsv, crop_margin, codec, scaling })
    }

    /// Channels of the output.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.color.channels()
    }

    /// Side of the output image.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Side of the output depth map.
    #[must_use]
    pub fn depth_size(&self) -> usize {
        self.depth_size
    }

    /// Fills `image_out` (channels, size, size) and `depth_out` (depth_size, depth_size) with depth in
    /// [0, 1]; zeros without `depth`.
    ///
    /// # Panics
    /// Never for buffers of these sizes.
    ///
    /// # Errors
    /// [`DataError::Image`] if an image does not decode, or a crop is asked for without landmarks or
    /// with a depth map of another size than the image.
    pub fn apply<V: Value>(
        &self,
        image: &[u8],
        depth: Option<&[u8]>,
        landmarks: Option<&Landmarks>,
        draws: Draws,
        image_out: &mut [V],
        depth_out: &mut [f32],
    ) -> Result<(), DataError> {
        assert!(image_out.len() == self.channels() * self.size * self.size);
        assert!(depth_out.len() == self.depth_size * self.depth_size);
        let image = decode(image, Pixels::Rgb, self.codec)?;
        let depth = depth
            .map(|bytes| decode(bytes, Pixels::Gray, self.codec))
            .transpose()
            .map_err(|e| DataError::Image(format!("depth map: {e}")))?;
        let (mut image, mut depth) = match self.crop_margin {
            None => (image, depth),
            Some(margin) => crop_both(&image, depth.as_ref(), landmarks, margin)?,
        };
        draws.augmentation.apply(&mut image)?;
        if let Some(region) = draws.augmentation.crop {
            depth = depth.map(|depth| augment::crop(&depth, region));
        }
        self.write_image(&image, draws, image_out);
        write_depth(depth.as_ref(), self.size, draws.flip, self.depth_size, depth_out);
        Ok(())
    }

    fn write_image<V: Value>(&self, image: &Image, draws: Draws, out: &mut [V]) {
        // As in albumentations, no shift leaves the pixels alone: a round trip through HSV would not.
        let jitter = draws.jitter.filter(|shift| *shift != HsvShift::default()).map(HsvShift::tables);
        let mut rows = Rows::new(image.width);
        let pixels = image.data.chunks_exact(3 * image.width);
        if (image.width, image.height) == (self.size, self.size) {
            for (y, pixels) in pixels.enumerate() {
                rows.compute(self, pixels, jitter.as_ref());
                if draws.flip {
                    rows.rgb.reverse();
                    rows.hsv.reverse();
                }
                self.write_rows(&rows, y, out);
            }
            return;
        }
        let (mut rgb, mut hsv) = (image.clone(), image.clone());
        let outputs =
            rgb.data.chunks_exact_mut(3 * image.width).zip(hsv.data.chunks_exact_mut(3 * image.width));
        for (pixels, (rgb, hsv)) in pixels.zip(outputs) {
            rows.compute(self, pixels, jitter.as_ref());
            rows.rgb.join(rgb);
            rows.hsv.join(hsv);
        }
        let [rgb, hsv] = [rgb, hsv].map(|mut half| {
            if draws.flip {
                flip(&mut half);
            }
            linear(&half, self.size, self.size)
        });
        let mut rows = Rows::new(self.size);
        let halves = rgb.data.chunks_exact(3 * self.size).zip(hsv.data.chunks_exact(3 * self.size));
        for (y, (rgb, hsv)) in halves.enumerate() {
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

/// One row of an image in both colour spaces.
struct Rows {
    rgb: Row,
    hsv: Row,
    jittered: Row,
}

impl Rows {
    fn new(width: usize) -> Self {
        Self { rgb: Row::new(width), hsv: Row::new(width), jittered: Row::new(width) }
    }

    /// From RGB pixels to both halves, with the jitter that `tables` give.
    fn compute(&mut self, transform: &Transform, pixels: &[u8], tables: Option<&[[u8; 256]; 3]>) {
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
    }
}

fn flip(image: &mut Image) {
    for row in image.data.chunks_exact_mut(image.width * image.channels) {
        let (mut left, mut right) = (0, image.width - 1);
        while left < right {
            for channel in 0..image.channels {
                row.swap(left * image.channels + channel, right * image.channels + channel);
            }
            left += 1;
            right -= 1;
        }
    }
}

/// Resizes to `size` x `size` (nearest), then to the shape of `out` (bilinear, half-pixel centres, no
/// antialiasing); only the pixels that the second step reads are computed.
fn write_depth(depth: Option<&Image>, size: usize, flip: bool, depth_size: usize, out: &mut [f32]) {
    let Some(depth) = depth else {
        out.fill(0.0);
        return;
    };
    let mut columns = nearest_indices(depth.width, size);
    let rows = nearest_indices(depth.height, size);
    if flip {
        columns.iter_mut().for_each(|x| *x = depth.width - 1 - *x);
    }
    let taps = |to: usize| -> Vec<([usize; 2], [f32; 2])> {
        let scale = size as f32 / to as f32;
        (0..to)
            .map(|i| {
                let position = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
                let first = (position as usize).min(size - 1);
                let fraction = position - first as f32;
                ([first, (first + 1).min(size - 1)], [1.0 - fraction, fraction])
            })
            .collect()
    };
    let taps = taps(depth_size);
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

fn crop_both(
    image: &Image,
    depth: Option<&Image>,
    landmarks: Option<&Landmarks>,
    margin: f64,
) -> Result<(Image, Option<Image>), DataError> {
    let Some(landmarks) = landmarks else {
        return Err(DataError::Image("a crop needs five landmarks, and the sample has none".into()));
    };
    if let Some(depth) = depth
        && (depth.width, depth.height) != (image.width, image.height)
    {
        return Err(DataError::Image(format!(
            "a crop needs a depth map of the image's size ({} x {}), not {} x {}",
            image.width, image.height, depth.width, depth.height
        )));
    }
    let range = |offset: usize| {
        let values = landmarks.iter().skip(offset).step_by(2).map(|&v| f64::from(v));
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((left, right), (top, bottom)) = (range(0), range(1));
    let side = (right - left).max(bottom - top);
    let more = (side * margin / 2.0).trunc();
    let clip = |low: f64, limit: usize| {
        let end = (low + side + more).clamp(0.0, limit as f64) as usize;
        ((low - more).clamp(0.0, limit as f64) as usize, end)
    };
    let ((x0, x1), (y0, y1)) = (clip(left, image.width), clip(top, image.height));
    if x0 >= x1 || y0 >= y1 {
        return Err(DataError::Image("the landmarks lie outside the image".into()));
    }
    let crop = |image: &Image| image.part(x0..x1, y0..y1);
    Ok((crop(image), depth.map(crop)))
}

#[cfg(test)]
mod tests {
    use super::{Image, crop_both, flip, write_depth};

    fn ramp(width: usize, height: usize, channels: usize) -> Image {
        let data = (0..width * height * channels).map(|i| i as u8).collect();
        Image { width, height, channels, data }
    }

    #[test]
    fn depth_is_the_mean_of_the_centre_pixels() {
        let depth = ramp(8, 8, 1);
        let mut out = [0.0];
        write_depth(Some(&depth), 8, false, 1, &mut out);
        let centre = [27.0, 28.0, 35.0, 36.0].iter().sum::<f32>() / 4.0;
        assert_eq!(out, [centre / 255.0]);
        let (mut flipped, mut other) = ([0.0; 16], [0.0; 16]);
        write_depth(Some(&depth), 8, true, 4, &mut flipped);
        write_depth(Some(&depth), 8, false, 4, &mut other);
        other.chunks_exact_mut(4).for_each(<[f32]>::reverse);
        assert_eq!(flipped, other);
    }

    #[test]
    fn flip_mirrors_pixels_not_channels() {
        let mut image = ramp(3, 1, 2);
        flip(&mut image);
        assert_eq!(image.data, [4, 5, 2, 3, 0, 1]);
    }

    #[test]
    fn crop_is_the_widened_square_clipped_to_the_image() {
        let landmarks = [2.0, 2.0, 6.0, 2.0, 4.0, 3.0, 3.0, 5.0, 5.0, 5.0];
        let (image, _) = crop_both(&ramp(10, 8, 1), None, Some(&landmarks), 0.5).expect("crop");
        assert_eq!((image.width, image.height, image.data[0]), (6, 6, 11));
        let (image, _) = crop_both(&ramp(10, 8, 1), None, Some(&landmarks), 9.0).expect("crop");
        assert_eq!((image.width, image.height), (10, 8));
        assert!(crop_both(&ramp(10, 8, 1), None, None, 0.5).is_err());
        assert!(crop_both(&ramp(10, 8, 1), Some(&ramp(5, 4, 1)), Some(&landmarks), 0.5).is_err());
    }
}
