//! What is done to a cluster, and when: the same plan for a simulated cluster and for one of real processes.
//!
//! A plan is a seed, a load, and episodes of faults at fixed times. Whatever is not written in it follows from the seed
//! through a generator of its own for each purpose, so that an episode can be taken out without moving any other.

mod beyond;
mod fault;
mod named;
mod swarm;
mod week;

use std::time::Duration;

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
    /// What goes on at a pace of its own.
    #[serde(default)]
    pub beats: Beats,
    /// Whether bytes are harmed of which no good copy may be left. Then nothing needs to be served any more, and whatever is
    /// still said has to be right.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub beyond_atlas: bool,
    /// What clients do.
    pub load: Load,
    /// What goes wrong, in the order of its beginnings.
    pub episodes: Vec<Episode>,
}

/// A stretch of a plan at whose end the cluster has to be whole.
pub(crate) struct Round {
    /// How many of the episodes belong to it.
    pub(crate) episodes: usize,
    /// When it is over, from when the attack began.
    pub(crate) ends: Duration,
    /// Whether the attack ends with it.
    pub(crate) is_last: bool,
}

impl Plan {
    /// The rounds, in their order: together they have all episodes.
    pub(crate) fn rounds(&self) -> impl Iterator<Item = Round> {
        let length_ms = match self.beats.round_s {
            0 => u64::MAX,
            seconds => seconds * 1000,
        };
        let count = (self.seconds * 1000).div_ceil(length_ms).max(1);
        (1..=count).map(move |number| {
            let is_last = number == count;
            let here = |episode: &&Episode| (episode.at_ms / length_ms + 1).min(count) == number;
            let ends = Duration::from_millis((length_ms.saturating_mul(number)).min(self.seconds * 1000));
            Round { episodes: self.episodes.iter().filter(here).count(), ends, is_last }
        })
    }

    /// Whose disk is harmed, if one is: within the atlas it is one node's only.
    pub(crate) fn weak_seat(&self) -> Option<u32> {
        self.episodes.iter().filter(|episode| episode.fault.harms_the_disk()).find_map(
            |episode| match episode.fault.victim() {
                Some(Victim::Node(seat)) => Some(seat),
                _ => None,
            },
        )
    }

    /// Whether a day is over with the round of that number, from 1.
    pub(crate) fn is_days_end(&self, round: u64) -> bool {
        self.beats.day_rounds > 0 && round.is_multiple_of(self.beats.day_rounds)
    }
}

/// The pace of what goes on and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beats {
    /// Milliseconds between two moments at which the groups of a node look at their clocks.
    pub raft_ms: u64,
    /// Milliseconds between two looks at how far the replicas are.
    pub look_ms: u64,
    /// Seconds of a round, at whose end the cluster has to be whole; all is one round where it is 0.
    pub round_s: u64,
    /// After so many rounds all nodes are stopped, started again, and everything is read from the beginning; never where it
    /// is 0.
    pub day_rounds: u64,
}

impl Default for Beats {
    fn default() -> Beats {
        Beats { raft_ms: 100, look_ms: 5000, round_s: 0, day_rounds: 0 }
    }
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
    /// What they do in each hour of a day, as multiples of that; always the same where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub day: Vec<f64>,
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
    /// Reads what is new in a partition, the newest first.
    ReadBackward,
    /// Reads the events of one type in a partition.
    ReadFiltered,
    /// Reads an entity as it is.
    ReadEntity,
    /// Reads an entity as of a moment.
    ReadEntityPast,
    /// Reads an entity as it is, the newest first.
    ReadEntityBackward,
    /// Looks for an event by its id.
    Get,
}

impl Deed {
    /// All of them.
    pub const ALL: [Deed; 18] = [
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
        Deed::ReadBackward,
        Deed::ReadFiltered,
        Deed::ReadEntity,
        Deed::ReadEntityPast,
        Deed::ReadEntityBackward,
        Deed::Get,
    ];
}
