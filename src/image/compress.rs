//! JPEG compression, with the artifacts of `cv2.imencode` to the byte.
//!
//! What MozJPEG adds to libjpeg-turbo is switched off.

use std::ffi::{c_int, c_ulong};
use std::mem::{MaybeUninit, size_of};
use std::ptr;

use mozjpeg_sys as ffi;

use super::{Image, MAX_SIDE, PixelFormat, jpeg};
use crate::error::DataError;

/// Side of the blocks that images are padded to.
const MCU: usize = 16;

/// Gives a color image the artifacts of JPEG compression at this quality (1 to 100): [`encode`], and decoding again.
///
/// # Panics
/// As [`encode`].
///
/// # Errors
/// There is no memory for it.
pub fn compress(image: &mut Image, quality: u8) -> Result<(), DataError> {
    *image = jpeg::decompress(&encode(image, quality), PixelFormat::Rgb, false)?;
    Ok(())
}

/// Encodes a color image as a JPEG file of this quality (1 to 100), with halved chroma.
///
/// # Panics
/// If the image is not RGB or has a side of more than [`MAX_SIDE`] pixels.
#[must_use]
pub fn encode(image: &Image, quality: u8) -> Vec<u8> {
    assert!(image.channels == 3 && image.data.len() == image.width * image.height * 3);
    assert!((1..=MAX_SIDE).contains(&image.width) && (1..=MAX_SIDE).contains(&image.height));
    // The bound of libjpeg-turbo's tjBufSize.
    let room = image.width.next_multiple_of(MCU) * image.height.next_multiple_of(MCU) * 3 + 2048;
    let mut bytes = vec![0u8; room];
    let mut len = room as c_ulong;
    let mut start = bytes.as_mut_ptr();
    let mut errors = MaybeUninit::<ffi::jpeg_error_mgr>::zeroed();
    let mut state = MaybeUninit::<ffi::jpeg_compress_struct>::zeroed();
    // SAFETY: the calls are in the library's order, on structs that it fills itself and that outlive them. `bytes`
    // has room for the largest file that an image of this size can become, so that the library never moves to
    // memory of its own; every row that it reads is whole.
    unsafe {
        let errors = ffi::jpeg_std_error(&mut *errors.as_mut_ptr());
        errors.error_exit = Some(out_of_memory);
        (*state.as_mut_ptr()).common.err = errors;
        let size = size_of::<ffi::jpeg_compress_struct>();
        ffi::jpeg_CreateCompress(state.as_mut_ptr(), ffi::JPEG_LIB_VERSION, size);
        let state = &mut *state.as_mut_ptr();
        ffi::jpeg_mem_dest(state, &raw mut start, &raw mut len);
        state.image_width = image.width as ffi::JDIMENSION;
        state.image_height = image.height as ffi::JDIMENSION;
        state.input_components = 3;
        state.in_color_space = ffi::J_COLOR_SPACE::JCS_RGB;
        let plain = ffi::JINT_COMPRESS_PROFILE_VALUE::JCP_FASTEST as c_int;
        ffi::jpeg_c_set_int_param(state, ffi::J_INT_PARAM::JINT_COMPRESS_PROFILE, plain);
        ffi::jpeg_set_defaults(state);
        ffi::jpeg_set_quality(state, c_int::from(quality), 1);
        ffi::jpeg_start_compress(state, 1);
        for row in image.rows() {
            let row = row.as_ptr();
            ffi::jpeg_write_scanlines(state, &raw const row, 1);
        }
        ffi::jpeg_finish_compress(state);
        ffi::jpeg_destroy_compress(state);
    }
    assert!(ptr::eq(start, bytes.as_ptr()));
    bytes.truncate(len as usize);
    bytes
}

/// The only error that encoding a sound image can end with; libjpeg allows no return from one.
unsafe extern "C-unwind" fn out_of_memory(_: &mut ffi::jpeg_common_struct) {
    std::process::abort();
}

#[cfg(test)]
mod tests {
    use super::{Image, compress};

    #[test]
    fn flat_images_of_any_size_are_kept() {
        for (width, height) in [(1, 1), (7, 30), (16, 16), (131, 2)] {
            let flat = Image { width, height, channels: 3, data: vec![128; width * height * 3] };
            let mut image = flat.clone();
            compress(&mut image, 90).expect("compression");
            assert_eq!(image, flat);
        }
    }
}
