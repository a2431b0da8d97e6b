//! One partition and its replicas.

use std::time::Duration;

use chronos_domain::{Invalid, Marks, PartitionId, Position, Timestamp};

use super::enums::travels;
use super::{NodeId, each, nodes, numbers, small, v1};

/// What a replica does in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It votes and follows.
    Follower,
    /// It wants to lead.
    Candidate,
    /// It follows without a vote.
    Learner,
    /// It is no member, or does not know of it yet.
    Outside,
}

travels!(Role as v1::replica::Role, "role", Leader, Follower, Candidate, Learner, Outside);

/// How a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Serving,
    /// Its group is being started.
    Starting,
    /// Its disk has no room.
    Full,
    /// It is not served, because of damage.
    Refused(String),
    /// It is being made whole.
    Repairing(String),
    /// Its group has ended after a fault.
    Ended(String),
}

impl Health {
    fn to_wire(&self) -> (i32, String) {
        use v1::replica::Health as Wire;
        let (health, why) = match self {
            Self::Serving => (Wire::Serving, ""),
            Self::Starting => (Wire::Starting, ""),
            Self::Full => (Wire::Full, ""),
            Self::Refused(why) => (Wire::Refused, why.as_str()),
            Self::Repairing(why) => (Wire::Repairing, why.as_str()),
            Self::Ended(why) => (Wire::Ended, why.as_str()),
        };
        (health.into(), why.to_owned())
    }

    fn from_wire(number: i32, why: String) -> Result<Self, Invalid> {
        use v1::replica::Health as Wire;
        match Wire::try_from(number) {
            Ok(Wire::Serving) => Ok(Self::Serving),
            Ok(Wire::Starting) => Ok(Self::Starting),
            Ok(Wire::Full) => Ok(Self::Full),
            Ok(Wire::Refused) => Ok(Self::Refused(why)),
            Ok(Wire::Repairing) => Ok(Self::Repairing(why)),
            Ok(Wire::Ended) => Ok(Self::Ended(why)),
            Ok(Wire::Unspecified) | Err(_) => {
                let reason = format!("is {number}, which this release does not know");
                Err(Invalid::new("health", reason))
            }
        }
    }

    /// The one word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Starting => "starting",
            Self::Full => "full",
            Self::Refused(_) => "refused",
            Self::Repairing(_) => "repairing",
            Self::Ended(_) => "ended",
        }
    }

    /// Why it is not better, where that is known.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Refused(why) | Self::Repairing(why) | Self::Ended(why) => Some(why),
            Self::Serving | Self::Starting | Self::Full => None,
        }
    }
}

impl Role {
    /// The one word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Outside => "outside",
        }
    }
}

/// A replica as its node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Where it is.
    pub node: NodeId,
    /// What it does in its group.
    pub role: Role,
    /// How it is.
    pub health: Health,
    /// The latest term it knows of.
    pub term: u64,
    /// How far it has come, in positions.
    pub marks: Marks,
    /// Number of the first entry of its log that is there.
    pub log_first: u64,
    /// Number of the last.
    pub log_last: u64,
    /// Number of the last that is committed, as far as it knows.
    pub log_committed: u64,
    /// Parts.
    pub parts: u64,
    /// Bytes of their files.
    pub parts_bytes: u64,
    /// Which row of log files it writes to.
    pub lane: u8,
    /// When the last search for damage began that came through it.
    pub last_scrub: Option<Timestamp>,
    /// Who it takes for the leader, as long as there is reason to take that one for alive.
    pub knows_leader: Option<NodeId>,
    /// For how long it has been behind others without moving; `None` where it is not behind, or moves.
    pub stuck: Option<Duration>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Which one.
    pub id: PartitionId,
    /// Who leads it and is alive, as far as is known.
    pub leader: Option<NodeId>,
    /// Since which term.
    pub term: u64,
    /// Who votes in its group.
    pub voters: Vec<NodeId>,
    /// Who receives everything without a vote.
    pub learners: Vec<NodeId>,
    /// What its replicas said of themselves.
    pub replicas: Vec<Replica>,
}

