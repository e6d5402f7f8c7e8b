//! Mirroring left and right.

use super::Image;

/// Mirrors a row of pixels with `channels` interleaved channels.
pub(super) fn flip_row(row: &mut [u8], channels: usize) {
    row.reverse();
    if channels > 1 {
        row.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
    }
}

/// Mirrors an image or a depth map.
pub fn flip(image: &mut Image) {
    let channels = image.channels;
    image.rows_mut().for_each(|row| flip_row(row, channels));
}

#[cfg(test)]
mod tests {
    use super::{Image, flip};

    #[test]
    fn pixels_are_mirrored_and_channels_are_not() {
        let mut image = Image { width: 3, height: 2, channels: 2, data: (0..12).collect() };
        flip(&mut image);
        assert_eq!(image.data, [4, 5, 2, 3, 0, 1, 10, 11, 8, 9, 6, 7]);
    }
}
