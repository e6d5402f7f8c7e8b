//! Bilinear interpolation of a map to twice its size.

use super::plan::Doubling;
use crate::simd::vectorized;

/// Interpolates between pixels whose centers are at halves, and adds a map. The outermost pixels are repeated.
pub(super) fn double(doubling: &Doubling, input: &[f32], added: Option<&[f32]>, out: &mut [f32]) {
    interpolate(doubling, input, added, out);
}

vectorized! {
    fn interpolate<>(doubling: &Doubling, input: &[f32], added: Option<&[f32]>, out: &mut [f32]) {
        let (from, to) = (doubling.input, doubling.out);
        // The nearer pixel and the further one, which have weights of 3/4 and 1/4.
        let near_far = |i: usize, len: usize| {
            let far = if i.is_multiple_of(2) { (i / 2).saturating_sub(1) } else { (i / 2 + 1).min(len - 1) };
            (i / 2, far)
        };
        for y in 0..to.height {
            let (near_y, far_y) = near_far(y, from.height);
            for x in 0..to.width {
                let (near_x, far_x) = near_far(x, from.width);
                let pixel = |x: usize, y: usize| &input[from.place(x, y)..][..to.stored()];
                let (a, b) = (pixel(near_x, near_y), pixel(far_x, near_y));
                let (c, d) = (pixel(near_x, far_y), pixel(far_x, far_y));
                let place = to.place(x, y);
                let out = &mut out[place..][..to.stored()];
                for (k, out) in out.iter_mut().enumerate() {
                    *out = 0.5625 * a[k] + 0.1875 * (b[k] + c[k]) + 0.0625 * d[k];
                }
                if let Some(added) = added {
                    out.iter_mut().zip(&added[place..]).for_each(|(out, added)| *out += added);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::double;
    use crate::face::plan::{Doubling, Map};

    #[test]
    fn a_ramp_stays_one_but_for_its_ends() {
        let (input, out) =
            (Map { height: 2, width: 3, channels: 16 }, Map { height: 4, width: 6, channels: 16 });
        let doubling = Doubling { slot: 0, input, added: None, out_slot: 1, out };
        let (mut from, mut to) = (vec![0.0; input.lines() * 16], vec![0.0; out.lines() * 16]);
        for (x, y) in [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)] {
            from[input.place(x, y)..][..16].fill(4.0 * x as f32 + 40.0 * y as f32);
        }
        double(&doubling, &from, None, &mut to);
        let row: Vec<f32> = (0..6).map(|x| to[out.place(x, 1) + 15]).collect();
        assert_eq!(row, [10.0, 11.0, 13.0, 15.0, 17.0, 18.0]);
        let added = to.clone();
        double(&doubling, &from, Some(&added), &mut to);
        assert_eq!(to[out.place(5, 1)], 36.0);
    }
}
