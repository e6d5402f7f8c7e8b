//! The thread pool. rayon's global pool hangs for ever in a forked child (a DataLoader worker), so the
//! pool here belongs to one process id and is built anew after a fork or when the wanted size changes.

use std::sync::{Arc, Mutex};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Work on fewer values than this stays on the calling thread: waking the pool would cost more.
pub const PARALLEL_FROM: usize = 1 << 18;

struct Current {
    process: u32,
    threads: usize,
    pool: Arc<ThreadPool>,
}

static CURRENT: Mutex<Option<Current>> = Mutex::new(None);

/// The pool of this process with `threads` threads (at least one).
///
/// # Errors
/// The operating system refused to start a thread.
pub fn pool(threads: usize) -> Result<Arc<ThreadPool>, ThreadPoolBuildError> {
    let threads = threads.max(1);
    let process = std::process::id();
    let mut current = CURRENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(found) = current.as_ref()
        && found.process == process
        && found.threads == threads
    {
        return Ok(found.pool.clone());
    }
    let pool =
        Arc::new(ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("anrl-{i}")).build()?);
    let previous = current.replace(Current { process, threads, pool: pool.clone() });
    if let Some(previous) = previous
        && previous.process != process
    {
        // Its threads live in the parent process: dropping it here would wait for them for ever.
        std::mem::forget(previous);
    }
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::pool;

    #[test]
    fn pool_has_the_wanted_size_and_is_kept() {
        let first = pool(2).expect("threads");
        assert_eq!(first.current_num_threads(), 2);
        assert_eq!(pool(0).expect("threads").current_num_threads(), 1);
    }
}
