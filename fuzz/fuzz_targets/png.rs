//! Whatever follows a PNG file's signature, the decoder returns an image of its size or an error.
#![no_main]

use anrl::image::decode::decode;
use anrl::image::{MAX_SIDE, PixelFormat, png};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = [png::MAGIC, bytes.strip_prefix(png::MAGIC).unwrap_or(bytes)].concat();
    for format in [PixelFormat::Rgb, PixelFormat::Gray] {
        if let Ok(image) = decode(&file, format) {
            assert_eq!(image.channels, format.channels());
            assert_eq!(image.data.len(), image.width * image.height * image.channels);
            assert!(image.width.max(image.height) <= MAX_SIDE);
        }
    }
});
