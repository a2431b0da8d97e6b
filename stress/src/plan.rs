//! What is done in a round: the same for the same seed and number.

use chronos_chaos::Ending;
use chronos_chaos::plan::{Fault, Plan, Victim};

use crate::settings::Settings;

/// Of all seeds that rounds have, those of one soak are next to each other.
const ROUNDS: u64 = 1 << 16;

/// How a round ends: the last of a watch, and of the soak, cold.
#[must_use]
pub fn ending(settings: &Settings, round: u16, is_last: bool) -> Ending {
    let is_last_of_watch = (round + 1).is_multiple_of(settings.profile.rounds_in_a_watch());
    if is_last || is_last_of_watch { Ending::Cold } else { Ending::Warm }
}

/// The plan of a round. The load is the same in all of them, so that they can be compared, and the first fifth is calm.
///
/// # Panics
/// If there is no plan with every fault in it.
#[must_use]
pub fn plan(settings: &Settings, round: u16, ending: Ending) -> Plan {
    let Settings { profile, nodes, seed } = settings;
    let seed = seed.wrapping_mul(ROUNDS).wrapping_add(round.into());
    let plan = Plan::named("mixed", seed, *nodes, profile.round_seconds());
    let mut plan = plan.expect("there is a plan that has everything");
    let weak = weak(settings, round);
    plan.episodes.iter_mut().for_each(|episode| strike_the_weak(&mut episode.fault, weak));
    if ending == Ending::Warm {
        let spared = spared(settings, round);
        plan.episodes.retain_mut(|episode| spare(&mut episode.fault, spared, *nodes));
    }
    plan
}

/// Whose process lives from one cold start to the next: another one in each watch.
fn spared(settings: &Settings, round: u16) -> u32 {
    1 + u32::from(round / settings.profile.rounds_in_a_watch()) % settings.nodes
}

/// Whose disk may be damaged, from one cold start to the next. What is wrong on it may show only when its process starts again:
/// until then no other node must lose anything, or no good copy is left.
#[must_use]
pub fn weak(settings: &Settings, round: u16) -> u32 {
    1 + spared(settings, round) % settings.nodes
}

fn strike_the_weak(fault: &mut Fault, weak: u32) {
    if fault.harms_the_disk()
        && let Some(victim) = ending_victim(fault)
    {
        *victim = Victim::Node(weak);
    }
}

/// Whether there is anything left of a fault that must not end the process of that node; whatever would then strikes another.
fn spare(fault: &mut Fault, spared: u32, nodes: u32) -> bool {
    if matches!(fault, Fault::RollingRestart) {
        return false;
    }
    if let Some(victim) = ending_victim(fault) {
        // Whoever leads, and whoever the majority is, shows too late.
        let drawn = match *victim {
            Victim::Node(node) => node,
            Victim::Leader(partition) | Victim::Follower(partition) => 1 + u32::from(partition) % nodes,
            Victim::Majority | Victim::All => spared,
        };
        *victim = Victim::Node(if drawn == spared { 1 + spared % nodes } else { drawn });
    }
    true
}

/// Whom a fault strikes that ends processes, or after which a node may end its own, or whose bytes it harms.
fn ending_victim(fault: &mut Fault) -> Option<&mut Victim> {
    match fault {
        Fault::Kill { victim }
        | Fault::PowerCut { victim }
        | Fault::Crash { victim, .. }
        | Fault::KillAt { victim, .. }
        | Fault::Gather { victim }
        | Fault::RestartLoop { victim }
        | Fault::OutOfMemory { victim }
        | Fault::FewFiles { victim }
        | Fault::SyncFails { victim }
        | Fault::WriteFails { victim }
        | Fault::ReadFails { victim }
        | Fault::Full { victim }
        | Fault::ReadOnly { victim }
        | Fault::LyingDisk { victim }
        | Fault::Rollback { victim }
        | Fault::Rot { victim, .. }
        | Fault::Blight { victim, .. }
        | Fault::Misdirect { victim }
        | Fault::Mangle { victim }
        | Fault::Wipe { victim }
        | Fault::Corrupt { victim, .. } => Some(victim),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Profile;

    const SETTINGS: Settings = Settings { profile: Profile::Hour, nodes: 3, seed: 7 };

    #[test]
    fn a_round_is_the_same_whenever_it_is_drawn_and_unlike_every_other() {
        let of = |round| plan(&SETTINGS, round, Ending::Warm);
        assert_eq!(of(3), of(3));
        assert_ne!(of(3).episodes, of(4).episodes);
        assert_eq!(of(3).load, of(4).load, "they can be compared");
    }

    #[test]
    fn one_node_is_spared_whatever_ends_processes() {
        for round in 0..11 {
            for mut episode in plan(&SETTINGS, round, Ending::Warm).episodes {
                assert_ne!(episode.fault, Fault::RollingRestart);
                if let Some(victim) = ending_victim(&mut episode.fault) {
                    assert!(matches!(victim, Victim::Node(2 | 3)), "{victim:?} of round {round}");
                }
            }
        }
    }

    #[test]
    fn the_last_round_of_a_watch_spares_nobody_and_is_read_cold() {
        assert_eq!(ending(&SETTINGS, 10, false), Ending::Warm);
        assert_eq!(ending(&SETTINGS, 11, false), Ending::Cold);
        assert_eq!(ending(&SETTINGS, 2, true), Ending::Cold);
        let strikes_the_spared = |round| {
            let mut plan = plan(&SETTINGS, round, Ending::Cold);
            let victims = plan.episodes.iter_mut().filter_map(|episode| ending_victim(&mut episode.fault));
            victims.filter(|victim| !matches!(victim, Victim::Node(2 | 3))).count()
        };
        assert!((0..5).map(strikes_the_spared).sum::<usize>() > 0);
    }

    #[test]
    fn only_one_disk_is_damaged_from_one_cold_start_to_the_next() {
        let mut damaged = 0;
        for round in 0..12 {
            for mut episode in plan(&SETTINGS, round, ending(&SETTINGS, round, false)).episodes {
                if episode.fault.harms_the_disk() {
                    damaged += 1;
                    assert_eq!(
                        ending_victim(&mut episode.fault),
                        Some(&mut Victim::Node(2)),
                        "round {round}"
                    );
                }
            }
        }
        assert!(damaged > 0);
        assert_eq!(weak(&SETTINGS, 12), 3);
    }

    #[test]
    fn another_node_is_spared_in_the_next_watch() {
        assert_eq!([0, 11, 12, 24, 36].map(|round| spared(&SETTINGS, round)), [1, 1, 2, 3, 1]);
    }
}
