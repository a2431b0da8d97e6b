//! What has changed between two looks at a cluster.

use chronos_domain::{Invalid, PartitionId, Timestamp};

use super::enums::travels;
use super::{NodeId, v1};

/// What kind of thing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A node belongs to the cluster now.
    NodeJoined,
    /// A node belongs to it no more.
    NodeLeft,
    /// A node is heard of.
    NodeUp,
    /// A node is not heard of any more.
    NodeDown,
    /// A node is drained, or no longer.
    NodeState,
    /// A node was started again.
    NodeRestarted,
    /// Another node leads a partition, or none.
    Leader,
    /// The members of a partition's group are others.
    Members,
    /// A replica is better or worse.
    Health,
    /// Something is set otherwise.
    Settings,
}

travels!(
    ChangeKind as v1::watch_response::Kind,
    "kind",
    NodeJoined,
    NodeLeft,
    NodeUp,
    NodeDown,
    NodeState,
    NodeRestarted,
    Leader,
    Members,
    Health,
    Settings,
);

impl ChangeKind {
    /// The one word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NodeJoined => "joined",
            Self::NodeLeft => "left",
            Self::NodeUp => "up",
            Self::NodeDown => "down",
            Self::NodeState => "state",
            Self::NodeRestarted => "restarted",
            Self::Leader => "leader",
            Self::Members => "members",
            Self::Health => "health",
            Self::Settings => "settings",
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was seen.
    pub at: Timestamp,
    /// The epoch in which it was seen.
    pub epoch: u64,
    /// What kind of thing has changed.
    pub kind: ChangeKind,
    /// Which node it is about.
    pub node: Option<NodeId>,
    /// Which partition it is about.
    pub partition: Option<PartitionId>,
    /// One sentence for a person.
    pub text: String,
}

impl From<Change> for v1::WatchResponse {
    fn from(of: Change) -> Self {
        Self {
            at: of.at.get(),
            epoch: of.epoch,
            kind: of.kind.to_wire(),
            node: of.node.map(NodeId::get),
            partition: of.partition.map(|partition| partition.get().into()),
            text: of.text,
        }
    }
}

impl TryFrom<v1::WatchResponse> for Change {
    type Error = Invalid;

    fn try_from(message: v1::WatchResponse) -> Result<Self, Invalid> {
        Ok(Self {
            at: Timestamp::new(message.at),
            epoch: message.epoch,
            kind: ChangeKind::from_wire(message.kind)?,
            node: message.node.map(NodeId::new),
            partition: message.partition.map(super::partition).transpose()?,
            text: message.text,
        })
    }
}
