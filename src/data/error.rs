//! The one error of the data path. Its text is what a user reads.

use std::path::Path;

/// What can be wrong with a pack, a sample in it or an image.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DataError {
    /// The pack as a whole cannot be read or written.
    #[error("{path}: {reason}")]
    Pack {
        /// The pack's path.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// One sample of a pack is unusable.
    #[error("{pack}: key '{key}': {reason}")]
    Sample {
        /// The pack's path.
        pack: String,
        /// The sample's key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Bytes that are no usable image.
    #[error("{0}")]
    Image(String),
}

impl DataError {
    /// An error about the pack at `path`.
    pub fn pack(path: &Path, reason: impl Into<String>) -> Self {
        Self::Pack { path: path.display().to_string(), reason: reason.into() }
    }

    /// The same error, said of the sample `key` of the pack at `path`.
    #[must_use]
    pub fn of_sample(self, path: &Path, key: &str) -> Self {
        match self {
            Self::Image(reason) => {
                Self::Sample { pack: path.display().to_string(), key: key.to_owned(), reason }
            }
            other => other,
        }
    }
}
