//! How the members of a group are changed.

use std::collections::{BTreeMap, BTreeSet};

use chronos_wal::Mark;
use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::Precondition;

use super::Raft;
use super::types::{Types, log_id_of};
use crate::node::NodeId;

/// A change of a group's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A node begins to receive everything, without a say.
    AddLearner(NodeId),
    /// A node without a say is no member any more.
    DropLearner(NodeId),
    /// These have a say, and those who had and are not among them are no members any more.
    Voters(BTreeSet<NodeId>),
}

/// Has a leader change the members of its group; nothing happens where the entry that names them is not `at`. When this
/// returns the change is committed, to its end. If it is given up before, it may be half-way, or come later.
pub(crate) async fn change(raft: &Raft, change: Change, at: Option<Mark>) -> Result<(), String> {
    let leaves = |voters: &BTreeSet<NodeId>| !voters.contains(&raft.metrics().borrow_watched().id);
    chronos_env::sometimes!(
        "members.leader_leaves",
        matches!(&change, Change::Voters(voters) if leaves(voters))
    );
    let change: ChangeMembers<NodeId, ()> = match change {
        Change::AddLearner(node) => ChangeMembers::AddNodes(BTreeMap::from([(node, ())])),
        Change::DropLearner(node) => ChangeMembers::RemoveNodes(BTreeSet::from([node])),
        Change::Voters(voters) => ChangeMembers::ReplaceAllVoters(voters),
    };
    let unchanged =
        at.map(|at| Precondition::<Types>::LastMembershipLogId { last_membership_log_id: log_id_of(at) });
    let changed = raft.change_membership_if(change, false, unchanged).await;
    chronos_env::sometimes!("members.change_failed", changed.is_err());
    changed.map(drop).map_err(|error| error.to_string())
}
