//! LMDB packs: format 1 (LMDB 0.9, py-lmdb 1 to 3), the layout of the official code (path → file bytes).
//!
//! A reader never takes LMDB's lock: it works on read-only media, beside a py-lmdb reader of the same
//! process, and after a fork. Values are slices of the memory map.

use std::ffi::{CStr, CString, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use lmdb_master_sys as lmdb;

use super::DataError;

/// Keys longer than this do not fit LMDB.
pub const MAX_KEY: usize = 511;

/// Keys that begin with this are not samples.
pub const RESERVED: &[u8] = b"__anrl__/";

const MAGIC: u32 = 0xBEEF_C0DE;

fn check(code: i32) -> Result<(), String> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: mdb_strerror returns a static or thread-local C string for every code.
    let text = unsafe { CStr::from_ptr(lmdb::mdb_strerror(code)) };
    Err(text.to_string_lossy().into_owned())
}

fn value(bytes: &[u8]) -> lmdb::MDB_val {
    lmdb::MDB_val { mv_size: bytes.len(), mv_data: bytes.as_ptr().cast_mut().cast() }
}

/// An open environment; closed when dropped.
struct Environment(*mut lmdb::MDB_env);

impl Environment {
    fn open(path: &Path, map_size: usize, flags: c_uint) -> Result<Self, String> {
        let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` receives a new environment, owned by `env` from here on (mdb_env_close is right
        // after a failed open too); the path is a C string that outlives the calls.
        unsafe {
            check(lmdb::mdb_env_create(&raw mut raw))?;
            let env = Self(raw);
            if map_size > 0 {
                check(lmdb::mdb_env_set_mapsize(raw, map_size))?;
            }
            check(lmdb::mdb_env_open(raw, c_path.as_ptr(), flags, 0o644))?;
            Ok(env)
        }
    }

    fn begin(&self, flags: c_uint) -> Result<Transaction, String> {
        let mut txn = ptr::null_mut();
        // SAFETY: the environment is open; the transaction is owned by `transaction`, which aborts it.
        unsafe {
            check(lmdb::mdb_txn_begin(self.0, ptr::null_mut(), flags, &raw mut txn))?;
            let mut transaction = Transaction { txn, dbi: 0 };
            check(lmdb::mdb_dbi_open(txn, ptr::null(), 0, &raw mut transaction.dbi))?;
            Ok(transaction)
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // SAFETY: created by mdb_env_create and closed only here; transactions are dropped before it.
        unsafe { lmdb::mdb_env_close(self.0) }
    }
}

/// An open transaction on the main database; aborted when dropped.
struct Transaction {
    txn: *mut lmdb::MDB_txn,
    dbi: lmdb::MDB_dbi,
}

impl Transaction {
    fn commit(self) -> Result<(), String> {
        let txn = std::mem::ManuallyDrop::new(self).txn;
        // SAFETY: a live transaction; mdb_txn_commit frees it, and ManuallyDrop keeps Drop from aborting it.
        check(unsafe { lmdb::mdb_txn_commit(txn) })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: begun by mdb_txn_begin, neither committed nor aborted before.
        unsafe { lmdb::mdb_txn_abort(self.txn) }
    }
}

// SAFETY: with MDB_NOTLS and MDB_NOLOCK a transaction is not bound to a thread.
unsafe impl Send for Transaction {}
// SAFETY: LMDB environments may be shared between threads.
unsafe impl Send for Environment {}
// SAFETY: as above.
unsafe impl Sync for Environment {}

/// The data file of the pack at `path`: itself, or `data.mdb` in it.
fn data_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("data.mdb") } else { path.to_owned() }
}

/// Refuses what is no LMDB file of format 1, in words that tell what to do.
fn sniff(path: &Path) -> Result<(), DataError> {
    use std::io::Read;
    let file = data_file(path);
    let mut head = [0; 32];
    std::fs::File::open(&file).and_then(|mut f| f.read_exact(&mut head)).map_err(|e| {
        let reason = match e.kind() {
            std::io::ErrorKind::NotFound if path.is_dir() => "a folder without data.mdb: not a pack".into(),
            std::io::ErrorKind::NotFound => "no such pack".into(),
            std::io::ErrorKind::UnexpectedEof => "not an LMDB file".into(),
            _ => format!("cannot be read: {e}"),
        };
        DataError::pack(path, reason)
    })?;
    let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // The meta page's header has 16 bytes in format 1 and 24 in format 3.
    let version = [16, 24].into_iter().find(|&at| word(at) == MAGIC).map(|at| word(at + 4) & 0xffff);
    match version {
        Some(1) => Ok(()),
        Some(version) => Err(DataError::pack(
            path,
            format!(
                "an LMDB file of format {version}; this reader knows format 1: copy it with \
                 py-lmdb's default settings, or pack the files again with `anrl pack`"
            ),
        )),
        None => Err(DataError::pack(path, "not an LMDB file")),
    }
}

/// A pack, open for reading.
pub struct Pack {
    // Dropped before the environment it belongs to.
    transaction: Mutex<Transaction>,
    environment: Environment,
    path: PathBuf,
}

impl Pack {
    /// Opens a folder with `data.mdb`, or an LMDB file.
    ///
    /// # Errors
    /// [`DataError::Pack`] if there is none, or it is of another format, or ends early.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        sniff(path)?;
        let mut flags = lmdb::MDB_RDONLY | lmdb::MDB_NOLOCK | lmdb::MDB_NOTLS;
        if !path.is_dir() {
            flags |= lmdb::MDB_NOSUBDIR;
        }
        let failed = |reason: String| DataError::pack(path, reason);
        let environment = Environment::open(path, 0, flags).map_err(failed)?;
        let mut info = std::mem::MaybeUninit::<lmdb::MDB_envinfo>::uninit();
        let mut stat = std::mem::MaybeUninit::<lmdb::MDB_stat>::uninit();
        // SAFETY: the environment is open; both calls fill the struct they are given.
        let needed = unsafe {
            check(lmdb::mdb_env_info(environment.0, info.as_mut_ptr())).map_err(failed)?;
            check(lmdb::mdb_env_stat(environment.0, stat.as_mut_ptr())).map_err(failed)?;
            (info.assume_init().me_last_pgno as u64 + 1) * u64::from(stat.assume_init().ms_psize)
        };
        let found = std::fs::metadata(data_file(path)).map_err(|e| failed(e.to_string()))?.len();
        if found < needed {
            // Reading past the end of the map would kill the process.
            return Err(failed(format!("ends early: {found} of {needed} bytes; copy or make it anew")));
        }
        let transaction = Mutex::new(environment.begin(lmdb::MDB_RDONLY).map_err(failed)?);
        Ok(Self { transaction, environment, path: path.to_owned() })
    }

    /// Where the pack lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of entries, reserved ones included.
    #[must_use]
    pub fn entries(&self) -> usize {
        let mut stat = std::mem::MaybeUninit::<lmdb::MDB_stat>::zeroed();
        // SAFETY: the environment is open; on failure the zeroed struct stays, which is valid.
        unsafe {
            lmdb::mdb_env_stat(self.environment.0, stat.as_mut_ptr());
            stat.assume_init().ms_entries
        }
    }

    /// The value of `key`, as a slice of the memory map.
    ///
    /// # Errors
    /// [`DataError::Pack`] if the pack is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>, DataError> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Ok(None);
        }
        let transaction = self.transaction.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut key, mut data) = (value(key), value(&[]));
        // SAFETY: the transaction is live and held by this thread alone; `data` receives a slice of the
        // map, which stays as long as the transaction and so as long as `self`.
        unsafe {
            let code = lmdb::mdb_get(transaction.txn, transaction.dbi, &raw mut key, &raw mut data);
            if code == lmdb::MDB_NOTFOUND {
                return Ok(None);
            }
            check(code).map_err(|reason| DataError::pack(&self.path, reason))?;
            Ok(Some(std::slice::from_raw_parts(data.mv_data.cast(), data.mv_size)))
        }
    }

    /// Every key in order with the length of its value, reserved keys left out.
    ///
    /// # Errors
    /// [`DataError::Pack`] if the pack is damaged.
    pub fn keys(&self) -> Result<Vec<(Vec<u8>, usize)>, DataError> {
        let failed = |reason| DataError::pack(&self.path, reason);
        let transaction = self.transaction.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = Vec::with_capacity(self.entries());
        let mut cursor = ptr::null_mut();
        // SAFETY: the cursor lives within the lock on its transaction and is closed on every way out; key
        // and data are slices of the map that are copied or measured before the next call.
        unsafe {
            check(lmdb::mdb_cursor_open(transaction.txn, transaction.dbi, &raw mut cursor))
                .map_err(failed)?;
            let (mut key, mut data) = (value(&[]), value(&[]));
            let mut operation = lmdb::MDB_FIRST;
            let outcome = loop {
                let code = lmdb::mdb_cursor_get(cursor, &raw mut key, &raw mut data, operation);
                if code == lmdb::MDB_NOTFOUND {
                    break Ok(());
                }
                if let Err(reason) = check(code) {
                    break Err(failed(reason));
                }
                let bytes = std::slice::from_raw_parts(key.mv_data.cast::<u8>(), key.mv_size);
                if !bytes.starts_with(RESERVED) {
                    keys.push((bytes.to_vec(), data.mv_size));
                }
                operation = lmdb::MDB_NEXT;
            };
            lmdb::mdb_cursor_close(cursor);
            outcome.map(|()| keys)
        }
    }
}

/// A pack being written. Nothing is durable before [`PackWriter::finish`].
pub struct PackWriter {
    // Dropped before the environment it belongs to.
    transaction: Option<Transaction>,
    environment: Environment,
    path: PathBuf,
    uncommitted: usize,
    /// Bytes that the map has, and about how many of them are used.
    map: usize,
    used: usize,
    last_key: Vec<u8>,
}

/// Values written in one transaction: bounds its memory.
const COMMIT_EVERY: usize = 64 << 20;

/// Size of the map at first. It is address space, not memory, and grows.
const FIRST_MAP: usize = 1 << 30;

const PAGE: usize = 4096;

impl PackWriter {
    /// Creates a pack in the existing, empty folder `path`. Keys that come in order are packed most densely.
    ///
    /// # Errors
    /// [`DataError::Pack`] if the folder cannot be written.
    pub fn create(path: &Path) -> Result<Self, DataError> {
        let failed = |reason: String| DataError::pack(path, reason);
        // No lock: nobody else knows the folder yet.
        let flags = lmdb::MDB_NOLOCK | lmdb::MDB_NOTLS;
        let map = FIRST_MAP;
        let environment = Environment::open(path, map, flags).map_err(failed)?;
        let (path, last_key) = (path.to_owned(), Vec::new());
        Ok(Self { transaction: None, environment, path, uncommitted: 0, map, used: 0, last_key })
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`DataError::Pack`] if the key is empty, too long or already there, or the disk is full.
    pub fn put(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), DataError> {
        let name = String::from_utf8_lossy(key).into_owned();
        let failed = |path: &Path, reason: &str| DataError::pack(path, format!("key '{name}': {reason}"));
        if key.is_empty() || key.len() > MAX_KEY {
            let reason = format!("{} bytes long; LMDB takes 1 to {MAX_KEY}", key.len());
            return Err(failed(&self.path, &reason));
        }
        // A value takes whole pages, and every entry space in the tree.
        self.used += bytes.len() + 3 * PAGE;
        if self.used > self.map / 2 {
            self.commit()?;
            self.map = self.map.max(self.used) * 2;
            // SAFETY: the environment is open and has no open transaction.
            check(unsafe { lmdb::mdb_env_set_mapsize(self.environment.0, self.map) })
                .map_err(|reason| failed(&self.path, &reason))?;
        }
        if self.uncommitted > COMMIT_EVERY {
            self.commit()?;
        }
        let in_order = key > self.last_key.as_slice();
        if in_order {
            self.last_key = key.to_vec();
        }
        let flags = if in_order { lmdb::MDB_APPEND } else { lmdb::MDB_NOOVERWRITE };
        let transaction = match &self.transaction {
            Some(open) => open,
            None => {
                let begun = self.environment.begin(0).map_err(|e| failed(&self.path, &e))?;
                self.transaction.insert(begun)
            }
        };
        let (mut key, mut data) = (value(key), value(bytes));
        // SAFETY: a live write transaction; LMDB copies key and data before it returns.
        let code =
            unsafe { lmdb::mdb_put(transaction.txn, transaction.dbi, &raw mut key, &raw mut data, flags) };
        if code == lmdb::MDB_KEYEXIST {
            return Err(failed(&self.path, "is there twice"));
        }
        check(code).map_err(|reason| failed(&self.path, &reason))?;
        self.uncommitted += bytes.len();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), DataError> {
        self.uncommitted = 0;
        match self.transaction.take() {
            Some(open) => open.commit().map_err(|reason| DataError::pack(&self.path, reason)),
            None => Ok(()),
        }
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// [`DataError::Pack`] if the disk is full.
    pub fn finish(mut self) -> Result<(), DataError> {
        self.commit()?;
        // SAFETY: the environment is open and has no open transaction.
        check(unsafe { lmdb::mdb_env_sync(self.environment.0, 1) })
            .map_err(|reason| DataError::pack(&self.path, reason))
    }
}

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
