//! MediaPipe's face mesh: 468 points in three dimensions.

use super::detector::Detection;
use super::network::Network;
use super::region::{Border, Picture, Region, Sampling};
use crate::error::DataError;

/// The points of a mesh.
pub const POINTS: usize = 468;
/// The region of the mesh is so many times larger than the detected box.
const MARGIN: f32 = 1.5;

/// Points whose mean is a landmark: right eye, left eye (of the subject), nose, corners of the mouth.
const LANDMARKS: [&[usize]; 5] = [&[33, 133, 159, 145], &[263, 362, 386, 374], &[1], &[61], &[291]];

/// The points of a face: x and y in the image's pixels, z in the same unit, smaller towards the camera.
pub type Points = Vec<[f32; 3]>;

/// The network of the mesh.
pub(super) struct Mesh(Network);

impl Mesh {
    pub fn from_tflite(bytes: &[u8]) -> Result<Self, DataError> {
        let network = Network::from_tflite(bytes)?;
        if network.output_lengths() != [3 * POINTS, 1] {
            return Err(DataError::new("not the face mesh of 468 points; install anrl again"));
        }
        Ok(Self(network))
    }

    /// The mesh of a detected face, and the probability that it is one.
    pub fn fit(&self, picture: Picture<'_>, face: &Detection) -> (Points, f32) {
        let region = region(face);
        let sampling =
            Sampling { picture, region, border: Border::Replicate, scale: 1.0 / 255.0, offset: 0.0 };
        let outputs = self.0.run(|y, row| sampling.row(y, row));
        let size = self.0.input_size()[0] as f32;
        let point = |numbers: &[f32; 3]| {
            let [x, y, z] = numbers.map(|number| number / size);
            let [x, y] = region.to_image([x, y]);
            [x, y, z * region.side]
        };
        let points = outputs[0].as_chunks().0.iter().map(point).collect();
        (points, 1.0 / (1.0 + (-outputs[1][0]).exp()))
    }
}

/// The square around a detected face, turned so that the eyes are level.
fn region(face: &Detection) -> Region {
    let [left, top, right, bottom] = face.corners;
    let [eye, other] = [face.keypoints[0], face.keypoints[1]];
    Region {
        center: [(left + right) / 2.0, (top + bottom) / 2.0],
        side: (right - left).max(bottom - top) * MARGIN,
        rotation: (other[1] - eye[1]).atan2(other[0] - eye[0]),
    }
}

/// The five landmarks of a mesh, in the image's pixels.
pub(super) fn landmarks(points: &[[f32; 3]]) -> [[f32; 2]; 5] {
    LANDMARKS.map(|group| {
        [0, 1].map(|axis| group.iter().map(|&i| points[i][axis]).sum::<f32>() / group.len() as f32)
    })
}

#[cfg(test)]
mod tests {
    use super::{landmarks, region};
    use crate::face::detector::Detection;

    #[test]
    fn the_region_is_turned_with_the_eyes() {
        let keypoints = [[30.0, 20.0], [30.0, 40.0], [0.0; 2], [0.0; 2], [0.0; 2], [0.0; 2]];
        let region = region(&Detection { corners: [10.0, 20.0, 50.0, 40.0], score: 1.0, keypoints });
        assert_eq!((region.center, region.side), ([30.0, 30.0], 60.0));
        assert!((region.rotation - std::f32::consts::FRAC_PI_2).abs() < 1e-6);
    }

    #[test]
    fn eyes_are_the_mean_of_their_corners_and_lids() {
        let points: Vec<_> = (0..468).map(|i| [i as f32, 2.0 * i as f32, 0.0]).collect();
        let [right, left, nose, ..] = landmarks(&points);
        assert_eq!((right, left, nose), ([117.5, 235.0], [346.25, 692.5], [1.0, 2.0]));
    }
}
