//! openraft's state machine: a partition of the store.
//!
//! * Entries are applied in log order, each once; one that only the consensus layer cares about advances the applied
//!   index and nothing else. Each proposer is told as soon as its own entry is applied and visible.
//! * The partition keeps nothing on disk but its manifest. After a restart it is rebuilt from there and from the log, as
//!   far as the log is known to be committed; openraft applies the rest.
//! * A snapshot is a manifest: building one reads nothing and writes nothing. What it names are immutable files.
//! * Apply may have to look into parts. It then runs where blocking is allowed, so that a slow disk holds up this group
//!   and no other.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use chronos_env::Env;
use chronos_store::entry::{self, Outcome};
use chronos_store::{Command, Manifest, Members, Partition, Shelf};
use chronos_wal::Mark;
use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use tokio::sync::mpsc;

use super::codec::{decode_members, encode_members};
use super::log_store::LogStore;
use super::trouble::Trouble;
use super::types::{
    Batch, Entry, LogId, Membership, Payload, SnapshotMeta, StoredMembership, Types, log_id_of, mark_of,
};
use crate::node::NodeId;

type Snapshot = super::types::Snapshot<SnapshotData>;

/// A snapshot.
#[derive(Clone, Debug)]
pub(crate) enum SnapshotData {
    /// One of this node: the parts it consists of stay readable while it is held.
    Held(Arc<Shelf>),
    /// One of another node, every part of which is here by now.
    Arrived(Arc<Manifest>),
}

/// Told after every entry.
pub(crate) type Applied = Arc<dyn Fn(&Partition) + Send + Sync>;

/// The state machine of one group.
pub(crate) struct Machine {
    pub(crate) env: Env,
    pub(crate) partition: Partition,
    pub(crate) log: LogStore,
    pub(crate) trouble: Trouble,
    pub(crate) applied: Applied,
    pub(crate) members: Known,
    /// Closed when this machine is gone, and with it the last one who could apply.
    pub(crate) _alive: mpsc::Sender<()>,
}

/// Who the members of a group are when no entry has said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// This node alone: the group begins here.
    Founder(NodeId),
    /// Nobody: the group is elsewhere, and this node has yet to hear of it.
    Nobody,
}

impl Known {
    /// What is known when these members were named last.
    pub(crate) fn or_named(self, named: Option<Members>) -> io::Result<StoredMembership> {
        match (named, self) {
            (Some(named), _) => {
                let members = decode_members(&named.payload).map_err(io::Error::other)?;
                Ok(StoredMembership::new(log_id_of(named.mark), members))
            }
            (None, Known::Founder(node)) => {
                let alone = Membership::new_with_defaults(vec![BTreeSet::from([node])], []);
                Ok(StoredMembership::new(None, alone))
            }
            (None, Known::Nobody) => Ok(StoredMembership::default()),
        }
    }
}

impl Machine {
    async fn apply_one(&self, entry: Entry) -> io::Result<Vec<Outcome>> {
        let mark = mark_of(Some(&entry.log_id));
        let applied = match entry.payload {
            Payload::Normal(batch) => self.apply_batch(mark, batch).await,
            Payload::Blank => self.partition.apply::<Command>(mark, &[]).map_err(|fault| fault.to_string()),
            Payload::Membership(members) => {
                self.mark_change(mark, &members);
                let members = Members { mark, payload: encode_members(&members) };
                let named = self.partition.apply_members(&members);
                named.map(|()| Vec::new()).map_err(|fault| fault.to_string())
            }
        };
        let outcomes = applied.map_err(|fault| self.trouble.failed(format!("apply failed: {fault}")))?;
        self.log.applied(mark.index);
        (self.applied)(&self.partition);
        Ok(outcomes)
    }

    async fn apply_batch(&self, mark: Mark, batch: Batch) -> Result<Vec<Outcome>, String> {
        if !self.partition.applies_from_disk() {
            return apply_here(&self.partition, mark, &batch);
        }
        let partition = self.partition.clone();
        self.env.tasks.blocking(move || apply_here(&partition, mark, &batch)).await
    }

