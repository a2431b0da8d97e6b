//! Plans of some minutes, each with faults and deeds of its own: what is left out lets the rest go further (Groce and
//! others, Swarm Testing, ISSTA 2012).

use chronos_env::Entropy;

use super::{Beats, Deed, Direction, Episode, Fault, Load, Plan, Victim};

/// Milliseconds from the beginning of one episode to that of the next, at most.
const GAP_MS: u64 = 20_000;
/// Milliseconds that an episode lasts, at most.
const LASTS_MS: u64 = 15_000;

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
        let episodes = episodes(&dice, nodes, seconds);
        Plan { seed, nodes, seconds, beats: Beats::default(), load, episodes }
    }
}

/// Each deed with even odds, and always some that write and some that read.
fn mix(dice: &Entropy) -> Vec<(Deed, u32)> {
    let needed = [Deed::Append, Deed::ReadPartition];
    let chosen = Deed::ALL.into_iter().filter(|deed| dice.below(2) == 0 || needed.contains(deed));
    chosen.map(|deed| (deed, 1 + dice.below(6) as u32)).collect()
}

fn episodes(dice: &Entropy, nodes: u32, seconds: u64) -> Vec<Episode> {
    let kinds: Vec<u64> = (0..KINDS).filter(|_| dice.below(2) == 0).collect();
    // Whoever has wrong bytes, or loses right ones, is one of these: the others have good copies.
    let weak = 1 + dice.below(u64::from(nodes)) as u32;
    let mut all = Vec::new();
    let mut at_ms = dice.below(GAP_MS);
    while !kinds.is_empty() && at_ms < seconds * 1000 {
        let kind = kinds[dice.below(kinds.len() as u64) as usize];
        let lasts_ms = 200 + dice.below(LASTS_MS);
        all.push(Episode { at_ms, lasts_ms, fault: fault(dice, kind, nodes, weak) });
        at_ms += 500 + dice.below(GAP_MS);
    }
    all
}

fn victim(dice: &Entropy, nodes: u32) -> Victim {
    let partition = dice.below(32) as u8;
    match dice.below(4) {
        0 => Victim::Leader(partition),
        1 => Victim::Follower(partition),
        _ => Victim::Node(1 + dice.below(u64::from(nodes)) as u32),
    }
}

fn victims(dice: &Entropy, nodes: u32) -> Victim {
    match dice.below(8) {
        0 => Victim::All,
        1 => Victim::Majority,
        _ => victim(dice, nodes),
    }
}

const KINDS: u64 = 30;

/// One of the kinds.
fn fault(dice: &Entropy, kind: u64, nodes: u32, weak: u32) -> Fault {
    let (one, some, weak) = (victim(dice, nodes), victims(dice, nodes), Victim::Node(weak));
    match kind {
        0 => Fault::Kill { victim: some },
        1 => Fault::PowerCut { victim: some },
        2 => Fault::Crash { victim: one, point: point(dice), nth: 1 + dice.below(20) },
        3 => Fault::Pause { victim: some },
        4 => Fault::RestartLoop { victim: one },
        5 => Fault::RollingRestart,
        6 => Fault::Isolate { victim: one, direction: Direction::Both },
        7 => Fault::Isolate { victim: one, direction: Direction::In },
        8 => Fault::Isolate { victim: one, direction: Direction::Out },
        9 => Fault::Bridge { victim: one },
        10 => Fault::Swizzle,
        11 => Fault::OnlyWayIn { victim: one },
        12 => Fault::Delay { victim: one, min_ms: 5, max_ms: 10 + dice.below(1000) },
        13 => Fault::Trickle { victim: one, bytes_per_second: 4_000 + dice.below(64_000) },
        14 => Fault::Wedge { victim: one },
        15 => Fault::Resets { victim: one },
        16 => Fault::Flapping { victim: one },
        17 => Fault::SyncFails { victim: one },
        18 => Fault::WriteFails { victim: one },
        19 => Fault::ReadFails { victim: one },
        20 => Fault::Full { victim: one },
        21 => Fault::ReadOnly { victim: one },
        22 => Fault::SlowDisk { victim: one, sync_ms: 1 + dice.below(800) },
        23 => Fault::Rot { victim: weak, bits: 1 + dice.below(4) as u32 },
        24 => Fault::ClockStep { victim: one, by_ms: dice.below(7_200_000) as i64 - 3_600_000 },
        25 => Fault::ClockDrift { victim: one, ppm: dice.below(200_000) as i64 - 100_000 },
        26 => Fault::Churn,
        27 => Fault::Compact,
        28 => Fault::Scrub { victim: one },
        _ => Fault::Misdirect { victim: weak },
    }
}

/// Some place in the code at which a crash can be met.
pub(super) fn point(dice: &Entropy) -> String {
    let all: Vec<&str> = crate::crash_points().collect();
    all[dice.below(all.len() as u64) as usize].to_owned()
}
