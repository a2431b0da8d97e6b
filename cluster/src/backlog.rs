//! What waits for compaction on this node, and who waits because of it.
//!
//! Events that are cut and not yet in parts are held in memory. When they are more than the configured bound, appends
//! to partitions that hold some of them wait until compaction has caught up, so that memory stays bounded however fast
//! events come in. A partition without any is never made to wait for another one.

use std::collections::BTreeMap;

use chronos_domain::PartitionId;
use chronos_store::{Debt, Partition};
use chronos_wal::Gauge;
use tokio::sync::watch;

use crate::compaction::CompactionConfig;

pub(crate) struct Backlog {
    config: CompactionConfig,
    gauge: Gauge,
    waiting: watch::Sender<Waiting>,
}

/// What waits at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Per partition, if anything of it waits.
    partitions: BTreeMap<PartitionId, Held>,
    /// The write-ahead log is longer than it should be.
    pub(crate) log_is_long: bool,
}

/// What of one partition waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) cuts: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl From<Debt> for Held {
    fn from(debt: Debt) -> Held {
        Held { cuts: debt.sealed_generations, events: debt.events, bytes: debt.bytes }
    }
}

impl Waiting {
    /// All partitions together.
    pub(crate) fn total(&self) -> Held {
        self.partitions.values().fold(Held::default(), |sum, held| Held {
            cuts: sum.cuts + held.cuts,
            events: sum.events + held.events,
            bytes: sum.bytes + held.bytes,
        })
    }

    /// The partitions of which something waits.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (PartitionId, Held)> {
        self.partitions.iter().map(|(id, held)| (*id, *held))
    }

    fn has_room(&self, id: PartitionId, config: &CompactionConfig) -> bool {
        let total = || self.total();
        !self.partitions.contains_key(&id)
            || total().events <= config.debt_events_max && total().bytes <= config.debt_bytes_max
    }
}

impl Backlog {
    pub(crate) fn new(config: CompactionConfig, gauge: Gauge) -> Backlog {
        Backlog { config, gauge, waiting: watch::Sender::default() }
    }

    /// Looks again at a partition that has been changed.
    pub(crate) fn update(&self, partition: &Partition) {
        let (id, held) = (partition.id(), Held::from(partition.debt()));
        let log_is_long = self.log_is_long();
        self.waiting.send_if_modified(|waiting| {
            let known = waiting.partitions.get(&id).copied().unwrap_or_default();
            if (known, waiting.log_is_long) == (held, log_is_long) {
                return false;
            }
            waiting.log_is_long = log_is_long;
            match held.cuts {
                0 => drop(waiting.partitions.remove(&id)),
                _ => drop(waiting.partitions.insert(id, held)),
            }
            true
        });
    }

    pub(crate) fn log_is_long(&self) -> bool {
        self.gauge.segments() > self.config.wal_segments_max
    }

    pub(crate) fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// What waits now.
    pub(crate) fn now(&self) -> Waiting {
        self.waiting.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Waiting> {
        self.waiting.subscribe()
    }

    /// Whether compaction should do without pauses: it is half-way to making appends wait.
    pub(crate) fn presses(&self) -> bool {
        let total = self.waiting.borrow().total();
        total.events > self.config.debt_events_max / 2 || total.bytes > self.config.debt_bytes_max / 2
    }

    /// Waits until events may be added to a partition.
    pub(crate) async fn room(&self, id: PartitionId) {
        if !self.config.background || self.waiting.borrow().has_room(id, &self.config) {
            return;
        }
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.waiting.subscribe().wait_for(|waiting| waiting.has_room(id, &self.config)).await;
    }
}
