//! The errors of the data path. Their texts are for the user.

use std::fmt;
use std::path::Path;

/// A pack, a sample in it or an image cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataError {
    /// The pack, if it is known.
    pub path: Option<String>,
    /// The sample's key in the pack, if one sample is unusable.
    pub key: Option<String>,
    /// What is wrong and what to do.
    pub reason: String,
}

impl DataError {
    /// An error about bytes of unknown origin.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { path: None, key: None, reason: reason.into() }
    }

    /// An error about the pack at `path`.
    pub fn of_pack(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: Some(path.display().to_string()), key: None, reason: reason.into() }
    }

    /// The same error about the sample `key` of the pack at `path`, unless it names a pack already.
    #[must_use]
    pub fn in_sample(self, path: &Path, key: &str) -> Self {
        match self.path {
            None => Self { key: Some(key.to_owned()), ..Self::of_pack(path, self.reason) },
            Some(_) => self,
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "key '{key}': ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for DataError {}

/// A setting of the transform is out of its range; the text names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(pub String);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::DataError;

    #[test]
    fn the_text_says_where_and_what() {
        let error = DataError::new("damaged");
        assert_eq!(error.to_string(), "damaged");
        let sample = error.in_sample(Path::new("a"), "b");
        assert_eq!(sample.to_string(), "a: key 'b': damaged");
        assert_eq!(sample.clone().in_sample(Path::new("c"), "d"), sample);
        assert_eq!(DataError::of_pack(Path::new("a"), "gone").to_string(), "a: gone");
    }
}
