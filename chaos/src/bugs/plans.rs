//! Plans for bugs that an ordinary seed hardly ever meets: the same swarm, with more of what they need.

use chronos_env::Entropy;

use crate::plan::{Episode, Fault, Plan, Victim};

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

/// Moments so many milliseconds apart, up to so many seconds.
fn often(seconds: u64, every_ms: u64) -> impl Iterator<Item = u64> {
    (every_ms..seconds * 1000).step_by(every_ms as usize)
}

fn in_order(mut plan: Plan) -> Plan {
    plan.episodes.sort_by_key(|episode| episode.at_ms);
    plan
}
