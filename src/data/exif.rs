//! The EXIF orientation of an image, and turning pixels upright by it.

use super::decode::Image;

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

/// Turns `image` upright, given the orientation it was stored with.
pub(super) fn upright(image: Image, orientation: u16) -> Image {
    if orientation <= 1 {
        return image;
    }
    let Image { width: w, height: h, channels, data } = image;
    let swap = orientation >= 5;
    let (width, height) = if swap { (h, w) } else { (w, h) };
    let mut out = vec![0; data.len()];
    for (i, pixel) in out.chunks_exact_mut(channels).enumerate() {
        let (x, y) = (i % width, i / width);
        let (sx, sy) = match orientation {
            2 => (w - 1 - x, y),
            3 => (w - 1 - x, h - 1 - y),
            4 => (x, h - 1 - y),
            5 => (y, x),
            6 => (y, h - 1 - x),
            7 => (w - 1 - y, h - 1 - x),
            _ => (w - 1 - y, x),
        };
        let source = (sy * w + sx) * channels;
        pixel.copy_from_slice(&data[source..source + channels]);
    }
    Image { width, height, channels, data: out }
}

#[cfg(test)]
mod tests {
    use super::{orientation, upright};
    use crate::data::decode::Image;

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
    fn quarter_turn_clockwise() {
        let image = Image { width: 3, height: 2, channels: 1, data: vec![1, 2, 3, 4, 5, 6] };
        let turned = upright(image, 6);
        assert_eq!((turned.width, turned.height), (2, 3));
        assert_eq!(turned.data, [4, 1, 5, 2, 6, 3]);
    }
}
