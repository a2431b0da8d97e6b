//! Plans of some minutes, each with faults and deeds of its own: what is left out lets the rest go further (Groce and
//! others, Swarm Testing, ISSTA 2012).
//!
//! * Whoever has wrong bytes, or loses right ones, is one node of a plan, the *weak* one: the others have good copies.
//! * Where a disk has forgotten what it acknowledged, that node can know it only from the others. So from then on until it
//!   has asked them nothing else goes wrong between them: two faults at a time are beyond what three nodes promise.
//! * A crash at a place in the code to which something has to lead comes with what leads there.

use chronos_env::Entropy;

use super::{Beats, Deed, Direction, Episode, Fault, Load, Plan, Victim};

/// Milliseconds between two looks of a group at its clock: the usual, and others that leave time for more seeds.
const RAFT_MS: [u64; 3] = [100, 200, 400];
/// Milliseconds from the beginning of one episode to that of the next, at most.
const GAP_MS: u64 = 20_000;
/// Milliseconds that an episode lasts, at most.
const LASTS_MS: u64 = 15_000;
/// The same where something has to come about first: a place in the code is reached, replicas have moved.
const LASTS_LONG_MS: u64 = 60_000;
/// Milliseconds that a rolling restart takes for each node, and that a node takes to be up again.
const RESTART_MS: u64 = 12_000;
/// Milliseconds for which a node that has forgotten something finds nobody to ask, longer than it tries.
const UNASKED_MS: u64 = 6_000;
/// Milliseconds after which a node that has forgotten something has asked all others what it was.
const ASKED_MS: u64 = 10_000;

impl Plan {
    /// The plan of a seed, of so many seconds.
    #[must_use]
    pub fn swarm(seed: u64, seconds: u64) -> Plan {
        let dice = Entropy::seeded(seed).child("plan");
        let nodes = if dice.below(4) == 0 { 5 } else { 3 };
        let load = Load {
            clients: 2 + dice.below(7) as u32,
            rate: 1.0 + dice.below(60) as f64 / 10.0,
            entities: 8 << dice.below(8),
            day: Vec::new(),
            mix: mix(&dice),
        };
        let weak = 1 + dice.below(u64::from(nodes)) as u32;
        let episodes = Draw { dice: &dice, nodes, weak }.episodes(seconds * 1000);
        let raft_ms = RAFT_MS[dice.child("beats").below(RAFT_MS.len() as u64) as usize];
        let beats = Beats { raft_ms, ..Beats::default() };
        Plan { seed, nodes, seconds, beats, beyond_atlas: false, load, episodes }
    }
}

/// Each deed with even odds, and always some that write and some that read.
fn mix(dice: &Entropy) -> Vec<(Deed, u32)> {
    let needed = [Deed::Append, Deed::ReadPartition];
    let chosen = Deed::ALL.into_iter().filter(|deed| dice.below(2) == 0 || needed.contains(deed));
    chosen.map(|deed| (deed, 1 + dice.below(6) as u32)).collect()
}

/// Some place in the code at which a crash can be met.
pub(super) fn point(dice: &Entropy) -> String {
    let all: Vec<&str> = crate::crash_points().collect();
    all[dice.below(all.len() as u64) as usize].to_owned()
}

struct Draw<'a> {
    dice: &'a Entropy,
    nodes: u32,
    weak: u32,
}

