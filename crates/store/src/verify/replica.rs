//! The partitions as a starting server would rebuild them.

use std::collections::BTreeMap;
use std::path::Path;

use chronos_domain::{LogIndex, PartitionId, Verdict};
use chronos_wal::{Entry, LogId, Place};

use super::numbers::Numbers;
use super::partition_of;
use super::report::{Damage, PartitionReport, Report};
use crate::entry;
use crate::recover;
use crate::state::State;

/// Every partition that has an entry.
pub(super) struct Replicas {
    by_log: BTreeMap<LogId, Replica>,
    damages: Vec<Damage>,
}

struct Replica {
    partition: PartitionId,
    state: State,
    numbers: Numbers,
    /// After the first damage nothing that follows can be judged.
    broken: bool,
}

impl Replicas {
    pub(super) fn new() -> Replicas {
        Replicas { by_log: BTreeMap::new(), damages: Vec::new() }
    }

    /// Takes the next entry of a log.
    pub(super) fn visit(&mut self, log: LogId, entry: &Entry, place: &Place) {
        let Some(partition) = partition_of(log) else {
            let what = format!("holds an entry of {log}, which no partition has");
            self.damages.push(damage(&place.file, place.offset, None, entry, what));
            return;
        };
        let replica = self.by_log.entry(log).or_insert_with(|| Replica::new(partition));
        if replica.broken {
            return;
        }
        if let Err(what) = replica.apply(entry) {
            replica.broken = true;
            let head = replica.numbers.head();
            let found = damage(&place.file, place.offset, Some(partition), entry, what);
            self.damages.push(Damage { position: Some(head), ..found });
        }
    }

    /// Compares the two books of every partition and hands over what was found.
    pub(super) fn finish(self, report: &mut Report) {
        report.damages.extend(self.damages);
        for replica in self.by_log.into_values() {
            report.partitions.push(replica.report());
        }
        let hurt = |partition| report.damages.iter().any(|damage| damage.partition == Some(partition));
        for i in 0..report.partitions.len() {
            let partition = report.partitions[i].partition;
            report.partitions[i].whole &= !hurt(partition);
        }
    }
}

fn damage(file: &Path, offset: u64, partition: Option<PartitionId>, entry: &Entry, what: String) -> Damage {
    let index = Some(LogIndex::new(entry.index));
    Damage { file: file.to_path_buf(), offset, partition, index, position: None, what }
}

impl Replica {
    fn new(partition: PartitionId) -> Replica {
        // No block needs to stay in memory: nobody reads.
        Replica { partition, state: State::new(partition, 0), numbers: Numbers::new(), broken: false }
    }

    fn apply(&mut self, logged: &Entry) -> Result<(), String> {
        let entry = entry::decode_strictly(&logged.payload).map_err(|malformed| malformed.to_string())?;
        recover::check(&self.state, logged.index, &entry)?;
        let verdicts = self.state.apply(LogIndex::new(logged.index), &entry.commands);
        for (command, verdict) in entry.commands.iter().zip(&verdicts) {
            if let Verdict::Stored(receipt) = verdict {
                self.numbers.enter(command, receipt)?;
            }
        }
        let (booked, head) = (self.numbers.head(), self.state.numbers().head());
        if booked == head {
            Ok(())
        } else {
            Err(format!("events are numbered up to {booked}, the head is {head}"))
        }
    }

    fn report(&self) -> PartitionReport {
        let stats = self.state.stats();
        let same_entities = stats.entities == self.numbers.entities();
        let same_ids = stats.ids == stats.events;
        PartitionReport {
            partition: self.partition,
            head: self.numbers.head(),
            entities: self.numbers.entities(),
            entries: self.state.applied().get(),
            whole: !self.broken && same_entities && same_ids,
        }
    }
}
