//! JPEG and PNG bytes to 8-bit pixels, upright by EXIF. Damaged files are errors, never guesses.

use std::ops::Range;

use png::{ColorType, Transformations};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{DataError, exif, turbo};

/// 8-bit pixels, row by row, channels interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 3 (red, green, blue) or 1 (gray).
    pub channels: usize,
    /// `height * width * channels` values.
    pub data: Vec<u8>,
}

impl Image {
    /// The pixels in these columns and rows, which lie within the image.
    pub(super) fn part(&self, columns: Range<usize>, rows: Range<usize>) -> Self {
        let values = columns.start * self.channels..columns.end * self.channels;
        let lines = self.data.chunks_exact(self.width * self.channels).take(rows.end).skip(rows.start);
        let data = lines.flat_map(|line| &line[values.clone()]).copied().collect();
        Self { width: columns.len(), height: rows.len(), channels: self.channels, data }
    }
}

/// What to decode to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// Red, green, blue.
    Rgb,
    /// Luma: of a colour JPEG its Y plane, as OpenCV gives it.
    Gray,
}

impl Pixels {
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Gray => 1,
        }
    }
}

/// Which decoder reads JPEG files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// The one in Rust: as fast everywhere, a few levels off.
    Fast,
    /// libjpeg-turbo: OpenCV's pixels; slower if it was built without `nasm`.
    Exact,
}

/// How an image stored without compression begins: then width, height and channels (1 or 3) as little-endian
/// 32-bit numbers, then the pixels.
pub const RAW_MAGIC: &[u8; 8] = b"ANRLRAW1";

/// Images above this many pixels a side are refused.
pub(super) const MAX_SIDE: usize = 1 << 14;

/// Decodes a JPEG, PNG or raw file.
///
/// # Errors
/// [`DataError::Image`] if the bytes are none of these, are damaged or end early.
pub fn decode(bytes: &[u8], pixels: Pixels, codec: Codec) -> Result<Image, DataError> {
    if bytes.is_empty() {
        return Err(DataError::Image("the image has no bytes".into()));
    }
    if bytes.starts_with(RAW_MAGIC) {
        return decode_raw(bytes, pixels);
    }
    let decoder = if bytes.starts_with(&[0xff, 0xd8]) {
        match codec {
            Codec::Fast => decode_jpeg,
            Codec::Exact => decode_jpeg_exactly,
        }
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        decode_png
    } else {
        return Err(DataError::Image("neither a JPEG nor a PNG image".into()));
    };
    // Should a decoder panic on bytes that nobody has thought of, it is the bytes that are wrong.
    let (image, orientation) = std::panic::catch_unwind(|| decoder(bytes, pixels))
        .unwrap_or_else(|_| Err(DataError::Image("damaged: the decoder gave up on it".into())))?;
    Ok(exif::upright(image, orientation))
}

fn decode_raw(bytes: &[u8], pixels: Pixels) -> Result<Image, DataError> {
    let damaged = || DataError::Image("not a whole raw image; pack it again".into());
    let (header, data) = bytes.split_at_checked(RAW_MAGIC.len() + 12).ok_or_else(damaged)?;
    let mut numbers = header[RAW_MAGIC.len()..].chunks_exact(4);
    let mut number = || {
        let bytes = numbers.next().and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map_or(0, |bytes| u32::from_le_bytes(bytes) as usize)
    };
    let (width, height, channels) = (number(), number(), number());
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&width) || !sides.contains(&height) || data.len() != width * height * channels {
        return Err(damaged());
    }
    let data = match (channels, pixels) {
        (3, Pixels::Rgb) | (1, Pixels::Gray) => data.to_vec(),
        (1, Pixels::Rgb) => data.iter().flat_map(|&v| [v, v, v]).collect(),
        (3, Pixels::Gray) => data.chunks_exact(3).map(luma).collect(),
        _ => return Err(damaged()),
    };
    Ok(Image { width, height, channels: pixels.channels(), data })
}

fn decode_jpeg(bytes: &[u8], pixels: Pixels) -> Result<(Image, u16), DataError> {
    let broken =
        |e: zune_jpeg::errors::DecodeErrors| DataError::Image(format!("not a whole JPEG image: {e:?}"));
    let color = match pixels {
        Pixels::Rgb => ColorSpace::RGB,
        Pixels::Gray => ColorSpace::Luma,
    };
    // Strict: what libjpeg only warns of (a file that ends early, above all) is an error.
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(color);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let data = decoder.decode().map_err(broken)?;
    let orientation = read_header(bytes)?;
    let info = decoder.info().ok_or_else(|| DataError::Image("a JPEG image without header".into()))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    let channels = pixels.channels();
    if data.len() != width * height * channels {
        return Err(DataError::Image(format!(
            "a JPEG image in an unsupported colour space ({:?})",
            decoder.input_colorspace()
        )));
    }
    Ok((Image { width, height, channels, data }, orientation))
}

