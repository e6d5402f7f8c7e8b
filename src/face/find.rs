//! Faces of an image: detectors and mesh together.

use super::detector::{Detection, Detector, FULL_RANGE, SHORT_RANGE};
use super::mesh::{Mesh, Points, detected_region, landmarks, mesh_region};
use super::region::{Picture, Region};
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

/// The smallest score of the detector of the full range, which is surer of nothing than the other.
const MIN_FULL_RANGE_SCORE: f32 = 0.6;

/// What counts as a face.
#[derive(Debug, Clone, Copy)]
pub struct Criteria {
    /// The smallest score of the detector.
    pub min_score: f32,
    /// Above this probability of the mesh.
    pub min_presence: f32,
    /// Whether the image is looked at turned by 90, 180 and 270 degrees too, and the surest turn counts.
    pub try_rotations: bool,
}

/// Detectors and mesh. Can be shared between threads.
pub struct FaceFinder {
    short_range: Detector,
    full_range: Detector,
    mesh: Mesh,
}

impl FaceFinder {
    /// The networks of these three TFLite files.
    ///
    /// # Errors
    /// A file is damaged or another network.
    pub fn new(short_range: &[u8], full_range: &[u8], mesh: &[u8]) -> Result<Self, DataError> {
        Ok(Self {
            short_range: Detector::from_tflite(short_range, SHORT_RANGE)?,
            full_range: Detector::from_tflite(full_range, FULL_RANGE)?,
            mesh: Mesh::from_tflite(mesh)?,
        })
    }

    /// The faces of an image, large and central ones first: of the detector of the full range, for small faces, where
    /// the other sees none.
    #[must_use]
    pub fn faces(&self, picture: Picture<'_>, criteria: Criteria) -> Vec<Face> {
        let turns = if criteria.try_rotations { 4 } else { 1 };
        let short = self.surest_turn(turns, criteria.min_presence, picture, |rotation| {
            let detections = self.short_range.detect(picture, rotation, criteria.min_score);
            detections.into_iter().map(|detection| (detected_region(&detection), detection)).collect()
        });
        if !short.is_empty() {
            return short;
        }
        self.surest_turn(turns, criteria.min_presence, picture, |rotation| {
            let min_score = criteria.min_score.max(MIN_FULL_RANGE_SCORE);
            let detections = self.full_range.detect(picture, rotation, min_score);
            // The boxes of small faces are not exact: a first mesh tells where they are.
            let region = |face: &Detection| mesh_region(&self.mesh.fit(picture, detected_region(face)).0);
            detections.into_iter().map(|detection| (region(&detection), detection)).collect()
        })
    }

    /// The faces of the turn whose best face is surest: a face that lies on its side may be seen, with a wrong mesh.
    fn surest_turn(
        &self,
        turns: u8,
        min_presence: f32,
        picture: Picture<'_>,
        detect: impl Fn(f32) -> Vec<(Region, Detection)>,
    ) -> Vec<Face> {
        let sureness =
            |faces: &Vec<Face>| faces.iter().map(|face| face.score * face.presence).fold(0.0, f32::max);
        let face = |(region, Detection { corners, score, .. })| {
            let (mesh, presence) = self.mesh.fit(picture, region);
            (presence > min_presence).then(|| Face {
                corners,
                score,
                landmarks: landmarks(&mesh),
                mesh,
                presence,
            })
        };
        let faces = |turn: u8| -> Vec<Face> {
            detect(f32::from(turn) * std::f32::consts::FRAC_PI_2).into_iter().filter_map(face).collect()
        };
        let best = (0..turns).map(faces).max_by(|a, b| sureness(a).total_cmp(&sureness(b)));
        let mut faces = best.unwrap_or_default();
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
