//! Decoding of single images.

use numpy::{IntoPyArray, PyArray3, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};

use crate::image::decode::decode;
use crate::image::{PixelFormat, jpeg, raw};

/// Decodes a JPEG, PNG or raw file to an array of uint8: (H, W, 3), or (H, W, 1) if `gray`.
#[pyfunction]
#[pyo3(signature = (image, gray=false))]
fn decode_image<'py>(py: Python<'py>, image: &[u8], gray: bool) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let format = if gray { PixelFormat::Gray } else { PixelFormat::Rgb };
    let image = py.allow_threads(|| decode(image, format))?;
    image.data.into_pyarray(py).reshape([image.height, image.width, image.channels])
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("RAW_MAGIC", PyBytes::new(module.py(), raw::MAGIC))?;
    module.add("JPEG_IS_VECTORIZED", jpeg::is_vectorized())?;
    module.add_function(wrap_pyfunction!(decode_image, module)?)
}