fn decode_jpeg_exactly(bytes: &[u8], pixels: Pixels) -> Result<(Image, u16), DataError> {
    let orientation = read_header(bytes)?;
    Ok((turbo::decode(bytes, pixels)?, orientation))
}

/// The EXIF orientation of a JPEG file, which must have an end-of-image marker after its header: decoders make up
/// for the last few bytes of a scan where they are missing. (Thumbnails in the header have markers of their own.)
fn read_header(bytes: &[u8]) -> Result<u16, DataError> {
    const START_OF_SCAN: u8 = 0xda;
    const APP1: u8 = 0xe1;
    let early = || DataError::Image("not a whole JPEG image: it ends early".into());
    let (mut at, mut orientation) = (2, 1);
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == 0xff {
            at += 1;
            continue;
        }
        if marker == START_OF_SCAN {
            let ends = bytes[at..].windows(2).rev().any(|pair| pair == [0xff, 0xd9]);
            return if ends { Ok(orientation) } else { Err(early()) };
        }
        let next = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        let segment = bytes.get(at + 4..next).unwrap_or_default();
        if let (APP1, Some(tiff)) = (marker, segment.strip_prefix(b"Exif\0\0")) {
            orientation = exif::orientation(tiff);
        }
        at = next;
    }
    Err(early())
}

fn decode_png(bytes: &[u8], pixels: Pixels) -> Result<(Image, u16), DataError> {
    let broken = |e: png::DecodingError| DataError::Image(format!("not a whole PNG image: {e}"));
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(DataError::Image(format!("{width} x {height} pixels; at most {MAX_SIDE} a side")));
    }
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| DataError::Image("a PNG image too large for memory".into()))?;
    let mut raw = vec![0; size];
    let frame = reader.next_frame(&mut raw).map_err(broken)?;
    reader.finish().map_err(broken)?;
    let orientation = reader.info().exif_metadata.as_ref().map_or(1, |block| exif::orientation(block));
    raw.truncate(frame.buffer_size());
    let data = match (frame.color_type, pixels) {
        (ColorType::Rgb, Pixels::Rgb) | (ColorType::Grayscale, Pixels::Gray) => raw,
        (ColorType::Rgba, Pixels::Rgb) => raw.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        (ColorType::Grayscale, Pixels::Rgb) => raw.iter().flat_map(|&v| [v, v, v]).collect(),
        (ColorType::GrayscaleAlpha, Pixels::Rgb) => {
            raw.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0]]).collect()
        }
        (ColorType::GrayscaleAlpha, Pixels::Gray) => raw.chunks_exact(2).map(|p| p[0]).collect(),
        (ColorType::Rgb, Pixels::Gray) => raw.chunks_exact(3).map(luma).collect(),
        (ColorType::Rgba, Pixels::Gray) => raw.chunks_exact(4).map(luma).collect(),
        (ColorType::Indexed, _) => return Err(DataError::Image("a PNG palette did not expand".into())),
    };
    Ok((Image { width, height, channels: pixels.channels(), data }, orientation))
}

/// ITU-R BT.601 luma in the fixed point of OpenCV's RGB2GRAY.
fn luma(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((r * 9798 + g * 19235 + b * 3735 + (1 << 14)) >> 15) as u8
}

#[cfg(test)]
mod tests {
    use super::{Codec, Pixels, decode};

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
    fn png_drops_alpha_and_spreads_gray() {
        let bytes = png(2, 1, png::ColorType::Rgba, &[1, 2, 3, 9, 4, 5, 6, 9]);
        assert_eq!(decode(&bytes, Pixels::Rgb, Codec::Fast).expect("png").data, [1, 2, 3, 4, 5, 6]);
        let bytes = png(2, 1, png::ColorType::Grayscale, &[7, 8]);
        assert_eq!(decode(&bytes, Pixels::Rgb, Codec::Fast).expect("png").data, [7, 7, 7, 8, 8, 8]);
        assert_eq!(decode(&bytes, Pixels::Gray, Codec::Fast).expect("png").data, [7, 8]);
    }

    #[test]
    fn every_truncation_of_a_png_is_an_error() {
        let bytes = png(5, 4, png::ColorType::Grayscale, &[3; 20]);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], Pixels::Gray, Codec::Fast).is_err(), "{end} of {}", bytes.len());
        }
    }
}
