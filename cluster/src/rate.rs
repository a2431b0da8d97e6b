//! How fast work in the background may go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in a second, at least 1, which can be changed while the work goes on. Clones are the same rate.
#[derive(Clone, Debug)]
pub(crate) struct Rate(Arc<AtomicU64>);

impl Rate {
    pub(crate) fn new(bytes_per_second: u64) -> Rate {
        Rate(Arc::new(AtomicU64::new(bytes_per_second)))
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).max(1)
    }

    pub(crate) fn set(&self, bytes_per_second: u64) {
        self.0.store(bytes_per_second, Ordering::Relaxed);
    }
}
