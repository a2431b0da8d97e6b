//! What came back: the values of `ok`, `fail` and `info` lines of operations.

use serde::{Deserialize, Serialize};

use crate::call::{Mode, Then};
use crate::{EntityId, Fork, Hash, Incarnation, Micro, Node, Partition, Position, Term, Version};

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `ok`: it took effect, and this is the answer.
    Ok(Answer),
    /// `fail`: it did not and never will.
    Fail(Refusal),
    /// `info`: it may have taken effect or still may. In words, why nobody knows.
    Unknown(String),
}

/// The answer to a call of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To an append.
    Append(Appended),
    /// To a read of a partition.
    Read(Range),
    /// To a read of an entity.
    Entity(EntityRange),
    /// To a get: the event, if there is one.
    Get(Option<Found>),
    /// One delivery of a subscription.
    Sub(Delivery),
    /// To a search.
    Search(Matches),
    /// To a fork call.
    Fork(Forked),
    /// To an administrative act.
    Admin,
    /// To an operation of the referee workload: the steps again, with what was read.
    Txn(Vec<Micro>),
}

/// Where events were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appended {
    /// Position of the first event.
    pub first: Position,
    /// Position of the last event.
    pub last: Position,
    /// Version of the last event, if the versions of all are consecutive (an append to one entity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<Version>,
    /// Version of each event, otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revs: Vec<Version>,
    /// The leader's term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Term>,
    /// The watermark said with the answer: what readers see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wm: Option<Position>,
    /// Whether the events had been there before this request.
    pub dedup: bool,
    /// The node that answered and in which of its lives, if known: for S23.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<(Node, Incarnation)>,
}

impl Appended {
    /// The version of the event number `at` (from 0) of the request, if the answer tells.
    pub fn version(&self, at: usize) -> Option<Version> {
        let back = (self.last.0 + 1).checked_sub(self.first.0 + at as u64 + 1);
        match (self.rev, back) {
            (Some(rev), Some(back)) => rev.0.checked_sub(back).map(Version),
            _ => self.revs.get(at).copied(),
        }
    }
}

/// The kind of a [`Mode`], as answers repeat it for readers that look at no calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// [`Mode::Strong`].
    Strong,
    /// [`Mode::Weak`].
    Weak,
    /// [`Mode::AtLeast`].
    AtLeast,
    /// [`Mode::AsOf`].
    AsOf,
}

impl Mode {
    /// Its kind.
    pub fn name(self) -> ModeName {
        match self {
            Mode::Strong => ModeName::Strong,
            Mode::Weak => ModeName::Weak,
            Mode::AtLeast(_) => ModeName::AtLeast,
            Mode::AsOf(Then::Pos(_) | Then::Rev(_) | Then::Time(_)) => ModeName::AsOf,
        }
    }
}

/// A range of a partition: the events of the line's tenant, or all if it names none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first position looked at.
    pub from: Position,
    /// The last position looked at; below `from` if there was nothing.
    pub last: Position,
    /// The partition's head as this answer knows it. For a read as of a moment: the head at that moment.
    pub tail: Position,
    /// Events received.
    pub count: u64,
    /// Over the events received, see [`RangeHash`](crate::RangeHash).
    pub hash: Hash,
    /// The watermark said with the answer.
    pub wm: Position,
    /// How it was asked for.
    pub mode: ModeName,
    /// The answering leader's term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Term>,
    /// Events whose bytes did not match the checksum that the harness puts into each.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad: u64,
}

/// A range of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityRange {
    /// The first version looked at.
    pub from: Version,
    /// The last version received; below `from` if there was none.
    pub last: Version,
    /// The entity's version as this answer knows it. For a read as of a moment: its version at that moment.
    pub rev: Version,
    /// Events received.
    pub count: u64,
    /// Over the events received.
    pub hash: Hash,
    /// The watermark said with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wm: Option<Position>,
    /// How it was asked for.
    pub mode: ModeName,
    /// Events whose bytes did not match their own checksum.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad: u64,
}

/// An event that was got by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Its partition.
    pub part: Partition,
    /// Its position.
    pub at: Position,
    /// Its entity.
    pub stream: EntityId,
    /// Its version.
    pub rev: Version,
    /// Of its content.
    pub hash: Hash,
}

/// Some events of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The first position covered: one past the end of the delivery before, on the same connection.
    pub from: Position,
    /// The last position covered, be it by an event or by a heartbeat's token; below `from` if nothing is new.
    pub to: Position,
    /// Events received.
    pub count: u64,
    /// Over the events received.
    pub hash: Hash,
    /// Whether the server said "caught up" (or gave a bookmark) after these.
    pub marker: bool,
    /// Which connection of the subscription, from 1.
    pub conn: u32,
    /// Events whose bytes did not match their own checksum.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad: u64,
}

/// What an index found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matches {
    /// The index holds everything up to this position and the answer nothing after it.
    pub at: Position,
    /// Events found.
    pub count: u64,
    /// Over the events found, in the order of their positions.
    pub hash: Hash,
    /// The watermark said with the answer.
    pub wm: Position,
}

/// A fork that was made, or none if one was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forked {
    /// The new fork; 0 if one was dropped.
    #[serde(default)]
    pub fork: Fork,
    /// The last position of each partition that it shares with its parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<(Partition, Position)>,
}

/// A definite no, and what it told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The version the entity had instead, for [`Reason::WrongVersion`], if told.
    pub rev: Option<Version>,
}

/// Why an operation was refused. Those that the checker has a rule for, and all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `wrong-expected-version`
    WrongVersion,
    /// `condition-failed`
    ConditionFailed,
    /// `idempotency-conflict`: an id is taken by other content.
    Conflict,
    /// `data-corrupt`: the node has no good copy and says so.
    Corrupt,
    /// Any other, as the line has it.
    Other(String),
}

impl Reason {
    /// As the line has it.
    pub fn as_str(&self) -> &str {
        match self {
            Reason::WrongVersion => "wrong-expected-version",
            Reason::ConditionFailed => "condition-failed",
            Reason::Conflict => "idempotency-conflict",
            Reason::Corrupt => "data-corrupt",
            Reason::Other(text) => text,
        }
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Reason {
        let known = [Reason::WrongVersion, Reason::ConditionFailed, Reason::Conflict, Reason::Corrupt];
        known.into_iter().find(|reason| reason.as_str() == text).unwrap_or_else(|| Reason::Other(text.into()))
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
