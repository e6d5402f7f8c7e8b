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

/// The outer corners of the eyes, which tell how a mesh is turned.
const EYE_CORNERS: [usize; 2] = [33, 263];

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

    /// The mesh of a face in a region, and the probability that there is one.
    pub fn fit(&self, picture: Picture<'_>, region: Region) -> (Points, f32) {
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

/// The region of a detected face.
pub(super) fn detected_region(face: &Detection) -> Region {
    region(face.corners, [face.keypoints[0], face.keypoints[1]])
}

/// The region of a face whose mesh is known, which fits closer than that of a detection.
pub(super) fn mesh_region(points: &[[f32; 3]]) -> Region {
    let least = |axis: usize| points.iter().map(|point| point[axis]).fold(f32::INFINITY, f32::min);
    let most = |axis: usize| points.iter().map(|point| point[axis]).fold(f32::NEG_INFINITY, f32::max);
    let corner = |i: usize| [points[i][0], points[i][1]];
    region([least(0), least(1), most(0), most(1)], EYE_CORNERS.map(corner))
}

/// The square around a box, turned so that the eyes are level.
fn region([left, top, right, bottom]: [f32; 4], [eye, other]: [[f32; 2]; 2]) -> Region {
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
    use super::{detected_region, landmarks, mesh_region};
    use crate::face::detector::Detection;

    #[test]
    fn the_region_is_turned_with_the_eyes() {
        let keypoints = [[30.0, 20.0], [30.0, 40.0], [0.0; 2], [0.0; 2], [0.0; 2], [0.0; 2]];
        let region = detected_region(&Detection { corners: [10.0, 20.0, 50.0, 40.0], score: 1.0, keypoints });
        assert_eq!((region.center, region.side), ([30.0, 30.0], 60.0));
        assert!((region.rotation - std::f32::consts::FRAC_PI_2).abs() < 1e-6);
    }

    #[test]
    fn the_region_of_a_mesh_covers_it() {
        let mut points = vec![[30.0, 30.0, 0.0]; 468];
        (points[33], points[263], points[0]) = ([30.0, 20.0, 0.0], [30.0, 40.0, 0.0], [10.0, 30.0, 0.0]);
        let region = mesh_region(&points);
        assert_eq!((region.center, region.side), ([20.0, 30.0], 30.0));
        assert!((region.rotation - std::f32::consts::FRAC_PI_2).abs() < 1e-6);
    }

    #[test]
    fn eyes_are_the_mean_of_their_corners_and_lids() {
        let points: Vec<_> = (0..468).map(|i| [i as f32, 2.0 * i as f32, 0.0]).collect();
        let [right, left, nose, ..] = landmarks(&points);
        assert_eq!((right, left, nose), ([117.5, 235.0], [346.25, 692.5], [1.0, 2.0]));
    }
}
