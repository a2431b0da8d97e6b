//! Plans with a name, for real processes: each is about one thing, and `mixed` about all.

use std::collections::BTreeMap;

use chronos_env::Entropy;

use super::swarm::point;
use super::{Beats, Deed, Direction, Episode, Fault, Load, Plan, Victim};

/// The first part of a run in which nothing goes wrong, to compare with.
const CALM_SHARE: f64 = 0.2;
/// Partitions to which most is written, so that it is soon seen when they are served again.
const BUSY: u64 = 6;

/// At least and at most.
type Millis = (u64, u64);

impl Plan {
    /// What there is.
    pub const NAMES: [&str; 11] = [
        "mixed",
        "leader-kills",
        "power-cuts",
        "rot",
        "partitions",
        "clocks",
        "full-disks",
        "pauses",
        "rolling",
        "slow-follower",
        "one-faulty",
    ];

    /// The plan of that name, grown from a seed; `None` if there is none.
    #[must_use]
    pub fn named(name: &str, seed: u64, nodes: u32, seconds: u64) -> Option<Plan> {
        let mut drawn =
            Draw { dice: Entropy::seeded(seed).child("named"), nodes, weak: 1, turns: BTreeMap::new() };
        drawn.weak = 1 + drawn.below(u64::from(nodes)) as u32;
        // Milliseconds from one episode's beginning to the next, how long each lasts, and which it is.
        let (gap, lasts, fault): (Millis, Millis, fn(&mut Draw) -> Fault) = match name {
            "mixed" => ((2_000, 9_000), (500, 12_000), Draw::anything),
            "leader-kills" => ((7_000, 9_000), (1_000, 3_000), Draw::leader_kill),
            "power-cuts" => ((9_000, 15_000), (500, 3_000), Draw::power_cut),
            "rot" => ((3_000, 6_000), (500, 1_000), Draw::damage),
            "partitions" => ((5_000, 12_000), (2_000, 10_000), Draw::link),
            "clocks" => ((4_000, 10_000), (1_000, 8_000), Draw::clock),
            "full-disks" => ((8_000, 15_000), (2_000, 8_000), Draw::room),
            "pauses" => ((5_000, 12_000), (500, 8_000), Draw::pause),
            "rolling" => ((50_000, 60_000), (1_000, 2_000), |_| Fault::RollingRestart),
            "slow-follower" => ((20_000, 20_000), (19_000, 19_000), Draw::slowness),
            "one-faulty" => ((10_000, 10_000), (9_500, 9_500), Draw::one_fault),
            _ => return None,
        };
        let mut episodes = Vec::new();
        let mut at_ms = (seconds as f64 * 1000.0 * CALM_SHARE) as u64;
        while at_ms < seconds * 1000 {
            let lasts_ms = drawn.between(lasts);
            episodes.push(Episode { at_ms, lasts_ms, fault: fault(&mut drawn) });
            at_ms += drawn.between(gap);
        }
        let load = load(matches!(name, "slow-follower" | "one-faulty"));
        Some(Plan { seed, nodes, seconds, beats: Beats::default(), beyond_atlas: false, load, episodes })
    }
}

/// All deeds; where speed is compared, only those that are alike, and as many as can be.
fn load(is_measured: bool) -> Load {
    if is_measured {
        let mix = vec![(Deed::Append, 8), (Deed::ReadOwn, 1), (Deed::ReadEntity, 1)];
        return Load { clients: 8, rate: 100.0, entities: 4096, day: Vec::new(), mix };
    }
    let mix = Deed::ALL.map(|deed| (deed, weight(deed))).to_vec();
    Load { clients: 10, rate: 8.0, entities: 512, day: Vec::new(), mix }
}

fn weight(deed: Deed) -> u32 {
    match deed {
        Deed::Append => 8,
        Deed::AppendLarge => 1,
        _ => 3,
    }
}

struct Draw {
    dice: Entropy,
    nodes: u32,
    /// Whoever loses right bytes, or has wrong ones: the others have good copies.
    weak: u32,
    /// How often each choice was made of what comes in turn.
    turns: BTreeMap<&'static str, u64>,
}

impl Draw {
    fn below(&self, n: u64) -> u64 {
        self.dice.below(n)
    }

