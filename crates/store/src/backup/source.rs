//! What a backup is copied from: the parts of all partitions, held as they were at one moment, here or on other nodes.

use std::sync::Arc;

use bytes::Bytes;
use chronos_domain::{PartitionId, Timestamp};
use chronos_parts::{Manifest, Part, PartFile};

use super::listing::Listing;
use crate::fault::Fault;
use crate::shelf::Shelf;

/// What one partition has at rest.
pub enum Share {
    /// On this node. A shelf holds its files open, so that they can be read to their end though compaction removes their
    /// names meanwhile.
    Here(Arc<Shelf>),
    /// On another node only, which has to hold them as well.
    Elsewhere(Arc<Manifest>),
}

/// One state of every partition, held for whoever copies it.
pub struct Source {
    shares: Vec<Share>,
    listing: Listing,
}

/// One file of a source. Holds it open.
pub struct SourceFile {
    part: Arc<Part>,
    file: PartFile,
    bytes: u64,
}

impl Source {
    /// The state that these shares have, one for each data partition, ascending; everything recorded at `created_at` or
    /// before is in it.
    ///
    /// # Panics
    /// As [`Listing::new`].
    pub fn new(release: &str, cluster: u128, created_at: Timestamp, shares: Vec<Share>) -> Source {
        let manifests = shares.iter().map(|share| share.manifest().clone()).collect();
        Source { listing: Listing::new(release, cluster, created_at, manifests), shares }
    }

    /// What there is to copy.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The file of that name, if the listing has it and it is here.
    pub fn file(&self, partition: PartitionId, name: &str) -> Option<SourceFile> {
        let Share::Here(shelf) = self.shares.get(partition.index())? else { return None };
        shelf.parts.iter().find_map(|part| {
            let (file, meta) = part.named(name)?;
            Some(SourceFile { part: Arc::clone(part), file, bytes: meta.bytes })
        })
    }
}

impl Share {
    fn manifest(&self) -> &Manifest {
        match self {
            Share::Here(shelf) => &shelf.manifest,
            Share::Elsewhere(manifest) => manifest,
        }
    }
}

impl SourceFile {
    pub(crate) fn new(part: Arc<Part>, file: PartFile, bytes: u64) -> SourceFile {
        SourceFile { part, file, bytes }
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `len` bytes from `offset` on, or as many as there are. As they are on disk: whoever receives the file checks the
    /// hash of the whole. Blocks on the disk.
    ///
    /// # Errors
    /// [`Fault`] when they cannot be read.
    pub fn read(&self, offset: u64, len: usize) -> Result<Bytes, Fault> {
        let left = self.bytes.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(len).min(len)];
        self.part.copy(self.file, offset, &mut bytes).map_err(Fault::of_parts(self.part.partition()))?;
        Ok(bytes.into())
    }
}
