//! `crate::sample::transform::Transform` as a Python class.

use std::sync::Arc;

use numpy::{IntoPyArray, PyArray2, PyArray4, PyArrayMethods, PyUntypedArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::buffers::{Memory, Shelf};
use super::error::data_error;
use super::run_on;
use super::samples::Samples;
use super::settings::Settings;
use crate::error::DataError;
use crate::image::brightness_contrast::BrightnessContrast;
use crate::image::color::HsvShift;
use crate::image::crop::{Landmarks, Region};
use crate::sample::augmentation::Augmentation;
use crate::sample::batch::load;
use crate::sample::random::Key;
use crate::sample::transform::Item;

#[pyclass(module = "anrl._anrl", frozen)]
pub(super) struct Transform {
    settings: Settings,
    shelf: Arc<Shelf>,
}

/// Samples that failed: row and domain in the batch, and the exception.
type Failures<'py> = Vec<(usize, usize, Bound<'py, PyAny>)>;

#[pymethods]
impl Transform {
    #[new]
    fn new(settings: Settings) -> Self {
        Self { settings, shelf: Arc::default() }
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
        brightness_contrast: Option<(f32, f32)>,
        blur: Option<f32>,
        noise: Option<(f32, u64)>,
        jpeg: Option<u8>,
        cutout: Option<Region>,
    ) -> PyResult<(Bound<'py, PyUntypedArray>, Bound<'py, PyArray2<f32>>)> {
        let finite = |region: Option<Region>| region.is_none_or(|r| r.iter().all(|v| v.is_finite()));
        let fits = finite(crop)
            && finite(cutout)
            && brightness_contrast.is_none_or(|(brightness, contrast)| (brightness + contrast).is_finite())
            && blur.is_none_or(|sigma| (0.01..=100.0).contains(&sigma))
            && noise.is_none_or(|(std, _)| (0.0..=1e6).contains(&std))
            && jpeg.is_none_or(|quality| (1..=100).contains(&quality));
        if !fits {
            return Err(PyValueError::new_err(
                "crop, cutout and brightness_contrast must be finite, blur from 0.01 to 100 pixels, noise not \
                 negative, jpeg from 1 to 100",
            ));
        }
        let augmentation = Augmentation {
            crop,
            brightness_contrast: brightness_contrast
                .map(|(brightness, contrast)| BrightnessContrast { brightness, contrast }),
            blur,
            noise: noise.map(|(std, seed)| (std, Key { seed, epoch: 0, domain: 0, sample: 0, repeat: 0 })),
            jpeg,
            cutout,
            jitter: jitter.map(|(hue, saturation, value)| HsvShift { hue, saturation, value }),
            flip,
        };
        let item = Item { image, depth, landmarks: landmarks.as_ref(), augmentation };
        let (images, depths, failed) = self.load_items(py, &[item], 1)?;
        if let Some((_, error)) = failed.into_iter().next() {
            return Err(error.into());
        }
        let transform = &self.settings.transform;
        Ok((
            images.into_array(py, &transform.image_shape(), &self.shelf)?,
            depths.into_pyarray(py).reshape(transform.depth_shape())?,
        ))
    }

    /// Loads one batch: row b, domain k holds sample `indices[b][k]` of `domains[k]`, which was drawn
    /// `repeats[b][k]` times before in the epoch. Returns images
    /// (B, K, channels, S, S), labels (B, K), depths (B, K, D, D), and the samples that failed.
    fn load<'py>(
        &self,
        py: Python<'py>,
        domains: Vec<PyRef<'py, Samples>>,
        indices: Vec<Vec<usize>>,
        repeats: Vec<Vec<u64>>,
        augment: bool,
        seed: u64,
        epoch: u64,
        num_threads: usize,
    ) -> PyResult<(
        Bound<'py, PyUntypedArray>,
        Bound<'py, PyArray2<i64>>,
        Bound<'py, PyArray4<f32>>,
        Failures<'py>,
    )> {
        let (rows, columns) = (indices.len(), domains.len());
        let fits = |lengths: Vec<usize>| lengths == vec![columns; rows];
        if !fits(indices.iter().map(Vec::len).collect()) || !fits(repeats.iter().map(Vec::len).collect()) {
            return Err(PyValueError::new_err("indices and repeats need one number per row and domain"));
        }
        let mut records = Vec::with_capacity(columns);
        for (column, domain) in domains.iter().enumerate() {
            records.push(domain.records(py, indices.iter().map(|row| row[column]))?);
        }
        let places = || (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let bytes: Vec<_> =
            places().map(|(row, column)| records[column][row].read(&domains[column].pack)).collect();
        let items: Vec<Item<'_>> = places()
            .zip(&bytes)
            .map(|((row, column), bytes)| {
                let (domain, sample) = (column as u64, indices[row][column] as u64);
                let key = Key { seed, epoch, domain, sample, repeat: repeats[row][column] };
                Item {
                    // No bytes are no image: that fails too, and gets the better reason below.
                    image: bytes.as_ref().map_or(&[], |bytes| bytes.image),
                    depth: bytes.as_ref().ok().and_then(|bytes| bytes.depth),
                    landmarks: records[column][row].landmarks.as_ref(),
                    augmentation: if augment {
                        self.settings.policy.draw(key)
                    } else {
                        Augmentation::default()
                    },
                }
            })
            .collect();
        let (images, depths, failed) = self.load_items(py, &items, num_threads)?;
        for domain in &domains {
            domain.pack.check_unchanged()?;
        }
        let mut failures = Vec::with_capacity(failed.len());
        for (at, error) in failed {
            let (row, column) = (at / columns, at % columns);
            let error = bytes[at].as_ref().err().cloned().unwrap_or(error);
            let error = error.in_sample(domains[column].pack.path(), &records[column][row].key);
            failures.push((row, column, data_error(py, &error)?));
        }
        let labels: Vec<i64> = places().map(|(row, column)| i64::from(records[column][row].label)).collect();
        let ([channels, size, _], [depth_size, _]) =
            (self.settings.transform.image_shape(), self.settings.transform.depth_shape());
        Ok((
            images.into_array(py, &[rows, columns, channels, size, size], &self.shelf)?,
            labels.into_pyarray(py).reshape([rows, columns])?,
            depths.into_pyarray(py).reshape([rows, columns, depth_size, depth_size])?,
            failures,
        ))
    }
}

impl Transform {
    fn load_items(
        &self,
        py: Python<'_>,
        items: &[Item<'_>],
        num_threads: usize,
    ) -> PyResult<(Memory, Vec<f32>, Vec<(usize, DataError)>)> {
        let Settings { transform, float, .. } = &self.settings;
        let mut images = self.shelf.take(*float, items.len() * transform.image_len());
        let mut depths = vec![0.0; items.len() * transform.depth_len()];
        let work = || match &mut images {
            Memory::Float(images) => load(transform, items, images, &mut depths),
            Memory::Bytes(images) => load(transform, items, images, &mut depths),
        };
        let failed = if items.len() == 1 { py.allow_threads(work) } else { run_on(py, num_threads, work)? };
        Ok((images, depths, failed))
    }
}
