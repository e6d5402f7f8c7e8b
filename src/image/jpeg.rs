//! JPEG files, by one of two decoders.
//!
//! The fast one is zune-jpeg. The exact one is libjpeg-turbo, in the copy that `mozjpeg-sys` builds, through the
//! TurboJPEG interface, which turns every error into a status.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_ulong, c_void};

// Links the library.
use mozjpeg_sys as _;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{Image, MAX_SIDE, PixelFormat, exif};
use crate::error::DataError;

/// The bytes that a JPEG file begins with.
pub const MAGIC: &[u8] = &[0xff, 0xd8];

/// Decodes a JPEG file by zune-jpeg; also returns its EXIF orientation.
///
/// # Errors
/// The file is damaged, ends early, is too large or has an unsupported color space.
pub fn decode_fast(bytes: &[u8], format: PixelFormat) -> Result<(Image, u16), DataError> {
    let broken =
        |e: zune_jpeg::errors::DecodeErrors| DataError::new(format!("not a whole JPEG image: {e:?}"));
    let color = match format {
        PixelFormat::Rgb => ColorSpace::RGB,
        PixelFormat::Gray => ColorSpace::Luma,
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
    let info = decoder.info().ok_or_else(|| DataError::new("a JPEG image without header"))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    let channels = format.channels();
    if data.len() != width * height * channels {
        return Err(DataError::new(format!(
            "a JPEG image in an unsupported color space ({:?})",
            decoder.input_colorspace()
        )));
    }
    Ok((Image { width, height, channels, data }, orientation))
}

/// Decodes a JPEG file by libjpeg-turbo, to OpenCV's pixels; also returns its EXIF orientation.
///
/// # Errors
/// The file is damaged, ends early or is too large. What libjpeg only warns of is an error.
pub fn decode_exact(bytes: &[u8], format: PixelFormat) -> Result<(Image, u16), DataError> {
    let orientation = read_header(bytes)?;
    Ok((decompress(bytes, format)?, orientation))
}

/// The EXIF orientation of a JPEG file, which must have an end-of-image marker after its header: decoders make up
/// for the last few bytes of a scan where they are missing. (Thumbnails in the header have markers of their own.)
fn read_header(bytes: &[u8]) -> Result<u16, DataError> {
    const START_OF_SCAN: u8 = 0xda;
    const APP1: u8 = 0xe1;
    let early = || DataError::new("not a whole JPEG image: it ends early");
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

unsafe extern "C" {
    fn jsimd_can_idct_islow() -> c_int;
    fn tjInitDecompress() -> *mut c_void;
    fn tjDestroy(handle: *mut c_void) -> c_int;
    fn tjGetErrorStr2(handle: *mut c_void) -> *const c_char;
    fn tjDecompressHeader3(
        handle: *mut c_void,
        bytes: *const c_uchar,
        len: c_ulong,
        width: *mut c_int,
        height: *mut c_int,
        subsampling: *mut c_int,
        color_space: *mut c_int,
    ) -> c_int;
    fn tjDecompress2(
        handle: *mut c_void,
        bytes: *const c_uchar,
        len: c_ulong,
        pixels: *mut c_uchar,
        width: c_int,
        pitch: c_int,
        height: c_int,
        format: c_int,
        flags: c_int,
    ) -> c_int;
}

// Of turbojpeg.h.
const FORMAT_RGB: c_int = 0;
const FORMAT_GRAY: c_int = 6;
const FLAG_STOP_ON_WARNING: c_int = 8192;
/// Refuses files that ask for more than 500 passes over the image.
const FLAG_LIMIT_SCANS: c_int = 32768;

/// A decompressor.
struct Handle(*mut c_void);

impl Handle {
    fn new() -> Result<Self, DataError> {
        // SAFETY: it has no preconditions.
        let handle = unsafe { tjInitDecompress() };
        if handle.is_null() {
            return Err(DataError::new("no memory for a JPEG decoder"));
        }
        Ok(Self(handle))
    }

    fn check(&self, status: c_int) -> Result<(), DataError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the handle is open, and the text lives in it until its next call.
        let reason = unsafe { CStr::from_ptr(tjGetErrorStr2(self.0)) }.to_string_lossy();
        Err(DataError::new(format!("not a whole JPEG image: {reason}")))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        unsafe { tjDestroy(self.0) };
    }
}

/// Whether the library uses the CPU's vector unit: on x86 only if it was built where `nasm` is installed.
#[must_use]
pub fn is_vectorized() -> bool {
    // SAFETY: it has no preconditions.
    unsafe { jsimd_can_idct_islow() != 0 }
}

/// The pixels of a JPEG file as they are stored, by libjpeg-turbo.
pub(super) fn decompress(bytes: &[u8], format: PixelFormat) -> Result<Image, DataError> {
    let handle = Handle::new()?;
    let len = bytes.len() as c_ulong;
    let (mut width, mut height, mut subsampling, mut color_space) = (0, 0, 0, 0);
    // SAFETY: `bytes` holds `len` bytes; the other pointers are to variables of this function.
    handle.check(unsafe {
        tjDecompressHeader3(
            handle.0,
            bytes.as_ptr(),
            len,
            &raw mut width,
            &raw mut height,
            &raw mut subsampling,
            &raw mut color_space,
        )
    })?;
    let (columns, rows) = (width as usize, height as usize);
    if columns > MAX_SIDE || rows > MAX_SIDE {
        return Err(DataError::new(format!("{columns} x {rows} pixels; at most {MAX_SIDE} a side")));
    }
    let channels = format.channels();
    let tj_format = match format {
        PixelFormat::Rgb => FORMAT_RGB,
        PixelFormat::Gray => FORMAT_GRAY,
    };
    let mut data = vec![0; columns * rows * channels];
    // SAFETY: as above, and `data` holds `height` rows (the file's, so that nothing is scaled) of `width` pixels.
    handle.check(unsafe {
        tjDecompress2(
            handle.0,
            bytes.as_ptr(),
            len,
            data.as_mut_ptr(),
            width,
            0,
            height,
            tj_format,
            FLAG_STOP_ON_WARNING | FLAG_LIMIT_SCANS,
        )
    })?;
    Ok(Image { width: columns, height: rows, channels, data })
}

#[cfg(test)]
mod tests {
    use super::{PixelFormat, decode_exact, decode_fast, decompress};

    #[test]
    fn damage_is_an_error() {
        assert!(decompress(b"", PixelFormat::Rgb).is_err());
        for decode in [decode_fast, decode_exact] {
            assert!(decode(b"\xff\xd8\xff\xd9", PixelFormat::Gray).is_err());
        }
    }
}
