//! Packs, the transform and batches of `crate::data` as Python classes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::ArrayViewMutD;
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArray3, PyArray4, PyArrayDyn, PyArrayMethods, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};

use super::run_on;
use crate::data::augment::{Augmentation, Region};
use crate::data::batch::{Item, load};
use crate::data::color::HsvShift;
use crate::data::decode::{Codec, Pixels, RAW_MAGIC, decode as decode_image};
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
    fn new(path: PathBuf) -> PyResult<Self> {
        PackWriter::create(&path).map(|w| Self(Mutex::new(Some(w)))).map_err(data_error)
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

/// Many strings in numpy arrays: their bytes, where each ends, and which of them each row has.
struct Texts {
    blob: Py<PyArray1<u8>>,
    ends: Py<PyArray1<i64>>,
    codes: Py<PyArray1<i32>>,
}

impl Texts {
    fn get(&self, py: Python<'_>, row: usize) -> PyResult<String> {
        let damaged = || PyValueError::new_err("the index of the pack is damaged: pack the files again");
        let (blob, ends, codes) = (
            self.blob.bind(py).try_readonly()?,
            self.ends.bind(py).try_readonly()?,
            self.codes.bind(py).try_readonly()?,
        );
        let code =
            codes.as_slice()?.get(row).and_then(|&code| usize::try_from(code).ok()).ok_or_else(damaged)?;
        let ends = ends.as_slice()?;
        let end = |code: usize| ends.get(code).and_then(|&end| usize::try_from(end).ok());
        let start = if code == 0 { Some(0) } else { end(code - 1) };
        let bytes = start.zip(end(code)).and_then(|(start, end)| blob.as_slice().ok()?.get(start..end));
        Ok(String::from_utf8_lossy(bytes.ok_or_else(damaged)?).into_owned())
    }
}

type TextArrays = (Py<PyArray1<u8>>, Py<PyArray1<i64>>, Py<PyArray1<i32>>);

impl From<TextArrays> for Texts {
    fn from((blob, ends, codes): TextArrays) -> Self {
        Self { blob, ends, codes }
    }
}

/// The samples of one domain: rows of the columns of an index. Their bytes are looked up when they are wanted.
#[pyclass(name = "Samples", module = "anrl._anrl", frozen)]
struct PySamples {
    pack: Arc<Pack>,
    paths: Texts,
    depths: Texts,
    labels: Py<PyArray1<u8>>,
    landmarks: Py<PyArray2<f32>>,
    rows: Py<PyArray1<i64>>,
}

/// One sample as it lies in the pack.
struct Sample<'a> {
    key: String,
    image: Result<&'a [u8], Error>,
    depth: Option<&'a [u8]>,
    label: i64,
    landmarks: Option<Landmarks>,
}

impl PySamples {
    fn len(&self, py: Python<'_>) -> usize {
        self.rows.bind(py).len()
    }

    fn bytes(&self, key: &str) -> Result<&[u8], Error> {
        let missing = || Error::Image("is not in the pack; does the list belong to it?".into());
        self.pack.get(key.as_bytes())?.ok_or_else(missing)
    }

    fn sample(&self, py: Python<'_>, index: usize) -> PyResult<Sample<'_>> {
        let row = self.rows.bind(py).try_readonly()?.as_slice()?.get(index).copied();
        let row = row.and_then(|row| usize::try_from(row).ok()).ok_or_else(|| {
            PyIndexError::new_err(format!("a domain has {} samples, not {index}", self.len(py)))
        })?;
        let label = self.labels.bind(py).try_readonly()?.as_slice()?.get(row).copied().unwrap_or_default();
        let (key, depth_key) = (self.paths.get(py, row)?, self.depths.get(py, row)?);
        let landmarks = self.landmarks.bind(py).try_readonly()?;
        let landmarks = landmarks
            .as_slice()?
            .chunks_exact(10)
            .nth(row)
            .and_then(|marks| Landmarks::try_from(marks).ok())
            .filter(|marks| !marks[0].is_nan());
        let image = self.bytes(&key);
        let (image, depth) = match image {
            Ok(image) if !depth_key.is_empty() => match self.bytes(&depth_key) {
                Ok(depth) => (Ok(image), Some(depth)),
                Err(error) => (Err(Error::Image(format!("depth map '{depth_key}': {error}"))), None),
            },
            image => (image, None),
        };
        Ok(Sample { key, image, depth, label: i64::from(label), landmarks })
    }
}

#[pymethods]
impl PySamples {
    #[new]
    fn new(
        pack: &PyPack,
        paths: TextArrays,
        depths: TextArrays,
        labels: Py<PyArray1<u8>>,
        landmarks: Py<PyArray2<f32>>,
        rows: Py<PyArray1<i64>>,
    ) -> Self {
        Self { pack: pack.0.clone(), paths: paths.into(), depths: depths.into(), labels, landmarks, rows }
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.len(py)
    }