    fn between(&self, (least, most): Millis) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whose turn it is in this choice, from 0.
    fn turn(&mut self, choice: &'static str) -> u64 {
        let turns = self.turns.entry(choice).or_default();
        *turns += 1;
        *turns - 1
    }

    fn weak(&self) -> Victim {
        Victim::Node(self.weak)
    }

    fn anybody(&self) -> Victim {
        match self.below(4) {
            0 => self.leader(),
            1 => Victim::Follower(self.below(32) as u8),
            _ => Victim::Node(1 + self.below(u64::from(self.nodes)) as u32),
        }
    }

    fn some(&self) -> Victim {
        match self.below(8) {
            0 => Victim::All,
            1 => Victim::Majority,
            _ => self.anybody(),
        }
    }

    /// Whoever leads a partition to which much is written.
    fn leader(&self) -> Victim {
        Victim::Leader(crate::workload::busy_partition(1 + self.below(BUSY)))
    }

    fn leader_kill(&mut self) -> Fault {
        Fault::Kill { victim: self.leader() }
    }

    /// Of one node, and every third time of all.
    fn power_cut(&mut self) -> Fault {
        let victim = if self.turn("power") % 3 == 2 { Victim::All } else { self.anybody() };
        Fault::PowerCut { victim }
    }

    fn damage(&mut self) -> Fault {
        let victim = self.weak();
        match self.below(10) {
            0 => Fault::Mangle { victim },
            1 => Fault::Misdirect { victim },
            2 => Fault::Scrub { victim },
            _ => Fault::Rot { victim, bits: 1 + self.below(4) as u32 },
        }
    }

    fn link(&mut self) -> Fault {
        let victim = self.anybody();
        match self.turn("link") % 9 {
            0 => Fault::Isolate { victim: self.leader(), direction: Direction::Both },
            1 => Fault::Isolate { victim, direction: Direction::In },
            2 => Fault::Isolate { victim, direction: Direction::Out },
            3 => Fault::Bridge { victim },
            4 => Fault::Swizzle,
            5 => Fault::OnlyWayIn { victim },
            6 => Fault::Wedge { victim },
            7 => Fault::Resets { victim },
            _ => Fault::Flapping { victim },
        }
    }

    /// What packets meet on their way.
    fn wire(&mut self) -> Fault {
        let victim = self.anybody();
        let per_mille = 5 + self.below(100) as u16;
        match self.below(6) {
            0 => Fault::Delay { victim, min_ms: 2, max_ms: 10 + self.below(300) },
            1 => Fault::Trickle { victim, bytes_per_second: 8_000 + self.below(64_000) },
            2 => Fault::Loss { victim, per_mille },
            3 => Fault::Duplicate { victim, per_mille, lag_ms: 1 + self.below(500) },
            4 => Fault::Reorder { victim, per_mille, lag_ms: 1 + self.below(50) },
            // Between nodes nothing gets past; what it told clients in the clear may have been something else.
            _ => Fault::Corrupt { victim: self.weak(), per_mille: 1 + per_mille / 20 },
        }
    }

    fn clock(&mut self) -> Fault {
        let victim = self.anybody();
        if self.below(3) == 0 {
            return Fault::ClockDrift { victim, ppm: self.below(200_000) as i64 - 100_000 };
        }
        Fault::ClockStep { victim, by_ms: self.below(172_800_000) as i64 - 86_400_000 }
    }

    fn room(&mut self) -> Fault {
        let victim = self.anybody();
        match self.turn("room") % 3 {
            2 => Fault::ReadOnly { victim },
            _ => Fault::Full { victim },
        }
    }

    fn pause(&mut self) -> Fault {
        match self.below(4) {
            0 => Fault::Freeze { victim: self.anybody() },
            1 => Fault::Pause { victim: self.leader() },
            _ => Fault::Pause { victim: self.some() },
        }
    }

    /// One node that is slow: all others are as they were.
    fn slowness(&mut self) -> Fault {
        let victim = self.weak();
        match self.turn("slowness") % 3 {
            0 => Fault::Throttle { victim, bytes_per_second: 1 << 20 },
            1 => Fault::Trickle { victim, bytes_per_second: 128 << 10 },
            _ => Fault::SlowDisk { victim, sync_ms: 100 },
        }
    }

