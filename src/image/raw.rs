//! Images stored without compression: [`MAGIC`], then width, height and channels (1 or 3) as little-endian 32-bit
//! numbers, then the pixels.

use super::color::luma;
use super::{Image, MAX_SIDE, PixelFormat};
use crate::error::DataError;

/// The bytes that a raw image begins with.
pub const MAGIC: &[u8; 8] = b"ANRLRAW1";

/// Decodes a raw image.
///
/// # Errors
/// The bytes are not one whole raw image.
pub fn decode(bytes: &[u8], format: PixelFormat) -> Result<Image, DataError> {
    let damaged = || DataError::new("not a whole raw image; pack it again");
    let (header, data) = bytes.split_at_checked(MAGIC.len() + 12).ok_or_else(damaged)?;
    let mut numbers = header[MAGIC.len()..].chunks_exact(4);
    let mut number = || {
        let bytes = numbers.next().and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map_or(0, |bytes| u32::from_le_bytes(bytes) as usize)
    };
    let (width, height, channels) = (number(), number(), number());
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) || data.len() != width * height * channels {
        return Err(damaged());
    }
    let data = match (channels, format) {
        (3, PixelFormat::Rgb) | (1, PixelFormat::Gray) => data.to_vec(),
        (1, PixelFormat::Rgb) => data.iter().flat_map(|&v| [v, v, v]).collect(),
        (3, PixelFormat::Gray) => data.chunks_exact(3).map(luma).collect(),
        _ => return Err(damaged()),
    };
    Ok(Image { width, height, channels: format.channels(), data })
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, PixelFormat, decode};

    #[test]
    fn raw_images_convert_and_have_their_size() {
        let file = |channels: u8, data: &[u8]| {
            [&MAGIC[..], &[2, 0, 0, 0, 1, 0, 0, 0, channels, 0, 0, 0], data].concat()
        };
        let gray = file(1, &[7, 9]);
        assert_eq!(decode(&gray, PixelFormat::Rgb).expect("raw").data, [7, 7, 7, 9, 9, 9]);
        let rgb = file(3, &[8, 8, 8, 1, 1, 1]);
        assert_eq!(decode(&rgb, PixelFormat::Gray).expect("raw").data, [8, 1]);
        for damaged in [&gray[..gray.len() - 1], &file(2, &[0; 4]), &MAGIC[..]] {
            assert!(decode(damaged, PixelFormat::Rgb).is_err());
        }
    }
}
