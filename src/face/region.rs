//! Squares of an image, rotated, as input of a network.

use crate::simd::vectorized;

/// An RGB image of 8 bits, borrowed. Coordinates are in pixels; the first pixel reaches from 0 to 1.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    width: usize,
    height: usize,
    data: &'a [u8],
}

impl<'a> Picture<'a> {
    /// An image of this shape; `None` if `data` does not have its length or a side is zero.
    #[must_use]
    pub fn new(width: usize, height: usize, data: &'a [u8]) -> Option<Self> {
        let len = width.checked_mul(height)?.checked_mul(3)?;
        (len == data.len() && len > 0).then_some(Self { width, height, data })
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> [f32; 2] {
        [self.width as f32, self.height as f32]
    }
}

/// A square of an image, turned clockwise by `rotation` (radians) around its center.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    pub center: [f32; 2],
    pub side: f32,
    pub rotation: f32,
}

impl Region {
    /// The image's coordinates of a point whose coordinates in the region reach from 0 to 1.
    pub fn to_image(self, [u, v]: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.rotation.sin_cos();
        let (u, v) = ((u - 0.5) * self.side, (v - 0.5) * self.side);
        [self.center[0] + u * cos - v * sin, self.center[1] + u * sin + v * cos]
    }
}

/// What lies outside the image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Border {
    Black,
    Replicate,
}

/// How a region becomes a network's input: levels are multiplied by `scale`, then `offset` is added.
#[derive(Clone, Copy)]
pub(super) struct Sampling<'a> {
    pub picture: Picture<'a>,
    pub region: Region,
    pub border: Border,
    pub scale: f32,
    pub offset: f32,
}

impl Sampling<'_> {
    /// Writes row `y` of the region, sampled bilinearly at as many pixels as the row has.
    pub fn row(&self, y: usize, out: &mut [f32]) {
        let size = (out.len() / 3) as f32;
        let at = |x: f32| self.region.to_image([(x + 0.5) / size, (y as f32 + 0.5) / size]).map(|c| c - 0.5);
        let (first, second) = (at(0.0), at(1.0));
        let step = [second[0] - first[0], second[1] - first[1]];
        sample(self, first, step, out);
    }

    /// The four pixels around (x, y), with their border: red in the lowest byte.
    #[cold]
    fn corners(&self, x: i64, y: i64) -> [u32; 4] {
        let Picture { width, height, data } = self.picture;
        [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].map(|(x, y)| {
            let (inner_x, inner_y) = (x.clamp(0, width as i64 - 1), y.clamp(0, height as i64 - 1));
            if self.border == Border::Black && (inner_x, inner_y) != (x, y) {
                return 0;
            }
            let at = (inner_y as usize * width + inner_x as usize) * 3;
            u32::from_le_bytes([data[at], data[at + 1], data[at + 2], 0])
        })
    }
}

/// Parts of a pixel that places are counted in.
const PARTS: f64 = (1u64 << 32) as f64;

/// Pixels that are computed together.
const LANES: usize = 16;

/// Parts of a pixel as a fraction in [0, 1).
#[inline(always)]
fn weight(parts: u32) -> f32 {
    (parts >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32)
}

