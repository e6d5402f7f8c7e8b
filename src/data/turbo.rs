//! libjpeg-turbo, in the copy that `mozjpeg-sys` builds: the pixels of OpenCV's JPEG decoder and encoder, to the
//! byte.
//!
//! Decoding goes through the TurboJPEG interface, which turns every error into a status. Encoding cannot: only the
//! interface below it switches off what MozJPEG adds.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_ulong, c_void};
use std::mem::{MaybeUninit, size_of};
use std::ptr;

use mozjpeg_sys as jpeg;

use super::DataError;
use super::decode::{Image, MAX_SIDE, Pixels};

unsafe extern "C" {
    fn jsimd_can_idct_islow() -> c_int;
    fn tjInitDecompress() -> *mut c_void;
    fn tjDestroy(handle: *mut c_void) -> c_int;
    fn tjGetErrorStr2(handle: *mut c_void) -> *const c_char;
    fn tjBufSize(width: c_int, height: c_int, subsampling: c_int) -> c_ulong;
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
const SUBSAMPLING_420: c_int = 2;
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
            return Err(DataError::Image("no memory for a JPEG decoder".into()));
        }
        Ok(Self(handle))
    }

    fn check(&self, status: c_int) -> Result<(), DataError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the handle is open, and the text lives in it until its next call.
        let reason = unsafe { CStr::from_ptr(tjGetErrorStr2(self.0)) }.to_string_lossy();
        Err(DataError::Image(format!("not a whole JPEG image: {reason}")))
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

/// Decodes a JPEG file. What libjpeg only warns of is an error.
pub(super) fn decode(bytes: &[u8], pixels: Pixels) -> Result<Image, DataError> {
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
        return Err(DataError::Image(format!("{columns} x {rows} pixels; at most {MAX_SIDE} a side")));
    }
    let channels = pixels.channels();
    let format = match pixels {
        Pixels::Rgb => FORMAT_RGB,
        Pixels::Gray => FORMAT_GRAY,
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
            format,
            FLAG_STOP_ON_WARNING | FLAG_LIMIT_SCANS,
        )
    })?;
    Ok(Image { width: columns, height: rows, channels, data })
}

/// What is left of a colour image after it was stored as a JPEG file of this quality (1 to 100) with halved
/// chroma, as `cv2.imencode` stores it.
pub(super) fn compressed(image: &Image, quality: u8) -> Result<Image, DataError> {
    decode(&encode(image, quality), Pixels::Rgb)
}

fn encode(image: &Image, quality: u8) -> Vec<u8> {
    assert!(image.channels == 3 && image.data.len() == image.width * image.height * 3);
    assert!((1..=MAX_SIDE).contains(&image.width) && (1..=MAX_SIDE).contains(&image.height));
    // SAFETY: the function computes a size.
    let mut len = unsafe { tjBufSize(image.width as c_int, image.height as c_int, SUBSAMPLING_420) };
    let mut bytes = vec![0u8; len as usize];
    let mut start = bytes.as_mut_ptr();
    let mut errors = MaybeUninit::<jpeg::jpeg_error_mgr>::zeroed();
    let mut state = MaybeUninit::<jpeg::jpeg_compress_struct>::zeroed();
    // SAFETY: the calls are in the library's order, on structs that it fills itself and that outlive them. `bytes`
    // has room for the largest file that an image of this size can become, so that the library never moves to
    // memory of its own; every row that it reads is whole.
    unsafe {
        let errors = jpeg::jpeg_std_error(&mut *errors.as_mut_ptr());
        errors.error_exit = Some(out_of_memory);
        (*state.as_mut_ptr()).common.err = errors;
        let size = size_of::<jpeg::jpeg_compress_struct>();
        jpeg::jpeg_CreateCompress(state.as_mut_ptr(), jpeg::JPEG_LIB_VERSION, size);
        let state = &mut *state.as_mut_ptr();
        jpeg::jpeg_mem_dest(state, &raw mut start, &raw mut len);
        state.image_width = image.width as jpeg::JDIMENSION;
        state.image_height = image.height as jpeg::JDIMENSION;
        state.input_components = 3;
        state.in_color_space = jpeg::J_COLOR_SPACE::JCS_RGB;
        let plain = jpeg::JINT_COMPRESS_PROFILE_VALUE::JCP_FASTEST as c_int;
        jpeg::jpeg_c_set_int_param(state, jpeg::J_INT_PARAM::JINT_COMPRESS_PROFILE, plain);
        jpeg::jpeg_set_defaults(state);
        jpeg::jpeg_set_quality(state, c_int::from(quality), 1);
        jpeg::jpeg_start_compress(state, 1);
        for row in image.data.chunks_exact(3 * image.width) {
            let row = row.as_ptr();
            jpeg::jpeg_write_scanlines(state, &raw const row, 1);
        }
        jpeg::jpeg_finish_compress(state);
        jpeg::jpeg_destroy_compress(state);
    }
    assert!(ptr::eq(start, bytes.as_ptr()));
    bytes.truncate(len as usize);
    bytes
}

/// The only error that encoding a sound image can end with; libjpeg allows no return from one.
unsafe extern "C-unwind" fn out_of_memory(_: &mut jpeg::jpeg_common_struct) {
    std::process::abort();
}

#[cfg(test)]
mod tests {
    use super::{Image, Pixels, compressed, decode};

    #[test]
    fn compression_keeps_flat_images_and_any_size() {
        for (width, height) in [(1, 1), (7, 30), (16, 16), (131, 2)] {
            let image = Image { width, height, channels: 3, data: vec![128; width * height * 3] };
            assert_eq!(compressed(&image, 90).expect("compression"), image);
        }
    }

    #[test]
    fn damage_is_an_error() {
        assert!(decode(b"", Pixels::Rgb).is_err());
        assert!(decode(b"\xff\xd8\xff\xd9", Pixels::Gray).is_err());
    }
}
