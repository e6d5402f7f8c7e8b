//! Faces of an image: detector and mesh together.

use super::detector::{Detection, Detector};
use super::mesh::{Mesh, Points, landmarks};
use super::region::Picture;
use crate::error::DataError;

/// A face of an image. Coordinates are in the image's pixels; the first pixel reaches from 0 to 1.
#[derive(Debug, Clone)]
pub struct Face {
    /// Left, top, right, bottom.
    pub corners: [f32; 4],
    /// The detector's score, 0 to 1.
    pub score: f32,
    /// Right eye, left eye (of the subject), nose, right and left corner of the mouth.
    pub landmarks: [[f32; 2]; 5],
    /// The 468 points of the mesh.
    pub mesh: Points,
    /// The mesh's probability that this is a face.
    pub presence: f32,
}

/// What counts as a face.
#[derive(Debug, Clone, Copy)]
pub struct Criteria {
    /// The smallest score of the detector.
    pub min_score: f32,
    /// Above this probability of the mesh.
    pub min_presence: f32,
    /// Whether an image without a face is looked at again, turned by 90, 180 and 270 degrees.
    pub try_rotations: bool,
}

/// Detector and mesh. Can be shared between threads.
pub struct FaceFinder {
    detector: Detector,
    mesh: Mesh,
}

impl FaceFinder {
    /// The networks of these two TFLite files.
    ///
    /// # Errors
    /// A file is damaged or another network.
    pub fn new(detector: &[u8], mesh: &[u8]) -> Result<Self, DataError> {
        Ok(Self { detector: Detector::from_tflite(detector)?, mesh: Mesh::from_tflite(mesh)? })
    }

    /// The faces of an image: large and central ones first.
    #[must_use]
    pub fn faces(&self, picture: Picture<'_>, criteria: Criteria) -> Vec<Face> {
        let turns = if criteria.try_rotations { 4 } else { 1 };
        let rotated = |turn: u8| {
            let rotation = f32::from(turn) * std::f32::consts::FRAC_PI_2;
            self.faces_of(picture, rotation, criteria)
        };
        (0..turns).map(rotated).find(|faces| !faces.is_empty()).unwrap_or_default()
    }

    fn faces_of(&self, picture: Picture<'_>, rotation: f32, criteria: Criteria) -> Vec<Face> {
        let face = |Detection { corners, score, keypoints }| {
            let (mesh, presence) = self.mesh.fit(picture, &Detection { corners, score, keypoints });
            let is_face = presence > criteria.min_presence;
            is_face.then(|| Face { corners, score, landmarks: landmarks(&mesh), mesh, presence })
        };
        let detections = self.detector.detect(picture, rotation, criteria.min_score);
        let mut faces: Vec<_> = detections.into_iter().filter_map(face).collect();
        faces.sort_by(|a, b| prominence(b, picture.size()).total_cmp(&prominence(a, picture.size())));
        faces
    }
}

/// The area of a face, less the further it is from the center: nothing is left of it in the corner of the image.
fn prominence(face: &Face, [width, height]: [f32; 2]) -> f32 {
    let [left, top, right, bottom] = face.corners;
    let distance = ((left + right - width) / 2.0).hypot((top + bottom - height) / 2.0);
    (right - left) * (bottom - top) * (1.0 - distance / (width.hypot(height) / 2.0)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::{Face, prominence};

    #[test]
    fn large_and_central_faces_are_prominent() {
        let face =
            |corners| Face { corners, score: 1.0, landmarks: [[0.0; 2]; 5], mesh: vec![], presence: 1.0 };
        let of = |corners| prominence(&face(corners), [100.0, 100.0]);
        assert!(of([30.0, 30.0, 70.0, 70.0]) > of([40.0, 40.0, 60.0, 60.0]));
        assert!(of([40.0, 40.0, 60.0, 60.0]) > of([0.0, 0.0, 20.0, 20.0]));
        assert_eq!(of([90.0, 90.0, 120.0, 120.0]), 0.0);
    }
}
