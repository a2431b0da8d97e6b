//! What a node knows of its cluster: members, groups, and how every replica does.
//!
//! Everything here is a copy of one moment. Of itself a node knows everything; of the others what they said last, which
//! is a second or two old, and how long ago that was.

use std::sync::Arc;
use std::time::Duration;

use chronos_domain::{Marks, PartitionId, Timestamp};
use chronos_store::Neighbour;

use crate::addresses::Addresses;
use crate::node::NodeId;

/// What a member is to its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It holds and leads its share.
    Active,
    /// It is given nothing more, and what it holds moves to others.
    Draining,
    /// It is on its way out, or gone, and will not be admitted again.
    Removed,
}

/// A node of the cluster, as the system partition has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// Its data directory: another directory is another member.
    pub machine: u128,
    /// Where it is reached.
    pub addresses: Addresses,
    /// What it is to the cluster.
    pub state: MemberState,
    /// Since when it is that.
    pub since: Timestamp,
}

impl Member {
    /// As other nodes know it.
    pub fn neighbour(&self) -> Neighbour {
        Neighbour { node: self.node, machine: self.machine, peer: self.addresses.peer.clone() }
    }
}

/// What a replica is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes what is written, and decides its order.
    Leader,
    /// Has a say.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Receives everything and has no say.
    Learner,
    /// Is no member; or does not know that it is one.
    Outside,
}

/// Whether a replica can do what it is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Serving,
    /// Its group is being started, or it does not know yet whether it is as far as it was before: what it shows may be less.
    Starting,
    /// Its disk is full: it takes nothing in.
    Full,
    /// Its data is damaged or cannot be read, for this reason.
    Refused(Arc<str>),
    /// What was damaged is being fetched from others.
    Repairing(Arc<str>),
    /// Its group has stopped, for this reason.
    Ended(Arc<str>),
}

/// One replica of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Where it is.
    pub node: NodeId,
    /// What it is to its group, in its own eyes.
    pub role: Role,
    /// How it is.
    pub health: Health,
    /// The last term it has heard of.
    pub term: u64,
    /// How far it has come, in positions.
    pub marks: Marks,
    /// The first entry in its log; one more than the last where there is none.
    pub log_first: u64,
    /// The last entry it has on disk or in memory; 0 where there never was one.
    pub log_last: u64,
    /// Up to where it knows its log to be committed.
    pub log_committed: u64,
    /// Files it is compacted into.
    pub parts: u64,
    /// Bytes of those.
    pub parts_bytes: u64,
    /// The lane of the write-ahead log that it writes to.
    pub lane: u8,
    /// When its disk was last read through for damage, since this process was started.
    pub last_scrub: Option<Timestamp>,
    /// Who leads and is alive, as far as it knows: a leader that no quorum has heard of lately does not count itself.
    pub knows_leader: Option<NodeId>,
    /// For how long it has been behind other replicas without moving, as far as the node saw that looks; `None` where it
    /// is not behind, or moves.
    pub stuck: Option<Duration>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// Which partition; [`PartitionId::SYSTEM`] for the cluster's own.
    pub id: PartitionId,
    /// Who leads it and is alive, as far as anybody knows.
    pub leader: Option<NodeId>,
    /// Its term.
    pub term: u64,
    /// Who has a say. While this changes, both who had and who will have.
    pub voters: Vec<NodeId>,
    /// Who receives everything without a say.
    pub learners: Vec<NodeId>,
    /// The replicas of members, and of those who are none any more and still hold something.
    pub replicas: Vec<ReplicaView>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Who it is.
    pub member: Member,
    /// Whether it was heard of lately.
    pub is_up: bool,
    /// How long ago it was heard of; `None` when never since this node was started.
    pub heard: Option<Duration>,
    /// What it runs; empty until it was heard of.
    pub release: String,
    /// How often it was started; 0 until it was heard of.
    pub incarnation: u64,
    /// Data partitions it leads.
    pub leads: u8,
    /// Data partitions of which it holds a replica.
    pub replicas: u8,
    /// Other nodes that are up, without the one that looks, that hear it.
    pub heard_by: Vec<NodeId>,
    /// Those that have not for so long that they take it to be down.
    pub missed_by: Vec<NodeId>,
    /// By how many microseconds its wall clock is at least ahead of what a majority's clocks say, or behind it when negative;
    /// `None` when it is not up, or no other clock is known.
    pub clock_offset_micros: Option<i64>,
}

/// The cluster, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The cluster's id.
    pub cluster: u128,
    /// Grows with every change of members, placement or settings.
    pub epoch: u64,
    /// How many replicas a partition shall have.
    pub replication: u8,
    /// Whether the placement driver is told to hold still.
    pub is_paused: bool,
    /// Who looks.
    pub me: NodeId,
    /// All members, also those removed whose data is still on its way, and the node that looks in any case.
    pub nodes: Vec<NodeView>,
    /// All groups, that of the system partition last.
    pub partitions: Vec<PartitionView>,
}
