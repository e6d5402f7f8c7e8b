//! Images: 8-bit pixels, decoding, and the operations of the transform, one in each file.
//!
//! An [`Image`] knows neither decoders nor operations; [`decode`] chooses among the decoders.

pub mod blur;
pub mod brightness_contrast;
mod cmyk;
pub mod color;
pub mod compress;
pub mod crop;
pub mod cutout;
pub mod decode;
mod exif;
pub mod flip;
mod foreign;
pub mod jpeg;
mod jpeg_callbacks;
mod jpeg_header;
pub mod noise;
pub mod png;
pub mod raw;
pub mod resize;

/// Images with more pixels than this on a side are refused.
pub const MAX_SIDE: usize = 1 << 14;

/// The channels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Luma: of a color JPEG its Y plane, as OpenCV returns it.
    Gray,
}

impl PixelFormat {
    /// The number of channels.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Gray => 1,
        }
    }
}

/// 8-bit pixels, row by row, channels interleaved. No side is zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 3 (red, green, blue) or 1 (gray).
    pub channels: usize,
    /// `height * width * channels` levels.
    pub data: Vec<u8>,
}

impl Image {
    /// Levels in a row.
    #[must_use]
    pub fn row_len(&self) -> usize {
        self.width * self.channels
    }

    /// The rows from top to bottom.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.data.chunks_exact(self.row_len())
    }

    /// The rows from top to bottom, to change.
    pub fn rows_mut(&mut self) -> std::slice::ChunksExactMut<'_, u8> {
        let row = self.row_len();
        self.data.chunks_exact_mut(row)
    }
}
