//! LMDB packs: format 1 (LMDB 0.9, py-lmdb 1 to 3), the layout of the official code (path → file bytes).

pub mod index;
mod reader;
mod writer;

pub use reader::Pack;
pub use writer::PackWriter;

/// Keys longer than this do not fit LMDB.
pub const MAX_KEY: usize = 511;

/// Keys that begin with this are not samples.
pub const RESERVED: &[u8] = b"__anrl__/";

#[cfg(test)]
mod tests {
    use super::{Pack, PackWriter};

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("folder");
        let mut writer = PackWriter::create(folder.path()).expect("create");
        let large: Vec<u8> = (0..100_000).map(|i| i as u8).collect();
        writer.put(b"b", &large).expect("put");
        writer.put(b"a", b"small").expect("put");
        writer.put(b"__anrl__/meta", b"{}").expect("put");
        assert!(writer.put(b"a", b"again").expect_err("twice").to_string().contains("twice"));
        assert!(writer.put(&[b'k'; 512], b"").is_err());
        writer.finish().expect("finish");
        assert!(!folder.path().join("lock.mdb").exists());

        let pack = Pack::open(folder.path()).expect("open");
        let again = Pack::open(&folder.path().join("data.mdb")).expect("open the file, twice");
        assert_eq!(pack.get(b"b").expect("get"), Some(large.as_slice()));
        assert_eq!(again.get(b"a").expect("get"), Some(b"small".as_slice()));
        assert_eq!(pack.get(b"c").expect("get"), None);
        assert_eq!(pack.keys().expect("keys"), [(b"a".to_vec(), 5), (b"b".to_vec(), 100_000)]);
    }

    #[test]
    fn damaged_and_foreign_files_are_errors() {
        let folder = tempfile::tempdir().expect("folder");
        let mut writer = PackWriter::create(folder.path()).expect("create");
        writer.put(b"a", &[1; 50_000]).expect("put");
        writer.finish().expect("finish");
        let file = folder.path().join("data.mdb");
        let bytes = std::fs::read(&file).expect("read");
        let error = |bytes: &[u8]| {
            std::fs::write(&file, bytes).expect("write");
            Pack::open(folder.path()).err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert!(error(&bytes[..bytes.len() / 2]).contains("ends early"));
        assert!(error(b"hello").contains("not an LMDB file"));
        let mut newer = bytes.clone();
        newer[20] = 3;
        assert!(error(&newer).contains("format 3"));
        assert_eq!(error(&bytes), "");
        assert!(Pack::open(&folder.path().join("none")).is_err());
    }
}
