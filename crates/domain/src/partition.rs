//! The one place where versions and positions are born.
//!
//! [`PartitionState::apply`] takes the commands of a partition's log, one by one and in log order, and decides each
//! from nothing but the events stored before it. So every replica, and every replay, comes to the same verdicts and
//! the same numbers. The order of checks is part of the contract:
//!
//! 1. **duplicate**: has this very request been stored before? Then it succeeds with its original numbers, whatever
//!    it expects by now;
//! 2. **expectations**, in the order of the batch's entity table;
//! 3. **condition**;
//! 4. **numbers**.
//!
//! Only step 4 changes the state. A rejected, duplicate or faulted command consumes no number and moves no moment, so
//! the state is a function of the stored events alone and can be resumed from them.

use alloc::vec;
use alloc::vec::Vec;

use crate::batch::{Append, Batch, Space};
use crate::id::{EntityId, EventId};
use crate::index::{Found, Index};
use crate::invariants;
use crate::number::{ContentHash, PartitionId, Position, Version};
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// What a partition remembers besides its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    partition: PartitionId,
    head: Position,
    recorded_at: Timestamp,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The events have been numbered and must now be made visible.
    Stored(Receipt),
    /// The same request was stored before; these are its original numbers.
    Duplicate(Receipt),
    /// A rule said no; nothing has changed.
    Rejected(Rejection),
}

/// The numbers of an accepted request: the `i`-th event has position `first + i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Position of the first event; zero when the request only checked.
    pub first: Position,
    /// When the events were recorded: the command's moment, or the partition's last one if that is later. For a
    /// duplicate, when the first of its events was.
    pub recorded_at: Timestamp,
    /// For each entity of the batch the version of its first event in this batch; zero when it was only checked.
    pub first_versions: Vec<Version>,
}

impl Receipt {
    /// Position of the `i`-th event.
    pub const fn position(&self, i: usize) -> Position {
        self.first.plus(i as u64)
    }

    /// Position of the last event; `None` when the request only checked.
    pub fn last<B: Batch>(&self, batch: &B) -> Option<Position> {
        batch.events().checked_sub(1).map(|i| self.position(i))
    }

    /// Versions of all events, in their order.
    pub fn versions<B: Batch>(&self, batch: &B) -> Vec<Version> {
        let mut next = self.first_versions.clone();
        let number = |i| {
            let version = &mut next[batch.event_entity(i)];
            let given = *version;
            *version = given.next();
            given
        };
        (0..batch.events()).map(number).collect()
    }
}

impl PartitionState {
    /// A partition without events.
    pub const fn new(partition: PartitionId) -> PartitionState {
        PartitionState::resume(partition, Position::ZERO, Timestamp::MIN)
    }

    /// A partition whose last event has this position and moment.
    pub const fn resume(partition: PartitionId, head: Position, recorded_at: Timestamp) -> PartitionState {
        PartitionState { partition, head, recorded_at }
    }

    /// Which partition this is.
    pub const fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Position of the last event; zero without one.
    pub const fn head(&self) -> Position {
        self.head
    }

    /// No event is recorded before this from now on: when the last one was, or until when time has been let pass since;
    /// [`Timestamp::MIN`] where neither has happened.
    pub const fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// Lets time pass without an event: none that comes later is recorded before `now`. Time does not go back.
    pub fn pass(&mut self, now: Timestamp) {
        self.recorded_at = self.recorded_at.max(now);
    }

    /// Decides one command and numbers its events.
    ///
    /// After [`Verdict::Stored`] the caller makes the events visible in `index` before it applies the next command.
    ///
    /// # Errors
    /// A fault of the index. Nothing has changed; the partition must stop, because a verdict is still due at this point
    /// of the log.
    ///
    /// # Panics
    /// When the index contradicts the state (see [`invariants`]): going on would lose or reorder data.
    pub fn apply<B: Batch, I: Index>(
        &mut self,
        index: &I,
        command: &Append<'_, B>,
    ) -> Result<Verdict, I::Error> {
        match self.decide(index, command)? {
            Decision::Accept { versions } => Ok(Verdict::Stored(self.number(command, &versions))),
            Decision::Repeat { first } => Ok(Verdict::Duplicate(original(index, command.batch, first)?)),
            Decision::Reject(rejection) => Ok(Verdict::Rejected(rejection)),
        }
    }

    fn decide<B: Batch, I: Index>(&self, index: &I, command: &Append<'_, B>) -> Result<Decision, I::Error> {
        let (space, batch) = (command.space, command.batch);
        match self.recall(index, space, batch)? {
            Memory::New => {}
            Memory::Same { first } => return Ok(Decision::Repeat { first }),
            Memory::Conflict(event_id) => {
                return Ok(Decision::Reject(Rejection::IdempotencyConflict { event_id }));
            }
        }
        let versions = match check_expectations(index, space, batch)? {
            Ok(versions) => versions,
            Err(rejection) => return Ok(Decision::Reject(rejection)),
        };
        match self.check_condition(index, space, batch)? {
            Ok(()) => Ok(Decision::Accept { versions }),
            Err(rejection) => Ok(Decision::Reject(rejection)),
        }
    }

