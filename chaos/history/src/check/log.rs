//! One final log, and how far the history has come in it.

use super::sequence::Sequence;
use crate::fact::Logged;
use crate::{Fork, Partition, Tenant, Word};

/// A partition of a fork, as it is for ever.
pub(super) struct Log {
    pub(super) fork: Fork,
    pub(super) part: Partition,
    /// Index of the line that its first events are from.
    pub(super) line: u64,
    pub(super) events: Vec<Logged>,
    pub(super) whole: Sequence,
    /// Whose events they are, if all are one tenant's.
    pub(super) tenant: Option<Tenant>,
    /// By position, less one.
    pub(super) marks: Vec<Mark>,
    /// The highest position that a completed operation has proven to be there.
    pub(super) floor: u64,
    /// The highest position up to which every event has been sent.
    pub(super) ceiling: u64,
    /// Up to here a fork shares its parent's events.
    pub(super) base: u64,
    pub(super) fence: Fence,
}

/// What the history said about one event so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    /// Calls that sent its id.
    pub(super) calls: u32,
    /// Those of them that failed for certain.
    pub(super) fails: u32,
    /// The first call that sent it as it is: index of the line, and which event of it.
    pub(super) line: u32,
    pub(super) nth: u16,
    /// Some call sent it as it is.
    pub(super) is_sent: bool,
    /// Some call sent its id with something else.
    pub(super) is_contested: bool,
    /// Some append of it was acknowledged, with its true position.
    pub(super) is_acked: bool,
    /// The line of the first such acknowledgement.
    pub(super) acked_at: u32,
    /// Some append of it was told that it wrote it.
    pub(super) is_claimed: bool,
    /// It and the next are of one batch.
    pub(super) is_inside: bool,
    /// It was sent in different batches.
    pub(super) is_mixed: bool,
    /// Its id stands at an earlier position, too; that one is the event.
    pub(super) is_twin: bool,
    /// Somebody will send its id, sooner or later.
    pub(super) is_ever_sent: bool,
    /// Nobody ever sends its id. Only known once somebody needed to.
    pub(super) is_phantom: bool,
}

/// Whether the log has been fenced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fence {
    /// Nobody has appended.
    #[default]
    Untouched,
    /// Somebody has appended since.
    Open,
    /// The fence has been sent and nothing else happened since.
    Sent,
    /// The fence is in, at the end.
    Closed,
}

impl Mark {
    /// Whether nobody who sees it is to blame.
    fn is_past(&self) -> bool {
        self.calls > 0 || self.is_phantom || self.is_twin
    }
}

impl Log {
    pub(super) fn new(fork: Fork, part: Partition, line: u64, events: Vec<Logged>) -> Log {
        let mut whole = Sequence::whole();
        for (at, event) in (1..).zip(&events) {
            whole.push(at, word(event));
        }
        let tenant = events.first().map(|first| first.tenant);
        let tenant = tenant.filter(|tenant| events.iter().all(|event| event.tenant == *tenant));
        let marks = vec![Mark::default(); events.len()];
        Log {
            fork,
            part,
            line,
            events,
            whole,
            tenant,
            marks,
            floor: 0,
            ceiling: 0,
            base: 0,
            fence: Fence::Untouched,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.events.len() as u64
    }

    /// The event at a position, if the log is that long.
    pub(super) fn event(&self, position: u64) -> Option<&Logged> {
        self.events.get((position as usize).checked_sub(1)?)
    }

    pub(super) fn mark(&mut self, position: u64) -> &mut Mark {
        &mut self.marks[position as usize - 1]
    }

    /// The ceiling, after what has been sent by now.
    pub(super) fn raise_ceiling(&mut self) {
        while self.marks.get(self.ceiling as usize).is_some_and(Mark::is_past) {
            self.ceiling += 1;
        }
    }

    pub(super) fn raise_floor(&mut self, to: u64) {
        self.floor = self.floor.max(to);
    }

    /// Whether a batch lies on both sides of the end of this position.
    pub(super) fn splits_a_batch(&self, position: u64) -> bool {
        position > 0 && self.marks.get(position as usize - 1).is_some_and(|mark| mark.is_inside)
    }

    /// The last position recorded at or before a time.
    pub(super) fn head_at(&self, micros: i64) -> u64 {
        self.events.partition_point(|event| event.at <= micros) as u64
    }

    /// Its name, for sentences.
    pub(super) fn name(&self) -> String {
        match self.fork {
            Fork(0) => format!("partition {}", self.part),
            fork => format!("partition {} of fork {fork}", self.part),
        }
    }
}

pub(super) fn word(event: &Logged) -> Word {
    Word::new(event.id, event.entity, event.version, event.tenant, event.hash)
}
