//! Packs, the transform and batches of `crate::data` as Python classes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::{Array2, Array3};
use numpy::{IntoPyArray, PyArray2, PyArray3, PyArrayMethods};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};
use pyo3_tch::PyTensor;
use pyo3_tch::tch::{Device, Kind, Tensor};

use super::{run, torch_error};
use crate::data::batch::{Item, load};
use crate::data::color::HsvShift;
use crate::data::decode::{Pixels, decode as decode_image};
use crate::data::pack::{Pack, PackWriter};
use crate::data::random::{Key, Operation};
use crate::data::transform::{Color, Draws, Landmarks, Transform};
use crate::data::{DataError as Error, pack};

create_exception!(
    anrl,
    DataError,
    PyException,
    "A pack, a sample in it or an image cannot be used; the message names it and says what to do."
);

fn data_error(error: Error) -> PyErr {
    DataError::new_err(error.to_string())
}

#[pyclass(name = "Pack", module = "anrl._anrl", frozen)]
struct PyPack(Arc<Pack>);

#[pymethods]
impl PyPack {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.allow_threads(|| Pack::open(&path)).map(|pack| Self(Arc::new(pack))).map_err(data_error)
    }

    fn get<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let value = self.0.get(key.as_bytes()).map_err(data_error)?;
        Ok(value.map(|bytes| PyBytes::new(py, bytes)))
    }

    fn keys(&self, py: Python<'_>) -> PyResult<Vec<(String, usize)>> {
        let keys = py.allow_threads(|| self.0.keys()).map_err(data_error)?;
        Ok(keys.into_iter().map(|(key, size)| (String::from_utf8_lossy(&key).into_owned(), size)).collect())
    }
}

#[pyclass(name = "PackWriter", module = "anrl._anrl", frozen)]
struct PyPackWriter(Mutex<Option<PackWriter>>);

impl PyPackWriter {
    fn writer(&self) -> MutexGuard<'_, Option<PackWriter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finished() -> PyErr {
    PyValueError::new_err("the pack is finished")
}

#[pymethods]
impl PyPackWriter {
    #[new]
    fn new(path: PathBuf, map_size: usize) -> PyResult<Self> {
        PackWriter::create(&path, map_size).map(|w| Self(Mutex::new(Some(w)))).map_err(data_error)
    }

    fn put(&self, py: Python<'_>, key: &str, value: &[u8]) -> PyResult<()> {
        py.allow_threads(|| self.writer().as_mut().map(|writer| writer.put(key.as_bytes(), value)))
            .ok_or_else(finished)?
            .map_err(data_error)
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.allow_threads(|| self.writer().take().map(PackWriter::finish))
            .ok_or_else(finished)?
            .map_err(data_error)
    }
}

/// Where a value lies in the memory map of a pack.
#[derive(Clone, Copy)]
struct Place {
    start: *const u8,
    length: usize,
}

// SAFETY: a place in a read-only map, which any thread may read while the pack is open.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    fn of(bytes: &[u8]) -> Self {
        Self { start: bytes.as_ptr(), length: bytes.len() }
    }
}

struct Sample {
    image: Place,
    depth: Option<Place>,
    label: i64,
    landmarks: Option<Landmarks>,
}

/// The samples of one domain: places in the map, found once.
#[pyclass(name = "Samples", module = "anrl._anrl", frozen)]
struct PySamples {
    samples: Vec<Sample>,
    keys: Vec<String>,
    // Keeps the map open.
    pack: Arc<Pack>,
}

impl PySamples {
    fn bytes(&self, place: Place) -> &[u8] {
        // SAFETY: a slice of the map of `self.pack`, which stays open as long as `self`.
        unsafe { std::slice::from_raw_parts(place.start, place.length) }
    }
}

