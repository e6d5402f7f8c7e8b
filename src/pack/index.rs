//! The index of a pack: its samples, column by column. `anrl.data` writes it and knows its encoding.

use super::Pack;
use crate::error::DataError;

/// Many strings: their bytes one after the other, and the number of the string that each row has.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// UTF-8, without separators.
    pub blob: &'a [u8],
    /// Where each string ends in `blob`.
    pub ends: &'a [i64],
    /// For each row the number of its string.
    pub codes: &'a [i32],
}

impl Texts<'_> {
    /// The string of a row; `None` if it lies outside the columns.
    fn get(&self, row: usize) -> Option<String> {
        let code = usize::try_from(*self.codes.get(row)?).ok()?;
        let end = |code: usize| usize::try_from(*self.ends.get(code)?).ok();
        let start = if code == 0 { 0 } else { end(code - 1)? };
        Some(String::from_utf8_lossy(self.blob.get(start..end(code)?)?).into_owned())
    }
}

/// Columns with one row for each sample.
#[derive(Debug, Clone, Copy)]
pub struct Index<'a> {
    /// Keys of the images.
    pub paths: Texts<'a>,
    /// Keys of the depth maps; empty for none.
    pub depths: Texts<'a>,
    /// 0 = bona fide, 1 = attack.
    pub labels: &'a [u8],
    /// Ten numbers in each row, NaN for none; or no rows.
    pub landmarks: &'a [f32],
}

/// One row of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Key of the image.
    pub key: String,
    /// Key of the depth map.
    pub depth_key: Option<String>,
    /// 0 = bona fide, 1 = attack.
    pub label: u8,
    /// x1 y1 … x5 y5 in pixels.
    pub landmarks: Option<[f32; 10]>,
}

/// The bytes of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a> {
    /// The image.
    pub image: &'a [u8],
    /// The depth map.
    pub depth: Option<&'a [u8]>,
}

impl Index<'_> {
    /// A row; `None` if the columns contradict each other or end before it.
    #[must_use]
    pub fn record(&self, row: usize) -> Option<Record> {
        let landmarks =
            self.landmarks.chunks_exact(10).nth(row).and_then(|landmarks| landmarks.try_into().ok());
        Some(Record {
            key: self.paths.get(row)?,
            depth_key: Some(self.depths.get(row)?).filter(|key| !key.is_empty()),
            label: *self.labels.get(row)?,
            landmarks: landmarks.filter(|landmarks: &[f32; 10]| !landmarks[0].is_nan()),
        })
    }
}

impl Record {
    /// Looks up the bytes of the image and of the depth map.
    ///
    /// # Errors
    /// One is not in the pack, or the pack is damaged.
    pub fn read<'a>(&self, pack: &'a Pack) -> Result<Encoded<'a>, DataError> {
        let bytes = |key: &str| {
            let missing = || DataError::new("is not in the pack; does the list belong to it?");
            pack.get(key.as_bytes())?.ok_or_else(missing)
        };
        let of_depth = |key: &str, error| DataError::new(format!("depth map '{key}': {error}"));
        let image = bytes(&self.key)?;
        let depth = self.depth_key.as_deref().map(|key| bytes(key).map_err(|error| of_depth(key, error)));
        Ok(Encoded { image, depth: depth.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoded, Index, Texts};
    use crate::pack::{Pack, PackWriter};

    #[test]
    fn records_are_rows_and_lead_to_their_bytes() {
        let paths = Texts { blob: b"abc", ends: &[1, 3], codes: &[1, 0, 7] };
        let depths = Texts { blob: b"d", ends: &[0, 1], codes: &[1, 0, 0] };
        let landmarks: Vec<f32> = (0..20).map(|i| if i < 10 { 0.5 } else { f32::NAN }).collect();
        let index = Index { paths, depths, labels: &[0, 1, 1], landmarks: &landmarks };
        let first = index.record(0).expect("record");
        assert_eq!((first.key.as_str(), first.depth_key.as_deref(), first.label), ("bc", Some("d"), 0));
        assert_eq!(first.landmarks, Some([0.5; 10]));
        let second = index.record(1).expect("record");
        assert_eq!((second.key.as_str(), second.depth_key.as_deref(), second.label), ("a", None, 1));
        assert_eq!(second.landmarks, None);
        assert_eq!((index.record(2), index.record(3)), (None, None));

        let folder = tempfile::tempdir().expect("folder");
        let mut writer = PackWriter::create(folder.path()).expect("create");
        writer.put(b"a", b"attack").expect("put");
        writer.put(b"bc", b"bona fide").expect("put");
        writer.finish().expect("finish");
        let pack = Pack::open(folder.path()).expect("open");
        assert_eq!(second.read(&pack), Ok(Encoded { image: b"attack", depth: None }));
        let error = first.read(&pack).expect_err("no depth map").to_string();
        assert_eq!(error, "depth map 'd': is not in the pack; does the list belong to it?");
    }
}