    /// Whether the ids of a batch have been stored before, and by this very request.
    fn recall<B: Batch, I: Index>(&self, index: &I, space: Space<'_>, batch: &B) -> Result<Memory, I::Error> {
        let mut recall = Recall::default();
        for i in 0..batch.events() {
            let id = batch.event_id(i);
            let found = index.find(space, id)?;
            if let Some(Found { position, .. }) = found {
                let head = self.head;
                assert!(
                    invariants::within_head(position, head),
                    "I-06: found position {position}, head is {head}"
                );
            }
            recall.see(i, id, batch.content(i), found);
            if recall.is_half_match() {
                break;
            }
        }
        Ok(recall.conclude())
    }

    fn check_condition<B: Batch, I: Index>(
        &self,
        index: &I,
        space: Space<'_>,
        batch: &B,
    ) -> Result<Result<(), Rejection>, I::Error> {
        let Some(condition) = batch.condition() else { return Ok(Ok(())) };
        let mut earliest: Option<(Position, EventId)> = None;
        for item in &condition.fail_if {
            let matched = index.first_match(space, item, condition.after)?;
            earliest = match (earliest, matched) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        let Some((position, event_id)) = earliest else { return Ok(Ok(())) };
        let head = self.head;
        assert!(invariants::within_head(position, head), "I-06: matched position {position}, head is {head}");
        Ok(Err(Rejection::ConditionFailed { position, event_id }))
    }

    /// Gives the numbers. `versions`: of each entity, before.
    fn number<B: Batch>(&mut self, command: &Append<'_, B>, versions: &[Version]) -> Receipt {
        let batch = command.batch;
        let recorded_at = self.recorded_at.max(command.recorded_at);
        let mut first_versions = vec![Version::ZERO; batch.entities()];
        if batch.events() == 0 {
            return Receipt { first: Position::ZERO, recorded_at, first_versions };
        }
        for i in 0..batch.events() {
            let e = batch.event_entity(i);
            first_versions[e] = versions[e].next();
        }
        let first = self.head.next();
        assert!(
            invariants::recorded_at_never_decreases(self.recorded_at, recorded_at),
            "I-05: recorded_at would fall from {} to {recorded_at} at position {first}",
            self.recorded_at
        );
        self.head = self.head.plus(batch.events() as u64);
        self.recorded_at = recorded_at;
        Receipt { first, recorded_at, first_versions }
    }
}

enum Decision {
    Accept { versions: Vec<Version> },
    Repeat { first: Position },
    Reject(Rejection),
}

/// What the stored events say about the ids of a batch.
enum Memory {
    New,
    Same { first: Position },
    Conflict(EventId),
}

/// Compares the ids of a batch, one after the other, with the run of stored events that starts at the first one.
#[derive(Default)]
struct Recall {
    missing: bool,
    first_stored: Option<(Position, EventId)>,
    misfit: Option<EventId>,
}

impl Recall {
    fn see(&mut self, i: usize, id: EventId, content: ContentHash, found: Option<Found>) {
        let Some(found) = found else {
            self.missing = true;
            return;
        };
        let (start, _) = *self.first_stored.get_or_insert((found.position, id));
        let in_place = start.checked_add(i as u64) == Some(found.position);
        if self.misfit.is_none() && !(in_place && found.content == content) {
            self.misfit = Some(id);
        }
    }

    fn is_half_match(&self) -> bool {
        self.missing && self.first_stored.is_some()
    }

    fn conclude(self) -> Memory {
        match (self.first_stored, self.misfit) {
            (None, _) => Memory::New,
            (Some((_, id)), _) if self.missing => Memory::Conflict(id),
            (Some(_), Some(id)) => Memory::Conflict(id),
            (Some((first, _)), None) => Memory::Same { first },
        }
    }
}

/// The versions of all entities of a batch, when each is as expected.
fn check_expectations<B: Batch, I: Index>(
    index: &I,
    space: Space<'_>,
    batch: &B,
) -> Result<Result<Vec<Version>, Rejection>, I::Error> {
    let mut versions = Vec::with_capacity(batch.entities());
    for e in 0..batch.entities() {
        let (entity, expected) = (batch.entity(e), batch.expectation(e));
        let actual = index.version(space, entity)?;
        if !expected.allows(actual) {
            let entity = EntityId::parse(entity).expect("a batch is packed with valid entity ids only");
            return Ok(Err(Rejection::WrongExpectedVersion { entity, expected, actual }));
        }
        versions.push(actual);
    }
    Ok(Ok(versions))
}

/// The numbers that a repeated request got when it was stored from position `first` on.
fn original<B: Batch, I: Index>(index: &I, batch: &B, first: Position) -> Result<Receipt, I::Error> {
    let mut first_versions = vec![Version::ZERO; batch.entities()];
    for i in 0..batch.events() {
        let version = &mut first_versions[batch.event_entity(i)];
        if version.is_zero() {
            *version = index.version_at(first.plus(i as u64))?;
            assert!(
                !version.is_zero(),
                "I-02: the event at position {} has no version",
                first.plus(i as u64)
            );
        }
    }
    Ok(Receipt { first, recorded_at: index.recorded_at(first)?, first_versions })
}

#[cfg(test)]
mod tests;
