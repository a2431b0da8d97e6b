//! Partitions that nobody serves in the end, of a run beyond the atlas: there is no final log to be the oracle.
//!
//! What is lost there may be lost, as long as nobody is told otherwise: everything that was ever answered has to be true of
//! *one* log, whatever else was in it. Acknowledgements say which event is at which position, reads what the hash of a
//! range is; that all of them fit one log is decided exactly ([`ties`]). That a strong read lacks nothing that was known
//! before it was sent is the floor of any other partition. What a final log alone could tell (whether an append of unknown
//! outcome was in it, whether a condition was right to refuse) is left open and is no violation.
//!
//! Invariant: an operation on such a partition is judged here, or the report says that it could not be.

mod partition;
mod ties;

use std::collections::BTreeMap;

use self::partition::Surmise;
use super::judge::Open;
use super::map::Map;
use crate::answer::{Answer, Found, Reason, Refusal};
use crate::call::{Call, Get, Mode};
use crate::fact::{End, Fact, NodeState};
use crate::line::{Body, Line, Scope};
use crate::report::Invariant::{S1, S8, S11, S12};
use crate::report::{At, Tally};
use crate::{Append, EventId, Fork, Partition, Tenant};

/// What is known of each of them.
#[derive(Default)]
pub(super) struct Unserved<'h> {
    parts: BTreeMap<Partition, Surmise<'h>>,
    /// Where events were sent that belong to one of them.
    homes: Map<(Tenant, EventId), Partition>,
}

impl<'h> Unserved<'h> {
    /// Those that the history says nobody serves. Says so if it may not say that.
    pub(super) fn new(lines: &[Line], report: &mut Tally) -> Unserved<'h> {
        let is_beyond =
            lines.iter().any(|line| matches!(&line.body, Body::Fact(Fact::Header(h)) if h.beyond_atlas));
        let end = lines.iter().rev().find_map(|line| match &line.body {
            Body::Fact(Fact::End(end)) => Some((line.index, end)),
            _ => None,
        });
        let Some((index, End { replicas, unserved })) = end else { return Unserved::default() };
        if !is_beyond && !unserved.is_empty() {
            let what = "partitions are not served in the end, which is no answer in a run within the atlas";
            report.undecided(At::line(index), what);
            return Unserved::default();
        }
        for (part, _) in unserved.iter().filter(|(part, _)| replicas.iter().any(|(other, _)| other == part)) {
            report.undecided(At::line(index), format!("partition {part} is said to be served and not to be"));
        }
        let parts = unserved.iter().map(|(part, _)| (*part, Surmise::default())).collect();
        Unserved { parts, homes: Map::default() }
    }

    /// The floor of the partition that an operation is about, and what its session was shown of it.
    pub(super) fn proven(&self, scope: &Scope, call: &Call) -> (u64, u64) {
        let part = match call {
            Call::Get(get) => self.homes.get(&(scope.tenant.unwrap_or_default(), get.id)).copied(),
            _ => scope.part,
        };
        let surmise = part.filter(|_| scope.fork == Fork(0)).and_then(|part| self.parts.get(&part));
        surmise.map_or((0, 0), |surmise| (surmise.floor, surmise.shown_to(scope.session)))
    }

    pub(super) fn sent(&mut self, open: &Open<'h>, append: &'h Append) {
        let Some((part, surmise)) = self.of(open) else { return };
        surmise.sent(open, append);
        self.homes.extend(append.events.iter().map(|event| ((open.tenant(), event.id), part)));
    }

    /// Judges an answer, if it is about one of them.
    pub(super) fn ok(&mut self, at: At, open: &Open<'h>, answer: &Answer, report: &mut Tally) -> bool {
        if let (Call::Get(get), Answer::Get(answer)) = (open.call, answer) {
            return self.got(at, open, get, answer.as_ref(), report);
        }
        let Some((_, surmise)) = self.of(open) else { return false };
        report.without_log += 1;
        if open.scope.tenant.is_some() && !matches!(answer, Answer::Append(_) | Answer::Entity(_)) {
            report.undecided(at, "what one tenant of several sees can only be held against a final log");
            return true;
        }
        match (open.call, answer) {
            (Call::Append(append), Answer::Append(answer)) => surmise.acked(at, open, append, answer, report),
            (Call::Read(read), Answer::Read(answer)) => surmise.read(at, open, read, answer, report),
            (Call::Entity(read), Answer::Entity(answer)) => surmise.entity(at, open, read, answer, report),
            (Call::Search(search), Answer::Search(answer)) => surmise.searched(at, search, answer, report),
            _ => report.undecided(at, "an answer that only a final log can be held against"),
        }
        true
    }

    /// Judges a refusal, if it is about one of them.
    pub(super) fn refused(
        &mut self,
        at: At,
        open: &Open<'h>,
        append: &Append,
        refusal: &Refusal,
        report: &mut Tally,
    ) -> bool {
        let Some((_, surmise)) = self.of(open) else { return false };
        if refusal.reason == Reason::WrongVersion {
            report.without_log += 1;
            surmise.refused_version(at, open, append, refusal, report);
        }
        true
    }

    /// S11 of a watermark that a replica says, if it is one of theirs.
    pub(super) fn mark(&mut self, at: At, state: &NodeState, report: &mut Tally) -> bool {
        let Some(surmise) = self.parts.get(&state.part) else { return false };
        let ceiling = surmise.ceiling();
        report.check(S11, at, state.wm.0 <= ceiling, || {
            format!("partition {}: watermark {} where {ceiling} events had been sent", state.part, state.wm)
        });
        true
    }

    /// Whether an operation is about one of them: what became of it, if nobody was told, stays open.
    pub(super) fn is_about(&self, open: &Open<'_>) -> bool {
        open.scope.fork == Fork(0) && open.scope.part.is_some_and(|part| self.parts.contains_key(&part))
    }

    fn of(&mut self, open: &Open<'_>) -> Option<(Partition, &mut Surmise<'h>)> {
        let part = open.scope.part.filter(|_| open.scope.fork == Fork(0))?;
        self.parts.get_mut(&part).map(|surmise| (part, surmise))
    }

    fn got(
        &mut self,
        at: At,
        open: &Open<'h>,
        get: &Get,
        answer: Option<&Found>,
        report: &mut Tally,
    ) -> bool {
        let key = (open.tenant(), get.id);
        let Some((part, surmise)) =
            self.homes.get(&key).and_then(|part| Some((*part, self.parts.get_mut(part)?)))
        else {
            return false;
        };
        report.without_log += 1;
        let Some(found) = answer else {
            let proven = if get.mode == Mode::Strong { open.floor.max(open.shown) } else { open.shown };
            let of = if get.mode == Mode::Strong { S8 } else { S12 };
            let place = surmise.place(key);
            report.check(of, at, place.is_none_or(|place| place > proven), || {
                format!("event {} was not found, yet it was known to be there", get.id)
            });
            return true;
        };
        let is_here = report.check(S1, at, found.part == part, || {
            format!("event {} was sent to partition {part} and found in {}", get.id, found.part)
        });
        if is_here {
            surmise.found(at, open, get, found, report);
        }
        true
    }
}
