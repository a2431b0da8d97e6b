//! Whether something grows that must not: memory, descriptors, threads, latency, and disks beyond what was stored.
//!
//! A slope that was measured is not the slope that is: noise alone gives one. So every figure has an interval that holds the
//! true one in 99 of 100 cases, and there are three answers. *Beyond* its limit is what lies beyond it with the whole
//! interval, which fails a run. *Within* is what lies within it with the whole interval. Everything else is *open*: this run
//! was too short to tell, and says how long one must be. An interval narrows with the power 1.5 of time: for a memory that
//! wavers by 1 MiB from minute to minute, an hour tells slopes apart that differ by 1.2 MiB/h, three hours by 0.23, a day
//! by 0.01.

mod estimate;
mod limits;
mod series;

pub use estimate::{Slope, slope};
pub use limits::{DISK_OVER_MODEL_MAX, LIMITS, Limit};
pub use series::{Drifts, judge};

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a figure means for its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// It keeps it.
    Within,
    /// It breaks it.
    Beyond,
    /// This run cannot tell.
    Open,
}

/// One figure beside its limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// What drifts: `memory of node 2`.
    pub what: String,
    /// In what it is counted.
    pub unit: String,
    /// The most there may be.
    pub limit: f64,
    /// What was found, if enough was seen.
    pub found: Option<f64>,
    /// The interval that holds the true one in 99 of 100 cases.
    pub interval: Option<(f64, f64)>,
    /// What that means.
    pub judgement: Judgement,
    /// Hours after which it can be told, if it cannot.
    pub hours_needed: Option<f64>,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Judgement::Within => "within",
            Judgement::Beyond => "BEYOND",
            Judgement::Open => "open",
        })
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drift { what, unit, limit, judgement, .. } = self;
        write!(f, "{judgement:<7} {what:<28} limit {limit} {unit}")?;
        match (self.found, self.interval) {
            (Some(found), Some((low, high))) => write!(f, ", found {found:.3} ({low:.3} to {high:.3})")?,
            (Some(found), None) => write!(f, ", found {found:.3}")?,
            _ => write!(f, ", too little was seen")?,
        }
        self.hours_needed.map_or(Ok(()), |hours| write!(f, "; some {hours:.1} h would tell"))
    }
}
