//! JPEG files, by libjpeg-turbo in the copy that `mozjpeg-sys` builds, to OpenCV's pixels.
//!
//! libjpeg calls back where it meets an error or something odd, and must not be returned to after an error: the
//! callback unwinds through it (it is built for that) to [`decompress`], which makes an error of it.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::mem::{MaybeUninit, transmute};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::slice;

use mozjpeg_sys::{self as ffi, jpeg_common_struct};

use super::cmyk;
use super::jpeg_header::Header;
use super::{Image, MAX_SIDE, PixelFormat};
use crate::error::DataError;

/// The bytes that a JPEG file begins with.
pub const MAGIC: &[u8] = &[0xff, 0xd8, 0xff];

/// A file with more scans is an attack on the reader's time.
const MAX_SCANS: c_int = 500;

const END_OF_IMAGE: &[u8] = &[0xff, 0xd9];

/// Coefficients of a block.
const BLOCK: usize = 64;

/// The longest message of libjpeg.
const MAX_MESSAGE: usize = 200;

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
/// after the last scan.
///
/// # Errors
/// The file is damaged, lacks pixels, is too large or is of a kind that libjpeg-turbo does not know.
pub fn decode(bytes: &[u8], format: PixelFormat) -> Result<(Image, u16), DataError> {
    let header = Header::read(bytes);
    Ok((decompress(bytes, format, header.is_arithmetic)?, header.orientation))
}

/// The pixels of a JPEG file as they are stored.
pub(super) fn decompress(
    bytes: &[u8],
    format: PixelFormat,
    is_arithmetic: bool,
) -> Result<Image, DataError> {
    // All that unwinding leaves behind is destroyed.
    catch_unwind(AssertUnwindSafe(|| Decompressor::new(bytes, is_arithmetic)?.read(format)))
        .unwrap_or_else(|stop| Err(DataError::new(reason(stop))))
}

/// Why libjpeg was left.
fn reason(stop: Box<dyn Any + Send>) -> String {
    stop.downcast().map_or_else(|panic| resume_unwind(panic), |reason| *reason)
}

fn ends_early() -> String {
    "not a whole JPEG image: its data end early".into()
}

/// What the callbacks know of the file.
struct Notes {
    /// Whether the pixels are coded arithmetically: such a decoder reads zeros after the last byte, without a word.
    is_arithmetic: bool,
    /// Whether the file ended before its end marker.
    has_ended: bool,
}

/// libjpeg's structs, which point to each other.
struct Decompressor<'a> {
    bytes: &'a [u8],
    state: Box<ffi::jpeg_decompress_struct>,
    notes: Box<Notes>,
    _errors: Box<ffi::jpeg_error_mgr>,
    _progress: Box<ffi::jpeg_progress_mgr>,
}

impl<'a> Decompressor<'a> {
    fn new(bytes: &'a [u8], is_arithmetic: bool) -> Result<Self, DataError> {
        let len = c_ulong::try_from(bytes.len()).map_err(|_| DataError::new("too large a JPEG file"))?;
        let mut notes = Box::new(Notes { is_arithmetic, has_ended: false });
        // SAFETY: zeros are values of the structs; the library fills them, in its order of calls. They stay in their
        // boxes for as long as it uses them, as `bytes` stay.
        unsafe {
            let mut errors: Box<ffi::jpeg_error_mgr> = Box::new(MaybeUninit::zeroed().assume_init());
            let mut progress: Box<ffi::jpeg_progress_mgr> = Box::new(MaybeUninit::zeroed().assume_init());
            let mut state: Box<ffi::jpeg_decompress_struct> = Box::new(MaybeUninit::zeroed().assume_init());
            state.common.err = ffi::jpeg_std_error(&mut errors);
            errors.error_exit = Some(stop);
            errors.emit_message = Some(judge);
            progress.progress_monitor = Some(limit_scans);
            ffi::jpeg_create_decompress(&raw mut *state);
            state.common.client_data = (&raw mut *notes).cast();
            state.common.progress = &raw mut *progress;
            ffi::jpeg_mem_src(&mut state, bytes.as_ptr(), len);
            Ok(Self { bytes, state, notes, _errors: errors, _progress: progress })
        }
    }

