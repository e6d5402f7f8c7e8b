//! JPEG files, by libjpeg-turbo in the copy that `mozjpeg-sys` builds, to OpenCV's pixels.
//!
//! libjpeg calls back where it meets an error or something odd, and must not be returned to after an error: the
//! callback unwinds through it (it is built for that) to [`decompress`], which makes an error of it.

use std::ffi::{c_int, c_ulong};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use mozjpeg_sys as ffi;

use super::cmyk;
use super::jpeg_callbacks::{Notes, ends_early, is_code, judge, limit_scans, misread, reason, stop};
use super::jpeg_header::Header;
use super::{Image, MAX_SIDE, PixelFormat};
use crate::error::DataError;

/// The bytes that a JPEG file begins with.
pub const MAGIC: &[u8] = &[0xff, 0xd8];

const END_OF_IMAGE: &[u8] = &[0xff, 0xd9];

/// A file may always have this many bytes too many before a marker.
const MIN_JUNK: usize = 16;

/// Coefficients of a block.
const BLOCK: usize = 64;

unsafe extern "C" {
    fn jsimd_can_idct_islow() -> c_int;
}

/// Whether the library uses the CPU's vector unit: on x86 only if it was built where `nasm` is installed.
#[must_use]
pub fn is_vectorized() -> bool {
    // SAFETY: it has no preconditions.
    unsafe { jsimd_can_idct_islow() != 0 }
}

/// Decodes a JPEG file to OpenCV's pixels; also returns its EXIF orientation.
///
/// What the pixels do not depend on may be odd: bytes between segments or before the end marker, or no end marker
/// after the last scan. Of an arithmetic code no decoder can tell that its last rows, or its last scan, are missing.
///
/// # Errors
/// The file is damaged, lacks pixels or scans, is too large or is of a kind that libjpeg-turbo does not know.
pub fn decode(bytes: &[u8], format: PixelFormat) -> Result<(Image, u16), DataError> {
    let header = Header::read(bytes);
    Ok((decompress(bytes, format, header.is_arithmetic)?, header.orientation))
}

/// The pixels of a JPEG file as they are stored.
pub(super) fn decompress(bytes: &[u8], format: PixelFormat, is_arithmetic: bool) -> Result<Image, DataError> {
    // All that unwinding leaves behind is destroyed.
    catch_unwind(AssertUnwindSafe(|| Decompressor::new(bytes, is_arithmetic)?.read(format)))
        .unwrap_or_else(|stop| Err(DataError::new(reason(stop))))
}

/// libjpeg's structs, which point to each other.
struct Parts {
    state: ffi::jpeg_decompress_struct,
    errors: ffi::jpeg_error_mgr,
    progress: ffi::jpeg_progress_mgr,
    notes: Notes,
}

/// A file that is being decoded.
struct Decompressor<'a> {
    bytes: &'a [u8],
    /// From a box. The library keeps pointers into it, so that no reference to it may outlive a call.
    parts: *mut Parts,
}

impl<'a> Decompressor<'a> {
    fn new(bytes: &'a [u8], is_arithmetic: bool) -> Result<Self, DataError> {
        let len = c_ulong::try_from(bytes.len()).map_err(|_| DataError::new("too large a JPEG file"))?;
        // SAFETY: zeros are values of the structs; the library fills them, in its order of calls. They stay where
        // they are for as long as it uses them, as `bytes` stay.
        unsafe {
            let parts = Box::into_raw(Box::new(Parts {
                state: MaybeUninit::zeroed().assume_init(),
                errors: MaybeUninit::zeroed().assume_init(),
                progress: MaybeUninit::zeroed().assume_init(),
                notes: Notes::new(bytes, is_arithmetic),
            }));
            let mut this = Self { bytes, parts };
            (*parts).state.common.err = ffi::jpeg_std_error(&mut (*parts).errors);
            (*parts).errors.error_exit = Some(stop);
            (*parts).errors.emit_message = Some(judge);
            (*parts).state.common.client_data = (&raw mut (*parts).notes).cast();
            ffi::jpeg_create_decompress(&raw mut (*parts).state);
            (*parts).progress.progress_monitor = Some(limit_scans);
            (*parts).state.common.progress = &raw mut (*parts).progress;
            ffi::jpeg_mem_src(this.state_mut(), bytes.as_ptr(), len);
            Ok(this)
        }
    }

    fn state(&self) -> &ffi::jpeg_decompress_struct {
        // SAFETY: the struct lives until `self` is dropped.
        unsafe { &(*self.parts).state }
    }

    fn state_mut(&mut self) -> &mut ffi::jpeg_decompress_struct {
        // SAFETY: as above.
        unsafe { &mut (*self.parts).state }
    }

    fn notes_mut(&mut self) -> &mut Notes {
        // SAFETY: as above.
        unsafe { &mut (*self.parts).notes }
    }

