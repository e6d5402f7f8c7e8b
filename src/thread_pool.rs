//! The thread pools. rayon's global pool hangs forever in a forked child (a DataLoader worker), so each pool
//! belongs to one process and is built anew after a fork.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Work on fewer values than this stays on the calling thread: waking the pool would cost more.
pub const PARALLEL_FROM: usize = 1 << 18;

/// The pools of one process, by their number of threads.
struct Current {
    process: u32,
    pools: HashMap<usize, Arc<ThreadPool>>,
}

static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

/// The pool of this process with `num_threads` threads (at least one).
///
/// # Errors
/// The operating system refused to start a thread.
pub fn pool(num_threads: usize) -> Result<Arc<ThreadPool>, ThreadPoolBuildError> {
    let num_threads = num_threads.max(1);
    let process = std::process::id();
    let mut current = CURRENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if current.as_ref().is_some_and(|pools| pools.process != process) {
        // Their threads live in the parent process: dropping them here would wait for them forever.
        std::mem::forget(current.take());
    }
    let pools = &mut current.get_or_insert_with(|| Current { process, pools: HashMap::new() }).pools;
    if let Some(pool) = pools.get(&num_threads) {
        return Ok(pool.clone());
    }
    let name = |i| format!("anrl-{i}");
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(num_threads).thread_name(name).build()?);
    pools.insert(num_threads, pool.clone());
    Ok(pool)
}

/// Calls `work` with the number of every row of `width` values and the row, on the current pool if `steps` are
/// enough to be worth it.
pub(crate) fn for_each_row<T: Send>(
    out: &mut [T],
    width: usize,
    steps: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    if steps < PARALLEL_FROM {
        out.chunks_exact_mut(width).enumerate().for_each(|(i, row)| work(i, row));
    } else {
        out.par_chunks_exact_mut(width).enumerate().for_each(|(i, row)| work(i, row));
    }
}

#[cfg(test)]
mod tests {
    use super::pool;

    #[test]
    fn pool_has_the_wanted_size_and_is_kept() {
        let first = pool(2).expect("threads");
        assert_eq!(first.current_num_threads(), 2);
        assert!(std::sync::Arc::ptr_eq(&first, &pool(2).expect("threads")));
        assert_eq!(pool(0).expect("threads").current_num_threads(), 1);
    }
}
