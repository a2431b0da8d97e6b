//! Plans that are written by hand: what is done to whom at which second, while clients do what.

use chronos_chaos::plan::{Beats, Deed, Episode, Fault, Load, Plan, Victim};
use chronos_domain::place;
use chronos_history::{Invariant, Partition};

use crate::story::Story;

/// Appends and strong reads of partitions and entities.
const USUAL: [(Deed, u32); 6] = [
    (Deed::Append, 6),
    (Deed::AppendMany, 1),
    (Deed::AppendAtVersion, 1),
    (Deed::ReadPartition, 2),
    (Deed::ReadEntity, 1),
    (Deed::ReadOwn, 1),
];

/// Invariants that every run puts to the test.
const PROMISED: [Invariant; 8] = [
    Invariant::S1,
    Invariant::S3,
    Invariant::S4,
    Invariant::S6,
    Invariant::S8,
    Invariant::S10,
    Invariant::S15,
    Invariant::S26,
];

/// The processes of three nodes when none of them ends by itself or is killed by the plan: one each, one more for the node
/// that stays dead while the others show that they can do without, and one each for the last read.
pub(crate) const LIVES: u64 = 3 + 1 + 3;

/// A partition that is written to again and again: that of one of the entities to which half of everything goes.
pub(crate) fn hot() -> u8 {
    place("default", "thing-1").get()
}

/// The same, as histories call it.
pub(crate) fn hot_partition() -> Partition {
    Partition(hot().into())
}

/// Whoever leads the hot partition.
pub(crate) fn leader() -> Victim {
    Victim::Leader(hot())
}

/// A plan in the making.
pub(crate) struct Script(Plan);

impl Script {
    /// Three nodes, and half a minute of four clients with eight entities.
    pub(crate) fn new(seed: u64) -> Script {
        let load = Load { clients: 4, rate: 6.0, day: Vec::new(), entities: 8, mix: USUAL.to_vec() };
        let beats = Beats::default();
        Script(Plan { seed, nodes: 3, seconds: 30, beats, beyond_atlas: false, load, episodes: Vec::new() })
    }

    pub(crate) fn nodes(mut self, nodes: u32) -> Script {
        self.0.nodes = nodes;
        self
    }

    pub(crate) fn seconds(mut self, seconds: u64) -> Script {
        self.0.seconds = seconds;
        self
    }

    /// So many clients, each of which begins so many operations in a second.
    pub(crate) fn clients(mut self, clients: u32, rate: f64) -> Script {
        (self.0.load.clients, self.0.load.rate) = (clients, rate);
        self
    }

    /// What clients do, by weight.
    pub(crate) fn doing(mut self, mix: &[(Deed, u32)]) -> Script {
        self.0.load.mix = mix.to_vec();
        self
    }

    /// At some second, for so many seconds, this goes wrong.
    pub(crate) fn at(self, second: u64, lasts: u64, fault: Fault) -> Script {
        self.at_ms(second * 1000, lasts * 1000, fault)
    }

    /// The same in milliseconds.
    pub(crate) fn at_ms(mut self, at_ms: u64, lasts_ms: u64, fault: Fault) -> Script {
        self.0.episodes.push(Episode { at_ms, lasts_ms, fault });
        self
    }

    /// Until the end every sync takes so long that requests are under way at most times.
    pub(crate) fn unhurried(self) -> Script {
        let lasts = self.0.seconds;
        self.at(0, lasts, Fault::SlowDisk { victim: Victim::All, sync_ms: 60 })
    }

    /// The power of a node goes at its next passing of a place in the code, which must come within so many seconds.
    pub(crate) fn crash(self, second: u64, lasts: u64, node: u32, point: &str) -> Script {
        let fault = Fault::Crash { victim: Victim::Node(node), point: point.to_owned(), nth: 1 };
        self.at(second, lasts, fault)
    }

    /// Plays it, and sees to it that every promise was kept.
    ///
    /// # Panics
    /// With the plan, if one was not, or if one was not put to the test at all.
    pub(crate) fn play(self) -> Story {
        let plan = serde_json::to_string(&self.0).expect("a plan is plain data");
        let story = Story::of(&self.0);
        assert_eq!(story.report.outcome.failure, None, "{plan}\n{}", story.end_of_log());
        let violations: Vec<_> = story.verdict.verdicts.values().flat_map(|of| &of.violations).collect();
        assert!(story.verdict.is_clean(), "{violations:#?}\n{:#?}\n{plan}", story.verdict.undecided);
        for promise in PROMISED {
            assert!(
                story.verdict.verdicts[&promise].checked > 0,
                "{promise} was not put to the test: {plan}"
            );
        }
        story
    }
}
