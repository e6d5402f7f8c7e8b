//! Whatever follows a JPEG file's first bytes, both decoders return an image of its size or an error.
#![no_main]

use anrl::image::decode::{Decoder, decode};
use anrl::image::{MAX_SIDE, PixelFormat};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = [&[0xff, 0xd8], bytes.strip_prefix(&[0xff, 0xd8]).unwrap_or(bytes)].concat();
    for format in [PixelFormat::Rgb, PixelFormat::Gray] {
        for decoder in [Decoder::Fast, Decoder::Exact] {
            if let Ok(image) = decode(&file, format, decoder) {
                assert_eq!(image.channels, format.channels());
                assert_eq!(image.data.len(), image.width * image.height * image.channels);
                assert!(image.width.max(image.height) <= MAX_SIDE);
            }
        }
    }
});
