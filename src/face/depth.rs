//! Depth maps of meshes.

use crate::error::DataError;
use crate::simd::vectorized;

/// Pixels that are written together.
const LANES: usize = 8;

/// The least depth inside the face; outside it is 0.
const MIN_DEPTH: f32 = 0.2;

/// Reads the triangles of MediaPipe's canonical face out of its `GeometryPipelineMetadata`, a protocol buffer: field 1
/// is the mesh, its field 4 repeats the number of a point, three of them a triangle.
///
/// # Errors
/// The file is damaged.
pub fn triangles(metadata: &[u8], points: usize) -> Result<Vec<[u16; 3]>, DataError> {
    let numbers = || -> Option<Vec<u16>> {
        let mut fields = Fields(metadata);
        let mesh = loop {
            if let (1, Field::Bytes(mesh)) = fields.next()? {
                break mesh;
            }
        };
        let (mut fields, mut numbers) = (Fields(mesh), Vec::new());
        while !fields.0.is_empty() {
            if let (4, Field::Number(number)) = fields.next()? {
                numbers.push(u16::try_from(number).ok().filter(|&i| usize::from(i) < points)?);
            }
        }
        Some(numbers)
    };
    let numbers = numbers().filter(|numbers| !numbers.is_empty() && numbers.len().is_multiple_of(3));
    let damaged = || DataError::new("the triangles of the face mesh are damaged; install anrl again");
    Ok(numbers.ok_or_else(damaged)?.as_chunks().0.to_vec())
}

/// The rest of a message of a protocol buffer.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1)?[0];
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(number);
            }
        }
        None
    }

    /// The next field and its number.
    fn next(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.number()?;
        let field = match tag & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Bytes(self.bytes(8)?),
            2 => {
                let len = usize::try_from(self.number()?).ok()?;
                Field::Bytes(self.bytes(len)?)
            }
            5 => Field::Bytes(self.bytes(4)?),
            _ => return None,
        };
        Some((tag >> 3, field))
    }
}

/// Draws a mesh seen from the front into `out`, a map of rows of `width` that covers the image from `left`, `top` to
/// `right`, `bottom`: 0.2 at the furthest visible point, 1 at the nearest, 0 outside.
///
/// # Panics
/// A triangle has a point that the mesh lacks.
pub fn draw(mesh: &[[f32; 3]], triangles: &[[u16; 3]], corners: [f32; 4], width: usize, out: &mut [f32]) {
    let [left, top, right, bottom] = corners;
    let height = out.len() / width;
    let scale = [width as f32 / (right - left), height as f32 / (bottom - top)];
    // Coordinates in which the centers of pixels are whole numbers.
    let place = |&[x, y, z]: &[f32; 3]| [(x - left) * scale[0] - 0.5, (y - top) * scale[1] - 0.5, z];
    let points: Vec<_> = mesh.iter().map(place).collect();
    // Rows end with a vector that no pixel of the map is in, so that whole vectors can be written anywhere.
    let mut nearest = vec![f32::INFINITY; height * (width + LANES)];
    draw_triangles(&points, triangles, width, &mut nearest);
    stretch(&nearest, width, out);
}

vectorized! {
    /// Keeps the smallest z of all triangles at every pixel.
    fn draw_triangles<>(points: &[[f32; 3]], triangles: &[[u16; 3]], width: usize, nearest: &mut [f32]) {
        for corners in triangles {
            draw_triangle(corners.map(|i| points[usize::from(i)]), width, nearest);
        }
    }
}

vectorized! {
    /// Turns z into depth: the nearest is 1, the furthest 0.2, and infinity 0.
    fn stretch<>(nearest: &[f32], width: usize, out: &mut [f32]) {
        let (mut near, mut far) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let (whole, rest) = nearest.as_chunks::<LANES>();
        let mut last = [f32::INFINITY; LANES];
        last[..rest.len()].copy_from_slice(rest);
        for chunk in whole.iter().chain([&last]) {
            for k in 0..LANES {
                let z = chunk[k];
                near[k] = if z < near[k] { z } else { near[k] };
                far[k] = if z < f32::INFINITY && z > far[k] { z } else { far[k] };
            }
        }
        let near = near.into_iter().fold(f32::INFINITY, f32::min);
        let far = far.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let scale = if far > near { (1.0 - MIN_DEPTH) / (far - near) } else { 0.0 };
        for (out, row) in out.chunks_exact_mut(width).zip(nearest.chunks_exact(width + LANES)) {
            for (out, &z) in out.iter_mut().zip(row) {
                let depth = MIN_DEPTH + (far - z) * scale;
                *out = if z < f32::INFINITY { depth } else { 0.0 };
            }
        }
    }
}

