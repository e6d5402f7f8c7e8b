//! Blackening a part of an image.

use super::Image;
use super::crop::{Rectangle, Region};

/// Makes a region black.
pub fn cut_out(image: &mut Image, region: Region) {
    let Rectangle { columns, rows } = Rectangle::of_region(image, region);
    let levels = columns.start * image.channels..columns.end * image.channels;
    image.rows_mut().take(rows.end).skip(rows.start).for_each(|row| row[levels.clone()].fill(0));
}

#[cfg(test)]
mod tests {
    use super::{Image, cut_out};

    #[test]
    fn only_the_region_is_black() {
        let mut image = Image { width: 4, height: 2, channels: 1, data: vec![9; 8] };
        cut_out(&mut image, [0.25, 0.5, 0.5, 3.0]);
        assert_eq!(image.data, [9, 9, 9, 9, 9, 0, 0, 9]);
    }
}
