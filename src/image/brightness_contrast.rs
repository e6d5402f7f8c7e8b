//! Brightness and contrast.

use super::Image;

/// The change of a level to contrast · (level - 127.5) + 127.5 + 255 · brightness.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BrightnessContrast {
    /// Added, of 1; 0 for none.
    pub brightness: f32,
    /// Factor; 1 for none.
    pub contrast: f32,
}

/// Changes brightness and contrast.
pub fn adjust(image: &mut Image, BrightnessContrast { brightness, contrast }: BrightnessContrast) {
    let table: [u8; 256] = std::array::from_fn(|level| {
        let value = contrast * (level as f32 - 127.5) + 127.5 + 255.0 * brightness;
        value.round_ties_even() as u8
    });
    image.data.iter_mut().for_each(|level| *level = table[usize::from(*level)]);
}

#[cfg(test)]
mod tests {
    use super::{BrightnessContrast, Image, adjust};

    #[test]
    fn levels_saturate_and_gray_is_the_center_of_contrast() {
        let image = Image { width: 4, height: 1, channels: 1, data: vec![0, 100, 128, 255] };
        let adjusted = |brightness, contrast| {
            let mut image = image.clone();
            adjust(&mut image, BrightnessContrast { brightness, contrast });
            image.data
        };
        assert_eq!(adjusted(0.0, 1.0), image.data);
        assert_eq!(adjusted(0.0, 2.0), [0, 72, 128, 255]);
        assert_eq!(adjusted(0.2, 1.0), [51, 151, 179, 255]);
    }
}