impl Partition {
    /// What the replica on a node said.
    #[must_use]
    pub fn replica(&self, node: NodeId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.node == node)
    }

    /// Everything that is committed, as far as any replica knows.
    #[must_use]
    pub fn committed(&self) -> Position {
        self.replicas.iter().map(|replica| replica.marks.committed).max().unwrap_or(Position::ZERO)
    }

    /// How many committed events a replica does not show its readers yet.
    #[must_use]
    pub fn lag(&self, replica: &Replica) -> u64 {
        self.committed().get().saturating_sub(replica.marks.applied.get())
    }

    /// Whether a node has something of it that would have to move before the node can go. A copy of the system partition
    /// without a say, which every node has, does not count.
    #[must_use]
    pub fn needs(&self, node: NodeId) -> bool {
        let learns = self.learners.contains(&node) && self.id != PartitionId::SYSTEM;
        learns || self.voters.contains(&node)
    }

    /// The members of the group: voters, then learners.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.iter().chain(&self.learners).copied()
    }
}

impl From<Replica> for v1::Replica {
    fn from(of: Replica) -> Self {
        let (health, why) = of.health.to_wire();
        Self {
            node: of.node.get(),
            role: of.role.to_wire(),
            health,
            why,
            term: of.term,
            appended: of.marks.appended.get(),
            flushed: of.marks.flushed.get(),
            committed: of.marks.committed.get(),
            applied: of.marks.applied.get(),
            compacted: of.marks.compacted.get(),
            purged: of.marks.purged.get(),
            indexed: of.marks.indexed.get(),
            log_first: of.log_first,
            log_last: of.log_last,
            log_committed: of.log_committed,
            parts: of.parts,
            parts_bytes: of.parts_bytes,
            lane: of.lane.into(),
            last_scrub: of.last_scrub.map(Timestamp::get),
            knows_leader: of.knows_leader.map(NodeId::get),
            stuck_ms: of.stuck.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl TryFrom<v1::Replica> for Replica {
    type Error = Invalid;

    fn try_from(message: v1::Replica) -> Result<Self, Invalid> {
        Ok(Self {
            node: NodeId::new(message.node),
            role: Role::from_wire(message.role)?,
            health: Health::from_wire(message.health, message.why)?,
            term: message.term,
            marks: Marks {
                appended: Position::new(message.appended),
                flushed: Position::new(message.flushed),
                committed: Position::new(message.committed),
                applied: Position::new(message.applied),
                compacted: Position::new(message.compacted),
                purged: Position::new(message.purged),
                indexed: Position::new(message.indexed),
            },
            log_first: message.log_first,
            log_last: message.log_last,
            log_committed: message.log_committed,
            parts: message.parts,
            parts_bytes: message.parts_bytes,
            lane: small("lane", message.lane)?,
            last_scrub: message.last_scrub.map(Timestamp::new),
            knows_leader: message.knows_leader.map(NodeId::new),
            stuck: message.stuck_ms.map(Duration::from_millis),
        })
    }
}

impl From<Partition> for v1::Partition {
    fn from(of: Partition) -> Self {
        Self {
            partition: of.id.get().into(),
            leader: of.leader.map(NodeId::get),
            term: of.term,
            voters: numbers(of.voters),
            learners: numbers(of.learners),
            replicas: of.replicas.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Partition> for Partition {
    type Error = Invalid;

    fn try_from(message: v1::Partition) -> Result<Self, Invalid> {
        Ok(Self {
            id: super::partition(message.partition)?,
            leader: message.leader.map(NodeId::new),
            term: message.term,
            voters: nodes(message.voters),
            learners: nodes(message.learners),
            replicas: each(message.replicas)?,
        })
    }
}
