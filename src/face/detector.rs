//! MediaPipe's face detectors: anchors, boxes, and weighted non-maximum suppression.

use super::network::Network;
use super::region::{Border, Picture, Region, Sampling};
use crate::error::DataError;

/// Overlapping boxes above this intersection over union are one face.
const MAX_OVERLAP: f32 = 0.3;
/// Numbers of a box: center, size, six keypoints.
const COORDINATES: usize = 16;

/// Of each map that boxes come from, the number of rows (and columns) of cells, and the boxes of a cell.
pub(super) type Grids = &'static [(usize, usize)];
/// The detector of faces within two meters of a phone.
pub(super) const SHORT_RANGE: Grids = &[(16, 2), (8, 6)];
/// The detector of faces within five meters.
pub(super) const FULL_RANGE: Grids = &[(48, 1)];

/// A face as the detector sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Detection {
    /// Left, top, right, bottom.
    pub corners: [f32; 4],
    pub score: f32,
    /// Right eye, left eye (of the subject), nose, mouth, right ear, left ear.
    pub keypoints: [[f32; 2]; 6],
}

impl Detection {
    fn area(&self) -> f32 {
        (self.corners[2] - self.corners[0]) * (self.corners[3] - self.corners[1])
    }

    /// Intersection over union; 0 with a box without area, even with itself.
    fn overlap(&self, other: &Self) -> f32 {
        let side = |low: usize| {
            let high = low + 2;
            self.corners[high].min(other.corners[high]) - self.corners[low].max(other.corners[low])
        };
        let intersection = side(0).max(0.0) * side(1).max(0.0);
        let union = self.area() + other.area() - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }
}

/// A detector.
pub(super) struct Detector {
    network: Network,
    grids: Grids,
}

impl Detector {
    pub fn from_tflite(bytes: &[u8], grids: Grids) -> Result<Self, DataError> {
        let network = Network::from_tflite(bytes)?;
        let boxes: usize = grids.iter().map(|(side, count)| side * side * count).sum();
        if network.output_lengths() != [boxes * COORDINATES, boxes] {
            return Err(DataError::new("not the face detector that was expected; install anrl again"));
        }
        Ok(Self { network, grids })
    }

    /// Faces in the image's pixels, the surest first. The image is looked at turned by `rotation` (radians).
    pub fn detect(&self, picture: Picture<'_>, rotation: f32, min_score: f32) -> Vec<Detection> {
        let [width, height] = picture.size();
        let region = Region { center: [width / 2.0, height / 2.0], side: width.max(height), rotation };
        let (scale, offset) = (2.0 / 255.0, -1.0);
        let sampling = Sampling { picture, region, border: Border::Black, scale, offset };
        let outputs = self.network.run(|y, row| sampling.row(y, row));
        let [height, _] = self.network.input_size();
        let boxes = decode(self.grids, &outputs[0], &outputs[1], height as f32, min_score);
        suppress(boxes).into_iter().map(|detection| project(&detection, region)).collect()
    }
}

/// Centers of the anchors, which all have the size of the input; from 0 to 1.
fn anchors(grids: Grids) -> impl Iterator<Item = [f32; 2]> {
    grids.iter().flat_map(|&(side, count)| {
        let center = move |i: usize| (i as f32 + 0.5) / side as f32;
        (0..side * side * count).map(move |i| [center(i / count % side), center(i / count / side)])
    })
}

/// Boxes above the smallest score, in coordinates from 0 to 1.
fn decode(grids: Grids, boxes: &[f32], scores: &[f32], size: f32, min_score: f32) -> Vec<Detection> {
    let decode = |((numbers, &score), [x, y]): ((&[f32], &f32), [f32; 2])| {
        let score = 1.0 / (1.0 + (-score.clamp(-100.0, 100.0)).exp());
        let point = |at: usize| [numbers[at] / size + x, numbers[at + 1] / size + y];
        let (center, half) = (point(0), [numbers[2] / size / 2.0, numbers[3] / size / 2.0]);
        let corners = [center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1]];
        let is_box = corners[2] >= corners[0] && corners[3] >= corners[1];
        let keypoints = std::array::from_fn(|i| point(4 + 2 * i));
        (score >= min_score && is_box).then_some(Detection { corners, score, keypoints })
    };
    boxes.chunks_exact(COORDINATES).zip(scores).zip(anchors(grids)).filter_map(decode).collect()
}

