//! Color conversion and jitter of 8-bit pixels, bit for bit as OpenCV 5 and albumentations 2.0.8 compute it.
//! HSV is OpenCV's 8-bit convention: H 0..=179 (half degrees), S and V 0..=255.

use super::flip::flip_row;
use crate::simd::vectorized;

/// 1.5 · 2^23: added to a number below 2^22 it leaves its integer, rounded half to even, in the low bits.
/// Unlike a cast, which has to look after what does not fit, this vectorizes.
const SHIFT: f32 = 12_582_912.0;

/// The nearest integer, half to even, to a number from 0 to 2^22.
#[inline(always)]
fn round(value: f32) -> i32 {
    (value + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32
}

/// The integer part of a number from 0 to 2^22.
#[inline(always)]
fn truncate(value: f32) -> i32 {
    let near = (value + SHIFT) - SHIFT;
    round(if near > value { near - 1.0 } else { near })
}

/// The nearest integer to `over / by`: OpenCV's tables of reciprocals, without tables.
#[inline(always)]
fn reciprocal(over: f32, by: i32) -> i32 {
    round(over / by.max(1) as f32)
}

vectorized! {
    /// Converts rows of red, green and blue to rows of hue, saturation and value, all of one length.
    fn hsv_rows<>(rgb: [&[u8]; 3], hsv: [&mut [u8]; 3]) {
        let ([red, green, blue], [hue, saturation, value]) = (rgb, hsv);
        let n = red.len();
        let (green, blue) = (&green[..n], &blue[..n]);
        let (hue, saturation, value) = (&mut hue[..n], &mut saturation[..n], &mut value[..n]);
        for i in 0..n {
            let [r, g, b] = [i32::from(red[i]), i32::from(green[i]), i32::from(blue[i])];
            let v = r.max(g).max(b);
            let d = v - r.min(g).min(b);
            let s = (d * reciprocal((255 << 12) as f32, v) + (1 << 11)) >> 12;
            let of_red = g - b;
            let of_green = b - r + 2 * d;
            let of_blue = r - g + 4 * d;
            let h = if v == r { of_red } else if v == g { of_green } else { of_blue };
            let h = (h * reciprocal((30 << 12) as f32, d) + (1 << 11)) >> 12;
            hue[i] = (if h < 0 { h + 180 } else { h }) as u8;
            saturation[i] = s as u8;
            value[i] = v as u8;
        }
    }
}

vectorized! {
    /// De-interleaves pixels.
    fn split_row<>(pixels: &[u8], planes: [&mut [u8]; 3]) {
        let [a, b, c] = planes;
        for (((pixel, a), b), c) in pixels.chunks_exact(3).zip(a).zip(b).zip(c) {
            (*a, *b, *c) = (pixel[0], pixel[1], pixel[2]);
        }
    }
}

vectorized! {
    /// Interleaves planes.
    fn join_row<>(planes: [&[u8]; 3], pixels: &mut [u8]) {
        let [a, b, c] = planes;
        for (((pixel, a), b), c) in pixels.chunks_exact_mut(3).zip(a).zip(b).zip(c) {
            pixel.copy_from_slice(&[*a, *b, *c]);
        }
    }
}

/// One row of `width` pixels in three planes.
pub(crate) struct Row([Vec<u8>; 3]);

impl Row {
    pub(crate) fn new(width: usize) -> Self {
        Self([(); 3].map(|()| vec![0; width]))
    }

    /// De-interleaves pixels.
    pub(crate) fn split(&mut self, pixels: &[u8]) {
        split_row(pixels, self.planes_mut());
    }

    /// Interleaves the planes.
    pub(crate) fn join(&self, pixels: &mut [u8]) {
        join_row(self.planes(), pixels);
    }

    /// Converts RGB to HSV.
    pub(crate) fn hsv_of(&mut self, rgb: &Self) {
        hsv_rows(rgb.planes(), self.planes_mut());
    }

    /// Converts HSV to RGB: OpenCV's vector body truncates, the last `width % 32` pixels are rounded half to even.
    pub(crate) fn rgb_of(&mut self, hsv: &Self) {
        let body = self.0[0].len() / 32 * 32;
        rgb_rows(hsv.planes(), body, self.planes_mut());
    }

    /// Replaces the levels of HSV by those in the tables.
    pub(crate) fn shifted(&mut self, hsv: &Self, tables: &[[u8; 256]; 3]) {
        for ((to, from), table) in self.0.iter_mut().zip(&hsv.0).zip(tables) {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = table[usize::from(from)]);
        }
    }

    /// Mirrors the row.
    pub(crate) fn flip(&mut self) {
        self.0.iter_mut().for_each(|plane| flip_row(plane, 1));
    }

    pub(crate) fn planes(&self) -> [&[u8]; 3] {
        self.0.each_ref().map(|plane| &plane[..])
    }

    fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        self.0.each_mut().map(|plane| &mut plane[..])
    }
}