    /// Looks every sample up, so that a missing one is reported now.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        for index in 0..self.len(py) {
            let sample = self.sample(py, index)?;
            sample.image.map_err(|error| data_error(error.of_sample(self.pack.path(), &sample.key)))?;
        }
        Ok(())
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
    crop_area: f64,
    linear: f64,
    contrast: f64,
    brightness: f64,
    blur: f64,
    blur_sigma: f64,
    noise: f64,
    noise_std: f64,
    jpeg: f64,
    jpeg_quality: f64,
    cutout: f64,
    cutout_area: f64,
}

impl Augment {
    fn draw(&self, key: Key) -> Draws {
        use Operation as O;
        let wanted = |operation, probability: f64| key.uniform(operation) < probability;
        let place = |[left, top]: [O; 2], width: f64, height: f64| -> Region {
            let [x, y] = [(left, width), (top, height)].map(|(o, side)| key.uniform(o) * (1.0 - side));
            [x, y, width, height]
        };
        Draws {
            flip: wanted(O::Flip, self.flip),
            jitter: wanted(O::Jitter, self.jitter).then(|| HsvShift {
                hue: key.symmetric(O::Hue, self.hue),
                saturation: key.symmetric(O::Saturation, self.saturation),
                value: key.symmetric(O::Value, self.value),
            }),
            augmentation: Augmentation {
                crop: (self.crop_area < 1.0).then(|| {
                    let area = key.between(O::CropArea, self.crop_area, 1.0);
                    let limit = (4.0f64 / 3.0).ln().min(-area.ln());
                    let stretch = (0.5 * key.symmetric(O::CropAspect, limit)).exp();
                    let side = area.sqrt();
                    place([O::CropLeft, O::CropTop], (side * stretch).min(1.0), (side / stretch).min(1.0))
                }),
                linear: wanted(O::Linear, self.linear).then(|| {
                    let contrast = 1.0 + key.symmetric(O::Contrast, self.contrast);
                    (contrast as f32, key.symmetric(O::Brightness, self.brightness) as f32)
                }),
                blur: wanted(O::Blur, self.blur)
                    .then(|| key.between(O::BlurSigma, 0.1, self.blur_sigma) as f32),
                noise: wanted(O::Noise, self.noise)
                    .then(|| (key.between(O::NoiseDeviation, 0.0, self.noise_std) as f32, key)),
                jpeg: wanted(O::Jpeg, self.jpeg)
                    .then(|| key.between(O::JpegQuality, self.jpeg_quality, 101.0).clamp(1.0, 100.0) as u8),
                cutout: wanted(O::Cutout, self.cutout).then(|| {
                    let side = key.between(O::CutoutArea, 0.0, self.cutout_area).sqrt();
                    place([O::CutoutLeft, O::CutoutTop], side, side)
                }),
            },
        }
    }
}

#[pyclass(name = "Transform", module = "anrl._anrl", frozen)]
struct PyTransform {
    transform: Transform,
    /// Whether the output is float32, normalized; else the 8-bit levels.
    float: bool,
    shelf: Arc<Shelf>,
}

