//! Colour arithmetic on 8-bit pixels, bit for bit as OpenCV 5 and albumentations 2.0.8 compute it.
//! HSV is OpenCV's 8-bit convention: H 0..=179 (half degrees), S and V 0..=255.

use std::sync::LazyLock;

struct Division {
    saturation: [i32; 256],
    hue: [i32; 256],
}

/// Reciprocals in 12-bit fixed point: 255 / i for the saturation, 180 / (6 i) for the hue.
static DIVISION: LazyLock<Division> = LazyLock::new(|| {
    let table = |scale: f64| {
        std::array::from_fn(|i| if i == 0 { 0 } else { (scale / i as f64).round_ties_even() as i32 })
    };
    Division { saturation: table(f64::from(255 << 12)), hue: table(f64::from(180 << 12) / 6.0) }
});

/// Converts interleaved RGB pixels to HSV.
///
/// # Panics
/// Never for arrays of one length, a multiple of 3.
pub fn rgb_to_hsv(rgb: &[u8], hsv: &mut [u8]) {
    assert_eq!(rgb.len(), hsv.len());
    let tables = &*DIVISION;
    for (rgb, hsv) in rgb.chunks_exact(3).zip(hsv.chunks_exact_mut(3)) {
        let [r, g, b] = [i32::from(rgb[0]), i32::from(rgb[1]), i32::from(rgb[2])];
        let v = r.max(g).max(b);
        let d = v - r.min(g).min(b);
        let s = (d * tables.saturation[v as usize] + (1 << 11)) >> 12;
        let h = if v == r {
            g - b
        } else if v == g {
            b - r + 2 * d
        } else {
            r - g + 4 * d
        };
        let h = (h * tables.hue[d as usize] + (1 << 11)) >> 12;
        hsv[0] = (if h < 0 { h + 180 } else { h }) as u8;
        hsv[1] = s as u8;
        hsv[2] = v as u8;
    }
}

/// One HSV pixel to RGB, each in 0..=255 before the conversion to 8 bit.
#[inline(always)]
fn hsv_pixel(hsv: &[u8]) -> [f32; 3] {
    let s = f32::from(hsv[1]) * (1.0 / 255.0);
    let v = f32::from(hsv[2]) * (1.0 / 255.0);
    let h = f32::from(hsv[0]) * (6.0 / 180.0);
    let sector = h.trunc();
    let f = h - sector;
    let low = v * (1.0 - s);
    let falling = v * (-s).mul_add(f, 1.0);
    let rising = v * (-s).mul_add(1.0 - f, 1.0);
    let rgb = match sector as u32 {
        // 6 is what a hue just below 0 becomes when rounding lifts it to 180.
        0 | 6 => [v, rising, low],
        1 => [falling, v, low],
        2 => [low, v, rising],
        3 => [low, falling, v],
        4 => [rising, low, v],
        _ => [v, low, falling],
    };
    rgb.map(|value| value * 255.0)
}

/// Converts interleaved HSV pixels to RGB, row by row: OpenCV's vector body truncates, the last
/// `width % 32` pixels of a row are rounded half to even.
///
/// # Panics
/// Never for arrays of one length, a multiple of `3 * width`.
pub fn hsv_to_rgb(hsv: &[u8], width: usize, rgb: &mut [u8]) {
    assert_eq!(hsv.len(), rgb.len());
    #[inline(always)]
    fn rows(hsv: &[u8], width: usize, rgb: &mut [u8]) {
        let body = width / 32 * 32;
        for (hsv, rgb) in hsv.chunks_exact(3 * width).zip(rgb.chunks_exact_mut(3 * width)) {
            for (x, (hsv, rgb)) in hsv.chunks_exact(3).zip(rgb.chunks_exact_mut(3)).enumerate() {
                let pixel = hsv_pixel(hsv);
                for (out, value) in rgb.iter_mut().zip(pixel) {
                    *out = if x < body { value } else { value.round_ties_even() } as u8;
                }
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn rows_fma(hsv: &[u8], width: usize, rgb: &mut [u8]) {
            rows(hsv, width, rgb);
        }
        if is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has both features.
            return unsafe { rows_fma(hsv, width, rgb) };
        }
    }
    rows(hsv, width, rgb);
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

/// Applies `shift` to HSV pixels in place (albumentations' HueSaturationValue).
pub fn shift_hsv(hsv: &mut [u8], shift: HsvShift) {
    let hue: [u8; 256] = std::array::from_fn(|h| (h as f64 + shift.hue).rem_euclid(180.0).floor() as u8);
    let add = |by: f64| -> [u8; 256] {
        std::array::from_fn(|v| (v as i32).saturating_add(by as i32).clamp(0, 255) as u8)
    };
    let (mut saturation, value) = (add(shift.saturation), add(shift.value));
    saturation[0] = 0;
    for pixel in hsv.chunks_exact_mut(3) {
        pixel[0] = hue[usize::from(pixel[0])];
        pixel[1] = saturation[usize::from(pixel[1])];
        pixel[2] = value[usize::from(pixel[2])];
    }
}

#[cfg(test)]
mod tests {
    use super::{HsvShift, hsv_to_rgb, rgb_to_hsv, shift_hsv};

    #[test]
    fn known_colours() {
        let rgb = [255, 0, 0, 0, 255, 0, 0, 0, 255, 128, 128, 128, 0, 0, 0];
        let mut hsv = [0; 15];
        rgb_to_hsv(&rgb, &mut hsv);
        assert_eq!(hsv, [0, 255, 255, 60, 255, 255, 120, 255, 255, 0, 0, 128, 0, 0, 0]);
        let mut back = [0; 15];
        hsv_to_rgb(&hsv, 5, &mut back);
        assert_eq!(back, rgb);
    }

    #[test]
    fn shift_wraps_hue_saturates_and_leaves_gray() {
        let mut hsv = [175, 250, 250, 3, 0, 4];
        shift_hsv(&mut hsv, HsvShift { hue: 10.0, saturation: 20.0, value: -5.9 });
        assert_eq!(hsv, [5, 255, 245, 13, 0, 0]);
    }
}
