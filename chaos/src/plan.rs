//! What is done to a cluster, and when: the same plan for a simulated cluster and for one of real processes.
//!
//! A plan is a seed, a load, and episodes of faults at fixed times. Whatever is not written in it follows from the seed
//! through a generator of its own for each purpose, so that an episode can be taken out without moving any other.

mod fault;
mod swarm;

use serde::{Deserialize, Serialize};

pub use fault::{Direction, Fault, Victim};

/// One run: a cluster, a load, and what happens to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Where everything that is drawn grows from.
    pub seed: u64,
    /// Nodes of the cluster: 1, 3 or 5.
    pub nodes: u32,
    /// For how long clients work and episodes begin, in seconds.
    pub seconds: u64,
    /// Milliseconds between two looks at how far the replicas are.
    #[serde(default = "look_every_ms")]
    pub look_every_ms: u64,
    /// What clients do.
    pub load: Load,
    /// What goes wrong, in the order of its beginnings.
    pub episodes: Vec<Episode>,
}

fn look_every_ms() -> u64 {
    5000
}

/// A fault, from when to when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Episode {
    /// Milliseconds after clients have begun.
    pub at_ms: u64,
    /// Milliseconds until it is over; what cannot be undone by hand (a process that was killed) is started again then.
    pub lasts_ms: u64,
    /// What goes wrong.
    pub fault: Fault,
}

/// What clients do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// How many clients there are, each with one operation at a time.
    pub clients: u32,
    /// Operations that each of them begins in a second, on average.
    pub rate: f64,
    /// Entities that they write to; most of what is written goes to few of them.
    pub entities: u64,
    /// What they do, drawn anew for each operation by these weights. What has none is not done.
    pub mix: Vec<(Deed, u32)>,
}

/// One thing that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Appends one event, whatever is there.
    Append,
    /// Appends several events, of several entities.
    AppendMany,
    /// Appends to an entity at the version it is believed to have.
    AppendAtVersion,
    /// Appends to an entity as its first event.
    AppendFirst,
    /// Appends unless something like it has happened.
    AppendUnless,
    /// Appends again what was appended before, whatever became of it.
    AppendAgain,
    /// Appends under an id that other content has.
    AppendInDisguise,
    /// Appends much.
    AppendLarge,
    /// Reads a partition as it is.
    ReadPartition,
    /// Reads what some replica of a partition has.
    ReadReplica,
    /// Reads, anywhere, all that this client knows of.
    ReadOwn,
    /// Reads a partition as of a moment.
    ReadPast,
    /// Reads an entity as it is.
    ReadEntity,
    /// Reads an entity as of a moment.
    ReadEntityPast,
    /// Looks for an event by its id.
    Get,
}

impl Deed {
    /// All of them.
    pub const ALL: [Deed; 15] = [
        Deed::Append,
        Deed::AppendMany,
        Deed::AppendAtVersion,
        Deed::AppendFirst,
        Deed::AppendUnless,
        Deed::AppendAgain,
        Deed::AppendInDisguise,
        Deed::AppendLarge,
        Deed::ReadPartition,
        Deed::ReadReplica,
        Deed::ReadOwn,
        Deed::ReadPast,
        Deed::ReadEntity,
        Deed::ReadEntityPast,
        Deed::Get,
    ];
}
