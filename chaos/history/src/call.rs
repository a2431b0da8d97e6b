//! What a client asks for: the values of `invoke` lines.

use serde::{Deserialize, Serialize};

use crate::{Append, Decision, EntityId, EventId, Fork, Label, Micro, Position, Version};

/// One request, by kind. The name of the kind is the line's `f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `append`: write events to one partition, all or none.
    Append(Append),
    /// `read`: a range of one partition.
    Read(Read),
    /// `entity`: the events of one entity.
    Entity(ReadEntity),
    /// `get`: one event by its id, wherever it is.
    Get(Get),
    /// `sub`: a subscription to one partition. One call, then one `ok` line for each delivery, over as many
    /// connections as it takes.
    Sub(Subscribe),
    /// `search`: what search, SQL or a category feed finds in one partition.
    Search(Search),
    /// `fork`: make a fork of the line's fork, or drop one.
    Fork(ForkCall),
    /// `admin`: an administrative act, or one that access control decides; each leaves one audit record.
    Admin(Admin),
    /// `txn`: an operation of the referee workload, as list-append checkers read it.
    Txn(Vec<Micro>),
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Linearizable.
    Strong,
    /// Whatever the asked node has applied.
    Weak,
    /// At least up to this position of the partition (a token's).
    AtLeast(Position),
    /// As it was then.
    AsOf(Then),
}

/// A moment in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// When this was the partition's head: by a token.
    Pos(Position),
    /// When the entity had this version. For reads of entities.
    Rev(Version),
    /// At this time: all events recorded at or before it, microseconds since the Unix epoch.
    Time(i64),
}

/// Read a partition forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The first position wanted.
    pub from: Position,
    /// How fresh.
    pub mode: Mode,
}

/// Read an entity forward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadEntity {
    /// The entity.
    pub stream: EntityId,
    /// The first version wanted.
    pub from: Version,
    /// How fresh.
    pub mode: Mode,
}

/// Get an event by its id. A token's position is meant for the partition that the line names, if it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// The event.
    pub id: EventId,
    /// How fresh; not as of a moment.
    pub mode: Mode,
}

/// What a filtered read is to find: the events of the line's tenant that pass every list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The event's type is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Label>,
    /// The event carries all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Label>,
    /// The event is about one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<EntityId>,
}

/// Subscribe to a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The first position wanted.
    pub from: Position,
    /// Which events.
    #[serde(default)]
    pub filter: Filter,
}

/// Ask an index. A question to several partitions is one operation for each, with that partition's share of the
/// answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Which way it was asked: `search`, `sql`, `category`.
    pub via: String,
    /// Which events.
    pub filter: Filter,
}

/// Make or drop a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForkCall {
    /// Fork the line's fork as it is.
    Create,
    /// Drop this fork.
    Drop(Fork),
}

/// Do something that is audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Names the act, once; its audit record repeats it.
    pub decision: Decision,
    /// What was asked for.
    pub action: String,
}
