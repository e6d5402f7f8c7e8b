//! Writes small seeds for every target: `cargo run --example seeds` in `fuzz/`.

use std::fs;
use std::path::Path;

use anrl::image::Image;
use anrl::image::compress::encode;
use anrl::pack::PackWriter;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    let levels = |count: usize| -> Vec<u8> { (0..count).map(|i| (i * i % 251) as u8).collect() };

    for (width, height) in [(1, 1), (17, 9), (40, 24)] {
        let image = Image { width, height, channels: 3, data: levels(width * height * 3) };
        for quality in [20, 95] {
            seed("jpeg", &format!("{width}x{height}-{quality}.jpg"), &encode(&image, quality))?;
        }
    }
    for (color, channels) in [
        (png::ColorType::Grayscale, 1),
        (png::ColorType::GrayscaleAlpha, 2),
        (png::ColorType::Rgb, 3),
        (png::ColorType::Rgba, 4),
    ] {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 7, 5);
        encoder.set_color(color);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&levels(7 * 5 * channels))?;
        writer.finish()?;
        seed("png", &format!("{channels}.png"), &bytes)?;
    }
    for (name, count, len) in [("empty", 0, 0), ("small", 3, 20), ("large", 3, 9000), ("deep", 400, 30)] {
        let folder = tempfile::tempdir()?;
        let mut writer = PackWriter::create(folder.path())?;
        for i in 0..count {
            writer.put(format!("sample/{i:05}.png").as_bytes(), &levels(len))?;
        }
        writer.finish()?;
        seed("pack", name, &fs::read(folder.path().join("data.mdb"))?)?;
    }
    Ok(())
}