/// HSV to RGB, each in 0..=255 before the conversion to 8 bit.
#[inline(always)]
fn rgb_levels(h: u8, s: u8, v: u8) -> [f32; 3] {
    let s = f32::from(s) * (1.0 / 255.0);
    let v = f32::from(v) * (1.0 / 255.0);
    let h = f32::from(h) * (6.0 / 180.0);
    let sector = truncate(h);
    let f = h - sector as f32;
    let low = v * (1.0 - s);
    let falling = v * (-s).mul_add(f, 1.0);
    let rising = v * (-s).mul_add(1.0 - f, 1.0);
    // Sector 6 is what a hue just below 0 becomes when rounding lifts it to 180.
    let (first, second, third, fourth, fifth) =
        (sector == 0 || sector == 6, sector == 1, sector == 2, sector == 3, sector == 4);
    let pick = |a: bool, b: bool, c: bool, x: f32, y: f32, z: f32, rest: f32| {
        if a {
            x
        } else if b {
            y
        } else if c {
            z
        } else {
            rest
        }
    };
    let red = pick(second, third || fourth, fifth, falling, low, rising, v);
    let green = pick(first, second || third, fourth, rising, v, falling, low);
    let blue = pick(first || second, third, fourth || fifth, low, rising, v, falling);
    [red, green, blue].map(|value| value * 255.0)
}

/// Converts rows of HSV to rows of RGB; the first `body` pixels are truncated, the others rounded.
fn rgb_rows(hsv: [&[u8]; 3], body: usize, rgb: [&mut [u8]; 3]) {
    #[inline(always)]
    fn rows(hsv: [&[u8]; 3], body: usize, rgb: [&mut [u8]; 3]) {
        let n = hsv[0].len();
        let [h, s, v] = hsv.map(|plane| &plane[..n]);
        let [red, green, blue] = rgb.map(|plane| &mut plane[..n]);
        for i in 0..body {
            let levels = rgb_levels(h[i], s[i], v[i]);
            [red[i], green[i], blue[i]] = levels.map(|value| truncate(value) as u8);
        }
        for i in body..n {
            let levels = rgb_levels(h[i], s[i], v[i]);
            [red[i], green[i], blue[i]] = levels.map(|value| round(value) as u8);
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn rows_fma(hsv: [&[u8]; 3], body: usize, rgb: [&mut [u8]; 3]) {
            rows(hsv, body, rgb);
        }
        if is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has both features.
            return unsafe { rows_fma(hsv, body, rgb) };
        }
    }
    rows(hsv, body, rgb);
}

/// ITU-R BT.601 luma in the fixed point of OpenCV's RGB2GRAY.
pub(super) fn luma(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((r * 9798 + g * 19235 + b * 3735 + (1 << 14)) >> 15) as u8
}

/// Shifts of hue (half degrees), saturation and value (of 255).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HsvShift {
    /// Added to H, modulo 180.
    pub hue: f64,
    /// Added to S after truncation to an integer; S = 0 (gray) stays.
    pub saturation: f64,
    /// Added to V after truncation to an integer.
    pub value: f64,
}

impl HsvShift {
    /// The new level for every level of H, S and V (albumentations' HueSaturationValue).
    #[must_use]
    pub fn tables(self) -> [[u8; 256]; 3] {
        let hue = std::array::from_fn(|h| (h as f64 + self.hue).rem_euclid(180.0).floor() as u8);
        let add = |by: f64| -> [u8; 256] {
            std::array::from_fn(|v| (v as i32).saturating_add(by as i32).clamp(0, 255) as u8)
        };
        let mut saturation = add(self.saturation);
        saturation[0] = 0;
        [hue, saturation, add(self.value)]
    }
}

#[cfg(test)]
mod tests {
    use super::{HsvShift, Row, reciprocal};

    fn row(pixels: &[u8]) -> Row {
        let mut row = Row::new(pixels.len() / 3);
        row.split(pixels);
        row
    }

    fn pixels(row: &Row) -> Vec<u8> {
        let mut pixels = vec![0; 3 * row.planes()[0].len()];
        row.join(&mut pixels);
        pixels
    }

    #[test]
    fn reciprocals_are_those_of_opencvs_tables() {
        for i in 1..256 {
            for over in [255 << 12, (180 << 12) / 6] {
                let want = (f64::from(over) / f64::from(i)).round_ties_even() as i32;
                assert_eq!(reciprocal(over as f32, i), want, "{over} / {i}");
            }
        }
    }

    #[test]
    fn known_colors() {
        let rgb = [255, 0, 0, 0, 255, 0, 0, 0, 255, 128, 128, 128, 0, 0, 0];
        let (mut hsv, mut back) = (Row::new(5), Row::new(5));
        hsv.hsv_of(&row(&rgb));
        assert_eq!(pixels(&hsv), [0, 255, 255, 60, 255, 255, 120, 255, 255, 0, 0, 128, 0, 0, 0]);
        back.rgb_of(&hsv);
        assert_eq!(pixels(&back), rgb);
        back.flip();
        assert_eq!(pixels(&back)[..6], [0, 0, 0, 128, 128, 128]);
    }

    #[test]
    fn shift_wraps_hue_saturates_and_leaves_gray() {
        let mut shifted = Row::new(2);
        let shift = HsvShift { hue: 10.0, saturation: 20.0, value: -5.9 };
        shifted.shifted(&row(&[175, 250, 250, 3, 0, 4]), &shift.tables());
        assert_eq!(pixels(&shifted), [5, 255, 245, 13, 0, 0]);
    }
}
