//! What is hunted, and how: a row for each bug, as the verification plan numbers them.

use chronos_bugs::Bug;
use chronos_history::Invariant;

use super::plans;
use crate::plan::Plan;

/// A bug, as a hunt sees it.
#[derive(Clone, Copy, Debug)]
pub struct Quarry {
    /// Which one.
    pub bug: Bug,
    /// Whose bug it once was, or what warns of it.
    pub ground: &'static str,
    /// Whether it can be hunted.
    pub plant: Plant,
}

/// Whether a bug can be hunted.
#[derive(Clone, Copy, Debug)]
pub enum Plant {
    /// It can be planted, and is looked for so.
    Here(Sought),
    /// The product has nothing yet in which it could be, for this reason.
    NotYet(&'static str),
}

/// How a bug is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    /// What it should show by. What a run fails by counts, whatever that is.
    pub by: &'static [Invariant],
    /// What grows plans of seeds: of so many seconds.
    pub plan: fn(u64, u64) -> Plan,
    /// The name of that.
    pub plans: &'static str,
    /// A seed that has caught it, and its seconds of attack: for who has no time to hunt.
    pub known: Option<(u64, u64)>,
}

impl Sought {
    const fn by(by: &'static [Invariant]) -> Sought {
        Sought { by, plan: Plan::swarm, plans: "swarm", known: None }
    }

    const fn known(self, seed: u64, seconds: u64) -> Sought {
        Sought { known: Some((seed, seconds)), ..self }
    }

    const fn with(self, plan: fn(u64, u64) -> Plan, plans: &'static str) -> Sought {
        Sought { plan, plans, ..self }
    }
}

/// The row of a bug.
#[must_use]
pub fn quarry(bug: Bug) -> Quarry {
    use Invariant::{S1, S2, S4, S5, S6, S8, S9, S11, S15, S16, S17, S22, S23};
    use Plant::{Here, NotYet};
    let (ground, plant) = match bug {
        Bug::M1 => {
            ("NATS (nats-server#7564)", Here(Sought::by(&[S1]).with(plans::cuts, "cuts").known(1, 60)))
        }
        Bug::M2 => ("robustmq#2039", Here(Sought::by(&[S16]).with(plans::elections, "elections"))),
        Bug::M3 => (
            "Ongaro, Raft, §5.2: votes are persistent",
            Here(Sought::by(&[S16]).with(plans::elections, "elections").known(1, 60)),
        ),
        Bug::M4 => ("Kafka's high watermark (KIP-101)", Here(Sought::by(&[S11, S2, S15]).known(2, 60))),
        Bug::M5 => (
            "etcd and Redis-Raft, stale reads",
            Here(Sought::by(&[S8]).with(plans::lone_leaders, "lone leaders").known(1, 60)),
        ),
        Bug::M6 => {
            ("KurrentDB: what makes appends idempotent is a cache", Here(Sought::by(&[S6]).known(3, 60)))
        }
        Bug::M7 => (
            "check and use at different times",
            Here(Sought::by(&[S9]).with(plans::rivals, "rivals").known(1, 60)),
        ),
        Bug::M8 => (
            "Alagappan and others, Protocol-Aware Recovery, FAST 2018",
            Here(Sought::by(&[S1]).with(plans::blind_restarts, "blind restarts")),
        ),
        Bug::M9 => (
            "Fauna, restart in the middle of compaction",
            Here(Sought::by(&[S17, S1]).with(plans::merges, "merges").known(4, 60)),
        ),
        Bug::M10 => (
            "Pillai and others, ALICE, OSDI 2014",
            Here(Sought::by(&[S1]).with(plans::cuts, "cuts").known(1, 60)),
        ),
        Bug::M11 => (
            "etcd and SierraDB",
            NotYet(
                "there are no subscriptions: the protocol has no call for one, and the workload has no deed",
            ),
        ),
        Bug::M12 => ("fsyncgate", Here(Sought::by(&[S23, S1]).with(plans::failing_syncs, "failing syncs"))),
        Bug::M13 => ("etcd#13766", Here(Sought::by(&[S15]))),
        Bug::M14 => (
            "parts that are shared",
            NotYet(
                "there are no forks: everything is written to the main one, and nothing makes or removes another",
            ),
        ),
        Bug::M15 => (
            "names without an end",
            NotYet(
                "there is one tenant: every principal is the one named default, and nobody is told from another",
            ),
        ),
        Bug::M16 => ("Redpanda#5355", Here(Sought::by(&[S6, S4]).known(1, 60))),
        Bug::M17 => (
            "Maelstrom: when in doubt, it is unknown",
            Here(Sought::by(&[S5]).with(plans::lost_quorums, "lost quorums").known(1, 60)),
        ),
        Bug::M18 => (
            "openraft: node ids are never used again",
            Here(Sought::by(&[S1, S16]).with(plans::wipes, "wipes")),
        ),
        Bug::M19 => (
            "openraft's simulation: an answer can be lost on a connection that stays",
            Here(Sought::by(&[]).with(plans::wedges, "wedges").known(1, 60)),
        ),
        Bug::M20 => (
            "Protocol-Aware Recovery, FAST 2018",
            Here(Sought::by(&[S22]).with(plans::moves, "moves").known(1, 60)),
        ),
    };
    Quarry { bug, ground, plant }
}

/// All of them, in the order of their numbers.
pub fn quarries() -> impl Iterator<Item = Quarry> {
    Bug::ALL.into_iter().map(quarry)
}
