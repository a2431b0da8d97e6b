//! The partitions as a starting server would rebuild them.

use std::collections::BTreeMap;
use std::path::Path;

use chronos_domain::{LogIndex, PartitionId};
use chronos_wal::{Corrupt, Entry, LogId, LogReport, Place, Verdict, VerifyReport};

use super::numbers::Numbers;
use super::partition_of;
use super::report::{Damage, PartitionReport, Report, TornTail};
use crate::entry;
use crate::identity::WAL;
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

    /// Compares what was replayed with what the log says it holds, and hands over all that was found.
    pub(super) fn finish(mut self, walk: VerifyReport, report: &mut Report) {
        report.frames = walk.frames;
        report.bytes = walk.bytes;
        let torn = walk.torn_tails.into_iter();
        report.torn_tails.extend(torn.map(|tail| TornTail {
            file: tail.file,
            offset: tail.offset,
            bytes: tail.bytes,
        }));
        report.damages.extend(walk.damages.into_iter().map(Damage::from));
        report.damages.append(&mut self.damages);
        for log in walk.logs {
            self.finish_log(&log, report);
        }
    }

    fn finish_log(&mut self, log: &LogReport, report: &mut Report) {
        let Some(partition) = partition_of(log.log) else { return };
        let lost: &[Corrupt] = if let Verdict::Corrupt(lost) = &log.verdict { lost } else { &[] };
        let corrupt = !lost.is_empty();
        if log.entries == 0 && !corrupt {
            return;
        }
        lost.iter().for_each(|corrupt| blame(corrupt, partition, report));
        let replica = self.by_log.remove(&log.log).unwrap_or_else(|| Replica::new(partition));
        let last = log.state.last.map_or(0, |mark| mark.index);
        let mut found = replica.report();
        if let Some(what) = replica.disagreement(last).filter(|_| !corrupt && !replica.broken) {
            let damage = Damage::of_file(Path::new(WAL), what);
            report.damages.push(Damage { partition: Some(partition), position: Some(found.head), ..damage });
        }
        // The log knows bytes, replay knows how far it came: together they say where in the history the damage is.
        let hurt = report.damages.iter_mut().filter(|damage| damage.partition == Some(partition));
        hurt.for_each(|damage| damage.position = damage.position.or(Some(found.head)));
        found.whole = !corrupt && report.damages.iter().all(|damage| damage.partition != Some(partition));
        report.partitions.push(found);
    }
}

/// Makes sure that a damage is reported as one of this partition: bytes that cannot be read do not say whose they
/// were, the log's verdict does.
fn blame(corrupt: &Corrupt, partition: PartitionId, report: &mut Report) {
    let there = |damage: &&mut Damage| {
        let same_place = damage.file == corrupt.file && damage.offset == corrupt.offset;
        same_place && damage.partition.is_none_or(|known| known == partition)
    };
    match report.damages.iter_mut().find(there) {
        Some(damage) => damage.partition = Some(partition),
        None => {
            let damage = Damage::from(corrupt.clone());
            report.damages.push(Damage { partition: Some(partition), ..damage });
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
            if let chronos_domain::Verdict::Stored(receipt) = verdict {
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

    /// Where log, replay and the second book do not say the same at the end.
    fn disagreement(&self, last: u64) -> Option<String> {
        let stats = self.state.stats();
        let applied = self.state.applied();
        if applied.get() != last {
            return Some(format!("its log ends with entry {last}, but replay with {applied}"));
        }
        let (entities, booked) = (stats.entities, self.numbers.entities());
        if entities != booked {
            return Some(format!("replay has {entities} entities, but {booked} got numbers"));
        }
        let (ids, events) = (stats.ids, stats.events);
        (ids != events).then(|| format!("{events} events have {ids} ids"))
    }

    fn report(&self) -> PartitionReport {
        PartitionReport {
            partition: self.partition,
            head: self.numbers.head(),
            entities: self.numbers.entities(),
            entries: self.state.applied().get(),
            whole: !self.broken,
        }
    }
}
