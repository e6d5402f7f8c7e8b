//! From JPEG, PNG or raw bytes to pixels, upright by EXIF. Damaged files are errors, never guesses.

use super::{Image, PixelFormat, exif, foreign, jpeg, png, raw};
use crate::error::DataError;

/// Decodes a JPEG, PNG or raw file.
///
/// # Errors
/// The bytes are none of these, are damaged or end early.
pub fn decode(bytes: &[u8], format: PixelFormat) -> Result<Image, DataError> {
    if bytes.is_empty() {
        return Err(DataError::new("the image has no bytes"));
    }
    if bytes.starts_with(raw::MAGIC) {
        return raw::decode(bytes, format);
    }
    let decode = if bytes.starts_with(jpeg::MAGIC) {
        jpeg::decode
    } else if bytes.starts_with(png::MAGIC) {
        png::decode
    } else {
        return Err(DataError::new(foreign::describe(bytes)));
    };
    // A decoder that panics has met bytes that its authors did not think of: the bytes are wrong.
    let (image, orientation) = std::panic::catch_unwind(|| decode(bytes, format))
        .unwrap_or_else(|_| Err(DataError::new("damaged: the decoder gave up on it")))?;
    Ok(exif::upright(image, orientation))
}
