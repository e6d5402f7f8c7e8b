//! `crate::face` on numpy arrays.

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyModule;
use rayon::prelude::*;

use super::run_on;
use crate::face::find::{Criteria, Face, FaceFinder};
use crate::face::region::Picture;
use crate::face::{depth, mesh, network};

/// A network of a TFLite file.
#[pyclass(module = "anrl._anrl", frozen)]
struct FaceNetwork(network::Network);

#[pymethods]
impl FaceNetwork {
    #[new]
    fn new(py: Python<'_>, tflite: &[u8]) -> PyResult<Self> {
        Ok(Self(py.allow_threads(|| network::Network::from_tflite(tflite))?))
    }

    /// The outputs of the network for one image of float32, (H, W, 3), as the network wants it; all flat.
    fn run<'py>(
        &self,
        py: Python<'py>,
        image: PyReadonlyArray3<'py, f32>,
    ) -> PyResult<Vec<Bound<'py, PyArray1<f32>>>> {
        let [height, width] = self.0.input_size();
        if image.shape() != [height, width, 3] {
            return Err(PyValueError::new_err(format!(
                "expected an image of shape ({height}, {width}, 3), not {:?}",
                image.shape()
            )));
        }
        let pixels = image.as_slice()?;
        let row = |y: usize, out: &mut [f32]| out.copy_from_slice(&pixels[y * width * 3..][..width * 3]);
        let outputs = py.allow_threads(|| self.0.run(row));
        Ok(outputs.into_iter().map(|output| output.into_pyarray(py)).collect())
    }
}

/// Detectors and mesh.
#[pyclass(module = "anrl._anrl", name = "FaceFinder", frozen)]
struct PyFaceFinder(FaceFinder);

/// Box, score, landmarks, mesh, presence.
type FaceParts<'py> = ([f32; 4], f32, Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<f32>>, f32);

#[pymethods]
impl PyFaceFinder {
    #[new]
    fn new(py: Python<'_>, short_range: &[u8], full_range: &[u8], mesh: &[u8]) -> PyResult<Self> {
        Ok(Self(py.allow_threads(|| FaceFinder::new(short_range, full_range, mesh))?))
    }

    /// The faces of each of these contiguous images (H, W, 3) of uint8.
    fn faces<'py>(
        &self,
        py: Python<'py>,
        images: Vec<PyReadonlyArray3<'py, u8>>,
        min_score: f32,
        min_presence: f32,
        try_rotations: bool,
        num_threads: usize,
    ) -> PyResult<Vec<Vec<FaceParts<'py>>>> {
        let picture = |image| -> PyResult<Picture<'_>> {
            let image: &PyReadonlyArray3<'py, u8> = image;
            let wrong = || {
                let shape = image.shape();
                PyValueError::new_err(format!(
                    "expected RGB images of shape (height, width, 3), not {shape:?}"
                ))
            };
            let &[height, width, 3] = image.shape() else { return Err(wrong()) };
            Picture::new(width, height, image.as_slice()?).ok_or_else(wrong)
        };
        let pictures = images.iter().map(picture).collect::<PyResult<Vec<_>>>()?;
        let criteria = Criteria { min_score, min_presence, try_rotations };
        let of = |&picture: &Picture<'_>| self.0.faces(picture, criteria);
        let all: Vec<Vec<Face>> = if num_threads < 2 || pictures.len() < 2 {
            py.allow_threads(|| pictures.iter().map(of).collect())
        } else {
            run_on(py, num_threads, || pictures.par_iter().map(of).collect())?
        };
        let parts = |face: Face| {
            let landmarks = face.landmarks.concat().into_pyarray(py).reshape([face.landmarks.len(), 2])?;
            let mesh = face.mesh.concat().into_pyarray(py).reshape([face.mesh.len(), 3])?;
            Ok((face.corners, face.score, landmarks, mesh, face.presence))
        };
        all.into_iter().map(|faces| faces.into_iter().map(parts).collect()).collect()
    }
}

/// The triangles (N, 3) of MediaPipe's canonical face, out of its geometry metadata.
#[pyfunction]
fn face_triangles<'py>(py: Python<'py>, metadata: &[u8]) -> PyResult<Bound<'py, PyArray2<u16>>> {
    let triangles = depth::triangles(metadata, mesh::POINTS)?;
    let len = triangles.len();
    triangles.concat().into_pyarray(py).reshape([len, 3])
}

/// The depth map (height, width) of a mesh (468, 3), of the part of its image that `corners` tell.
#[pyfunction]
fn face_depth<'py>(
    py: Python<'py>,
    mesh: PyReadonlyArray2<'py, f32>,
    triangles: PyReadonlyArray2<'py, u16>,
    corners: [f32; 4],
    height: usize,
    width: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let (points, triangles) = (mesh.as_slice()?.as_chunks().0, triangles.as_slice()?.as_chunks().0);
    let is_whole = mesh.shape()[1] == 3 && triangles.iter().flatten().all(|&i| usize::from(i) < points.len());
    if !is_whole {
        return Err(PyValueError::new_err(format!(
            "expected a mesh of shape (468, 3), not {:?}",
            mesh.shape()
        )));
    }
    let mut out = vec![0.0; height * width];
    py.allow_threads(|| depth::draw(points, triangles, corners, width, &mut out));
    out.into_pyarray(py).reshape([height, width])
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FaceNetwork>()?;
    module.add_class::<PyFaceFinder>()?;
    module.add_function(wrap_pyfunction!(face_triangles, module)?)?;
    module.add_function(wrap_pyfunction!(face_depth, module)?)
}
