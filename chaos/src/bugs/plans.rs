//! Plans for bugs that an ordinary seed hardly ever meets: the same swarm, with more of what they need.

use chronos_domain::place;
use chronos_env::Entropy;

use crate::plan::{Beats, Deed, Direction, Episode, Fault, Load, Plan, Victim};

/// Partitions are compacted again and again, so that parts are merged; and all nodes lose power where a manifest is about to
/// take the place of another.
pub(super) fn merges(seed: u64, seconds: u64) -> Plan {
    let mut plan = Plan::swarm(seed, seconds);
    plan.load.entities = 64;
    plan.episodes.clear();
    plan.episodes.extend(often(seconds, 400).map(|at_ms| Episode {
        at_ms,
        lasts_ms: 100,
        fault: Fault::Compact,
    }));
    let point = || "parts.manifest.before".to_owned();
    let crash = || Fault::Crash { victim: Victim::All, point: point(), nth: 1 };
    let late = often(seconds, 12_000).filter(|at_ms| *at_ms > seconds * 500);
    plan.episodes.extend(late.map(|at_ms| Episode { at_ms, lasts_ms: 4_000, fault: crash() }));
    in_order(plan)
}

/// Nodes lose their disks, one at a time.
pub(super) fn wipes(seed: u64, seconds: u64) -> Plan {
    let mut plan = Plan::swarm(seed, seconds);
    let dice = Entropy::seeded(seed).child("wipes");
    // Who has lost everything must be the only one who has.
    plan.episodes.retain(|episode| !episode.fault.harms_the_disk());
    let victim = Victim::Node(1 + dice.below(u64::from(plan.nodes)) as u32);
    let at_ms = seconds * 500;
    plan.episodes.push(Episode { at_ms, lasts_ms: 2_000, fault: Fault::Wipe { victim } });
    in_order(plan)
}

/// Parts rot on one node of five, while others are given partitions that they have to fetch.
pub(super) fn moves(seed: u64, seconds: u64) -> Plan {
    let mut plan = Plan::swarm(seed, seconds);
    let dice = Entropy::seeded(seed).child("moves");
    plan.nodes = 5;
    plan.episodes.clear();
    plan.episodes.extend(often(seconds / 2, 400).map(|at_ms| Episode {
        at_ms,
        lasts_ms: 100,
        fault: Fault::Compact,
    }));
    let weak = 1 + dice.below(5) as u32;
    for at_ms in often(seconds, 20_000).filter(|at_ms| *at_ms > seconds * 300) {
        let bits = 32;
        plan.episodes.push(Episode {
            at_ms,
            lasts_ms: 100,
            fault: Fault::Rot { victim: Victim::Node(weak), bits },
        });
        let victim = Victim::Node(1 + (u64::from(weak) + dice.below(4)) as u32 % 5);
        plan.episodes.push(Episode { at_ms: at_ms + 500, lasts_ms: 15_000, fault: Fault::Drain { victim } });
    }
    in_order(plan)
}

/// All nodes lose power at once, again and again, while syncs take their time and log files are used up.
pub(super) fn cuts(seed: u64, seconds: u64) -> Plan {
    let mut plan =
        writes(seed, seconds, &[(Deed::AppendMany, 6), (Deed::Append, 3), (Deed::ReadPartition, 1)]);
    let (sync_ms, lasts_ms) = (5 + Entropy::seeded(seed).child("cuts").below(60), seconds * 1000);
    let slow = Fault::SlowDisk { victim: Victim::All, sync_ms };
    plan.episodes.push(Episode { at_ms: 0, lasts_ms, fault: slow });
    plan.episodes.extend(often(seconds, 8_000).map(power_cut));
    in_order(plan)
}

/// A sync fails on every node, and soon after all lose power.
pub(super) fn failing_syncs(seed: u64, seconds: u64) -> Plan {
    let mut plan = writes(seed, seconds, &[(Deed::Append, 8), (Deed::ReadPartition, 1)]);
    for at_ms in often(seconds, 9_000) {
        let fault = Fault::SyncFails { victim: Victim::All };
        plan.episodes.push(Episode { at_ms: at_ms - 1_500, lasts_ms: 1_400, fault });
        plan.episodes.push(power_cut(at_ms));
    }
    in_order(plan)
}

/// Leaders stand still, or are heard by no other node, while clients read what is in few entities.
pub(super) fn lone_leaders(seed: u64, seconds: u64) -> Plan {
    let mix = [(Deed::Append, 5), (Deed::ReadPartition, 4), (Deed::ReadEntity, 4)];
    let mut plan = writes(seed, seconds, &mix);
    plan.load.entities = 2;
    let hot = place("default", "thing-1").get();
    for (nth, at_ms) in (0..).zip(often(seconds, 7_000)) {
        let victim = Victim::Leader(hot);
        let fault = match nth % 2 {
            0 => Fault::Pause { victim },
            _ => Fault::Isolate { victim, direction: Direction::Both },
        };
        plan.episodes.push(Episode { at_ms, lasts_ms: 4_000, fault });
    }
    in_order(plan)
}

