//! Plans beyond the atlas: any node may hold wrong bytes, and of some no right copy is left anywhere.
//!
//! * Everything else is a swarm's: what goes wrong besides, what clients do.
//! * Nothing is harmed in a way that nobody can notice. A disk that is wiped, set back, or that forgets what it said was
//!   written holds no wrong byte: where that happens to a majority, nothing that is left says that there was more. So none of
//!   these is in such a plan.

use chronos_env::Entropy;

use super::{Episode, Fault, Plan, Victim};

/// Episodes of a plan that harm stored bytes, at most.
const HARMS_MAX: u64 = 6;
/// The share of the time, in hundredths, in which nothing is harmed yet: what is to be lost has to be written first.
const UNHARMED: u64 = 15;
/// Milliseconds that an episode lasts, at most.
const LASTS_MS: u64 = 10_000;

impl Plan {
    /// The plan of a seed, of so many seconds.
    #[must_use]
    pub fn beyond(seed: u64, seconds: u64) -> Plan {
        let mut plan = Plan::swarm(seed, seconds);
        let dice = Entropy::seeded(seed).child("beyond");
        plan.beyond_atlas = true;
        plan.episodes.retain(|episode| !episode.fault.harms_the_disk());
        let from_ms = seconds * 10 * UNHARMED;
        let harm = |_| {
            let at_ms = from_ms + dice.below(seconds * 1000 - from_ms);
            Episode { at_ms, lasts_ms: 500 + dice.below(LASTS_MS), fault: harm(&dice, plan.nodes) }
        };
        plan.episodes.extend((0..1 + dice.below(HARMS_MAX)).map(harm));
        plan.episodes.sort_by_key(|episode| episode.at_ms);
        plan
    }
}

fn harm(dice: &Entropy, nodes: u32) -> Fault {
    let victim = match dice.below(4) {
        0 => Victim::Node(1 + dice.below(u64::from(nodes)) as u32),
        1 => Victim::Majority,
        _ => Victim::All,
    };
    match dice.below(8) {
        0 => Fault::Rot { victim, bits: 1 + dice.below(64) as u32 },
        1 => Fault::Misdirect { victim },
        2 => Fault::Mangle { victim },
        // Harms nothing, and finds what lies there.
        3 => Fault::Scrub { victim },
        _ => Fault::Blight { victim, while_down: dice.below(2) == 0 },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn plans() -> impl Iterator<Item = Plan> {
        (1..=200).map(|seed| Plan::beyond(seed, 180))
    }

    #[test]
    fn nothing_is_harmed_in_a_way_that_nobody_can_notice() {
        let mut seen = BTreeSet::new();
        for fault in plans().flat_map(|plan| plan.episodes).map(|episode| episode.fault) {
            let goes_unnoticed =
                matches!(fault, Fault::Wipe { .. } | Fault::Rollback { .. } | Fault::LyingDisk { .. });
            assert!(!goes_unnoticed, "{fault:?}");
            if fault.harms_the_disk() {
                seen.insert(fault.kind());
            }
        }
        assert_eq!(seen, BTreeSet::from(["blight", "mangle", "misdirect", "rot"]));
    }

    #[test]
    fn most_plans_leave_some_bytes_without_a_good_copy_and_all_say_so() {
        let everywhere = |plan: &Plan| {
            let harms = |episode: &Episode| {
                episode.fault.harms_the_disk() && episode.fault.victim() == Some(Victim::All)
            };
            plan.episodes.iter().any(harms)
        };
        assert!(plans().filter(everywhere).count() > 100);
        assert!(
            plans().all(|plan| plan.beyond_atlas && plan.episodes.is_sorted_by_key(|episode| episode.at_ms))
        );
    }

    #[test]
    fn a_plan_says_in_its_file_that_it_is_beyond_the_atlas_and_others_say_nothing() {
        let text = serde_json::to_string(&Plan::beyond(3, 60)).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), Plan::beyond(3, 60));
        assert!(text.contains("\"beyond_atlas\":true"));
        assert!(!serde_json::to_string(&Plan::swarm(3, 60)).unwrap().contains("beyond_atlas"));
    }
}