/// Replaces boxes that overlap the surest one by their mean, weighted by score; then the same with the others.
fn suppress(mut boxes: Vec<Detection>) -> Vec<Detection> {
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut faces = Vec::new();
    while !boxes.is_empty() {
        let best = boxes.remove(0);
        let (same, others): (Vec<_>, Vec<_>) =
            boxes.into_iter().partition(|other| other.overlap(&best) > MAX_OVERLAP);
        let all = || same.iter().chain([&best]);
        let total: f32 = all().map(|face| face.score).sum();
        let mean = |number: &dyn Fn(&Detection) -> f32| {
            all().map(|face| number(face) * face.score).sum::<f32>() / total
        };
        faces.push(Detection {
            corners: std::array::from_fn(|i| mean(&|face| face.corners[i])),
            score: best.score,
            keypoints: std::array::from_fn(|i| [0, 1].map(|axis| mean(&|face| face.keypoints[i][axis]))),
        });
        boxes = others;
    }
    faces
}

/// The detection in pixels of the image that the region belongs to.
fn project(detection: &Detection, region: Region) -> Detection {
    let [left, top, right, bottom] = detection.corners;
    let corners =
        [[left, top], [right, top], [left, bottom], [right, bottom]].map(|corner| region.to_image(corner));
    let low = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
    let high = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
    Detection {
        corners: [low(0), low(1), high(0), high(1)],
        score: detection.score,
        keypoints: detection.keypoints.map(|point| region.to_image(point)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Detection, FULL_RANGE, SHORT_RANGE, anchors, decode, project, suppress};
    use crate::face::region::Region;

    fn detection(corners: [f32; 4], score: f32) -> Detection {
        Detection { corners, score, keypoints: [[corners[0], corners[1]]; 6] }
    }

    #[test]
    fn anchors_are_the_centers_of_cells() {
        let all: Vec<_> = anchors(SHORT_RANGE).collect();
        assert_eq!(all.len(), 896);
        assert_eq!((all[0], all[1], all[2]), ([1.0 / 32.0; 2], [1.0 / 32.0; 2], [3.0 / 32.0, 1.0 / 32.0]));
        assert_eq!((all[512], all[895]), ([1.0 / 16.0; 2], [15.0 / 16.0; 2]));
        assert_eq!(anchors(FULL_RANGE).nth(49), Some([1.5 / 48.0; 2]));
    }

    #[test]
    fn boxes_below_the_score_or_inside_out_are_left_out() {
        let mut boxes = vec![0.0; 896 * 16];
        boxes[..4].copy_from_slice(&[12.8, 0.0, 25.6, 12.8]);
        boxes[16..20].copy_from_slice(&[0.0, 0.0, -1.0, 1.0]);
        let mut scores = vec![-9.0; 896];
        scores[..2].fill(3.0);
        let faces = decode(SHORT_RANGE, &boxes, &scores, 128.0, 0.5);
        assert_eq!(faces.len(), 1);
        let expected = [0.03125, -0.01875, 0.23125, 0.08125];
        assert!(faces[0].corners.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn overlapping_boxes_become_their_weighted_mean() {
        let faces = suppress(vec![
            detection([0.5, 0.5, 0.7, 0.7], 0.6),
            detection([0.0, 0.0, 0.4, 0.4], 0.9),
            detection([0.1, 0.0, 0.5, 0.4], 0.6),
        ]);
        assert_eq!(faces.len(), 2);
        assert!((faces[0].corners[0] - 0.04).abs() < 1e-6 && (faces[0].corners[2] - 0.44).abs() < 1e-6);
        assert_eq!((faces[0].score, faces[1].score), (0.9, 0.6));
    }

    #[test]
    fn a_box_without_area_ends() {
        let faces =
            suppress(vec![detection([0.3, 0.3, 0.3, 0.3], 0.8), detection([0.3, 0.3, 0.3, 0.3], 0.7)]);
        assert_eq!(faces.len(), 2);
    }

    #[test]
    fn a_turned_detection_has_an_upright_box() {
        let rotation = std::f32::consts::FRAC_PI_2;
        let region = Region { center: [50.0, 50.0], side: 100.0, rotation };
        let face = project(&detection([0.1, 0.2, 0.3, 0.6], 0.9), region);
        assert!(face.corners.iter().zip([40.0, 10.0, 80.0, 30.0]).all(|(a, b)| (a - b).abs() < 1e-3));
    }
}