/// So many nodes are down for so long that requests are given up on, and what was asked for happens afterwards.
pub(super) fn lost_quorums(seed: u64, seconds: u64) -> Plan {
    let mut plan = writes(seed, seconds, &[(Deed::Append, 8), (Deed::ReadPartition, 1)]);
    let fault = || Fault::Pause { victim: Victim::Majority };
    plan.episodes.extend(often(seconds, 20_000).map(|at_ms| Episode {
        at_ms: at_ms - 12_000,
        lasts_ms: 12_000,
        fault: fault(),
    }));
    in_order(plan)
}

/// A node's log rots while it is down. When it comes back whoever could tell it what it has lost is down or knows nothing.
pub(super) fn blind_restarts(seed: u64, seconds: u64) -> Plan {
    let mut plan = writes(seed, seconds, &[(Deed::Append, 8), (Deed::ReadPartition, 1)]);
    let [weak, behind, knowing] = [1, 2, 3].map(Victim::Node);
    let bits = 4 << Entropy::seeded(seed).child("blind restarts").below(6);
    let isolated = Fault::Isolate { victim: behind, direction: Direction::Both };
    let episode = |at_ms, lasts_ms, fault| Episode { at_ms, lasts_ms, fault };
    plan.episodes = vec![
        episode(500, 24_000, isolated),
        episode(20_000, 30_000, Fault::Kill { victim: knowing }),
        episode(20_000, 3_000, Fault::Kill { victim: weak }),
        episode(21_000, 100, Fault::Rot { victim: weak, bits }),
    ];
    plan
}

/// Many clients append to one entity at the version that it has, and syncs take long enough for them to meet.
pub(super) fn rivals(seed: u64, seconds: u64) -> Plan {
    let mut plan = writes(seed, seconds, &[(Deed::AppendAtVersion, 8), (Deed::ReadEntity, 1)]);
    (plan.load.entities, plan.load.rate) = (1, 20.0);
    let fault = Fault::SlowDisk { victim: Victim::All, sync_ms: 60 };
    plan.episodes.push(Episode { at_ms: 0, lasts_ms: seconds * 1000, fault });
    plan
}

/// Nodes lose power one by one, in the midst of elections that take long: messages and syncs are slow, and leaders change.
pub(super) fn elections(seed: u64, seconds: u64) -> Plan {
    let mut plan = writes(seed, seconds, &[(Deed::Append, 4), (Deed::ReadPartition, 1)]);
    (plan.load.clients, plan.load.rate) = (2, 1.0);
    let sync_ms = 80 << Entropy::seeded(seed).child("elections").below(4);
    let whole = |fault| Episode { at_ms: 0, lasts_ms: seconds * 1000, fault };
    plan.episodes = vec![
        whole(Fault::SlowDisk { victim: Victim::All, sync_ms }),
        whole(Fault::Delay { victim: Victim::All, min_ms: 20, max_ms: 120 }),
        whole(Fault::Churn),
    ];
    plan.episodes.extend(often(seconds, 3_000).zip(1..).map(|(at_ms, nth)| {
        let fault = Fault::PowerCut { victim: Victim::Node(1 + nth % 3) };
        Episode { at_ms, lasts_ms: 700, fault }
    }));
    in_order(plan)
}

/// Connections between nodes go silent without an end, and work again only for who begins anew.
pub(super) fn wedges(seed: u64, seconds: u64) -> Plan {
    let mut plan = writes(seed, seconds, &[(Deed::Append, 4), (Deed::ReadPartition, 2)]);
    plan.episodes.extend(often(seconds, 3_000).zip(1..).map(|(at_ms, nth)| {
        let fault = Fault::Wedge { victim: Victim::Node(1 + nth % 3) };
        Episode { at_ms, lasts_ms: 100, fault }
    }));
    in_order(plan)
}

/// Three nodes and nothing that goes wrong, with much to write and this to do.
fn writes(seed: u64, seconds: u64, mix: &[(Deed, u32)]) -> Plan {
    let mut plan = Plan::swarm(seed, seconds);
    plan.nodes = 3;
    plan.beats = Beats::default();
    plan.episodes.clear();
    plan.load = Load { clients: 8, rate: 12.0, day: Vec::new(), entities: 32, mix: mix.to_vec() };
    plan
}

fn power_cut(at_ms: u64) -> Episode {
    Episode { at_ms, lasts_ms: 1_500, fault: Fault::PowerCut { victim: Victim::All } }
}

/// Moments so many milliseconds apart, up to so many seconds.
fn often(seconds: u64, every_ms: u64) -> impl Iterator<Item = u64> {
    (every_ms..seconds * 1000).step_by(every_ms as usize)
}

fn in_order(mut plan: Plan) -> Plan {
    plan.episodes.sort_by_key(|episode| episode.at_ms);
    plan
}
