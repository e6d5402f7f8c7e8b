//! Additive noise.

use super::Image;

/// Adds `std · normal(i)` to level i.
pub fn add_noise(image: &mut Image, std: f32, normal: impl Fn(u64) -> f32) {
    for (level, index) in image.data.iter_mut().zip(0..) {
        *level = (f32::from(*level) + std * normal(index)).round_ties_even() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::{Image, add_noise};

    #[test]
    fn levels_round_and_saturate() {
        let mut image = Image { width: 4, height: 1, channels: 1, data: vec![10, 10, 3, 250] };
        add_noise(&mut image, 2.0, |i| [0.3, -1.0, -5.0, 9.0][i as usize]);
        assert_eq!(image.data, [11, 8, 0, 255]);
    }
}
