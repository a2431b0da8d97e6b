//! What many runs come to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::trial::{Measured, Record};

/// Sums over runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// Those in which nothing failed.
    pub clean: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those of the failed ones whose history nobody could judge whole. What is said of losses does not cover them.
    pub unjudged: u64,
    /// Virtual time.
    pub virtual_seconds: u64,
    /// Operations that clients began.
    pub operations: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Acknowledged events that were not there in the end.
    pub lost: u64,
    /// Events that were there more than once.
    pub duplicates: u64,
    /// Positions and versions that were missing or out of order.
    pub gaps: u64,
    /// Leaders that were elected, where it was counted.
    pub elections: Option<u64>,
    /// Snapshots that were installed, where it was counted.
    pub snapshots: Option<u64>,
    /// Processes of nodes that were started.
    pub lives: u64,
    /// Episodes of faults.
    pub episodes: u64,
    /// The same, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Episodes that were not run because their fault could not be had, by kind.
    pub skipped: BTreeMap<String, u64>,
    /// The longest that a core that was left alone took to serve every partition again (L1).
    pub core_served_seconds_max: Option<f64>,
    /// The longest that a healed cluster took to be whole again (L2).
    pub whole_seconds_max: Option<f64>,
    /// At how many different crash points nodes ended.
    pub crash_points_hit: u64,
    /// How often at each.
    pub crash_points: BTreeMap<String, u64>,
    /// How often each rare event happened.
    pub sometimes: BTreeMap<String, u64>,
    /// Seconds that runs took, each on one core.
    pub wall_seconds: f64,
}

impl Totals {
    /// Counts one more run.
    pub fn add(&mut self, record: &Record) {
        self.runs += 1;
        *if record.is_ok() { &mut self.clean } else { &mut self.failed } += 1;
        self.wall_seconds = seconds_sum(self.wall_seconds, record.wall_seconds);
        match &record.measured {
            Some(measured) => self.measure(measured),
            None => self.unjudged += 1,
        }
    }

    fn measure(&mut self, measured: &Measured) {
        self.virtual_seconds += measured.virtual_seconds;
        self.operations += measured.operations;
        self.acked += measured.acked;
        self.lives += measured.lives;
        match measured.found {
            Some(found) => {
                self.lost += found.lost;
                self.duplicates += found.duplicates;
                self.gaps += found.gaps;
            }
            None => self.unjudged += 1,
        }
        add_counted(&mut self.elections, measured.elections);
        add_counted(&mut self.snapshots, measured.snapshots);
        self.episodes += measured.faults.values().sum::<u64>();
        add_each(&mut self.faults, &measured.faults);
        add_each(&mut self.skipped, &measured.skipped);
        raise(&mut self.core_served_seconds_max, measured.core_served_seconds);
        raise(&mut self.whole_seconds_max, measured.whole_seconds);
        add_each(&mut self.crash_points, &measured.met.crashed);
        add_each(&mut self.sometimes, &measured.met.sometimes);
        self.crash_points_hit = self.crash_points.len() as u64;
    }
}

/// To the millisecond: what a binary fraction leaves behind the digits is not read back from a file as it was.
pub(super) fn seconds_sum(a: f64, b: f64) -> f64 {
    ((a + b) * 1000.0).round() / 1000.0
}

fn add_counted(sum: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *sum.get_or_insert(0) += more;
    }
}

fn raise(most: &mut Option<f64>, to: Option<f64>) {
    // None is less than any number.
    if to > *most {
        *most = to;
    }
}

fn add_each(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (name, times) in more {
        *sums.entry(name.clone()).or_default() += times;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_seconds_is_read_back_as_it_was_written() {
        let mut sum = 0.0;
        for millis in 1..2000 {
            sum = seconds_sum(sum, f64::from(millis * 7919 % 30_011) / 1000.0);
            let written = serde_json::to_string(&sum).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&written).unwrap().to_bits(), sum.to_bits(), "{written}");
        }
    }
}