impl Draw<'_> {
    fn episodes(&self, until_ms: u64) -> Vec<Episode> {
        let kinds: Vec<u64> = (0..KINDS).filter(|_| self.below(2) == 0).collect();
        let mut all: Vec<Episode> = Vec::new();
        let (mut at_ms, mut undone_ms) = (self.below(GAP_MS), 0);
        while !kinds.is_empty() && at_ms < until_ms {
            let fault = self.fault(kinds[self.below(kinds.len() as u64) as usize]);
            let is_alone = matches!(fault, Fault::LyingDisk { .. } | Fault::Rollback { .. });
            if is_alone {
                at_ms = at_ms.max(undone_ms);
            }
            if at_ms >= until_ms {
                break;
            }
            let begun = self.begun(at_ms, fault);
            undone_ms = begun.iter().map(|episode| self.undone_ms(episode)).fold(undone_ms, u64::max);
            at_ms = if is_alone { undone_ms + ASKED_MS } else { at_ms + 500 + self.below(GAP_MS) };
            all.extend(begun);
        }
        all
    }

    /// When all nodes are up again that the episode has brought down.
    fn undone_ms(&self, episode: &Episode) -> u64 {
        let restarts = if episode.fault == Fault::RollingRestart { u64::from(self.nodes) } else { 1 };
        episode.at_ms + episode.lasts_ms + restarts * RESTART_MS
    }

    /// What begins at a time: the fault, and what goes with it.
    fn begun(&self, at_ms: u64, fault: Fault) -> Vec<Episode> {
        let lasts_ms = match &fault {
            Fault::Crash { .. } | Fault::KillAt { .. } | Fault::Drain { .. } | Fault::Full { .. } => {
                LASTS_MS + self.below(LASTS_LONG_MS - LASTS_MS)
            }
            _ => 200 + self.below(LASTS_MS),
        };
        let with_it = match &fault {
            Fault::Crash { point, .. } | Fault::KillAt { point, .. } => self.leads_to(point).map(|leads| {
                Episode { at_ms: at_ms + 500, lasts_ms: 200 + self.below(LASTS_MS), fault: leads }
            }),
            // It finds nobody to ask when it comes back, and learns from its leader what it has forgotten.
            Fault::LyingDisk { victim } | Fault::Rollback { victim } if self.below(2) == 0 => {
                let fault = Fault::Isolate { victim: *victim, direction: Direction::Both };
                Some(Episode { at_ms: at_ms + lasts_ms, lasts_ms: UNASKED_MS, fault })
            }
            _ => None,
        };
        [Episode { at_ms, lasts_ms, fault }].into_iter().chain(with_it).collect()
    }

    /// What has to happen to the weak node so that a place in its code is reached, if it is not reached anyhow.
    fn leads_to(&self, point: &str) -> Option<Fault> {
        let victim = Victim::Node(self.weak);
        let begins = |words: &[&str]| words.iter().any(|word| point.starts_with(word));
        if begins(&["parts.install.", "store.backup.", "wal.lanes.after_make", "wal.lanes.after_write"]) {
            return Some(Fault::Wipe { victim });
        }
        if begins(&["parts.reset."]) {
            return Some(Fault::Mangle { victim });
        }
        if begins(&["wal.cut.", "wal.lanes.", "store.recover."]) {
            return Some(Fault::PowerCut { victim });
        }
        begins(&["parts.", "store.compact.", "cluster.purge.", "wal.recycle."]).then_some(Fault::Compact)
    }

    fn below(&self, bound: u64) -> u64 {
        self.dice.below(bound)
    }

    /// From 1 on: mostly few, and once in a while up to `many`.
    fn mostly_few(&self, many: u64) -> u64 {
        1 + self.below(1 << self.below(u64::from(many.ilog2()) + 1))
    }

    fn one(&self) -> Victim {
        let partition = self.below(32) as u8;
        match self.below(4) {
            0 => Victim::Leader(partition),
            1 => Victim::Follower(partition),
            _ => Victim::Node(1 + self.below(u64::from(self.nodes)) as u32),
        }
    }

    fn some(&self) -> Victim {
        match self.below(8) {
            0 => Victim::All,
            1 => Victim::Majority,
            _ => self.one(),
        }
    }

    /// Who crashes where something has to lead to is the weak one, at the first pass; where it need not, anybody or everybody,
    /// at any.
    fn at_a_point(&self) -> (Victim, String, u64) {
        let point = point(self.dice);
        let (victim, passes) = match self.leads_to(&point) {
            None | Some(Fault::Compact) if self.below(2) == 0 => (Victim::All, 32),
            None | Some(Fault::Compact) => (self.one(), 32),
            Some(_) => (Victim::Node(self.weak), 1),
        };
        (victim, point, self.mostly_few(passes))
    }
}

const KINDS: u64 = 45;

