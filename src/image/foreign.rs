//! The true format of a file that is neither JPEG nor PNG, by its first bytes.

/// What the bytes are and what to do, in a sentence.
pub(super) fn describe(bytes: &[u8]) -> String {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let brand = bytes.get(4..12).and_then(|bytes| bytes.strip_prefix(b"ftyp"));
    let format = match (bytes, brand) {
        ([b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..], _) => "WebP",
        (_, Some(b"avif" | b"avis")) => "AVIF",
        (_, Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1")) => "HEIC",
        (_, Some(_)) => "video (MP4 or QuickTime)",
        ([b'G', b'I', b'F', b'8', ..], _) => "GIF",
        ([b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..], _) => "BMP",
        ([b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..], _) => "TIFF",
        ([0xff, 0x0a, ..] | [0, 0, 0, 0x0c, b'J', b'X', b'L', b' ', ..], _) => "JPEG XL",
        ([0xff, 0x4f, 0xff, 0x51, ..] | [0, 0, 0, 0x0c, b'j', b'P', b' ', b' ', ..], _) => "JPEG 2000",
        ([b'%', b'P', b'D', b'F', ..], _) => "PDF",
        ([b'P', b'K', 3, 4, ..], _) => "ZIP",
        _ if begins(b"<!doctype html") || begins(b"<html") => {
            return "an HTML page, not JPEG or PNG; download the image again".into();
        }
        _ if begins(b"version https://git-lfs") => {
            return "a pointer of Git LFS, not JPEG or PNG; fetch the image by `git lfs pull`".into();
        }
        ([0, 5, 0x16, 7, ..], _) => {
            return "an AppleDouble file, macOS's notes on a file, not JPEG or PNG; delete it".into();
        }
        _ if begins(b"<svg") || begins(b"<?xml") => "XML or SVG",
        _ if bytes.iter().all(|&byte| byte == 0) => {
            return "only zeros, not JPEG or PNG; copy the image again".into();
        }
        _ => return "neither a JPEG nor a PNG image; convert it to one of them".into(),
    };
    let article = if ["AVIF", "XML or SVG"].contains(&format) { "an" } else { "a" };
    format!("{article} {format} file, not JPEG or PNG; convert it")
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn the_true_format_is_named() {
        for (bytes, name) in [
            (b"RIFF\0\0\0\0WEBPVP8 ".as_slice(), "a WebP file"),
            (b"\0\0\0\x18ftypheic", "a HEIC file"),
            (b"\0\0\0\x1cftypavif", "an AVIF file"),
            (b"\0\0\0\x1cftypisom", "a video"),
            (b"GIF89a", "a GIF file"),
            (b"BM\x36\0\0\0\0\0\0\0", "a BMP file"),
            (b"II*\0", "a TIFF file"),
            (b"\xef\xbb\xbf\r\n <!DOCTYPE HTML>", "an HTML page"),
            (b"<HTML>", "an HTML page"),
            (b"\0\0\0", "only zeros"),
            (b"hello", "neither"),
        ] {
            assert!(describe(bytes).starts_with(name), "{}", describe(bytes));
        }
    }
}
