//! What a backup consists of: the manifests of all partitions, and with them the name and the hash of every file.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use chronos_domain::limits::PARTITIONS;
use chronos_domain::{PartitionId, Timestamp, Token};
use chronos_parts::{FileMeta, Manifest};

use super::codec;
use super::error::{Error, NAME_AGAIN};

/// One state of a whole cluster at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The release that made it.
    pub release: String,
    /// Whose events they are.
    pub cluster: u128,
    /// Everything that was recorded at this moment or before is in it.
    pub created_at: Timestamp,
    manifests: Vec<Manifest>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Whose it is.
    pub partition: PartitionId,
    /// Its name in the partition's directory.
    pub name: String,
    /// Its length and its hash.
    pub meta: FileMeta,
}

impl Listing {
    /// The state that these manifests describe, one for each data partition, ascending.
    ///
    /// # Panics
    /// When a partition is missing, or a manifest breaks an invariant or belongs to another cluster: a backup of that
    /// could not be restored.
    pub fn new(release: &str, cluster: u128, created_at: Timestamp, manifests: Vec<Manifest>) -> Listing {
        let listing = Listing { release: release.to_owned(), cluster, created_at, manifests };
        if let Err(broken) = listing.check() {
            panic!("a backup must not be made of this: {broken}");
        }
        listing
    }

    /// Whether it is complete and each of its manifests whole.
    pub(super) fn check(&self) -> Result<(), String> {
        let found = self.manifests.len();
        if found != usize::from(PARTITIONS) {
            return Err(format!("it holds {found} manifests instead of {PARTITIONS}"));
        }
        for (id, manifest) in PartitionId::all().zip(&self.manifests) {
            if manifest.partition != id {
                return Err(format!("it holds partition {} in the place of {id}", manifest.partition));
            }
            if manifest.cluster != self.cluster {
                return Err(format!("its manifest of partition {id} belongs to another cluster"));
            }
            manifest.check().map_err(|broken| format!("its manifest of partition {id}: {broken}"))?;
        }
        Ok(())
    }

    /// What each partition consists of, ascending.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// How far it goes in every partition.
    pub fn token(&self) -> Token {
        self.manifests.iter().map(|manifest| (manifest.partition, manifest.compacted)).collect()
    }

    /// Events in it.
    pub fn events(&self) -> u64 {
        self.manifests.iter().map(|manifest| manifest.compacted.get()).fold(0, u64::saturating_add)
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.manifests.iter().map(Manifest::bytes).fold(0, u64::saturating_add)
    }

    /// Every file, by partition and position: of each part the Parquet file, then the index.
    pub fn files(&self) -> impl Iterator<Item = NamedFile> {
        self.manifests.iter().flat_map(|manifest| {
            let partition = manifest.partition;
            manifest.parts.iter().flat_map(move |part| {
                let parquet = NamedFile { partition, name: part.parquet_name(), meta: part.parquet };
                [parquet, NamedFile { partition, name: part.index_name(), meta: part.index }]
            })
        })
    }

    /// The bytes of the file `BACKUP`.
    pub fn encode(&self) -> Bytes {
        codec::encode(self).into()
    }

    /// The listing whose `BACKUP` has these bytes; `file` is where they come from, for errors.
    ///
    /// # Errors
    /// [`Error::Damaged`], or [`Error::Newer`] for a format of a later release.
    pub fn decode(bytes: &[u8], file: &Path) -> Result<Listing, Error> {
        let listing = codec::decode(bytes).map_err(|malformed| malformed.in_file(file))?;
        listing.check().map_err(|broken| Error::damaged(file, broken, NAME_AGAIN))?;
        Ok(listing)
    }

    /// A listing that nobody has checked.
    pub(super) fn unchecked(
        release: String,
        cluster: u128,
        created_at: Timestamp,
        manifests: Vec<Manifest>,
    ) -> Listing {
        Listing { release, cluster, created_at, manifests }
    }
}

impl NamedFile {
    /// Where it lies in the directory of a backup or of a node.
    pub fn path(&self, dir: &Path) -> PathBuf {
        parts_dir(dir, self.partition).join(&self.name)
    }
}

/// Where a partition's files lie in the directory of a backup or of a node.
pub(super) fn parts_dir(dir: &Path, partition: PartitionId) -> PathBuf {
    dir.join(PARTS).join(format!("p{:02}", partition.get()))
}

/// The directory of all partitions' parts.
pub(super) const PARTS: &str = "parts";
