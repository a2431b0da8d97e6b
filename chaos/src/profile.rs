//! The kinds of plans that a seed can grow into.

use clap::ValueEnum;

use crate::plan::Plan;

/// A way to make a plan of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Minutes with faults and deeds of its own for each seed.
    Swarm,
    /// Days of 24 themes, an hour each; whole after every hour, started cold and read again after every day.
    Week,
}

impl Profile {
    /// The plan of a seed, of so many virtual minutes of attack.
    #[must_use]
    pub fn plan(self, seed: u64, minutes: u64) -> Plan {
        match self {
            Profile::Swarm => Plan::swarm(seed, minutes * 60),
            Profile::Week => Plan::week(seed, minutes.div_ceil(60)),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Profile::Swarm => "swarm",
            Profile::Week => "week",
        }
    }
}
