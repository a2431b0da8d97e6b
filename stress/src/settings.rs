//! What a soak is made of.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How long a soak is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Two rounds of a minute: whether everything works at all.
    Smoke,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
    /// 168 hours.
    Week,
}

impl Profile {
    /// For how long the cluster is under load, in seconds. The whole takes longer: between two rounds what was stored is
    /// read and judged.
    #[must_use]
    pub fn seconds(self) -> u64 {
        match self {
            Profile::Smoke => 120,
            Profile::Hour => 3600,
            Profile::Day => 24 * 3600,
            Profile::Week => 168 * 3600,
        }
    }

    /// Seconds of load in a round.
    #[must_use]
    pub fn round_seconds(self) -> u64 {
        match self {
            Profile::Smoke => 60,
            Profile::Hour => 300,
            Profile::Day | Profile::Week => 600,
        }
    }

    /// Seconds between two samples.
    #[must_use]
    pub fn sample_seconds(self) -> u64 {
        match self {
            Profile::Smoke => 2,
            Profile::Hour => 5,
            Profile::Day => 15,
            Profile::Week => 60,
        }
    }

    /// So many histories of rounds are kept.
    #[must_use]
    pub fn histories_kept(self) -> u16 {
        match self {
            Profile::Smoke | Profile::Hour => u16::MAX,
            Profile::Day | Profile::Week => 24,
        }
    }

    /// After so many rounds all nodes are stopped and started, and everything they ever stored is read again. In between one
    /// node is spared whatever would end its process, so that there is a life that is long enough to leak in.
    #[must_use]
    pub fn rounds_in_a_watch(self) -> u16 {
        match self {
            Profile::Smoke => 2,
            Profile::Hour => 12,
            Profile::Day | Profile::Week => 36,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Profile::Smoke => "smoke",
            Profile::Hour => "hour",
            Profile::Day => "day",
            Profile::Week => "week",
        })
    }
}

/// What a soak was made with. It goes on with nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How long it is.
    pub profile: Profile,
    /// Nodes of the cluster: 3 or 5.
    pub nodes: u32,
    /// Where everything that is drawn grows from.
    pub seed: u64,
}

/// What somebody asks for who wants a soak to go on: whatever is left out is as it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// How long it is.
    pub profile: Option<Profile>,
    /// Nodes of the cluster.
    pub nodes: Option<u32>,
    /// The seed.
    pub seed: Option<u64>,
}

impl Settings {
    /// Whether that is this soak.
    ///
    /// # Errors
    /// What is different.
    pub fn check(&self, wanted: Wanted) -> Result<(), String> {
        let differs = |what: &str, made: &dyn fmt::Display, asked: &dyn fmt::Display| {
            Err(format!(
                "it was made with --{what} {made}, not {asked}; leave --{what} out, or begin another soak"
            ))
        };
        match wanted {
            Wanted { profile: Some(other), .. } if other != self.profile => {
                differs("profile", &self.profile, &other)
            }
            Wanted { nodes: Some(other), .. } if other != self.nodes => differs("nodes", &self.nodes, &other),
            Wanted { seed: Some(other), .. } if other != self.seed => differs("seed", &self.seed, &other),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_goes_on_only_as_what_it_was_made_as() {
        let made = Settings { profile: Profile::Hour, nodes: 3, seed: 7 };
        assert_eq!(made.check(Wanted::default()), Ok(()));
        assert_eq!(
            made.check(Wanted { nodes: Some(3), seed: Some(7), profile: Some(Profile::Hour) }),
            Ok(())
        );
        let refused = [
            (Wanted { profile: Some(Profile::Day), ..Wanted::default() }, "--profile hour, not day"),
            (Wanted { nodes: Some(5), ..Wanted::default() }, "--nodes 3, not 5"),
            (Wanted { seed: Some(8), ..Wanted::default() }, "--seed 7, not 8"),
        ];
        for (wanted, why) in refused {
            assert!(made.check(wanted).unwrap_err().contains(why), "{why}");
        }
    }

    #[test]
    fn a_profile_is_a_whole_number_of_rounds_and_of_samples() {
        for profile in Profile::value_variants() {
            assert_eq!(profile.seconds() % profile.round_seconds(), 0, "{profile}");
            assert_eq!(profile.round_seconds() % profile.sample_seconds(), 0, "{profile}");
            assert!(profile.seconds() / profile.round_seconds() < u64::from(u16::MAX), "{profile}");
        }
    }
}
