//! One step of the placement.

use std::collections::BTreeSet;
use std::fmt;

use chronos_domain::PartitionId;
use chronos_wal::Mark;

use crate::node::NodeId;
use crate::order::Planned;

/// What is done to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A node begins to receive everything.
    AddLearner(NodeId),
    /// A node that only received stops to.
    DropLearner(NodeId),
    /// These are the voters from now on; who voted and is not among them is no member any more.
    SetVoters(BTreeSet<NodeId>),
    /// Another voter leads.
    Transfer(NodeId),
    /// A node that is no member deletes what it still has.
    Free {
        /// Which node.
        node: NodeId,
        /// The last entry it has: with any other one it is not the replica that was meant.
        last: u64,
    },
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) partition: PartitionId,
    pub(crate) action: Action,
    /// The entry that names the members this was decided on: with others nothing is done.
    pub(crate) at: Mark,
    /// Who is to do it.
    pub(crate) by: NodeId,
    pub(crate) why: String,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::AddLearner(node) => write!(f, "copy it to {node}"),
            Action::DropLearner(node) => write!(f, "stop copying it to {node}"),
            Action::SetVoters(voters) => write!(f, "have its replicas on {}", Names(voters)),
            Action::Transfer(node) => write!(f, "let {node} lead it"),
            Action::Free { node, .. } => write!(f, "delete what {node} still has of it"),
        }
    }
}

impl Step {
    /// The step in words.
    pub(crate) fn told(&self) -> Planned {
        Planned { partition: Some(self.partition), what: self.action.to_string(), why: self.why.clone() }
    }
}

/// Nodes, separated by commas.
pub(crate) struct Names<'a>(pub(crate) &'a BTreeSet<NodeId>);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.0.iter().enumerate() {
            write!(f, "{}{node}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
