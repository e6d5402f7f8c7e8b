//! The settings of a transform, read from the attributes of one Python object: `TransformSettings` in the stub.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::sample::policy::Policy;
use crate::sample::transform::{self, Color, Transform};

/// One number for all channels, or one for each.
#[derive(FromPyObject)]
enum PerChannel {
    #[pyo3(transparent)]
    All(f32),
    #[pyo3(transparent)]
    Each(Vec<f32>),
}

impl PerChannel {
    fn values(self, channels: usize) -> Vec<f32> {
        match self {
            Self::All(value) => vec![value; channels],
            Self::Each(values) => values,
        }
    }
}

#[derive(FromPyObject)]
struct Attributes {
    image_size: i64,
    depth_size: Option<i64>,
    color: String,
    mean: PerChannel,
    std: PerChannel,
    hsv: String,
    crop_margin: Option<f64>,
    output: String,
}

macro_rules! policy_attributes {
    ($($name:ident)*) => {
        #[derive(FromPyObject)]
        struct PolicyAttributes {
            $($name: f64,)*
        }

        impl From<PolicyAttributes> for Policy {
            fn from(attributes: PolicyAttributes) -> Self {
                Self { $($name: attributes.$name,)* }
            }
        }
    };
}
policy_attributes! {
    flip_prob
    jitter_prob hue saturation value
    crop_area
    brightness_contrast_prob brightness contrast
    blur_prob blur_sigma
    noise_prob noise_std
    jpeg_prob jpeg_quality
    cutout_prob cutout_area
}

/// Checked settings.
pub(super) struct Settings {
    pub(super) transform: Transform,
    pub(super) policy: Policy,
    /// Whether the output is float32, normalized; else the 8-bit levels.
    pub(super) float: bool,
}

impl FromPyObject<'_> for Settings {
    fn extract_bound(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let attributes: Attributes = object.extract()?;
        let policy = Policy::from(object.extract::<PolicyAttributes>()?);
        policy.check()?;
        let unknown = |name: &str, known: &str, value: &str| {
            PyValueError::new_err(format!("{name} must be {known}, not '{value}'"))
        };
        let size = |name: &str, value: i64| {
            usize::try_from(value)
                .map_err(|_| PyValueError::new_err(format!("{name} must be positive, not {value}")))
        };
        let Attributes { color, hsv, output, .. } = &attributes;
        let channels =
            Color::from_name(color).ok_or_else(|| unknown("color", "'rgb_hsv', 'rgb' or 'hsv'", color))?;
        let consistent_hsv = match hsv.as_str() {
            "compat" => false,
            "consistent" => true,
            other => return Err(unknown("hsv", "'compat' or 'consistent'", other)),
        };
        let float = match output.as_str() {
            "float32" => true,
            "uint8" => false,
            other => return Err(unknown("output", "'float32' or 'uint8'", other)),
        };
        let transform = Transform::new(&transform::Settings {
            image_size: size("image_size", attributes.image_size)?,
            depth_size: attributes.depth_size.map(|value| size("depth_size", value)).transpose()?,
            color: channels,
            mean: attributes.mean.values(channels.channels()),
            std: attributes.std.values(channels.channels()),
            consistent_hsv,
            crop_margin: attributes.crop_margin,
        })?;
        Ok(Self { transform, policy, float })
    }
}
