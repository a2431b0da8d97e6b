//! What a campaign found.

use serde::Serialize;

use super::fault::Fault;
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
    /// That were offered.
    pub(crate) events_per_second: u64,
    pub(crate) acknowledged: u64,
    pub(crate) stored: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) gaps: u64,
    pub(crate) digests_compared: usize,
    pub(crate) digests_different: usize,
    /// The longest time in which nothing was acknowledged anywhere.
    pub(crate) longest_silence_ms: u64,
    /// Whether every directory was found whole, offline.
    pub(crate) verify_clean: bool,
}

impl Report {
    /// Whether every promise was kept and everything was done that was asked for.
    pub(crate) fn is_clean(&self) -> bool {
        let counts = [self.lost, self.duplicates, self.gaps, self.digests_different as u64];
        let kept = counts == [0; 4] && self.acknowledged > 0 && self.acknowledged <= self.stored;
        kept && self.verify_clean && self.rounds == self.rounds_wanted
    }

    pub(crate) fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                out.table(&self.table())?;
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
            ("events acknowledged", grouped(self.acknowledged)),
            ("events stored", grouped(self.stored)),
            ("lost", grouped(self.lost)),
            ("duplicates", grouped(self.duplicates)),
            ("gaps", grouped(self.gaps)),
            ("digests compared", grouped(self.digests_compared as u64)),
            ("partitions whose replicas differ", grouped(self.digests_different as u64)),
            ("longest time without an acknowledgement", format!("{} ms", grouped(self.longest_silence_ms))),
            ("directories", if self.verify_clean { "clean" } else { "DAMAGED" }.to_owned()),
        ];
        rows.into_iter().for_each(|(name, value)| table.row([name.to_owned(), value]));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            events_per_second: 1,
            acknowledged: 5,
            stored: 6,
            lost: 0,
            duplicates: 0,
            gaps: 0,
            digests_compared: 96,
            digests_different: 0,
            longest_silence_ms: 1,
            verify_clean: true,
        };
        assert!(clean().is_clean());
        let wrong: [fn(Report) -> Report; 8] = [
            |it| Report { rounds: 9, ..it },
            |it| Report { acknowledged: 0, ..it },
            |it| Report { stored: 4, ..it },
            |it| Report { lost: 1, ..it },
            |it| Report { duplicates: 1, ..it },
            |it| Report { gaps: 1, ..it },
            |it| Report { digests_different: 1, ..it },
            |it| Report { verify_clean: false, ..it },
        ];
        assert!(wrong.iter().all(|broken| !broken(clean()).is_clean()));
    }
}
