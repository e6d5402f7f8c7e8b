//! PNG files, to OpenCV's pixels: of levels of 16 bits the upper 8 stay, palettes expand, alpha is dropped.
//!
//! Gamma and color profiles change nothing. Of an animation the default image is read, which every reader shows.

use png::{BitDepth, ColorType, DecodingError, Transformations};

use super::{Image, MAX_SIDE, PixelFormat, exif};
use crate::error::DataError;

/// The bytes that a PNG file begins with.
pub const MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Decodes a PNG file; also returns its EXIF orientation.
///
/// # Errors
/// The file is damaged, ends early, is too large, or has 16 bits and is to become a gray (depth) image.
pub fn decode(bytes: &[u8], format: PixelFormat) -> Result<(Image, u16), DataError> {
    let broken = |e: DecodingError| DataError::new(format!("not a whole PNG image: {e}"));
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(DataError::new(format!("{width} x {height} pixels; at most {MAX_SIDE} a side")));
    }
    if format == PixelFormat::Gray && reader.info().bit_depth == BitDepth::Sixteen {
        return Err(DataError::new(
            "a PNG image of 16 bits (depth in millimetres, perhaps), of which a depth map keeps 8: \
             scale it to levels from 0 to 255 and store it with 8 bits",
        ));
    }
    let size =
        reader.output_buffer_size().ok_or_else(|| DataError::new("a PNG image too large for memory"))?;
    let mut raw = vec![0; size];
    let frame = reader.next_frame(&mut raw).map_err(broken)?;
    reader.finish().map_err(broken)?;
    let orientation = reader.info().exif_metadata.as_ref().map_or(1, |block| exif::orientation(block));
    raw.truncate(frame.buffer_size());
    let data = match (frame.color_type, format) {
        (ColorType::Rgb, PixelFormat::Rgb) | (ColorType::Grayscale, PixelFormat::Gray) => raw,
        (ColorType::Rgba, PixelFormat::Rgb) => raw.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        (ColorType::Grayscale, PixelFormat::Rgb) => raw.iter().flat_map(|&v| [v, v, v]).collect(),
        (ColorType::GrayscaleAlpha, PixelFormat::Rgb) => {
            raw.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0]]).collect()
        }
        (ColorType::GrayscaleAlpha, PixelFormat::Gray) => raw.chunks_exact(2).map(|p| p[0]).collect(),
        (ColorType::Rgb, PixelFormat::Gray) => raw.chunks_exact(3).map(luma).collect(),
        (ColorType::Rgba, PixelFormat::Gray) => raw.chunks_exact(4).map(luma).collect(),
        (ColorType::Indexed, _) => return Err(DataError::new("a PNG palette did not expand")),
    };
    Ok((Image { width, height, channels: format.channels(), data }, orientation))
}

/// ITU-R BT.601 luma in the fixed point of libpng, which rounds down.
fn luma(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((r * 9797 + g * 19234 + b * 3737) >> 15) as u8
}

#[cfg(test)]
mod tests {
    use super::PixelFormat;
    use crate::image::decode::decode;

    fn png(width: u32, height: u32, color: png::ColorType, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("header");
        writer.write_image_data(data).expect("data");
        writer.finish().expect("end");
        bytes
    }

    #[test]
    fn alpha_is_dropped_and_gray_is_repeated() {
        let levels = |bytes: &[u8], format| decode(bytes, format).expect("png").data;
        let bytes = png(2, 1, png::ColorType::Rgba, &[1, 2, 3, 9, 4, 5, 6, 9]);
        assert_eq!(levels(&bytes, PixelFormat::Rgb), [1, 2, 3, 4, 5, 6]);
        let bytes = png(2, 1, png::ColorType::Grayscale, &[7, 8]);
        assert_eq!(levels(&bytes, PixelFormat::Rgb), [7, 7, 7, 8, 8, 8]);
        assert_eq!(levels(&bytes, PixelFormat::Gray), [7, 8]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = png(5, 4, png::ColorType::Grayscale, &[3; 20]);
        for end in 0..bytes.len() {
            let result = decode(&bytes[..end], PixelFormat::Gray);
            assert!(result.is_err(), "{end} of {}", bytes.len());
        }
    }
}
