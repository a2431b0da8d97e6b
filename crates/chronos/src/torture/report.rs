//! What a campaign found.

use serde::Serialize;

use super::fault::Fault;
use super::steady::Experience;
use crate::demo::proof::Findings;
use crate::failure::Outcome;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

/// The counts, and under which conditions.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) nodes: usize,
    pub(crate) replicas_per_partition: u8,
    pub(crate) faults: Vec<Fault>,
    pub(crate) seed: u64,
    /// Faults that were struck.
    pub(crate) rounds: u32,
    pub(crate) rounds_wanted: u32,
    pub(crate) seconds: f64,
    /// From the last acknowledgement to a cluster with all replicas, spread, caught up, and all their digests given.
    pub(crate) rest_seconds: f64,
    /// That were offered.
    pub(crate) events_per_second: u64,
    #[serde(flatten)]
    pub(crate) found: Findings,
    pub(crate) digests_compared: usize,
    pub(crate) digests_different: usize,
    /// What the SDK gave back to its caller.
    #[serde(flatten)]
    pub(crate) sdk: Experience,
    /// Attempts that the SDK made again by itself.
    pub(crate) retries: u64,
    /// Whether every directory was found whole, offline.
    pub(crate) verify_clean: bool,
}

impl Report {
    /// Whether every promise was kept and everything was done that was asked for.
    pub(crate) fn is_clean(&self) -> bool {
        let kept = self.found.is_kept() && self.digests_different == 0 && self.verify_clean;
        kept && self.rounds == self.rounds_wanted && !self.has_failed_a_caller()
    }

    /// Whether a caller saw a definite error although no node was taken from it by surprise.
    fn has_failed_a_caller(&self) -> bool {
        self.sdk.definite_errors > 0 && self.faults.iter().all(|fault| fault.is_orderly())
    }

    pub(crate) fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                out.table(&self.table())?;
                self.sdk.errors.iter().try_for_each(|error| out.line(format!("the SDK said: {error}")))?;
                out.line(if self.is_clean() {
                    "every promise was kept"
                } else {
                    "NOT EVERY PROMISE WAS KEPT"
                })?;
            }
        }
        out.finish()
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[("CAMPAIGN", Align::Left), ("", Align::Right)]);
        let faults: Vec<String> =
            self.faults.iter().map(|fault| format!("{fault:?}").to_lowercase()).collect();
        let rows = [
            ("nodes", format!("{}, {} replicas", self.nodes, self.replicas_per_partition)),
            ("faults", format!("{} of {}: {}", self.rounds, self.rounds_wanted, faults.join(", "))),
            ("seed", self.seed.to_string()),
            ("took", format!("{:.0} s", self.seconds)),
            ("events acknowledged", grouped(self.found.acknowledged)),
            ("events stored", grouped(self.found.head)),
            ("lost", grouped(self.found.lost)),
            ("duplicates", grouped(self.found.duplicates)),
            ("gaps", grouped(self.found.gaps)),
            ("at rest after", format!("{:.1} s", self.rest_seconds)),
            ("digests compared", grouped(self.digests_compared as u64)),
            ("partitions whose replicas differ", grouped(self.digests_different as u64)),
            ("definite errors at the SDK", grouped(self.sdk.definite_errors)),
            ("unknown outcomes at the SDK", grouped(self.sdk.unknown_outcomes)),
            ("retries inside of the SDK", grouped(self.retries)),
            ("slowest append", format!("{} ms", grouped(self.sdk.slowest_append_ms))),
            (
                "longest time without an acknowledgement",
                format!("{} ms", grouped(self.sdk.longest_silence_ms)),
            ),
            ("directories", if self.verify_clean { "clean" } else { "DAMAGED" }.to_owned()),
        ];
        rows.into_iter().for_each(|(name, value)| table.row([name.to_owned(), value]));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND: Findings = Findings { head: 6, acknowledged: 5, lost: 0, duplicates: 0, gaps: 0 };

    #[test]
    fn a_campaign_is_clean_only_when_nothing_at_all_is_wrong() {
        let clean = || Report {
            nodes: 3,
            replicas_per_partition: 3,
            faults: vec![Fault::Kill],
            seed: 1,
            rounds: 10,
            rounds_wanted: 10,
            seconds: 1.0,
            rest_seconds: 1.0,
            events_per_second: 1,
            found: FOUND,
            digests_compared: 96,
            digests_different: 0,
            sdk: Experience::default(),
            retries: 0,
            verify_clean: true,
        };
        assert!(clean().is_clean());
        let wrong: [fn(Report) -> Report; 8] = [
            |it| Report { rounds: 9, ..it },
            |it| Report { found: Findings { acknowledged: 0, ..FOUND }, ..it },
            |it| Report { found: Findings { head: 4, ..FOUND }, ..it },
            |it| Report { found: Findings { lost: 1, ..FOUND }, ..it },
            |it| Report { found: Findings { duplicates: 1, ..FOUND }, ..it },
            |it| Report { found: Findings { gaps: 1, ..FOUND }, ..it },
            |it| Report { digests_different: 1, ..it },
            |it| Report { verify_clean: false, ..it },
        ];
        assert!(wrong.iter().all(|broken| !broken(clean()).is_clean()));
        let failed = || Experience { definite_errors: 1, ..Experience::default() };
        assert!(Report { sdk: failed(), ..clean() }.is_clean(), "a killed leader may fail a caller");
        let rolling = Report { sdk: failed(), faults: vec![Fault::Restart, Fault::Rolling], ..clean() };
        assert!(!rolling.is_clean(), "one that hands over may not");
    }
}
