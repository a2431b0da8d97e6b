//! The partitions as a starting server would rebuild them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chronos_domain::{LogIndex, PartitionId, Position};
use chronos_wal::{Corrupt, Entry, LogId, LogReport, Place, Verdict, VerifyReport};
use parking_lot::RwLock;

use super::kept::Kept;
use super::numbers::Numbers;
use super::partition_of;
use super::report::{Damage, PartitionReport, Report, TornTail};
use crate::apply;
use crate::cut::CutLimits;
use crate::entry::{self, Command, Outcome};
use crate::identity::WAL;
use crate::recover;
use crate::shelf::Shelf;
use crate::state::State;

/// Every partition that has an entry.
pub(super) struct Replicas {
    by_log: BTreeMap<LogId, Replica>,
    damages: Vec<Damage>,
}

struct Replica {
    partition: PartitionId,
    state: RwLock<State>,
    /// The last position in parts, and the last entry of the log that they have taken in.
    compacted: Position,
    kept: LogIndex,
    numbers: Numbers,
    /// After the first damage nothing that follows can be judged.
    broken: bool,
}

impl Replicas {
    /// Partitions that go on from these parts; all others start with nothing.
    pub(super) fn new(kept: BTreeMap<PartitionId, Kept>) -> Replicas {
        let replica = |(partition, kept): (PartitionId, Kept)| {
            (LogId::new(partition.get()), Replica::behind(partition, kept))
        };
        Replicas { by_log: kept.into_iter().map(replica).collect(), damages: Vec::new() }
    }

    /// Of this partition, parts and log are being exchanged: what it will hold is not to be seen yet.
    pub(super) fn suspend(&mut self, partition: PartitionId) {
        let replica = Replica { broken: true, ..Replica::new(partition) };
        self.by_log.insert(LogId::new(partition.get()), replica);
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
        if log.entries == 0 && !corrupt && !self.by_log.contains_key(&log.log) {
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
        found.whole &= !corrupt && report.damages.iter().all(|damage| damage.partition != Some(partition));
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
        Replica::of(partition, Arc::new(Shelf::empty(0, partition)), Numbers::new())
    }

    /// One whose history begins in parts. When these are damaged, nothing behind them can be judged.
    fn behind(partition: PartitionId, kept: Kept) -> Replica {
        let broken = kept.shelf.is_none();
        let shelf = kept.shelf.unwrap_or_else(|| Arc::new(Shelf::empty(0, partition)));
        Replica { broken, ..Replica::of(partition, shelf, kept.numbers) }
    }

    fn of(partition: PartitionId, shelf: Arc<Shelf>, numbers: Numbers) -> Replica {
        let (compacted, kept) = (shelf.compacted(), shelf.manifest.applied);
        let state = RwLock::new(State::new(partition, shelf, 0, CutLimits::default()));
        Replica { partition, state, compacted, kept, numbers, broken: false }
    }

    fn apply(&mut self, logged: &Entry) -> Result<(), String> {
        let entry = entry::decode_strictly(&logged.payload).map_err(|malformed| malformed.to_string())?;
        if logged.index <= self.kept.get() {
            return Ok(()); // in parts already, and not yet purged
        }
        recover::check(&self.state.read(), logged.index, &entry)?;
        let outcomes =
            apply::any(&self.state, chronos_wal::Mark { index: logged.index, term: logged.term }, &entry)
                .map_err(|fault| fault.to_string())?;
        for (command, outcome) in entry.commands.iter().zip(&outcomes) {
            if let (Command::Append(command), Outcome::Append(chronos_domain::Verdict::Stored(receipt))) =
                (command, outcome)
            {
                self.numbers.enter(command, receipt)?;
            }
        }
        let (booked, head) = (self.numbers.head(), self.state.read().numbers().head());
        if booked == head {
            Ok(())
        } else {
            Err(format!("events are numbered up to {booked}, the head is {head}"))
        }
    }

    /// Where log, replay and the second book do not say the same at the end.
    fn disagreement(&self, last: u64) -> Option<String> {
        let stats = self.state.read().stats();
        let applied = self.state.read().applied();
        if applied.get() != last {
            return Some(format!("its log ends with entry {last}, but replay with {applied}"));
        }
        let (entities, booked) = (stats.entities, self.numbers.entities());
        if entities != booked {
            return Some(format!("replay has {entities} entities, but {booked} got numbers"));
        }
        let (ids, events) = (stats.ids, stats.events - self.compacted.get());
        (ids != events).then(|| format!("{events} events have {ids} ids"))
    }

    fn report(&self) -> PartitionReport {
        PartitionReport {
            partition: self.partition,
            head: self.numbers.head(),
            entities: self.numbers.entities(),
            entries: self.state.read().applied().get(),
            compacted: self.compacted,
            whole: !self.broken,
        }
    }
}