/// Samples that failed: row and domain in the batch, and why.
type Failures = Vec<(usize, usize, String)>;

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
        output: &str,
        decoder: &str,
    ) -> PyResult<Self> {
        let unknown = |name: &str, known: &str, found: &str| {
            PyValueError::new_err(format!("{name} must be {known}, not '{found}'"))
        };
        let color = match color {
            "rgb_hsv" => Color::RgbHsv,
            "rgb" => Color::Rgb,
            "hsv" => Color::Hsv,
            other => return Err(unknown("color", "'rgb_hsv', 'rgb' or 'hsv'", other)),
        };
        let float = match output {
            "float32" => true,
            "uint8" => false,
            other => return Err(unknown("output", "'float32' or 'uint8'", other)),
        };
        let codec = match decoder {
            "fast" => Codec::Fast,
            "exact" => Codec::Exact,
            other => return Err(unknown("decoder", "'fast' or 'exact'", other)),
        };
        let scaling = (&mean[..], &std[..]);
        let transform =
            Transform::new(image_size, depth_size, color, scaling, consistent_hsv, crop_margin, codec)
                .map_err(|e| PyValueError::new_err(e.to_string()))?;
        Ok(Self { transform, float, shelf: Arc::default() })
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
        crop: Option<Region>,
        linear: Option<(f32, f32)>,
        blur: Option<f32>,
        noise: Option<(f32, u64)>,
        jpeg: Option<u8>,
        cutout: Option<Region>,
    ) -> PyResult<(Bound<'py, PyUntypedArray>, Bound<'py, PyArray2<f32>>)> {
        let jitter = jitter.map(|(hue, saturation, value)| HsvShift { hue, saturation, value });
        let finite = |region: Option<Region>| region.is_none_or(|r| r.iter().all(|v| v.is_finite()));
        let fits = finite(crop)
            && finite(cutout)
            && linear.is_none_or(|(contrast, brightness)| (contrast + brightness).is_finite())
            && blur.is_none_or(|sigma| (0.01..=100.0).contains(&sigma))
            && noise.is_none_or(|(std, _)| (0.0..=1e6).contains(&std))
            && jpeg.is_none_or(|quality| (1..=100).contains(&quality));
        if !fits {
            return Err(PyValueError::new_err(
                "crop, cutout and linear must be finite, blur from 0.01 to 100 pixels, noise not negative, \
                 jpeg from 1 to 100",
            ));
        }
        let noise = noise.map(|(std, seed)| (std, Key { seed, epoch: 0, domain: 0, sample: 0 }));
        let augmentation = Augmentation { crop, linear, blur, noise, jpeg, cutout };
        let draws = Draws { flip, jitter, augmentation };
        let item = Item { image, depth, landmarks: landmarks.as_ref(), draws };
        let (images, depths, failed) = self.load_items(py, &[item], 1)?;
        if let Some((_, error)) = failed.into_iter().next() {
            return Err(data_error(error));
        }
        let (size, depth_size) = (self.transform.size(), self.transform.depth_size());
        let shape = [self.transform.channels(), size, size];
        Ok((images.array(py, &shape, &self.shelf)?, depths.into_pyarray(py).reshape([depth_size; 2])?))
    }

    /// Loads one batch: row b, domain k holds sample `indices[b][k]` of `domains[k]`. Returns images
    /// (B, K, channels, S, S), labels (B, K), depths (B, K, D, D), and the samples that failed.
    #[pyo3(signature = (domains, indices, augment, seed, epoch, threads))]
    fn load<'py>(
        &self,
        py: Python<'py>,
        domains: Vec<PyRef<'py, PySamples>>,
        indices: Vec<Vec<usize>>,
        augment: Option<Augment>,
        seed: u64,
        epoch: u64,
        threads: usize,
    ) -> PyResult<(Bound<'py, PyUntypedArray>, Bound<'py, PyArray2<i64>>, Bound<'py, PyArray4<f32>>, Failures)>
    {
        let (rows, columns) = (indices.len(), domains.len());
        let mut samples = Vec::with_capacity(rows * columns);
        for row in &indices {
            if row.len() != columns {
                return Err(PyValueError::new_err("a row of indices needs one index per domain"));
            }
            for (domain, &index) in domains.iter().zip(row) {
                samples.push(domain.sample(py, index)?);
            }
        }
        let labels: Vec<i64> = samples.iter().map(|sample| sample.label).collect();
        let draws = |at: usize| {
            let (domain, sample) = ((at % columns) as u64, indices[at / columns][at % columns] as u64);
            let key = Key { seed, epoch, domain, sample };
            augment.as_ref().map_or_else(Draws::default, |augment| augment.draw(key))
        };
        let items: Vec<Item<'_>> = samples
            .iter()
            .enumerate()
            .map(|(at, sample)| Item {
                // No bytes are no image: that fails too, and gets the better reason below.
                image: sample.image.as_ref().copied().unwrap_or_default(),
                depth: sample.depth,
                landmarks: sample.landmarks.as_ref(),
                draws: draws(at),
            })
            .collect();
        let (images, depths, failed) = self.load_items(py, &items, threads)?;
        for domain in &domains {
            domain.pack.check_unchanged().map_err(data_error)?;
        }
        let failures = failed
            .into_iter()
            .map(|(at, error)| {
                let (sample, pack) = (&samples[at], &domains[at % columns].pack);
                let error = sample.image.as_ref().err().cloned().unwrap_or(error);
                (at / columns, at % columns, error.of_sample(pack.path(), &sample.key).to_string())
            })
            .collect();
        let (size, depth_size) = (self.transform.size(), self.transform.depth_size());
        let shape = [rows, columns, self.transform.channels(), size, size];
        Ok((
            images.array(py, &shape, &self.shelf)?,
            labels.into_pyarray(py).reshape([rows, columns])?,
            depths.into_pyarray(py).reshape([rows, columns, depth_size, depth_size])?,
            failures,
        ))
    }
}

