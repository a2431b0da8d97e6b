//! Plans of days: 24 themes, one for each hour of the day, in an order that each day draws anew, some of them left out;
//! the load follows the hour of the day. What nodes go through in an hour is over before it ends, so that each hour ends
//! with a cluster that is whole.

use chronos_env::Entropy;

use super::{Beats, Deed, Direction, Episode, Fault, Load, Plan, Victim};

const HOUR_MS: u64 = 3_600_000;
/// Episodes of an hour begin after the first and before the second, and last at most [`LASTS_MS`].
const EPISODES_MS: std::ops::Range<u64> = 60_000..3_200_000;
const LASTS_MS: u64 = 120_000;
/// What is done at each hour of the day, as a multiple of the mean: little at night, most in the evening.
const DAY: [f64; 24] = [
    0.4, 0.3, 0.2, 0.2, 0.2, 0.3, 0.5, 0.8, 1.0, 1.2, 1.2, 1.1, 1.0, 1.1, 1.2, 1.2, 1.3, 1.5, 2.0, 3.0, 2.4,
    1.6, 0.9, 0.6,
];

/// What an hour is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    Calm,
    LeaderKills,
    RollingRestarts,
    Partitions,
    OneWay,
    Swizzle,
    PowerOfOne,
    PowerOfAll,
    Rot,
    GreyDisksAndLinks,
    SyncsFail,
    FullDisks,
    Pauses,
    Clocks,
    Drains,
    Wipes,
    Churn,
    WaysIn,
    Connections,
    CompactionsCrash,
    CrashPoints,
    Mangled,
    RestartLoops,
    Everything,
}

const THEMES: [Theme; 24] = [
    Theme::Calm,
    Theme::LeaderKills,
    Theme::RollingRestarts,
    Theme::Partitions,
    Theme::OneWay,
    Theme::Swizzle,
    Theme::PowerOfOne,
    Theme::PowerOfAll,
    Theme::Rot,
    Theme::GreyDisksAndLinks,
    Theme::SyncsFail,
    Theme::FullDisks,
    Theme::Pauses,
    Theme::Clocks,
    Theme::Drains,
    Theme::Wipes,
    Theme::Churn,
    Theme::WaysIn,
    Theme::Connections,
    Theme::CompactionsCrash,
    Theme::CrashPoints,
    Theme::Mangled,
    Theme::RestartLoops,
    Theme::Everything,
];

impl Plan {
    /// The plan of a seed, of so many hours: 168 are a week. Every fourth seed has five nodes.
    #[must_use]
    pub fn week(seed: u64, hours: u64) -> Plan {
        let dice = Entropy::seeded(seed).child("week");
        let nodes = if seed.is_multiple_of(4) { 5 } else { 3 };
        let draw = Draw { dice: &dice, nodes, weak: 1 + dice.below(u64::from(nodes)) as u32 };
        let mut themes = Vec::new();
        let mut episodes = Vec::new();
        for hour in 0..hours {
            if themes.is_empty() {
                themes = draw.day();
            }
            if let Some(theme) = themes.pop().flatten() {
                episodes.extend(draw.hour(hour * HOUR_MS, theme));
            }
        }
        episodes.sort_by_key(|episode| episode.at_ms);
        let load = Load {
            clients: 5,
            rate: 0.45,
            entities: 100_000,
            day: DAY.to_vec(),
            mix: Deed::ALL.into_iter().map(|deed| (deed, weight(deed))).collect(),
        };
        let beats = Beats { raft_ms: 500, look_ms: 60_000, round_s: 3600, day_rounds: 24 };
        Plan { seed, nodes, seconds: hours * 3600, beats, beyond_atlas: false, load, episodes }
    }
}

/// Much is large once in a while only, and what is common is common.
fn weight(deed: Deed) -> u32 {
    match deed {
        Deed::AppendLarge => 1,
        Deed::Append | Deed::AppendMany | Deed::ReadEntity => 24,
        _ => 8,
    }
}

struct Draw<'a> {
    dice: &'a Entropy,
    nodes: u32,
    /// Whoever has wrong bytes, or loses right ones, sits here: the others have good copies.
    weak: u32,
}