/// Keeps the smaller of the triangle's z and the map's at every pixel whose center it covers.
#[inline(always)]
fn draw_triangle([mut a, mut b, mut c]: [[f32; 3]; 3], width: usize, nearest: &mut [f32]) {
    let order = |p: [f32; 3], q: [f32; 3]| if q[1] < p[1] { (q, p) } else { (p, q) };
    (a, b) = order(a, b);
    (b, c) = order(b, c);
    (a, b) = order(a, b);
    let height = nearest.len() / (width + LANES);
    let (ab, ac, bc) = (
        [b[0] - a[0], b[1] - a[1], b[2] - a[2]],
        [c[0] - a[0], c[1] - a[1], c[2] - a[2]],
        [c[0] - b[0], c[1] - b[1]],
    );
    let area = ab[0] * ac[1] - ac[0] * ab[1];
    if area == 0.0 || !area.is_finite() {
        return;
    }
    // z is a linear function of x and y: z = a.z + dx·(x - a.x) + dy·(y - a.y).
    let dx = (ab[2] * ac[1] - ac[2] * ab[1]) / area;
    let dy = (ac[2] * ab[0] - ab[2] * ac[0]) / area;
    let slope = |x: f32, y: f32| if y > 0.0 { x / y } else { 0.0 };
    let (long, upper, lower) = (slope(ac[0], ac[1]), slope(ab[0], ab[1]), slope(bc[0], bc[1]));
    let (top, bottom) = (a[1].ceil().max(0.0) as usize, c[1].floor().min(height as f32 - 1.0));
    let mut y = top as f32;
    for row in nearest.chunks_exact_mut(width + LANES).skip(top) {
        if y > bottom {
            break;
        }
        let down = y - a[1];
        let one = a[0] + long * down;
        let other = if y < b[1] { a[0] + upper * down } else { b[0] + lower * (y - b[1]) };
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        let first = low.ceil().max(0.0);
        let len = (high - first).floor().min(width as f32 - 1.0 - first) + 1.0;
        if len > 0.0 {
            let start = a[2] + dx * (first - a[0]) + dy * down;
            // Rows are short, mostly of one vector: fixed lengths spare the branch predictor.
            let mut done = 0.0;
            for chunk in row[first as usize..].as_chunks_mut::<LANES>().0 {
                for (k, old) in chunk.iter_mut().enumerate() {
                    let x = done + k as f32;
                    let z = start + dx * x;
                    *old = if x < len && z < *old { z } else { *old };
                }
                done += LANES as f32;
                if done >= len {
                    break;
                }
            }
        }
        y += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::{draw, triangles};

    const METADATA: &[u8] =
        include_bytes!("../../python/anrl/faces/weights/geometry_pipeline_metadata_landmarks.binarypb");

    #[test]
    fn the_canonical_face_has_898_triangles() {
        let all = triangles(METADATA, 468).expect("triangles");
        assert_eq!((all.len(), all.iter().flatten().max()), (898, Some(&467)));
        assert!(triangles(&METADATA[..9999], 468).is_err() && triangles(METADATA, 467).is_err());
        assert!(triangles(&[], 468).is_err() && triangles(&[255; 99], 468).is_err());
    }

    #[test]
    fn the_nearer_triangle_hides_the_further_one() {
        let square = |z: f32, side: f32| [[0.0, 0.0, z], [side, 0.0, z], [0.0, side, z], [side, side, z]];
        let mesh = [square(1.0, 8.0), square(0.0, 4.0)].concat();
        let mut out = vec![9.0; 100];
        draw(&mesh, &[[4, 5, 6], [5, 6, 7], [0, 1, 2], [1, 2, 3]], [0.0, 0.0, 10.0, 10.0], 10, &mut out);
        for (i, &depth) in out.iter().enumerate() {
            let reach = (i % 10).max(i / 10);
            assert_eq!(
                depth,
                if reach < 4 {
                    1.0
                } else if reach < 8 {
                    0.2
                } else {
                    0.0
                },
                "{i}"
            );
        }
    }

    #[test]
    fn depth_is_linear_between_the_points() {
        let mut out = vec![0.0; 64];
        draw(
            &[[0.5, 0.0, 0.0], [7.5, 0.0, 7.0], [0.5, 8.0, 0.0], [7.5, 8.0, 7.0]],
            &[[0, 1, 2], [1, 2, 3]],
            [0.0, 0.0, 8.0, 8.0],
            8,
            &mut out,
        );
        for (i, &depth) in out.iter().enumerate() {
            assert!((depth - (1.0 - 0.8 * (i % 8) as f32 / 7.0)).abs() < 1e-6, "{i} {depth}");
        }
    }

    #[test]
    fn a_mesh_outside_or_without_area_gives_zeros() {
        let mut out = vec![9.0; 64];
        draw(
            &[[20.0, 20.0, 0.0], [30.0, 20.0, 1.0], [20.0, 30.0, 2.0]],
            &[[0, 1, 2]],
            [0.0, 0.0, 8.0, 8.0],
            8,
            &mut out,
        );
        assert_eq!(out, [0.0; 64]);
        draw(&[[2.0, 2.0, 0.0]; 3], &[[0, 1, 2]], [0.0, 0.0, 8.0, 8.0], 8, &mut out);
        assert_eq!(out, [0.0; 64]);
    }
}
