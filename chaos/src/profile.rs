//! The kinds of plans that a seed can grow into.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// Longer than anybody waits for.
const MINUTES_MAX: u64 = 12 * 7 * 24 * 60;

/// A way to make a plan of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Minutes, with faults and deeds of its own for each seed.
    Swarm,
    /// Like a swarm, and beyond the atlas: stored bytes are harmed on any node, and all copies of some. What cannot be answered
    /// any more may be refused for ever; whatever is answered has to be right.
    Beyond,
    /// Days of 24 themes, an hour each; whole after every hour, started cold and read again after every day.
    Week,
}

impl Profile {
    /// The plan of a seed, of so many virtual minutes of attack.
    #[must_use]
    pub fn plan(self, seed: u64, minutes: u64) -> Plan {
        match self {
            Profile::Swarm => Plan::swarm(seed, minutes * 60),
            Profile::Beyond => Plan::beyond(seed, minutes * 60),
            Profile::Week => Plan::week(seed, minutes.div_ceil(60)),
        }
    }

    /// Virtual minutes of attack: those that were asked for, or what is usual.
    ///
    /// # Errors
    /// No plan of this kind is that long.
    pub fn minutes(self, asked: Option<u64>) -> Result<u64, String> {
        match (self, asked) {
            (_, Some(0)) => Err("an attack takes at least a minute: give --minutes 1 or more".to_owned()),
            (Profile::Week, Some(minutes)) if !minutes.is_multiple_of(60) => {
                Err(format!("a week has whole hours, and {minutes} minutes are none: give a multiple of 60"))
            }
            (_, Some(minutes)) if minutes > MINUTES_MAX => {
                Err(format!("{minutes} minutes are more than twelve weeks: give at most {MINUTES_MAX}"))
            }
            (_, Some(minutes)) => Ok(minutes),
            (Profile::Swarm | Profile::Beyond, None) => Ok(5),
            (Profile::Week, None) => Ok(7 * 24 * 60),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Profile::Swarm => "swarm",
            Profile::Beyond => "beyond",
            Profile::Week => "week",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_as_long_as_was_asked_for_or_as_is_usual() {
        assert_eq!(Profile::Swarm.minutes(None), Ok(5));
        assert_eq!(Profile::Week.minutes(None), Ok(168 * 60));
        assert_eq!(Profile::Week.minutes(Some(120)), Ok(120));
        for profile in [Profile::Swarm, Profile::Beyond, Profile::Week] {
            let minutes = profile.minutes(Some(60)).unwrap();
            assert_eq!(profile.plan(1, minutes).seconds, minutes * 60);
        }
    }

    #[test]
    fn what_no_plan_is_long_is_refused() {
        assert!(Profile::Week.minutes(Some(90)).unwrap_err().contains("multiple of 60"));
        assert!(Profile::Swarm.minutes(Some(0)).is_err());
        assert!(Profile::Swarm.minutes(Some(MINUTES_MAX + 1)).is_err());
    }
}