impl PyTransform {
    fn load_items(
        &self,
        py: Python<'_>,
        items: &[Item<'_>],
        threads: usize,
    ) -> PyResult<(Memory, Vec<f32>, Vec<(usize, Error)>)> {
        let transform = &self.transform;
        let len = items.len() * transform.channels() * transform.size() * transform.size();
        let mut images = self.shelf.take(self.float, len);
        let mut depths = vec![0.0; items.len() * transform.depth_size() * transform.depth_size()];
        let work = || match &mut images {
            Memory::Float(images) => load(transform, items, images, &mut depths),
            Memory::Bytes(images) => load(transform, items, images, &mut depths),
        };
        let failed = if items.len() == 1 { py.allow_threads(work) } else { run_on(py, threads, work)? };
        Ok((images, depths, failed))
    }
}

/// The images of a batch.
enum Memory {
    Float(Vec<f32>),
    Bytes(Vec<u8>),
}

/// Memory of images that nobody holds any more, kept for the next batch: fresh pages cost more than filling
/// them.
#[derive(Default)]
struct Shelf(Mutex<Vec<Memory>>);

/// How much memory is kept: what a few batches in flight give back.
const SHELF_ROOM: usize = 4;

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, float: bool, len: usize) -> Memory {
        let mut kept = self.kept();
        let fits = |memory: &Memory| match memory {
            Memory::Float(values) => float && values.len() == len,
            Memory::Bytes(values) => !float && values.len() == len,
        };
        match kept.iter().position(fits) {
            Some(at) => kept.swap_remove(at),
            None if float => Memory::Float(vec![0.0; len]),
            None => Memory::Bytes(vec![0; len]),
        }
    }

    fn give(&self, memory: Memory) {
        let mut kept = self.kept();
        if kept.len() == SHELF_ROOM {
            kept.remove(0);
        }
        kept.push(memory);
    }
}

/// Owns the memory of an array, and gives it back to its shelf when the last view of it is gone.
#[pyclass(module = "anrl._anrl", frozen)]
struct Lent {
    memory: Option<Memory>,
    shelf: Arc<Shelf>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.shelf.give(memory);
        }
    }
}

impl Memory {
    /// A writeable array over this memory, which returns to `shelf` with the array's end.
    fn array<'py>(
        self,
        py: Python<'py>,
        shape: &[usize],
        shelf: &Arc<Shelf>,
    ) -> PyResult<Bound<'py, PyUntypedArray>> {
        /// # Safety
        /// `values` are as many as `shape` says, and `owner` keeps them where they are, for the array alone.
        unsafe fn over<'py, T: numpy::Element>(
            values: *mut T,
            shape: &[usize],
            owner: Bound<'py, PyAny>,
        ) -> Bound<'py, PyUntypedArray> {
            // SAFETY: the caller's promise.
            unsafe {
                let view = ArrayViewMutD::from_shape_ptr(shape, values);
                PyArrayDyn::borrow_from_array(&view, owner).as_untyped().clone()
            }
        }
        let mut memory = self;
        let (len, values) = match &mut memory {
            Memory::Float(values) => (values.len(), Pointer::Float(values.as_mut_ptr())),
            Memory::Bytes(values) => (values.len(), Pointer::Bytes(values.as_mut_ptr())),
        };
        if len != shape.iter().product::<usize>() {
            return Err(PyValueError::new_err(format!("{len} values are no array of shape {shape:?}")));
        }
        let owner = Bound::new(py, Lent { memory: Some(memory), shelf: shelf.clone() })?.into_any();
        // SAFETY: the number was checked; the values lie on the heap, where moving the vector did not move them,
        // and `owner` never touches them before it is dropped.
        Ok(unsafe {
            match values {
                Pointer::Float(values) => over(values, shape, owner),
                Pointer::Bytes(values) => over(values, shape, owner),
            }
        })
    }
}

/// Where the values of a [`Memory`] begin.
enum Pointer {
    Float(*mut f32),
    Bytes(*mut u8),
}

/// Decodes a JPEG, PNG or raw file to an array of uint8: (H, W, 3), or (H, W, 1) if `gray`.
#[pyfunction]
#[pyo3(signature = (image, gray=false, exact=false))]
fn decode<'py>(py: Python<'py>, image: &[u8], gray: bool, exact: bool) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let pixels = if gray { Pixels::Gray } else { Pixels::Rgb };
    let codec = if exact { Codec::Exact } else { Codec::Fast };
    let image = py.allow_threads(|| decode_image(image, pixels, codec)).map_err(data_error)?;
    image.data.into_pyarray(py).reshape([image.height, image.width, image.channels])
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DataError", module.py().get_type::<DataError>())?;
    module.add("MAX_KEY", pack::MAX_KEY)?;
    module.add("RAW_MAGIC", PyBytes::new(module.py(), RAW_MAGIC))?;
    module.add("EXACT_DECODER_IS_VECTORIZED", crate::data::exact_decoder_is_vectorized())?;
    module.add_class::<PyPack>()?;
    module.add_class::<PyPackWriter>()?;
    module.add_class::<PySamples>()?;
    module.add_class::<PyTransform>()?;
    module.add_function(wrap_pyfunction!(decode, module)?)
}
