//! A damaged pack is an error: opening and reading it neither panics nor reads outside the file.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use anrl::pack::Pack;
use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;

static FILE: LazyLock<NamedTempFile> = LazyLock::new(|| NamedTempFile::new().expect("a temporary file"));

fn read(path: &Path) -> Option<()> {
    let pack = Pack::open(path).ok()?;
    for (key, len) in pack.keys().ok()? {
        if let Ok(Some(value)) = pack.get(&key) {
            // Touches every byte of the map that the pack hands out.
            assert_eq!(value.len(), len);
            std::hint::black_box(value.iter().map(|&byte| u64::from(byte)).sum::<u64>());
        }
    }
    pack.get(b"no such key").ok()?;
    Some(())
}

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(FILE.path(), bytes).expect("a temporary file");
    read(FILE.path());
});
