//! Parts on their way between nodes.
//!
//! A part is two immutable files, and a file is named by the hash of its content: `(partition, SHA-256 in hex)`. So it
//! does not matter which node a file comes from, nor which manifest named it first; whoever receives one believes the
//! hash and nobody's word. The index of a part travels too, though it could be built from the events: its bytes are a few
//! per cent of theirs, building it means decoding all of them, and its hash is in the manifest either way.
//!
//! * [`Parcels`] gives files to others. A file stays open until its transfer is over, whatever compaction does meanwhile;
//!   the parts of a manifest that was offered stay until the offer is over.
//! * [`fetch_part`] gets both files of a part, resuming what an earlier try has left.

mod fetch;

use std::sync::Arc;

use bytes::Bytes;
use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_store::Hash;
use chronos_store::backup::SourceFile;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::RwLock;

pub use fetch::{FetchError, fetch_part};

use crate::groups::Groups;
use crate::node::NodeId;
use crate::peer::{BulkFile, BulkItem, BulkSource, Refusal};

/// Gives the parts of a node's partitions to other nodes, by hash. Clones share it.
#[derive(Clone)]
pub struct Parcels {
    env: Env,
    groups: Arc<RwLock<Option<Groups>>>,
}

impl Parcels {
    /// Has nothing to give before [`open`](Parcels::open): connections are there before groups.
    pub fn new(env: &Env) -> Parcels {
        Parcels { env: env.clone(), groups: Arc::default() }
    }

    /// From now on gives what these groups hold.
    pub fn open(&self, groups: &Groups) {
        *self.groups.write() = Some(groups.clone());
    }

    /// Gives nothing any more, and forgets the groups.
    pub fn close(&self) {
        *self.groups.write() = None;
    }

    /// A partition that is quarantined gives its parts, too: who receives them sees by their hash which are sound.
    fn find(&self, item: &BulkItem) -> Result<SourceFile, Refusal> {
        let malformed = || {
            let text = format!("{} of group {} is no name of a part's file", item.name, item.group);
            Refusal::new(Refusal::MALFORMED, text)
        };
        let id = PartitionId::of_group(item.group).ok_or_else(malformed)?;
        let sha256: Hash = item.name.parse().map_err(|_| malformed())?;
        let groups = self.groups.read().clone();
        let shelves = groups.map(|groups| groups.shelves(id)).unwrap_or_default();
        let found = shelves.iter().find_map(|shelf| shelf.file(sha256));
        found.ok_or_else(|| {
            let text = format!("partition {id} has no file {sha256} here, or no longer");
            Refusal::new(Refusal::ABSENT, text)
        })
    }
}

impl BulkSource for Parcels {
    fn open(&self, _: NodeId, item: &BulkItem) -> BoxFuture<'static, Result<Arc<dyn BulkFile>, Refusal>> {
        let found = self.find(item).map(|file| {
            let file: Arc<dyn BulkFile> = Arc::new(Parcel { env: self.env.clone(), file: Arc::new(file) });
            file
        });
        async move { found }.boxed()
    }
}

/// A file on its way out.
struct Parcel {
    env: Env,
    file: Arc<SourceFile>,
}

impl BulkFile for Parcel {
    fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let (env, file) = (self.env.clone(), Arc::clone(&self.file));
        async move {
            let read = env.tasks.blocking(move || file.read(offset, len)).await;
            read.map_err(|fault| Refusal::new(Refusal::FAILED, fault.to_string()))
        }
        .boxed()
    }
}