impl Draw<'_> {
    /// One of the kinds.
    fn fault(&self, kind: u64) -> Fault {
        let (victim, some, weak) = (self.one(), self.some(), Victim::Node(self.weak));
        match kind {
            0 => Fault::Kill { victim: some },
            1 => Fault::PowerCut { victim: some },
            2 => Fault::PowerCut { victim: Victim::All },
            3 => {
                let (victim, point, nth) = self.at_a_point();
                Fault::Crash { victim, point, nth }
            }
            4 => {
                let (victim, point, nth) = self.at_a_point();
                Fault::KillAt { victim, point, nth }
            }
            5 => Fault::Pause { victim: some },
            6 => Fault::RestartLoop { victim },
            7 => Fault::RollingRestart,
            8..24 => self.link(kind - 8, victim, weak),
            24..37 => self.disk(kind - 24, victim, weak),
            37 => Fault::ClockStep { victim, by_ms: self.below(7_200_000) as i64 - 3_600_000 },
            38 => Fault::ClockDrift { victim, ppm: self.below(200_000) as i64 - 100_000 },
            39 => Fault::ClockStop { victim },
            40 => Fault::Churn,
            41 => Fault::Gather { victim },
            42 => Fault::PauseInTransfer { victim },
            43 => Fault::Compact,
            _ => Fault::Drain { victim },
        }
    }

    fn link(&self, kind: u64, victim: Victim, weak: Victim) -> Fault {
        match kind {
            0 => Fault::Isolate { victim, direction: Direction::Both },
            1 => Fault::Isolate { victim, direction: Direction::In },
            2 => Fault::Isolate { victim, direction: Direction::Out },
            3 => Fault::Bridge { victim },
            4 => Fault::Swizzle,
            5 => Fault::Misled { victim },
            6 => Fault::OnlyWayIn { victim },
            7 => Fault::Delay { victim, min_ms: 5, max_ms: 10 + self.below(1000) },
            8 => Fault::Trickle { victim, bytes_per_second: 4_000 + self.below(64_000) },
            9 => Fault::Loss { victim, per_mille: 5 + self.below(300) as u16 },
            10 => Fault::Wedge { victim },
            11 => Fault::Resets { victim },
            12 => Fault::Flapping { victim },
            13 => Fault::FewFiles { victim },
            14 => Fault::Corrupt { victim: weak, per_mille: 1 + self.below(50) as u16 },
            _ => Fault::Scrub { victim },
        }
    }

    fn disk(&self, kind: u64, victim: Victim, weak: Victim) -> Fault {
        match kind {
            0 => Fault::SyncFails { victim },
            1 => Fault::WriteFails { victim },
            2 => Fault::ReadFails { victim },
            3 => Fault::Full { victim },
            4 => Fault::ReadOnly { victim },
            5 => Fault::SlowDisk { victim, sync_ms: 1 + self.below(3000) },
            6 => Fault::Throttle { victim, bytes_per_second: 1_000 + self.below(64_000) },
            7 => Fault::Rot { victim: weak, bits: 1 + self.below(4) as u32 },
            8 => Fault::Misdirect { victim: weak },
            9 => Fault::Mangle { victim: weak },
            10 => Fault::Wipe { victim: weak },
            11 => Fault::LyingDisk { victim: weak },
            _ => Fault::Rollback { victim: weak },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const MINUTES: u64 = 10;

    fn plans() -> impl Iterator<Item = Plan> {
        (1..=300).map(|seed| Plan::swarm(seed, MINUTES * 60))
    }

    #[test]
    fn three_hundred_plans_have_every_kind_of_fault_a_hundred_times() {
        let mut kinds = BTreeMap::new();
        for episode in plans().flat_map(|plan| plan.episodes) {
            *kinds.entry(episode.fault.kind()).or_insert(0) += 1;
        }
        let often: BTreeMap<_, _> = kinds.iter().filter(|(_, episodes)| **episodes >= 100).collect();
        assert_eq!(often.len() as u64, KINDS, "{kinds:?}");
    }

    #[test]
    fn episodes_come_in_the_order_of_their_beginnings_while_there_is_a_load() {
        for plan in plans() {
            assert!(plan.episodes.is_sorted_by_key(|episode| episode.at_ms), "seed {}", plan.seed);
            // What goes with an episode may begin when that is over.
            let end_ms = 1000 * plan.seconds + LASTS_MS + 1000;
            assert!(plan.episodes.iter().all(|episode| episode.at_ms < end_ms), "seed {}", plan.seed);
        }
    }

    #[test]
    fn one_node_of_a_plan_only_ever_loses_what_it_was_right_about() {
        for plan in plans() {
            let harmful = plan.episodes.iter().filter(|episode| episode.fault.harms_the_disk());
            let victims: BTreeSet<String> =
                harmful.map(|episode| format!("{:?}", episode.fault.victim())).collect();
            assert!(victims.len() <= 1, "seed {}: {victims:?}", plan.seed);
        }
    }

    #[test]
    fn nothing_else_goes_wrong_while_a_node_has_to_be_told_what_it_has_forgotten() {
        let forgets = |fault: &Fault| matches!(fault, Fault::LyingDisk { .. } | Fault::Rollback { .. });
        let mut seen = 0;
        for plan in plans() {
            let harmless = |episode: &Episode, victim| {
                episode.fault == Fault::Isolate { victim, direction: Direction::Both }
            };
            for one in plan.episodes.iter().filter(|episode| forgets(&episode.fault)) {
                seen += 1;
                let victim = one.fault.victim().unwrap();
                let until = one.at_ms + one.lasts_ms + RESTART_MS + ASKED_MS;
                let meets = |other: &&Episode| {
                    other.at_ms < until && one.at_ms < other.at_ms + other.lasts_ms && *other != one
                };
                for other in plan.episodes.iter().filter(meets) {
                    assert!(harmless(other, victim), "seed {}: {other:?} meets {one:?}", plan.seed);
                }
            }
        }
        assert!(seen > 200, "{seen}");
    }

    #[test]
    fn every_place_in_the_code_is_one_to_crash_at() {
        let mut left: BTreeSet<String> = crate::crash_points().map(str::to_owned).collect();
        for episode in plans().flat_map(|plan| plan.episodes) {
            if let Fault::Crash { point, .. } | Fault::KillAt { point, .. } = episode.fault {
                left.remove(&point);
            }
        }
        assert_eq!(left, BTreeSet::new());
    }
}
