//! From JPEG, PNG or raw bytes to pixels, upright by EXIF. Damaged files are errors, never guesses.

use super::{Image, PixelFormat, exif, jpeg, png, raw};
use crate::error::DataError;

/// Which decoder reads JPEG files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoder {
    /// The one in Rust: fast on every machine, a few levels from libjpeg's pixels.
    Fast,
    /// libjpeg-turbo: OpenCV's pixels; slower if it was built without `nasm`.
    Exact,
}

impl Decoder {
    /// The decoder of this name in Python.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "fast" => Some(Self::Fast),
            "exact" => Some(Self::Exact),
            _ => None,
        }
    }
}

/// Decodes a JPEG, PNG or raw file.
///
/// # Errors
/// The bytes are none of these, are damaged or end early.
pub fn decode(bytes: &[u8], format: PixelFormat, decoder: Decoder) -> Result<Image, DataError> {
    if bytes.is_empty() {
        return Err(DataError::new("the image has no bytes"));
    }
    if bytes.starts_with(raw::MAGIC) {
        return raw::decode(bytes, format);
    }
    let decode = if bytes.starts_with(jpeg::MAGIC) {
        match decoder {
            Decoder::Fast => jpeg::decode_fast,
            Decoder::Exact => jpeg::decode_exact,
        }
    } else if bytes.starts_with(png::MAGIC) {
        png::decode
    } else {
        return Err(DataError::new("neither a JPEG nor a PNG image"));
    };
    // A decoder that panics has met bytes that its authors did not think of: the bytes are wrong.
    let (image, orientation) = std::panic::catch_unwind(|| decode(bytes, format))
        .unwrap_or_else(|_| Err(DataError::new("damaged: the decoder gave up on it")))?;
    Ok(exif::upright(image, orientation))
}