    fn read(mut self, format: PixelFormat) -> Result<Image, DataError> {
        // SAFETY: the struct was made by `new`.
        unsafe { ffi::jpeg_read_header(self.state_mut(), 1) };
        let (width, height) = (self.state().image_width as usize, self.state().image_height as usize);
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(DataError::new(format!("{width} x {height} pixels; at most {MAX_SIDE} a side")));
        }
        let is_cmyk = self.state().num_components == 4;
        self.state_mut().out_color_space = match format {
            _ if is_cmyk => ffi::J_COLOR_SPACE::JCS_CMYK,
            PixelFormat::Rgb => ffi::J_COLOR_SPACE::JCS_RGB,
            PixelFormat::Gray => ffi::J_COLOR_SPACE::JCS_GRAYSCALE,
        };
        let allowed_junk = self.allowed_junk();
        self.notes_mut().junk = Some(allowed_junk);
        // SAFETY: the header has been read.
        let has_one_scan = unsafe { ffi::jpeg_has_multiple_scans(self.state()) } == 0;
        let may_run_dry = has_one_scan && self.notes_mut().is_arithmetic;
        // SAFETY: as above.
        unsafe { ffi::jpeg_start_decompress(self.state_mut()) };
        let channels = format.channels();
        let mut data = vec![0; width * height * channels];
        let mut inks = vec![0; if is_cmyk { 4 * width } else { 0 }];
        for (y, row) in data.chunks_exact_mut(width * channels).enumerate() {
            if may_run_dry && self.has_run_dry(height - y) {
                return Err(DataError::new(ends_early()));
            }
            let mut out = if is_cmyk { inks.as_mut_ptr() } else { row.as_mut_ptr() };
            // SAFETY: the library writes one row, of `width` pixels of the color space that was chosen above.
            unsafe { ffi::jpeg_read_scanlines(self.state_mut(), &raw mut out, 1) };
            match format {
                _ if !is_cmyk => {}
                PixelFormat::Rgb => cmyk::to_rgb(&inks, row),
                PixelFormat::Gray => cmyk::to_gray(&inks, row),
            }
        }
        if !self.has_every_scan() {
            return Err(DataError::new(ends_early()));
        }
        if has_one_scan && !self.notes_mut().has_ended && is_code(self.left_over(), allowed_junk) {
            return Err(DataError::new(misread()));
        }
        Ok(Image { width, height, channels, data })
    }

    /// The number of bytes that may be left over before a marker: about half of what a unit of the image takes.
    fn allowed_junk(&self) -> usize {
        let units = |pixels: u32, factor: c_int| (pixels as usize).div_ceil(8 * factor.max(1) as usize);
        let across = units(self.state().image_width, self.state().max_h_samp_factor);
        let down = units(self.state().image_height, self.state().max_v_samp_factor);
        (self.bytes.len() / (2 * across * down).max(1)).max(MIN_JUNK)
    }

    /// The bytes that the library has read.
    fn used(&self) -> &'a [u8] {
        // SAFETY: the source was made by `new`.
        let unused = unsafe { (*self.state().src).bytes_in_buffer };
        &self.bytes[..self.bytes.len().saturating_sub(unused)]
    }

    /// What lies between the last bytes of the only scan and the next marker.
    fn left_over(&self) -> &'a [u8] {
        let used = self.used();
        if used.ends_with(END_OF_IMAGE) {
            return &[];
        }
        let rest = &self.bytes[used.len()..];
        let end = rest.windows(2).position(|pair| pair[0] == 0xff && pair[1] != 0);
        &rest[..end.unwrap_or(rest.len())]
    }

    /// Whether all bytes were used up although more is to be decoded than the library decodes ahead.
    fn has_run_dry(&self, rows_left: usize) -> bool {
        let ahead = 2 * 8 * self.state().max_v_samp_factor as usize;
        rows_left > ahead && self.used().ends_with(END_OF_IMAGE)
    }

    /// Whether every component has had its scan, or all its scans, to the last bit of every coefficient.
    fn has_every_scan(&self) -> bool {
        let count = self.state().num_components as usize;
        // SAFETY: once all rows have been read, the library holds one struct for each component, and if the scans
        // are progressive, the missing bits of each coefficient, -1 for all of them.
        unsafe {
            let components = slice::from_raw_parts(self.state().comp_info, count);
            let missing = self.state().coef_bits.cast::<c_int>();
            components.iter().all(|component| !component.quant_table.is_null())
                && (missing.is_null()
                    || slice::from_raw_parts(missing, count * BLOCK).iter().all(|&bits| bits == 0))
        }
    }
}

impl Drop for Decompressor<'_> {
    fn drop(&mut self) {
        // SAFETY: the structs were made by `new` and are not used again.
        unsafe {
            ffi::jpeg_destroy_decompress(self.state_mut());
            drop(Box::from_raw(self.parts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PixelFormat, decode};
    use crate::image::Image;
    use crate::image::compress::encode;

    fn file() -> Vec<u8> {
        let data = (0..24 * 40 * 3).map(|i| (i * i % 251) as u8).collect();
        encode(&Image { width: 40, height: 24, channels: 3, data }, 90)
    }

    #[test]
    fn only_the_end_marker_may_be_missing() {
        let whole = file();
        let image = decode(&whole, PixelFormat::Rgb).expect("an image").0;
        for end in 0..whole.len() {
            let cut = decode(&whole[..end], PixelFormat::Rgb);
            if end < whole.len() - 2 {
                assert!(cut.is_err(), "{end} of {}", whole.len());
            } else {
                assert_eq!(cut.expect("an image").0, image);
            }
            let closed = [&whole[..end], b"\xff\xd9"].concat();
            assert!(end >= whole.len() - 2 || decode(&closed, PixelFormat::Gray).is_err(), "{end}");
        }
    }

    #[test]
    fn too_large_an_image_is_refused_by_its_header() {
        let mut bytes = file();
        let at = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame") + 5;
        bytes[at..at + 4].copy_from_slice(&[0x7f; 4]);
        let error = decode(&bytes, PixelFormat::Rgb).expect_err("32639 pixels a side");
        assert!(error.reason.contains("32639 x 32639"), "{error}");
    }
}