    /// What is rare about a change of members, by those that are named so far.
    fn mark_change(&self, mark: Mark, next: &Membership) {
        let named = || self.members.or_named(self.partition.members()).ok();
        let is_joint = |members: &Membership| members.get_joint_config().len() > 1;
        let promotes = |now: StoredMembership| {
            let learners: Vec<NodeId> = now.membership().learner_ids().collect();
            next.voter_ids().any(|voter| learners.contains(&voter))
        };
        let ends_anothers = |now: StoredMembership| {
            is_joint(now.membership()) && mark_of(now.log_id().as_ref()).term < mark.term
        };
        chronos_env::sometimes!("members.joint", is_joint(next));
        chronos_env::sometimes!("members.learner_promoted", named().is_some_and(promotes));
        chronos_env::sometimes!("members.joint_of_another_leader_ended", named().is_some_and(ends_anothers));
    }

    fn snapshot(&self) -> io::Result<Snapshot> {
        snapshot_of(&self.partition, self.members)
    }
}

fn apply_here(partition: &Partition, mark: Mark, batch: &Batch) -> Result<Vec<Outcome>, String> {
    if let Some(commands) = &batch.commands {
        return partition.apply(mark, commands).map_err(|fault| fault.to_string());
    }
    let entry = entry::decode(&batch.payload)
        .map_err(|malformed| format!("log entry {}: {malformed}", mark.index))?;
    let head = partition.head();
    if entry.known_head > head {
        let known = entry.known_head;
        return Err(format!(
            "log entry {} was written when position {known} was applied, but this replica has reached only {head}",
            mark.index
        ));
    }
    partition.apply(mark, &entry.commands).map_err(|fault| fault.to_string())
}

fn snapshot_of(partition: &Partition, members: Known) -> io::Result<Snapshot> {
    let shelf = partition.shelf();
    let (mark, named) = shelf.snapshot();
    let meta = SnapshotMeta { last_log_id: log_id_of(mark), last_membership: members.or_named(named)? };
    Ok(Snapshot { meta, snapshot: SnapshotData::Held(shelf) })
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let members = self.members.or_named(self.partition.members())?;
        Ok((log_id_of(self.partition.applied_mark()), members))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let outcomes = self.apply_one(entry).await?;
            if let Some(responder) = responder {
                responder.send(outcomes);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { partition: self.partition.clone(), members: self.members }
    }

    /// When it returns, parts and log are those of the snapshot, for good. openraft asks for the log to be purged
    /// afterwards; that has happened by then.
    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        let SnapshotData::Arrived(manifest) = snapshot else {
            return Err(self.trouble.failed(format!("the snapshot {meta} is this node's own")));
        };
        if manifest.applied <= self.partition.applied_index() {
            chronos_env::sometimes!("raft.snapshot_outrun");
            return Ok(());
        }
        let (partition, index) = (self.partition.clone(), manifest.applied.get());
        let taken = self.env.tasks.blocking(move || partition.take_over(&manifest)).await;
        let failed = |fault: chronos_store::Fault| self.trouble.failed(format!("taking over parts: {fault}"));
        taken.map_err(failed)?;
        self.log.skipped_to(index);
        self.partition.end_take_over().await.map_err(failed)?;
        self.log.applied(index);
        (self.applied)(&self.partition);
        chronos_env::sometimes!("raft.snapshot_installed");
        tracing::info!(partition = self.partition.id().get(), index, "took over the parts of another node");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshot = self.snapshot()?;
        Ok(snapshot.meta.last_log_id.is_some().then_some(snapshot))
    }
}

/// Describes the manifest of the moment.
pub(crate) struct Builder {
    partition: Partition,
    members: Known,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        snapshot_of(&self.partition, self.members)
    }
}
