//! Whose votes are withheld: in memory here, and durably in a note in the partition's directory ([`Withheld`]).

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chronos_domain::PartitionId;
use chronos_env::Env;
pub(crate) use chronos_store::Withheld;
use futures::future::BoxFuture;
use parking_lot::RwLock;

use crate::node::NodeId;
use crate::peer::{Handler, Message, Refusal};
use crate::raft::{Post, asks_for_a_vote};

/// The partitions of this node whose votes are withheld; of those that were discarded on purpose with the entry that frees
/// them. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Ballots(Arc<RwLock<BTreeMap<u8, Option<u64>>>>);

impl Ballots {
    /// No vote is cast from now on, and none asked for by a group that is started from now on. A group that is running
    /// must be ended before.
    pub(crate) fn withhold(&self, id: PartitionId) {
        self.0.write().insert(id.get(), None);
    }

    /// The same, until everything up to `reach` is applied.
    pub(crate) fn withhold_until(&self, id: PartitionId, reach: u64) {
        self.0.write().insert(id.get(), Some(reach));
    }

    /// The entry that frees the votes; `None` where no entry does, or where they are free.
    pub(crate) fn reach(&self, id: PartitionId) -> Option<u64> {
        self.0.read().get(&id.get()).copied().flatten()
    }

    pub(crate) fn release(&self, id: PartitionId) {
        self.0.write().remove(&id.get());
    }

    pub(crate) fn are_withheld(&self, id: PartitionId) -> bool {
        self.0.read().contains_key(&id.get())
    }
}

/// Hands the messages of other nodes to the groups, but none that asks for a vote which is withheld.
pub(crate) struct Gate {
    pub(crate) post: Post,
    pub(crate) ballots: Ballots,
}

impl Gate {
    fn withholds(&self, message: &Message) -> bool {
        asks_for_a_vote(message.kind) && self.ballots.0.read().contains_key(&message.group)
    }
}

impl Handler for Gate {
    fn handle(&self, from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        if self.withholds(&message) {
            chronos_env::sometimes!("repair.vote_withheld");
            let text = format!(
                "votes of group {} are withheld: this replica does not have everything again",
                message.group
            );
            return Box::pin(async move { Err(Refusal::new(Refusal::FAILED, text)) });
        }
        self.post.handle(from, message)
    }
}

/// Reads the file of a partition on a thread that may block.
pub(crate) async fn withheld(env: &Env, dir: PathBuf) -> io::Result<Option<Withheld>> {
    let disk = Arc::clone(&env.disk);
    env.tasks.blocking(move || Withheld::read(disk.as_ref(), &dir)).await
}

/// Writes it, or removes it, durably.
pub(crate) async fn set_withheld(env: &Env, dir: PathBuf, to: Option<Withheld>) -> io::Result<()> {
    let disk = Arc::clone(&env.disk);
    env.tasks
        .blocking(move || match to {
            Some(withheld) => withheld.write(disk.as_ref(), &dir),
            None => Withheld::remove(disk.as_ref(), &dir),
        })
        .await
}
