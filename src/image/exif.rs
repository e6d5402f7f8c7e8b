//! The EXIF orientation of an image, and turning pixels upright by it.

use super::Image;
use super::flip::flip;

/// Reads the orientation (1 to 8) from a TIFF block; 1 where there is none or it is malformed.
pub(super) fn orientation(tiff: &[u8]) -> u16 {
    parse(tiff).filter(|value| (1..=8).contains(value)).unwrap_or(1)
}

fn parse(tiff: &[u8]) -> Option<u16> {
    const ORIENTATION: u16 = 0x0112;
    let big_endian = match tiff.get(..4)? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let bytes = tiff.get(at..at + 2)?.try_into().ok()?;
        Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let (high, low) = if big_endian { (4, 6) } else { (6, 4) };
    let directory = usize::from(short(high)?) << 16 | usize::from(short(low)?);
    let entries = usize::from(short(directory)?);
    (0..entries)
        .map(|i| directory + 2 + 12 * i)
        .find(|&at| short(at) == Some(ORIENTATION))
        .and_then(|at| short(at + 8))
}

/// Turns `image` upright, given the orientation that it is stored with: transposed, then mirrored.
pub(super) fn upright(mut image: Image, orientation: u16) -> Image {
    if (5..=8).contains(&orientation) {
        image = transposed(&image);
    }
    if matches!(orientation, 2 | 3 | 6 | 7) {
        flip(&mut image);
    }
    if matches!(orientation, 3 | 4 | 7 | 8) {
        image.data = image.rows().rev().flatten().copied().collect();
    }
    image
}

fn transposed(image: &Image) -> Image {
    let &Image { width, height, channels, .. } = image;
    let mut data = vec![0; image.data.len()];
    for (i, pixel) in data.chunks_exact_mut(channels).enumerate() {
        let (x, y) = (i / height, i % height);
        pixel.copy_from_slice(&image.data[(y * width + x) * channels..][..channels]);
    }
    Image { width: height, height: width, channels, data }
}

#[cfg(test)]
mod tests {
    use super::{Image, orientation, upright};

    #[test]
    fn reads_both_byte_orders_and_survives_every_truncation() {
        let little = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0".as_slice()].concat();
        let big = [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0".as_slice()].concat();
        for block in [little, big] {
            assert_eq!(orientation(&block), 6);
            for end in 0..block.len() {
                assert!((1..=8).contains(&orientation(&block[..end])));
            }
        }
        assert_eq!(orientation(b"II*\0\xff\xff\xff\xff"), 1);
    }

    #[test]
    fn every_orientation_is_turned_upright() {
        let image = Image { width: 3, height: 2, channels: 1, data: vec![1, 2, 3, 4, 5, 6] };
        let turned = [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
        ];
        for (orientation, width, data) in turned {
            let expected = Image { width, height: 6 / width, channels: 1, data: data.to_vec() };
            assert_eq!(upright(image.clone(), orientation), expected, "{orientation}");
        }
    }
}
