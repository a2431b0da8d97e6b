//! What somebody saw who is no client: nodes, the nemesis, the harness itself. Values of `info` lines whose process is
//! a name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Decision, EntityId, EventId, Fork, Hash, Incarnation, Node, Partition, Position, Tenant, Term, Version,
};

/// Something that is so, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `header`: the first line.
    Header(Header),
    /// `end`: the last line. A history without it was cut short and proves nothing.
    End(End),
    /// `node`: how far a node's replica of a partition is.
    Node(NodeState),
    /// `compaction`: a node replaced a range of files by others.
    Compaction(Compaction),
    /// `snapshot`: a node took a snapshot or installed one.
    Snapshot(Snapshot),
    /// `file`: a node changed which files it has.
    File(FileEvent),
    /// `disk`: a write or a sync of a Raft log or a vote failed.
    Disk(DiskError),
    /// `‹fault›-start`, `‹fault›-end`: a fault begins or is over.
    Nemesis(Nemesis),
    /// `audit`: a record of the audit log, read at the end in its order.
    Audit(AuditRecord),
    /// `scan`: somebody looked for canaries where a tenant can look besides in responses.
    Scan(Scan),
    /// `log`: a stretch of a node's final log, read cold after the fences.
    Log(LogChunk),
}

/// What run this is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format: 1.
    pub v: u32,
    /// Names the run.
    pub run: String,
    /// Of the plan and, in a simulation, of everything.
    pub seed: u64,
    /// The commit of the store.
    pub git: String,
    /// `sim` or `real`.
    pub mode: String,
    /// How many partitions there are.
    pub partitions: u32,
    /// Those the cluster begins with.
    pub nodes: Vec<Node>,
    /// Whether stored bytes were harmed beyond what a majority of good copies can mend. Then a partition may end without
    /// a final log, and is judged by what was said of it alone.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub beyond_atlas: bool,
}

/// The history is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The nodes that are members at the end: for each partition each of those in `replicas` has its final log in the
    /// history.
    pub replicas: Vec<(Partition, Vec<Node>)>,
    /// Partitions that nobody serves any more, and why: they have no final log. Only beyond the atlas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unserved: Vec<(Partition, String)>,
}

/// What a replica says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeState {
    /// The partition.
    pub part: Partition,
    /// Which life of the node.
    pub inc: Incarnation,
    /// Its term.
    pub term: Term,
    /// Its part in the group.
    pub role: Role,
    /// Whom it voted for in the term of its vote, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vote: Option<(Term, Node)>,
    /// Quorum-durable up to here.
    pub committed: Position,
    /// Visible to readers here up to here.
    pub applied: Position,
    /// The watermark it tells clients.
    pub wm: Position,
    /// Removed from the log up to here.
    pub purged: Position,
    /// In snapshots or verified parts up to here.
    pub snap: Position,
    /// The last position in its log, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Position>,
    /// The store's own chain hash (any 64 bits of it) at a position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub h_at: Option<(Position, Hash)>,
}

/// A replica's part in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Leads.
    Leader,
    /// Follows.
    #[default]
    Follower,
    /// Wants to lead.
    Candidate,
    /// Has no vote yet.
    Learner,
}

/// The same range before and after it was rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compaction {
    /// The partition.
    pub part: Partition,
    /// What the sources held.
    pub before: Digest,
    /// What took their place.
    pub after: Digest,
}

/// What a stretch of a partition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Number of events.
    pub count: u64,
    /// First position.
    pub first: Position,
    /// Last position.
    pub last: Position,
    /// The store's own hash of the stretch, or any 64 bits of it.
    pub chain: Hash,
}

/// The state machine at a position, as a snapshot holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The partition.
    pub part: Partition,
    /// Whether this is the replica it was taken of or one it was installed on.
    pub did: SnapshotStep,
    /// Up to which position.
    pub at: Position,
    /// The chain hash there.
    pub chain: Hash,
    /// Of what makes retries recognisable (the id index or table).
    pub dedup: Hash,
    /// Of the entities and their versions.
    pub streams: Hash,
}

/// Which end of a snapshot's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotStep {
    /// Digests of the replica that sends it.
    Taken,
    /// Digests of the replica that received it, after installing.
    Installed,
}

/// A change of the set of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEvent {
    /// The partition.
    pub part: Partition,
    /// What changed.
    pub did: FileStep,
}

/// What a node did with files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStep {
    /// A manifest is synced that names exactly these.
    Manifest(Vec<String>),
    /// A file was deleted.
    Delete(String),
}

/// A disk error that must end the node's life for this partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskError {
    /// The partition.
    pub part: Partition,
    /// Which life of the node.
    pub inc: Incarnation,
    /// What failed: `fsync EIO on the log`.
    pub what: String,
}

/// A fault begins or is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nemesis {
    /// The fault: `partition`, `kill`, … [`Nemesis::DAMAGE`] is what may make a node hold wrong bytes.
    pub fault: String,
    /// Whether it begins or is over.
    pub phase: Phase,
    /// Which form of it, whom it strikes, and how.
    pub value: NemesisValue,
}

impl Nemesis {
    /// The fault that damages stored bytes: bit rot, misdirected writes, truncated and swapped files.
    pub const DAMAGE: &str = "damage";
}

/// The beginning or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It begins, or happens at once.
    Start,
    /// It is over.
    End,
}

/// The arguments of a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NemesisValue {
    /// Which form of it: `oneway`.
    pub kind: String,
    /// Whom it strikes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// Where it comes from, if it has a direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Node>,
    /// Where to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Node>,
    /// Anything else, for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
}

/// One record of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// Its number, gapless from 1.
    pub seq: u64,
    /// The decision it records, as its `admin` operation named it; none for what no client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The chain before it; 0 before the first.
    pub prev: Hash,
    /// The chain with it.
    pub hash: Hash,
}

/// A place where a tenant can look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// What was searched: `n1 log`, `metrics`.
    pub place: String,
    /// Who can look there; none if no tenant can.
    pub tenant: Option<Tenant>,
    /// Whose canaries were there.
    pub canaries: Vec<Tenant>,
}

/// A stretch of a final log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogChunk {
    /// The partition.
    pub part: Partition,
    /// The fork; 0 is main. A fork's log is read from position 1, with what it shares with its parent.
    #[serde(default, skip_serializing_if = "is_main")]
    pub fork: Fork,
    /// Position of the first event. A partition without events has one chunk with none.
    pub first: Position,
    /// The events.
    pub events: Vec<Logged>,
}

/// One event of a final log: `[id, entity, version, "content hash", recorded at, tenant]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LoggedJson", into = "LoggedJson")]
pub struct Logged {
    /// Its id.
    pub id: EventId,
    /// Its entity.
    pub entity: EntityId,
    /// Its version.
    pub version: Version,
    /// Of its content.
    pub hash: Hash,
    /// When the store says it was recorded, microseconds since the Unix epoch.
    pub at: i64,
    /// Its tenant.
    pub tenant: Tenant,
}

#[derive(Serialize, Deserialize)]
struct LoggedJson(EventId, EntityId, Version, Hash, i64, Tenant);

impl From<LoggedJson> for Logged {
    fn from(LoggedJson(id, entity, version, hash, at, tenant): LoggedJson) -> Logged {
        Logged { id, entity, version, hash, at, tenant }
    }
}

impl From<Logged> for LoggedJson {
    fn from(Logged { id, entity, version, hash, at, tenant }: Logged) -> LoggedJson {
        LoggedJson(id, entity, version, hash, at, tenant)
    }
}

fn is_main(fork: &Fork) -> bool {
    *fork == Fork(0)
}
