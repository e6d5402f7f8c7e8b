//! Cropping of an image and its depth map, to a region in fractions of the sides or to the face's landmarks.

use std::ops::Range;

use super::Image;
use crate::error::DataError;

/// A rectangle in fractions of an image's sides: left, top, width, height.
pub type Region = [f64; 4];

/// Five landmarks: x1 y1 … x5 y5 in pixels.
pub type Landmarks = [f32; 10];

/// A rectangle of pixels, not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl Rectangle {
    /// The pixels of a region: at least one column and one row, and none outside the image.
    pub(super) fn of_region(image: &Image, [left, top, width, height]: Region) -> Self {
        let range = |start: f64, length: f64, side: usize| {
            let from = ((start * side as f64).round().max(0.0) as usize).min(side - 1);
            let to = ((start + length) * side as f64).round().max(0.0) as usize;
            from..to.clamp(from + 1, side)
        };
        Self { columns: range(left, width, image.width), rows: range(top, height, image.height) }
    }

    /// The square around landmarks, each side `margin / 2` of its length farther out, within the image.
    fn of_landmarks(image: &Image, landmarks: &Landmarks, margin: f64) -> Result<Self, DataError> {
        let range = |offset: usize| {
            let values = landmarks.iter().skip(offset).step_by(2).map(|&v| f64::from(v));
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let ((left, right), (top, bottom)) = (range(0), range(1));
        let side = (right - left).max(bottom - top);
        let more = (side * margin / 2.0).trunc();
        let clip = |low: f64, limit: usize| {
            let end = (low + side + more).clamp(0.0, limit as f64) as usize;
            (low - more).clamp(0.0, limit as f64) as usize..end
        };
        let (columns, rows) = (clip(left, image.width), clip(top, image.height));
        if columns.is_empty() || rows.is_empty() {
            return Err(DataError::new("the landmarks lie outside the image"));
        }
        Ok(Self { columns, rows })
    }
}

fn crop(image: &mut Image, Rectangle { columns, rows }: Rectangle) {
    let levels = columns.start * image.channels..columns.end * image.channels;
    let kept = image.rows().take(rows.end).skip(rows.start);
    let data = kept.flat_map(|row| &row[levels.clone()]).copied().collect();
    *image = Image { width: columns.len(), height: rows.len(), channels: image.channels, data };
}

/// Crops an image and its depth map, of any size, to a region.
pub fn crop_to_region(image: &mut Image, depth: Option<&mut Image>, region: Region) {
    for image in [Some(image), depth].into_iter().flatten() {
        crop(image, Rectangle::of_region(image, region));
    }
}

/// Crops an image and its depth map, of the same size, to the square around the landmarks, widened by the fraction
/// `margin` of its side.
///
/// # Errors
/// There are no landmarks, they lie outside the image, or the depth map has another size.
pub fn crop_to_landmarks(
    image: &mut Image,
    depth: Option<&mut Image>,
    landmarks: Option<&Landmarks>,
    margin: f64,
) -> Result<(), DataError> {
    let Some(landmarks) = landmarks else {
        return Err(DataError::new("a crop needs five landmarks, and the sample has none"));
    };
    if let Some(depth) = &depth
        && (depth.width, depth.height) != (image.width, image.height)
    {
        return Err(DataError::new(format!(
            "a crop needs a depth map of the image's size ({} x {}), not {} x {}",
            image.width, image.height, depth.width, depth.height
        )));
    }
    let square = Rectangle::of_landmarks(image, landmarks, margin)?;
    for image in [Some(image), depth].into_iter().flatten() {
        crop(image, square.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Image, Rectangle, crop_to_landmarks, crop_to_region};

    fn ramp(width: usize, height: usize, channels: usize) -> Image {
        let data = (0..width * height * channels).map(|i| (i % 251) as u8).collect();
        Image { width, height, channels, data }
    }

    #[test]
    fn regions_are_cut_to_the_image_and_to_its_depth_map() {
        let (mut image, mut depth) = (ramp(10, 8, 3), ramp(20, 4, 1));
        crop_to_region(&mut image, Some(&mut depth), [0.5, 0.25, 0.9, 0.5]);
        assert_eq!((image.width, image.height, image.data[0]), (5, 4, (2 * 10 + 5) * 3));
        assert_eq!((depth.width, depth.height, depth.data[0]), (10, 2, 20 + 10));
        let dot = Rectangle::of_region(&ramp(1, 1, 3), [0.9, -3.0, 0.0, 0.0]);
        assert_eq!(dot, Rectangle { columns: 0..1, rows: 0..1 });
    }

    #[test]
    fn landmarks_give_the_widened_square_clipped_to_the_image() {
        let landmarks = [2.0, 2.0, 6.0, 2.0, 4.0, 3.0, 3.0, 5.0, 5.0, 5.0];
        let (mut image, mut depth) = (ramp(10, 8, 1), ramp(10, 8, 1));
        crop_to_landmarks(&mut image, Some(&mut depth), Some(&landmarks), 0.5).expect("crop");
        assert_eq!((image.width, image.height, image.data[0]), (6, 6, 11));
        assert_eq!(image, depth);
        let mut image = ramp(10, 8, 1);
        crop_to_landmarks(&mut image, None, Some(&landmarks), 9.0).expect("crop");
        assert_eq!((image.width, image.height), (10, 8));
        assert!(crop_to_landmarks(&mut image, None, None, 0.5).is_err());
        assert!(crop_to_landmarks(&mut image, Some(&mut ramp(5, 4, 1)), Some(&landmarks), 0.5).is_err());
    }
}
