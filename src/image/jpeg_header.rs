//! What a JPEG file says before its first scan, read as libjpeg reads it: bytes between segments are skipped.

use super::exif;

const START_OF_SCAN: u8 = 0xda;
const APP1: u8 = 0xe1;

/// Of the segments before the first scan, what libjpeg does not tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the first EXIF segment; 1 where there is none.
    pub(super) orientation: u16,
    /// Whether the pixels are coded arithmetically, not by Huffman's codes.
    pub(super) is_arithmetic: bool,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut orientation = None;
        let mut is_arithmetic = false;
        let mut rest = bytes.get(2..).unwrap_or_default();
        while let Some((marker, segment, next)) = next_segment(rest) {
            match marker {
                START_OF_SCAN => break,
                0xc9..=0xcb | 0xcd..=0xcf => is_arithmetic = true,
                APP1 if orientation.is_none() => {
                    orientation = segment.strip_prefix(b"Exif\0\0").map(exif::orientation);
                }
                _ => {}
            }
            rest = next;
        }
        Self { orientation: orientation.unwrap_or(1), is_arithmetic }
    }
}

/// The next marker, the content of its segment, and what follows.
fn next_segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let at = bytes.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))?;
    let (marker, rest) = (bytes[at + 1], &bytes[at + 2..]);
    // TEM, and the markers of restarts, start and end.
    if matches!(marker, 0x01 | 0xd0..=0xd9) {
        return Some((marker, &[], rest));
    }
    let len = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    Some((marker, rest.get(2..len)?, &rest[len..]))
}

#[cfg(test)]
mod tests {
    use super::Header;

    const EXIF: &[u8] =
        b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    const SCAN: &[u8] = b"\xff\xda\0\x02";

    fn header(parts: &[&[u8]]) -> (u16, bool) {
        let header = Header::read(&[b"\xff\xd8".as_slice(), &parts.concat()].concat());
        (header.orientation, header.is_arithmetic)
    }

    #[test]
    fn bytes_between_segments_are_skipped() {
        assert_eq!(header(&[b"\xff\xe0\0\x03\xff", b"junk\xff\0\xff", EXIF, SCAN]), (6, false));
        assert_eq!(header(&[b"\xff\xc9\0\x02", SCAN, EXIF]), (1, true));
    }

    #[test]
    fn every_truncation_has_a_header() {
        let whole = [b"\xff\xd8\xff\xe0\0\x02".as_slice(), EXIF, SCAN].concat();
        for end in 0..whole.len() {
            assert!(matches!(Header::read(&whole[..end]).orientation, 1 | 6));
        }
    }
}
