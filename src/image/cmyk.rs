//! Inks to levels, as OpenCV converts them: JPEG files store inks inverted, 255 for none.

/// Converts a row of inks (cyan, magenta, yellow, black) to red, green and blue.
pub(super) fn to_rgb(inks: &[u8], rgb: &mut [u8]) {
    for (inks, rgb) in inks.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
        rgb.copy_from_slice(&mixed(inks).map(|level| level as u8));
    }
}

/// Converts a row of inks to luma.
pub(super) fn to_gray(inks: &[u8], gray: &mut [u8]) {
    for (inks, gray) in inks.chunks_exact(4).zip(gray) {
        let [r, g, b] = mixed(inks);
        *gray = ((r * 4899 + g * 9617 + b * 1868 + (1 << 13)) >> 14) as u8;
    }
}

fn mixed(inks: &[u8]) -> [u32; 3] {
    let black = u32::from(inks[3]);
    [inks[0], inks[1], inks[2]].map(|ink| black - (((255 - u32::from(ink)) * black) >> 8))
}
