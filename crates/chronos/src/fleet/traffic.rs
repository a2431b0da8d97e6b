//! What nodes have sent each other.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use super::{Fleet, ask};
use crate::failure::Outcome;

/// Bytes between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    /// Parts of partitions, fetched by whoever did not have them.
    pub(crate) part_bytes: u64,
    /// Messages: entries of the partitions' logs to every replica, votes, heartbeats, reports.
    pub(crate) message_bytes: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Self) {
        self.part_bytes += more.part_bytes;
        self.message_bytes += more.message_bytes;
    }
}

/// What each process of a fleet had counted at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(BTreeMap<u32, Traffic>);

impl Counted {
    /// Takes in what was counted later.
    pub(crate) fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// What was counted since that earlier moment. A process that is new by now began at nothing; what one that is gone
    /// counted since then is not known.
    pub(crate) fn since(&self, earlier: &Self) -> Traffic {
        let mut sum = Traffic::default();
        for (process, now) in &self.0 {
            let before = earlier.0.get(process).copied().unwrap_or_default();
            sum += Traffic {
                part_bytes: now.part_bytes.saturating_sub(before.part_bytes),
                message_bytes: now.message_bytes.saturating_sub(before.message_bytes),
            };
        }
        sum
    }
}

impl Fleet {
    /// Asks every node that runs for what it has counted.
    pub(crate) async fn traffic(&self) -> Outcome<Counted> {
        let mut counted = Counted::default();
        for at in self.members().filter(|at| self.runs(*at)) {
            if let Some(process) = self.process(at) {
                counted.0.insert(process, read(&ask::text(&self.address(at), "/metrics").await?));
            }
        }
        Ok(counted)
    }
}

fn read(metrics: &str) -> Traffic {
    let sum = |name: &str| {
        let samples = metrics.lines().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
            rest.rsplit_once(' ')?.1.parse::<f64>().ok()
        });
        samples.sum::<f64>() as u64
    };
    Traffic {
        // Of the two ends the one that wanted it: it lives on when the other one is killed.
        part_bytes: sum("chronos_peer_bulk_received_bytes_total"),
        message_bytes: sum("chronos_peer_request_bytes_sent_total"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_counted_from_nothing_and_who_is_gone_not_at_all() {
        let counted = |all: &[(u32, u64)]| {
            let of = |bytes| Traffic { part_bytes: bytes, message_bytes: 2 * bytes };
            Counted(all.iter().map(|(process, bytes)| (*process, of(*bytes))).collect())
        };
        let moved = counted(&[(1, 15), (3, 7)]).since(&counted(&[(1, 10), (2, 100)]));
        assert_eq!(moved, Traffic { part_bytes: 12, message_bytes: 24 });
    }

    #[test]
    fn samples_of_all_labels_are_summed_and_other_names_left_alone() {
        let metrics = "# TYPE chronos_peer_bulk_received_bytes_total counter\n\
                       chronos_peer_bulk_received_bytes_total{from=\"n2\"} 5\n\
                       chronos_peer_bulk_received_bytes_total{from=\"n3\"} 6\n\
                       chronos_peer_bulk_received_bytes_total_other 100\n\
                       chronos_peer_request_bytes_sent_total 7\n";
        assert_eq!(read(metrics), Traffic { part_bytes: 11, message_bytes: 7 });
    }
}