#[pymethods]
impl PySamples {
    #[new]
    fn new(
        py: Python<'_>,
        pack: &PyPack,
        keys: Vec<String>,
        depth_keys: Vec<Option<String>>,
        labels: Vec<i64>,
        landmarks: Vec<Option<Landmarks>>,
    ) -> PyResult<Self> {
        if [depth_keys.len(), labels.len(), landmarks.len()] != [keys.len(); 3] {
            return Err(PyValueError::new_err("keys, depth_keys, labels and landmarks differ in length"));
        }
        let pack = pack.0.clone();
        let find = |key: &str| {
            let missing =
                || Error::pack(pack.path(), format!("has no key '{key}'; does the list belong to it?"));
            pack.get(key.as_bytes())?.map(Place::of).ok_or_else(missing)
        };
        let columns = keys.iter().zip(&depth_keys).zip(labels.into_iter().zip(landmarks));
        let samples = py
            .allow_threads(|| {
                columns
                    .map(|((key, depth_key), (label, landmarks))| {
                        let image = find(key)?;
                        let depth = depth_key.as_deref().map(find).transpose()?;
                        Ok(Sample { image, depth, label, landmarks })
                    })
                    .collect::<Result<Vec<_>, Error>>()
            })
            .map_err(data_error)?;
        Ok(Self { samples, keys, pack })
    }

    fn __len__(&self) -> usize {
        self.samples.len()
    }
}

#[pyclass(name = "Transform", module = "anrl._anrl", frozen)]
struct PyTransform(Transform);

#[pymethods]
impl PyTransform {
    #[new]
    fn new(
        image_size: usize,
        depth_size: usize,
        color: &str,
        mean: Vec<f32>,
        std: Vec<f32>,
        consistent_hsv: bool,
        crop_margin: Option<f64>,
    ) -> PyResult<Self> {
        let color = match color {
            "rgb_hsv" => Color::RgbHsv,
            "rgb" => Color::Rgb,
            "hsv" => Color::Hsv,
            other => {
                return Err(PyValueError::new_err(format!(
                    "color must be 'rgb_hsv', 'rgb' or 'hsv', not '{other}'"
                )));
            }
        };
        Transform::new(image_size, depth_size, color, (&mean, &std), consistent_hsv, crop_margin)
            .map(Self)
            .map_err(|e| PyValueError::new_err(e.to_string()))
    }

    /// One sample: image (channels, S, S) and depth (D, D) as numpy arrays.
    fn apply<'py>(
        &self,
        py: Python<'py>,
        image: &[u8],
        depth: Option<&[u8]>,
        landmarks: Option<Landmarks>,
        flip: bool,
        jitter: Option<(f64, f64, f64)>,
    ) -> PyResult<(Bound<'py, PyArray3<f32>>, Bound<'py, PyArray2<f32>>)> {
        let transform = &self.0;
        let (size, depth_size) = (transform.size(), transform.depth_size());
        let mut image_out = Array3::zeros((transform.channels(), size, size));
        let mut depth_out = Array2::zeros((depth_size, depth_size));
        let jitter = jitter.map(|(hue, saturation, value)| HsvShift { hue, saturation, value });
        py.allow_threads(|| {
            transform.apply(
                image,
                depth,
                landmarks.as_ref(),
                Draws { flip, jitter },
                image_out.view_mut(),
                depth_out.view_mut(),
            )
        })
        .map_err(data_error)?;
        Ok((image_out.into_pyarray(py), depth_out.into_pyarray(py)))
    }
}

/// Probabilities and ranges of the augmentations.
#[derive(FromPyObject)]
struct Augment {
    flip: f64,
    jitter: f64,
    hue: f64,
    saturation: f64,
    value: f64,
}

impl Augment {
    fn draw(&self, key: Key) -> Draws {
        Draws {
            flip: key.uniform(Operation::Flip) < self.flip,
            jitter: (key.uniform(Operation::Jitter) < self.jitter).then(|| HsvShift {
                hue: key.symmetric(Operation::Hue, self.hue),
                saturation: key.symmetric(Operation::Saturation, self.saturation),
                value: key.symmetric(Operation::Value, self.value),
            }),
        }
    }
}