impl Draw<'_> {
    /// The hours of one day, last first; three in ten are left to rest.
    fn day(&self) -> Vec<Option<Theme>> {
        let mut left = THEMES.to_vec();
        let mut day = Vec::new();
        while !left.is_empty() {
            let theme = left.swap_remove(self.below(left.len() as u64) as usize);
            day.push((self.below(10) >= 3).then_some(theme));
        }
        day
    }

    fn hour(&self, begins_ms: u64, theme: Theme) -> Vec<Episode> {
        let count = match theme {
            Theme::Calm => 0,
            Theme::RollingRestarts => 4,
            Theme::PowerOfAll | Theme::Wipes => 3,
            Theme::PowerOfOne | Theme::Mangled => 12,
            Theme::Everything => 24,
            _ => 19,
        };
        let room = EPISODES_MS.end - EPISODES_MS.start;
        let episode = |i: u64| Episode {
            // Evenly, give or take: what overlaps does so by chance.
            at_ms: begins_ms + EPISODES_MS.start + i * room / count + self.below(room / count),
            lasts_ms: 1000 + self.below(LASTS_MS / if count > 8 { 2 } else { 1 }),
            fault: self.fault(theme),
        };
        (0..count).map(episode).collect()
    }

    fn fault(&self, theme: Theme) -> Fault {
        let (one, weak) = (self.victim(), Victim::Node(self.weak));
        let leader = Victim::Leader(self.below(32) as u8);
        match theme {
            Theme::Calm => Fault::Compact,
            Theme::LeaderKills => Fault::Kill { victim: leader },
            Theme::RollingRestarts => Fault::RollingRestart,
            Theme::Partitions => match self.below(2) {
                0 => Fault::Isolate { victim: leader, direction: Direction::Both },
                _ => Fault::Bridge { victim: one },
            },
            Theme::OneWay => {
                let direction = if self.below(2) == 0 { Direction::In } else { Direction::Out };
                Fault::Isolate { victim: one, direction }
            }
            Theme::Swizzle => Fault::Swizzle,
            Theme::PowerOfOne => Fault::PowerCut { victim: one },
            Theme::PowerOfAll => Fault::PowerCut { victim: Victim::All },
            Theme::Rot => match self.below(3) {
                0 => Fault::Misdirect { victim: weak },
                1 => Fault::Scrub { victim: weak },
                _ => Fault::Rot { victim: weak, bits: 1 + self.below(4) as u32 },
            },
            Theme::GreyDisksAndLinks => match self.below(3) {
                0 => Fault::SlowDisk { victim: one, sync_ms: 1 + self.below(800) },
                1 => Fault::Trickle { victim: one, bytes_per_second: 8_000 + self.below(64_000) },
                _ => Fault::Delay { victim: one, min_ms: 5, max_ms: 10 + self.below(2000) },
            },
            Theme::SyncsFail => match self.below(3) {
                0 => Fault::WriteFails { victim: one },
                1 => Fault::ReadFails { victim: one },
                _ => Fault::SyncFails { victim: one },
            },
            Theme::FullDisks => match self.below(3) {
                0 => Fault::ReadOnly { victim: one },
                _ => Fault::Full { victim: one },
            },
            Theme::Pauses => {
                let victim = if self.below(8) == 0 { Victim::Majority } else { one };
                Fault::Pause { victim }
            }
            Theme::Clocks => match self.below(2) {
                0 => Fault::ClockStep { victim: one, by_ms: self.below(172_800_000) as i64 - 86_400_000 },
                _ => Fault::ClockDrift { victim: one, ppm: self.below(200_000) as i64 - 100_000 },
            },
            Theme::Drains => Fault::Drain { victim: one },
            Theme::Wipes => Fault::Wipe { victim: weak },
            Theme::Churn => Fault::Churn,
            Theme::WaysIn => Fault::OnlyWayIn { victim: one },
            Theme::Connections => match self.below(3) {
                0 => Fault::Wedge { victim: one },
                1 => Fault::Resets { victim: one },
                _ => Fault::Flapping { victim: one },
            },
            Theme::CompactionsCrash => match self.below(2) {
                0 => Fault::Compact,
                _ => self.crash(chronos_parts::CRASH_POINTS),
            },
            Theme::CrashPoints => self.crash(&crate::crash_points().collect::<Vec<_>>()),
            Theme::Mangled => Fault::Mangle { victim: weak },
            Theme::RestartLoops => Fault::RestartLoop { victim: one },
            Theme::Everything => self.fault(self.some_theme()),
        }
    }

    /// Any but those that are whole hours by themselves.
    fn some_theme(&self) -> Theme {
        let short =
            |theme: &Theme| !matches!(theme, Theme::Calm | Theme::Everything | Theme::RollingRestarts);
        let short: Vec<Theme> = THEMES.into_iter().filter(short).collect();
        short[self.below(short.len() as u64) as usize]
    }

    fn crash(&self, points: &[&str]) -> Fault {
        let point = points[self.below(points.len() as u64) as usize].to_owned();
        Fault::Crash { victim: self.victim(), point, nth: 1 + self.below(20) }
    }

    fn victim(&self) -> Victim {
        let partition = self.below(32) as u8;
        match self.below(3) {
            0 => Victim::Leader(partition),
            1 => Victim::Follower(partition),
            _ => Victim::Node(1 + self.below(u64::from(self.nodes)) as u32),
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.dice.below(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_has_faults_enough_and_each_hour_ends_in_peace() {
        for seed in 1..=20 {
            let plan = Plan::week(seed, 168);
            assert!(plan.episodes.len() >= 1500, "{} episodes of seed {seed}", plan.episodes.len());
            for episode in &plan.episodes {
                let end = episode.at_ms % HOUR_MS + episode.lasts_ms;
                assert!(end < HOUR_MS - 60_000, "{episode:?} goes on into the end of its hour");
            }
            let kinds: std::collections::BTreeSet<_> =
                plan.episodes.iter().map(|episode| episode.fault.kind()).collect();
            assert!(kinds.len() >= 28, "{kinds:?}");
        }
        assert_eq!(Plan::week(3, 30), Plan::week(3, 30));
    }

    #[test]
    fn the_hours_of_a_day_make_up_a_day() {
        let mean = DAY.iter().sum::<f64>() / 24.0;
        assert!((0.9..1.1).contains(&mean), "{mean}");
    }
}
