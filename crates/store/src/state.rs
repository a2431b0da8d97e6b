//! What apply changes and readers look at: tables, numbers and marks, under one lock.

use std::borrow::Borrow;

use chronos_domain::{LogIndex, Marks, PartitionId, PartitionState, Verdict};

use crate::entry::Command;
use crate::fault::Fault;
use crate::stats::Stats;
use crate::tables::Tables;
use crate::tail::Origin;

/// The state of one partition.
#[derive(Debug)]
pub(crate) struct State {
    numbers: PartitionState,
    pub(crate) tables: Tables,
    pub(crate) marks: Marks,
    applied: LogIndex,
    /// False while an entry is being applied, and for good if that ended in a panic.
    whole: bool,
    outcomes: Outcomes,
}

/// How many commands ended how, since the partition was opened (replayed ones included).
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    stored: u64,
    duplicates: u64,
    rejected: u64,
}

impl State {
    pub(crate) fn new(id: PartitionId, cache_bytes: usize) -> State {
        State {
            numbers: PartitionState::new(id),
            tables: Tables::new(cache_bytes),
            marks: Marks::default(),
            applied: LogIndex::ZERO,
            whole: true,
            outcomes: Outcomes::default(),
        }
    }

    pub(crate) const fn numbers(&self) -> &PartitionState {
        &self.numbers
    }

    pub(crate) const fn applied(&self) -> LogIndex {
        self.applied
    }

    /// Applies one entry of the log: every command in order, each seeing those before it.
    ///
    /// # Panics
    /// If `index` does not follow the last one: skipping or repeating an entry would lose or reorder data.
    pub(crate) fn apply<C: Borrow<Command>>(&mut self, index: LogIndex, commands: &[C]) -> Vec<Verdict> {
        let applied = self.applied;
        assert!(index == applied.next(), "log index {index} is applied after {applied}");
        self.whole = false;
        let verdicts = commands.iter().enumerate().map(|(ordinal, command)| {
            let ordinal = u16::try_from(ordinal).expect("an entry carries at most 65535 commands");
            self.apply_one(Origin { index, ordinal }, command.borrow())
        });
        let verdicts = verdicts.collect();
        self.applied = index;
        self.raise_marks();
        self.tables.tail.evict();
        self.whole = true;
        verdicts
    }

    /// Whether every entry that was begun has been applied to its end.
    ///
    /// # Errors
    /// [`Fault::Stopped`]: the tables hold half an entry and must be neither read nor changed.
    pub(crate) fn check_whole(&self) -> Result<(), Fault> {
        if self.whole {
            return Ok(());
        }
        let (id, applied) = (self.numbers.partition(), self.applied);
        let what =
            format!("partition {id} stopped inside the entry after log index {applied}; restart the node");
        Err(Fault::Stopped(what))
    }

    pub(crate) fn stats(&self) -> Stats {
        let (cached_blocks, cached_bytes) = self.tables.tail.cached();
        let spaces = || self.tables.spaces.iter();
        Stats {
            events: self.numbers.head().get(),
            entities: spaces().map(|space| space.heads.len() as u64).sum(),
            ids: spaces().map(|space| space.ids.len() as u64).sum(),
            spaces: spaces().count() as u64,
            blocks: self.tables.tail.len() as u64,
            cached_blocks,
            cached_bytes: cached_bytes as u64,
            reread_bytes: 0,
            log_reads: 0,
            commands_stored: self.outcomes.stored,
            commands_duplicate: self.outcomes.duplicates,
            commands_rejected: self.outcomes.rejected,
        }
    }

    fn apply_one(&mut self, origin: Origin, command: &Command) -> Verdict {
        let Ok(verdict) = self.numbers.apply(&self.tables.lookup(command.space()), &command.append());
        match &verdict {
            Verdict::Stored(receipt) => {
                self.outcomes.stored += 1;
                self.tables.insert(origin, command, receipt);
            }
            Verdict::Duplicate(_) => self.outcomes.duplicates += 1,
            Verdict::Rejected(_) => self.outcomes.rejected += 1,
        }
        verdict
    }

    /// With a quorum of one an entry is applied only after its sync, so all marks arrive together.
    fn raise_marks(&mut self) {
        let head = self.numbers.head();
        self.marks.raise_appended(head);
        self.marks.raise_flushed(head);
        self.marks.raise_committed(head);
        self.marks.raise_applied(head);
    }
}
