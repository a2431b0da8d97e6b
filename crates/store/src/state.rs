//! What apply changes and readers look at: layers, numbers and marks, under one lock.

use std::sync::Arc;

use bytes::Bytes;
use chronos_bugs::{Bug, is_seeded};
use chronos_domain::{
    Expectation, LogIndex, Marks, PartitionId, PartitionState, Position, Rejection, Verdict, truncate,
};
use chronos_wal::Mark;

use crate::chunks::Origin;
use crate::cut::CutLimits;
use crate::entry::{AppendCommand, Command, Outcome, TruncateCommand};
use crate::facts::Facts;
use crate::fault::Fault;
use crate::layers::{Layers, SealedGeneration};
use crate::lookup::Lookup;
use crate::premature::Unchecked;
use crate::shelf::Shelf;
use crate::stats::Stats;

/// The state of one partition.
#[derive(Debug)]
pub(crate) struct State {
    numbers: PartitionState,
    pub(crate) layers: Layers,
    pub(crate) marks: Marks,
    limits: CutLimits,
    /// The last applied entry.
    applied: Mark,
    /// The last applied entry that had commands.
    spoken: LogIndex,
    /// Who the members of the group are, as the manifest keeps it.
    members: Bytes,
    /// False while commands are being applied, and for good if that ended in a panic.
    whole: bool,
    entry: Option<OpenEntry>,
    outcomes: Outcomes,
}

/// An entry that has been begun.
#[derive(Clone, Copy, Debug)]
struct OpenEntry {
    mark: Mark,
    /// Commands of it that have been applied.
    commands: u16,
    /// Whether one of them was a cut, and whether it settles.
    cut: Option<bool>,
}

/// How many commands ended how, since the partition was opened (replayed ones included).
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    stored: u64,
    duplicates: u64,
    rejected: u64,
}

impl State {
    /// The state as of the manifest on the shelf.
    pub(crate) fn new(id: PartitionId, shelf: Arc<Shelf>, cache_bytes: usize, limits: CutLimits) -> State {
        let manifest = &shelf.manifest;
        let compacted = manifest.compacted;
        let applied = Mark { index: manifest.applied.get(), term: manifest.applied_term };
        let (spoken, members) = (manifest.applied, manifest.members.clone());
        let numbers = PartitionState::resume(id, compacted, manifest.recorded_at);
        let mut state = State {
            numbers,
            layers: Layers::new(shelf, cache_bytes, 0),
            marks: Marks::default(),
            limits,
            applied,
            spoken,
            members,
            whole: true,
            entry: None,
            outcomes: Outcomes::default(),
        };
        state.raise_marks();
        state.marks.raise_compacted(compacted);
        state
    }

    pub(crate) const fn numbers(&self) -> &PartitionState {
        &self.numbers
    }

    pub(crate) const fn applied(&self) -> LogIndex {
        LogIndex::new(self.applied.index)
    }

    pub(crate) const fn applied_mark(&self) -> Mark {
        self.applied
    }

    /// The last applied entry that had commands; what came after it says nothing about events.
    pub(crate) const fn spoken(&self) -> LogIndex {
        self.spoken
    }

    pub(crate) const fn members(&self) -> &Bytes {
        &self.members
    }

    /// The entry that has been begun names the members of the group.
    pub(crate) fn name_members(&mut self, members: Bytes) {
        assert!(self.entry.is_some(), "members are named inside an entry");
        self.members = members;
    }

    /// Begins an entry of the log.
    ///
    /// # Panics
    /// If `index` does not follow the last one: skipping or repeating an entry would lose or reorder data.
    pub(crate) fn begin(&mut self, mark: Mark) {
        let (index, applied) = (mark.index, self.applied.index);
        assert!(index == applied + 1, "log index {index} is applied after {applied}");
        assert!(mark.term >= self.applied.term, "term {} is applied after {}", mark.term, self.applied.term);
        assert!(self.entry.is_none(), "log index {index} is begun inside an entry");
        self.entry = Some(OpenEntry { mark, commands: 0, cut: None });
    }

