//! Writing packs, with LMDB itself.
//!
//! The crate `heed` would not spare the unsafe code: none of its write transactions can be kept beside its environment,
//! and it makes files that only their owner may read.

use std::ffi::{CStr, CString, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use lmdb_master_sys as lmdb;

use super::MAX_KEY;
use crate::error::DataError;

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
    /// The folder cannot be written.
    pub fn create(path: &Path) -> Result<Self, DataError> {
        let failed = |reason: String| DataError::of_pack(path, reason);
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
    /// The key is empty, too long or already there, or the disk is full.
    pub fn put(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), DataError> {
        let failed =
            |path: &Path, reason: &str| DataError::new(reason).in_sample(path, &String::from_utf8_lossy(key));
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
            Some(open) => open.commit().map_err(|reason| DataError::of_pack(&self.path, reason)),
            None => Ok(()),
        }
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(mut self) -> Result<(), DataError> {
        self.commit()?;
        // SAFETY: the environment is open and has no open transaction.
        check(unsafe { lmdb::mdb_env_sync(self.environment.0, 1) })
            .map_err(|reason| DataError::of_pack(&self.path, reason))
    }
}
