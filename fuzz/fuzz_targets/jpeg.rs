//! Whatever follows a JPEG file's first bytes, the decoder returns an image of its size or an error.
#![no_main]

use anrl::image::decode::decode;
use anrl::image::{MAX_SIDE, PixelFormat, jpeg};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = [jpeg::MAGIC, bytes.strip_prefix(jpeg::MAGIC).unwrap_or(bytes)].concat();
    for format in [PixelFormat::Rgb, PixelFormat::Gray] {
        if let Ok(image) = decode(&file, format) {
            assert_eq!(image.channels, format.channels());
            assert_eq!(image.data.len(), image.width * image.height * image.channels);
            assert!(image.width.max(image.height) <= MAX_SIDE);
        }
    }
});