/// Loads one batch: row b, domain k holds sample `indices[b][k]` of `domains[k]`.
#[pyfunction]
#[pyo3(signature = (domains, indices, transform, augment, seed, epoch))]
fn load_batch(
    py: Python<'_>,
    domains: Vec<PyRef<'_, PySamples>>,
    indices: Vec<Vec<usize>>,
    transform: &PyTransform,
    augment: Option<Augment>,
    seed: u64,
    epoch: u64,
) -> PyResult<(PyTensor, PyTensor, PyTensor)> {
    let transform = &transform.0;
    let (rows, columns) = (indices.len(), domains.len());
    let mut items = Vec::with_capacity(rows * columns);
    let mut labels = Vec::with_capacity(rows * columns);
    for row in &indices {
        if row.len() != columns {
            return Err(PyValueError::new_err("a row of indices needs one index per domain"));
        }
        for (k, (domain, &index)) in domains.iter().zip(row).enumerate() {
            let sample = domain.samples.get(index).ok_or_else(|| {
                PyIndexError::new_err(format!("domain {k} has {} samples, not {index}", domain.samples.len()))
            })?;
            let key = Key { seed, epoch, domain: k as u64, sample: index as u64 };
            items.push(Item {
                image: domain.bytes(sample.image),
                depth: sample.depth.map(|place| domain.bytes(place)),
                landmarks: sample.landmarks.as_ref(),
                draws: augment.as_ref().map_or_else(Draws::default, |a| a.draw(key)),
            });
            labels.push(sample.label);
        }
    }
    let (b, k) = (rows as i64, columns as i64);
    let (size, depth_size) = (transform.size() as i64, transform.depth_size() as i64);
    let image_shape = [b, k, transform.channels() as i64, size, size];
    let image = Tensor::f_empty(image_shape, (Kind::Float, Device::Cpu)).map_err(torch_error)?;
    let depth_shape = [b, k, depth_size, depth_size];
    let depth = Tensor::f_empty(depth_shape, (Kind::Float, Device::Cpu)).map_err(torch_error)?;
    if !items.is_empty() {
        // SAFETY: fresh, contiguous float32 tensors on the CPU, not empty, with no other reference.
        let (images, depths) = unsafe {
            (
                std::slice::from_raw_parts_mut(image.data_ptr().cast::<f32>(), image.numel()),
                std::slice::from_raw_parts_mut(depth.data_ptr().cast::<f32>(), depth.numel()),
            )
        };
        run(py, usize::MAX, || load(transform, &items, images, depths))?.map_err(|(at, error)| {
            let domain = &domains[at % columns];
            let key = &domain.keys[indices[at / columns][at % columns]];
            data_error(error.of_sample(domain.pack.path(), key))
        })?;
    }
    let label = Tensor::f_from_slice(&labels).and_then(|t| t.f_view([b, k])).map_err(torch_error)?;
    Ok((PyTensor(image), PyTensor(label), PyTensor(depth)))
}

/// Decodes a JPEG or PNG file to an array of uint8: (H, W, 3), or (H, W, 1) if `gray`.
#[pyfunction]
#[pyo3(signature = (image, gray=false))]
fn decode<'py>(py: Python<'py>, image: &[u8], gray: bool) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let pixels = if gray { Pixels::Gray } else { Pixels::Rgb };
    let image = py.allow_threads(|| decode_image(image, pixels)).map_err(data_error)?;
    image.data.into_pyarray(py).reshape([image.height, image.width, image.channels])
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DataError", module.py().get_type::<DataError>())?;
    module.add("MAX_KEY", pack::MAX_KEY)?;
    module.add_class::<PyPack>()?;
    module.add_class::<PyPackWriter>()?;
    module.add_class::<PySamples>()?;
    module.add_class::<PyTransform>()?;
    module.add_function(wrap_pyfunction!(load_batch, module)?)?;
    module.add_function(wrap_pyfunction!(decode, module)?)
}