    fn read(mut self, format: PixelFormat) -> Result<Image, DataError> {
        // SAFETY: the struct was made by `new`.
        unsafe { ffi::jpeg_read_header(&mut self.state, 1) };
        let (width, height) = (self.state.image_width as usize, self.state.image_height as usize);
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(DataError::new(format!("{width} x {height} pixels; at most {MAX_SIDE} a side")));
        }
        let is_cmyk = self.state.num_components == 4;
        self.state.out_color_space = match format {
            _ if is_cmyk => ffi::J_COLOR_SPACE::JCS_CMYK,
            PixelFormat::Rgb => ffi::J_COLOR_SPACE::JCS_RGB,
            PixelFormat::Gray => ffi::J_COLOR_SPACE::JCS_GRAYSCALE,
        };
        // SAFETY: the header has been read.
        unsafe { ffi::jpeg_start_decompress(&mut self.state) };
        let channels = format.channels();
        let mut data = vec![0; width * height * channels];
        let mut inks = vec![0; if is_cmyk { 4 * width } else { 0 }];
        for (y, row) in data.chunks_exact_mut(width * channels).enumerate() {
            if self.notes.is_arithmetic && self.has_run_dry(height - y) {
                return Err(DataError::new(ends_early()));
            }
            let mut out = if is_cmyk { inks.as_mut_ptr() } else { row.as_mut_ptr() };
            // SAFETY: the library writes one row, of `width` pixels of the color space that was chosen above.
            unsafe { ffi::jpeg_read_scanlines(&mut self.state, &raw mut out, 1) };
            match format {
                _ if !is_cmyk => {}
                PixelFormat::Rgb => cmyk::to_rgb(&inks, row),
                PixelFormat::Gray => cmyk::to_gray(&inks, row),
            }
        }
        if !self.has_every_scan() {
            return Err(DataError::new(ends_early()));
        }
        Ok(Image { width, height, channels, data })
    }

    /// Whether all bytes were used up although more is to be decoded than the library decodes ahead.
    fn has_run_dry(&self, rows_left: usize) -> bool {
        let ahead = 2 * 8 * self.state.max_v_samp_factor as usize;
        // SAFETY: the source was made by `new`.
        let unused = unsafe { (*self.state.src).bytes_in_buffer };
        let used = &self.bytes[..self.bytes.len().saturating_sub(unused)];
        rows_left > ahead && used.ends_with(END_OF_IMAGE)
    }

    /// Whether every component has had its scan, or all its scans, to the last bit of every coefficient.
    fn has_every_scan(&self) -> bool {
        let count = self.state.num_components as usize;
        // SAFETY: once all rows have been read, the library holds one struct for each component, and if the scans
        // are progressive, the missing bits of each coefficient, -1 for all of them.
        unsafe {
            let components = slice::from_raw_parts(self.state.comp_info, count);
            let missing = self.state.coef_bits.cast::<c_int>();
            components.iter().all(|component| !component.quant_table.is_null())
                && (missing.is_null()
                    || slice::from_raw_parts(missing, count * BLOCK).iter().all(|&bits| bits == 0))
        }
    }
}

impl Drop for Decompressor<'_> {
    fn drop(&mut self) {
        // SAFETY: the struct was made by `new` and is not used again.
        unsafe { ffi::jpeg_destroy_decompress(&mut self.state) };
    }
}

/// Of an error.
unsafe extern "C-unwind" fn stop(state: &mut jpeg_common_struct) {
    // SAFETY: the library calls it for a struct that `Decompressor::new` made.
    let has_ended = unsafe { (*state.client_data.cast::<Notes>()).has_ended };
    let reason = if has_ended { ends_early() } else { format!("no JPEG image to decode: {}", message(state)) };
    resume_unwind(Box::new(reason))
}

/// Of what the library would go on after: an error, if pixels are lacking or made up.
unsafe extern "C-unwind" fn judge(state: &mut jpeg_common_struct, level: c_int) {
    const WARNING: c_int = -1;
    if level != WARNING {
        return;
    }
    // SAFETY: the library calls it for a struct that `Decompressor::new` made, with a code and numbers to a message.
    let (code, next_marker, notes) = unsafe {
        let errors = &mut *state.err;
        (errors.msg_code, (*errors.msg_parm.i())[1], &mut *state.client_data.cast::<Notes>())
    };
    let reason = match code as ffi::J_MESSAGE_CODE {
        ffi::JWRN_HIT_MARKER => ends_early(),
        ffi::JWRN_JPEG_EOF => {
            notes.has_ended = true;
            if !notes.is_arithmetic {
                return;
            }
            ends_early()
        }
        ffi::JWRN_EXTRANEOUS_DATA if !(0xd0..=0xd7).contains(&next_marker) => return,
        ffi::JWRN_ADOBE_XFORM
        | ffi::JWRN_JFIF_MAJOR
        | ffi::JWRN_NOT_SEQUENTIAL
        | ffi::JWRN_TOO_MUCH_DATA => return,
        _ => format!("not a whole JPEG image: {}", message(state)),
    };
    resume_unwind(Box::new(reason))
}

unsafe extern "C-unwind" fn limit_scans(state: &mut jpeg_common_struct) {
    // SAFETY: the library calls it for the first field of a struct that `Decompressor::new` made.
    let scans = unsafe { (*(&raw mut *state).cast::<ffi::jpeg_decompress_struct>()).input_scan_number };
    if scans > MAX_SCANS {
        resume_unwind(Box::new(format!("a JPEG image of more than {MAX_SCANS} scans")))
    }
}

/// The library's last message.
fn message(state: &mut jpeg_common_struct) -> String {
    type Format = unsafe extern "C-unwind" fn(*mut jpeg_common_struct, *mut c_char);
    let mut text = [0; MAX_MESSAGE + 1];
    // SAFETY: the function is the library's own, and this its type in C; it ends the text by a zero.
    unsafe {
        if let Some(format) = (*state.err).format_message {
            transmute::<_, Format>(format)(state, text.as_mut_ptr());
        }
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
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
        bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
        let error = decode(&bytes, PixelFormat::Rgb).expect_err("65535 pixels a side");
        assert!(error.reason.contains("65535 x 65535"), "{error}");
    }
}
