//! Pages that were read and checked, kept within a bound of bytes.
//!
//! One cache serves all parts of a node. It holds *decoded* pages, so that a page is checked, unpacked and parsed once
//! for many reads. Values are of any type; a key says what it stands for, and a page is never changed, so nothing is
//! ever invalidated: pages of a part that is gone are simply no longer asked for, and make room.
//!
//! Eviction is CLOCK: every hit marks its page, and the hand that looks for room takes the first page that was not hit
//! since the hand last passed. Neither order of keys nor hash seeds depend on the process, so a simulation that
//! repeats its reads repeats its misses.

mod shard;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use shard::Shard;

/// A bounded store of decoded pages. Clones share it.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

/// How a cache does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// The bound: bytes it may hold.
    pub capacity: u64,
    /// Bytes it holds; never above `capacity`.
    pub bytes: u64,
    /// Pages it holds.
    pub pages: u64,
    /// Reads that found their page.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Pages that made room for others.
    pub evicted: u64,
    /// Pages of index files decoded so far.
    pub index_pages: u64,
    /// Pages of Parquet files decoded so far, bulk reads that go past the cache included.
    pub parquet_pages: u64,
}

/// An open file, as long as this cache lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u64);

/// Which pages of a file a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    /// Pages of this section of an index file.
    Index(u8),
    /// Pages of this column of a Parquet file.
    Parquet(u8),
}

/// What a cached page is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageKey {
    pub(crate) file: FileId,
    pub(crate) kind: PageKind,
    pub(crate) page: u32,
}

/// A page of any type.
type Value = Arc<dyn Any + Send + Sync>;

struct Inner {
    capacity: usize,
    shards: Box<[Mutex<Shard>]>,
    files: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    index_pages: AtomicU64,
    parquet_pages: AtomicU64,
}

/// More shards wait less for each other; fewer leave room for big pages. A shard has room for at least this much.
const SHARD_BYTES_MIN: usize = 16 << 20;
const SHARDS_MAX: usize = 16;

impl Cache {
    /// A cache that holds at most `bytes` bytes. With 0 it holds nothing, and every read decodes its page.
    pub fn new(bytes: usize) -> Cache {
        let shards = (bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        Cache(Arc::new(Inner {
            capacity: bytes,
            shards: (0..shards).map(|_| Mutex::new(Shard::new(bytes / shards))).collect(),
            files: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            index_pages: AtomicU64::new(0),
            parquet_pages: AtomicU64::new(0),
        }))
    }

    /// How it does. The numbers are read one after the other while others go on counting.
    pub fn stats(&self) -> CacheStats {
        let inner = &self.0;
        let mut stats = CacheStats {
            capacity: inner.capacity as u64,
            hits: inner.hits.load(Ordering::Relaxed),
            misses: inner.misses.load(Ordering::Relaxed),
            index_pages: inner.index_pages.load(Ordering::Relaxed),
            parquet_pages: inner.parquet_pages.load(Ordering::Relaxed),
            ..CacheStats::default()
        };
        for shard in &inner.shards {
            let shard = shard.lock();
            stats.bytes += shard.bytes() as u64;
            stats.pages += shard.pages() as u64;
            stats.evicted += shard.evicted();
        }
        stats
    }

    /// A name for a file that was just opened, given to no other.
    pub(crate) fn register(&self) -> FileId {
        FileId(self.0.files.fetch_add(1, Ordering::Relaxed))
    }

    /// The page of this name; `load` decodes it when it is not here, and says how many bytes it takes. Nothing is locked
    /// meanwhile, so two readers may both load it; the later one's is kept.
    ///
    /// # Errors
    /// What `load` says; nothing is kept then.
    ///
    /// # Panics
    /// When a page of another type was kept under the same name.
    pub(crate) fn get_or_load<T, E>(
        &self,
        key: PageKey,
        load: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E>
    where
        T: Any + Send + Sync,
    {
        let hash = key.hash();
        let found = self.shard(hash).lock().get(hash, key);
        if let Some(value) = found {
            self.0.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(value.downcast().expect("a kind of page has one type"));
        }
        self.0.misses.fetch_add(1, Ordering::Relaxed);
        let (page, bytes) = load()?;
        self.count_decoded(key.kind, 1);
        let page = Arc::new(page);
        let dropped = self.shard(hash).lock().insert(hash, key, Arc::<T>::clone(&page), bytes);
        drop(dropped); // outside of the lock: freeing big pages takes a while
        Ok(page)
    }

    /// Counts pages that a bulk read has decoded without keeping them.
    pub(crate) fn count_decoded(&self, kind: PageKind, pages: u64) {
        let counter = match kind {
            PageKind::Index(_) => &self.0.index_pages,
            PageKind::Parquet(_) => &self.0.parquet_pages,
        };
        counter.fetch_add(pages, Ordering::Relaxed);
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The top bits: the shard's own table uses the low ones.
        let shards = self.0.shards.len() as u64;
        &self.0.shards[(((hash >> 32) * shards) >> 32) as usize]
    }
}

impl PageKey {
    /// Spreads neighbouring pages over all bits, the same way in every process.
    fn hash(self) -> u64 {
        let kind = match self.kind {
            PageKind::Index(section) => u64::from(section),
            PageKind::Parquet(column) => 0x100 | u64::from(column),
        };
        let mixed =
            (self.file.0 << 42 ^ kind << 32 ^ u64::from(self.page)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cache").field(&self.stats()).finish()
    }
}