    /// Applies the next commands of the entry in order, each seeing those before it. `facts` are theirs, or none when
    /// there are no parts. Readers do not see the events yet: the applied mark is raised when the entry ends.
    pub(crate) fn run<'c>(
        &mut self,
        commands: impl Iterator<Item = &'c Command>,
        facts: &[Facts],
    ) -> Vec<Outcome> {
        let mut entry = self.entry.expect("commands are applied inside an entry");
        self.whole = false;
        let nothing = Facts::default();
        let mut outcomes = Vec::new();
        for (nth, command) in commands.enumerate() {
            let origin = Origin { index: LogIndex::new(entry.mark.index), ordinal: entry.commands };
            let facts = facts.get(nth).unwrap_or(&nothing);
            outcomes.push(self.apply_one(origin, command, facts, &mut entry));
            entry.commands = entry.commands.wrapping_add(1);
        }
        self.entry = Some(entry);
        self.whole = true;
        outcomes
    }

    /// Ends the entry: its events become visible, and the generation is cut where it is time.
    pub(crate) fn end(&mut self) {
        let entry = self.entry.take().expect("an entry ends after it was begun");
        self.whole = false;
        self.applied = entry.mark;
        if entry.commands > 0 {
            self.spoken = LogIndex::new(entry.mark.index);
        }
        self.raise_marks();
        let active = self.layers.active();
        let full = active.events() >= self.limits.events || active.raw_bytes() >= self.limits.bytes;
        if let Some(settle) = entry.cut.or_else(|| full.then_some(false)) {
            self.layers.cut(entry.mark, self.members.clone(), self.numbers.recorded_at(), settle);
        }
        self.layers.blocks.evict();
        self.whole = true;
    }

    /// Whether everything that was begun has been applied to its end.
    ///
    /// # Errors
    /// [`Fault::Stopped`]: the tables hold half a command and must be neither read nor changed.
    pub(crate) fn check_whole(&self) -> Result<(), Fault> {
        if self.whole { Ok(()) } else { Err(self.stopped()) }
    }

    /// Whether an entry may be begun: the last one has ended.
    ///
    /// # Errors
    /// [`Fault::Stopped`] as [`check_whole`](Self::check_whole), or when an entry was left half-way.
    pub(crate) fn check_idle(&self) -> Result<(), Fault> {
        if self.whole && self.entry.is_none() { Ok(()) } else { Err(self.stopped()) }
    }

    fn stopped(&self) -> Fault {
        let (id, applied) = (self.numbers.partition(), self.applied.index);
        Fault::Stopped(format!(
            "partition {id} stopped inside the entry after log index {applied}; restart the node"
        ))
    }

    pub(crate) fn stats(&self) -> Stats {
        let layers = &self.layers;
        let parts = || layers.shelf().manifest.parts.iter();
        let spaces = || layers.generations().flat_map(|generation| generation.spaces.iter());
        Stats {
            events: self.numbers.head().get(),
            entities: layers.entities(),
            ids: spaces().map(|space| space.ids.len() as u64).sum(),
            blocks: layers.chunks() as u64,
            cached_blocks: layers.blocks.len() as u64,
            cached_bytes: layers.blocks.bytes() as u64,
            generations: layers.sealed().len() as u64 + 1,
            parts: parts().count() as u64,
            part_events: layers.compacted().get(),
            part_bytes: parts().map(chronos_parts::PartMeta::bytes).sum(),
            part_raw_bytes: parts().map(|part| part.raw_bytes).sum(),
            part_erased: parts().map(|part| part.erased).sum(),
            tombstones: layers.tombstones.len() as u64,
            commands_stored: self.outcomes.stored,
            commands_duplicate: self.outcomes.duplicates,
            commands_rejected: self.outcomes.rejected,
            ..Stats::default()
        }
    }

    fn apply_one(
        &mut self,
        origin: Origin,
        command: &Command,
        facts: &Facts,
        entry: &mut OpenEntry,
    ) -> Outcome {
        match command {
            Command::Append(append) => Outcome::Append(self.append(origin, append, facts)),
            Command::Truncate(command) => Outcome::Truncate(self.truncate(command, facts)),
            Command::Cut(cut) => {
                entry.cut = Some(entry.cut == Some(true) || cut.settle);
                Outcome::Cut(self.numbers.head())
            }
            Command::Tick(tick) => {
                self.numbers.pass(tick.recorded_at);
                Outcome::Tick(self.numbers.recorded_at())
            }
        }
    }

    fn append(&mut self, origin: Origin, command: &AppendCommand, facts: &Facts) -> Verdict {
        let index = Lookup { layers: &self.layers, facts };
        let Ok(verdict) = match is_seeded(Bug::M7) {
            true => self.numbers.apply(&index, &command.unchecked(&Unchecked(&command.block))),
            false => self.numbers.apply(&index, &command.append()),
        };
        mark(&verdict, facts);
        match &verdict {
            Verdict::Stored(receipt) => {
                self.outcomes.stored += 1;
                self.layers.insert(origin, command, receipt);
            }
            Verdict::Duplicate(_) => self.outcomes.duplicates += 1,
            Verdict::Rejected(_) => self.outcomes.rejected += 1,
        }
        verdict
    }

    /// How the command would end if it were applied now.
    pub(crate) fn foresee(&self, command: &AppendCommand, facts: &Facts) -> Verdict {
        let Ok(verdict) =
            self.numbers.clone().apply(&Lookup { layers: &self.layers, facts }, &command.append());
        verdict
    }

    fn truncate(
        &mut self,
        command: &TruncateCommand,
        facts: &Facts,
    ) -> Result<chronos_domain::Truncated, Rejection> {
        let Ok(decided) = truncate(&Lookup { layers: &self.layers, facts }, &command.truncate());
        match &decided {
            Ok(truncated) if truncated.moved => {
                let TruncateCommand { tenant, fork, entity, .. } = command;
                self.layers.tombstones.insert(tenant, *fork, entity, truncated.before);
                self.outcomes.stored += 1;
            }
            Ok(_) => self.outcomes.duplicates += 1,
            Err(_) => self.outcomes.rejected += 1,
        }
        decided
    }

    /// Puts other parts on the shelf; returns what leaves memory.
    pub(crate) fn install(&mut self, shelf: Arc<Shelf>) -> Vec<Arc<SealedGeneration>> {
        let compacted = shelf.compacted();
        let dropped = self.layers.install(shelf);
        self.marks.raise_compacted(compacted);
        dropped
    }

    /// Becomes the state as of the manifest on `shelf`, which holds everything that was applied here and more; returns what
    /// was, to be dropped without a lock. Numbers of blocks go on, so that nobody takes a new one for an old one.
    ///
    /// # Panics
    /// If the shelf holds less than was applied.
    pub(crate) fn take_over(&mut self, shelf: Arc<Shelf>, cache_bytes: usize) -> State {
        let mut next = State::new(self.numbers.partition(), Arc::clone(&shelf), cache_bytes, self.limits);
        let (before, after) = (self.applied.index, next.applied.index);
        assert!(before < after, "parts up to entry {after} are taken over where {before} was applied");
        next.layers = Layers::new(shelf, cache_bytes, self.layers.blocks.next());
        next.outcomes = self.outcomes;
        let mut marks = self.marks;
        marks.raise_appended(next.marks.appended);
        marks.raise_flushed(next.marks.flushed);
        marks.raise_committed(next.marks.committed);
        marks.raise_applied(next.marks.applied);
        marks.raise_compacted(next.marks.compacted);
        next.marks = marks;
        std::mem::replace(self, next)
    }

    /// The log has let go of everything up to this entry.
    ///
    /// # Panics
    /// If that reaches beyond the parts: events would be lost.
    pub(crate) fn note_purged(&mut self, to: LogIndex) {
        let manifest = &self.layers.shelf().manifest;
        let (kept, compacted) = (manifest.applied, manifest.compacted);
        assert!(to <= kept, "the log was purged up to entry {to}, but parts have taken in only {kept}");
        // Of an earlier purge nobody has written down the position; the next one says it.
        if to == kept {
            self.marks.raise_purged(compacted);
        }
    }

    /// The last position that readers see.
    pub(crate) const fn visible(&self) -> Position {
        self.marks.applied
    }

    /// An entry is applied only when it is committed, and positions are born in apply, so all marks arrive together. (A
    /// leader may apply what other nodes have synced a moment before it has itself; its log says what is flushed here.)
    fn raise_marks(&mut self) {
        let head = self.numbers.head();
        self.marks.raise_appended(head);
        self.marks.raise_flushed(head);
        self.marks.raise_committed(head);
        self.marks.raise_applied(head);
    }
}

/// What is rare about what became of an append, going by what its parts hold of it.
fn mark(verdict: &Verdict, facts: &Facts) {
    let in_parts = !facts.ids.is_empty();
    match verdict {
        Verdict::Stored(_) => {}
        Verdict::Duplicate(_) => {
            chronos_env::sometimes!("store.duplicate_in_memory", !in_parts);
            chronos_env::sometimes!("store.duplicate_in_parts", in_parts);
        }
        Verdict::Rejected(Rejection::WrongExpectedVersion {
            expected: Expectation::Exact(expected),
            actual,
            ..
        }) => {
            chronos_env::sometimes!("store.version_race_lost", actual > expected);
        }
        Verdict::Rejected(Rejection::ConditionFailed { .. }) => {
            chronos_env::sometimes!("store.condition_failed");
        }
        Verdict::Rejected(Rejection::IdempotencyConflict { .. }) => {
            chronos_env::sometimes!("store.id_has_other_content");
        }
        Verdict::Rejected(_) => {}
    }
}