vectorized! {
    /// Samples pixels from `first` on, each a `step` further.
    fn sample<>(sampling: &Sampling<'_>, first: [f32; 2], step: [f32; 2], out: &mut [f32]) {
        let Picture { width, height, data } = sampling.picture;
        let (scale, offset) = (sampling.scale, sampling.offset);
        let [mut x, mut y] = first.map(|start| (f64::from(start) * PARTS) as i64);
        let [dx, dy] = step.map(|step| (f64::from(step) * PARTS) as i64);
        for out in out.chunks_mut(3 * LANES) {
            let mut corners = [[0u32; LANES]; 4];
            let (mut parts_x, mut parts_y) = ([0; LANES], [0; LANES]);
            for i in 0..out.len() / 3 {
                let (left, top) = (x >> 32, y >> 32);
                let is_inside = (left as u64) < width as u64 - 1 && (top as u64) < height as u64 - 1;
                let at = (top as usize).wrapping_mul(width).wrapping_add(left as usize).wrapping_mul(3);
                let four = if is_inside && at + 3 * width + 8 <= data.len() {
                    // SAFETY: both pairs of pixels and two levels more lie within the data.
                    let pair = |at: usize| u64::from_le_bytes(unsafe { data.as_ptr().add(at).cast::<[u8; 8]>().read() });
                    let (upper, lower) = (pair(at), pair(at + 3 * width));
                    [upper as u32, (upper >> 24) as u32, lower as u32, (lower >> 24) as u32]
                } else {
                    sampling.corners(left, top)
                };
                for (corner, pixel) in corners.iter_mut().zip(four) {
                    corner[i] = pixel;
                }
                (parts_x[i], parts_y[i]) = (x as u32, y as u32);
                (x, y) = (x.wrapping_add(dx), y.wrapping_add(dy));
            }
            let (wx, wy) = (parts_x.map(weight), parts_y.map(weight));
            let [a, b, c, d] = &corners;
            let mut mixed = [[0.0; LANES]; 3];
            for (channel, mixed) in mixed.iter_mut().enumerate() {
                let level = |pixel: u32| (pixel >> (8 * channel) & 255) as i32 as f32;
                for i in 0..LANES {
                    let upper = level(a[i]) + wx[i] * (level(b[i]) - level(a[i]));
                    let lower = level(c[i]) + wx[i] * (level(d[i]) - level(c[i]));
                    mixed[i] = (upper + wy[i] * (lower - upper)) * scale + offset;
                }
            }
            for (i, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                *out = [mixed[0][i], mixed[1][i], mixed[2][i]];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Border, Picture, Region, Sampling};

    fn rows(region: Region, border: Border, size: usize) -> Vec<Vec<f32>> {
        // Red is x, green is y.
        let data: Vec<u8> = (0..20 * 10).flat_map(|i| [(i % 20) as u8, (i / 20) as u8, 7]).collect();
        let picture = Picture::new(20, 10, &data).expect("a picture");
        let sampling = Sampling { picture, region, border, scale: 1.0, offset: 0.0 };
        let mut out = vec![vec![0.0; size * 3]; size];
        out.iter_mut().enumerate().for_each(|(y, row)| sampling.row(y, row));
        out
    }

    #[test]
    fn a_region_of_the_images_size_gives_its_pixels() {
        let region = Region { center: [10.0, 5.0], side: 6.0, rotation: 0.0 };
        let out = rows(region, Border::Replicate, 6);
        for (y, x) in (0..6).flat_map(|y| (0..6).map(move |x| (y, x))) {
            assert_eq!(out[y][x * 3..][..3], [x as f32 + 7.0, y as f32 + 2.0, 7.0]);
        }
    }

    #[test]
    fn a_quarter_turn_exchanges_the_axes() {
        let rotation = std::f32::consts::FRAC_PI_2;
        let out = rows(Region { center: [10.0, 5.0], side: 6.0, rotation }, Border::Replicate, 6);
        for (y, x) in (0..6).flat_map(|y| (0..6).map(move |x| (y, x))) {
            let expected = [12.0 - y as f32, x as f32 + 2.0];
            assert!(
                (out[y][x * 3] - expected[0]).abs() < 1e-4 && (out[y][x * 3 + 1] - expected[1]).abs() < 1e-4
            );
        }
    }

    #[test]
    fn outside_is_black_or_the_last_pixel() {
        let region = Region { center: [-9.0, 5.0], side: 6.0, rotation: 0.0 };
        assert_eq!(rows(region, Border::Black, 3)[1], [0.0; 9]);
        assert_eq!(rows(region, Border::Replicate, 3)[1][..3], [0.0, 4.5, 7.0]);
        assert!(Picture::new(20, 10, &[0; 7]).is_none() && Picture::new(0, 10, &[]).is_none());
    }
}