    /// One node that is faulty all the time, each time in another way.
    fn one_fault(&mut self) -> Fault {
        let victim = Victim::Node(1 + (self.turn("faulty") % u64::from(self.nodes)) as u32);
        match self.below(7) {
            0 => Fault::Kill { victim },
            1 => Fault::Pause { victim },
            2 => Fault::RestartLoop { victim },
            3 => Fault::Isolate { victim, direction: Direction::Both },
            4 => Fault::PowerCut { victim },
            5 => Fault::SlowDisk { victim, sync_ms: 200 },
            _ => Fault::Loss { victim, per_mille: 200 },
        }
    }

    fn disk(&mut self) -> Fault {
        let victim = self.anybody();
        match self.below(5) {
            0 => Fault::SyncFails { victim },
            1 => Fault::SlowDisk { victim, sync_ms: 10 + self.below(800) },
            2 => Fault::Throttle { victim, bytes_per_second: (64 << 10) + self.below(1 << 20) },
            _ => self.room(),
        }
    }

    fn process(&mut self) -> Fault {
        let victim = self.anybody();
        match self.below(7) {
            0 => Fault::Kill { victim: self.some() },
            1 => Fault::RestartLoop { victim },
            2 => Fault::OutOfMemory { victim },
            3 => Fault::FewFiles { victim },
            4 => self.pause(),
            _ => Fault::Crash { victim, point: point(&self.dice), nth: 1 + self.below(5) },
        }
    }

    fn operator(&mut self) -> Fault {
        let victim = self.anybody();
        match self.below(5) {
            0 => Fault::Compact,
            1 => Fault::Scrub { victim },
            2 => Fault::RollingRestart,
            _ => Fault::Churn,
        }
    }

    /// Each kind in its turn, and of each kind any.
    fn anything(&mut self) -> Fault {
        match self.turn("anything") % 10 {
            0 => self.leader_kill(),
            1 | 6 => self.link(),
            2 | 7 => self.disk(),
            3 => Fault::PowerCut { victim: self.some() },
            4 => self.wire(),
            5 => self.process(),
            8 => self.damage(),
            _ => match self.below(3) {
                0 => self.clock(),
                1 => self.operator(),
                _ => Fault::LyingDisk { victim: self.weak() },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_grows_into_a_plan_of_its_own_and_nothing_else_does() {
        for name in Plan::NAMES {
            let plan = Plan::named(name, 7, 3, 600).unwrap();
            assert!(!plan.episodes.is_empty(), "{name}");
            assert_eq!(Plan::named(name, 7, 3, 600).unwrap(), plan, "{name} follows from its seed");
            assert!(plan.episodes.iter().all(|episode| episode.at_ms >= 120_000), "{name} begins in calm");
        }
        assert_eq!(Plan::named("mixed ", 7, 3, 600), None);
    }

    #[test]
    fn one_node_only_ever_loses_what_it_was_right_about() {
        for (name, seed) in [("mixed", 1), ("mixed", 2), ("rot", 3)] {
            let plan = Plan::named(name, seed, 5, 3600).unwrap();
            let harmful = plan.episodes.iter().filter(|episode| episode.fault.harms_the_disk());
            let victims: BTreeSet<String> =
                harmful.map(|episode| format!("{:?}", episode.fault.victim())).collect();
            assert_eq!(victims.len(), 1, "{name} {seed}: {victims:?}");
        }
    }

    #[test]
    fn an_hour_of_everything_has_every_kind_of_fault_that_a_machine_can_have() {
        let kinds = |seed| Plan::named("mixed", seed, 3, 7200).unwrap().episodes;
        let had: BTreeSet<&str> = (1..4).flat_map(kinds).map(|episode| episode.fault.kind()).collect();
        for kind in [
            "kill",
            "crash",
            "pause",
            "freeze",
            "restart-loop",
            "rolling-restart",
            "out-of-memory",
            "few-files",
            "isolate",
            "bridge",
            "swizzle",
            "only-way-in",
            "wedge",
            "resets",
            "flapping",
            "delay",
            "trickle",
            "loss",
            "duplicate",
            "reorder",
            "corrupt",
            "power-cut",
            "sync-fails",
            "full",
            "read-only",
            "slow-disk",
            "throttle",
            "rot",
            "misdirect",
            "mangle",
            "lying-disk",
            "clock-step",
            "clock-drift",
            "churn",
            "compact",
            "scrub",
        ] {
            assert!(had.contains(kind), "{kind} is never drawn");
        }
    }
}
