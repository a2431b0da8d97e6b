//! Appends: sent, acknowledged, refused. S1, S2, S3, S5, S7, S8, S10, S11, S23.

use super::judge::{Judge, Open};
use super::log::Fence;
use super::oracle::Place;
use crate::answer::{Appended, Reason, Refusal};
use crate::fact::Logged;
use crate::report::At;
use crate::report::Invariant::{S1, S2, S3, S5, S7, S8, S10, S11};
use crate::{Append, Event};

impl Judge<'_> {
    /// A call: its events, as far as the final log has them, are sent from now on.
    pub(super) fn sent(&mut self, at: At, open: &Open<'_>, append: &Append) {
        self.forks.sent(open, append);
        if let Some(log) = open.log {
            let log = &mut self.oracle.logs[log];
            log.fence = if append.fence { Fence::Sent } else { Fence::Open };
        }
        let mut before: Option<Place> = None;
        for (nth, event) in append.events.iter().enumerate() {
            let place = self.place_after(before, open, event);
            if let Some(place) = place {
                self.send_one(at, open, (nth, event), place, before);
            }
            before = place;
        }
    }

    /// Where an event is, which is mostly right after the one before.
    fn place_after(&self, before: Option<Place>, open: &Open<'_>, event: &Event) -> Option<Place> {
        let next = before.map(|place| Place { at: place.at + 1, ..place });
        let is_next = |place: &Place| {
            let logged = self.oracle.logs[place.log].event(place.at);
            logged.is_some_and(|logged| logged.id == event.id && logged.tenant == open.tenant())
        };
        next.filter(is_next).or_else(|| self.oracle.place(open.scope.fork, open.tenant(), event.id))
    }

    fn send_one(
        &mut self,
        at: At,
        open: &Open<'_>,
        sent: (usize, &Event),
        place: Place,
        before: Option<Place>,
    ) {
        let (nth, event) = sent;
        let log = &mut self.oracle.logs[place.log];
        let as_sent = open.log == Some(place.log) && is_as_sent(event, &log.events[place.at as usize - 1]);
        let mark = log.mark(place.at);
        mark.calls += 1;
        let is_first = mark.calls == 1;
        if !as_sent {
            mark.is_contested = true;
        } else if !mark.is_sent {
            (mark.is_sent, mark.line, mark.nth) = (true, at.index as u32, nth as u16);
        } else {
            mark.is_mixed |= mark.nth != nth as u16;
        }
        let follows = before.is_some_and(|before| before.log == place.log && before.at + 1 == place.at);
        if follows && as_sent && is_first {
            self.oracle.logs[place.log].mark(place.at - 1).is_inside = true;
        }
        self.oracle.logs[place.log].raise_ceiling();
    }

    pub(super) fn acked(&mut self, at: At, open: &Open<'_>, append: &Append, answer: &Appended) {
        let Some(number) = self.log_of(at, open) else { return };
        let (first, last, sent) = (answer.first.0, answer.last.0, append.events.len() as u64);
        self.replicas.acked(at, open, answer, &mut self.report);
        let is_whole =
            self.report.check(S3, at, first > 0 && last.checked_sub(first) == sent.checked_sub(1), || {
                format!("{sent} events are said to lie at {first} to {last}")
            });
        if !is_whole || !self.is_where_said(at, open, append, answer, number) {
            return;
        }
        let log = &mut self.oracle.logs[number];
        log.fence = if append.fence && log.fence == Fence::Sent && last == log.len() {
            Fence::Closed
        } else {
            log.fence
        };
        if log.fence == Fence::Sent && !append.fence {
            self.report.undecided(at, "the fence of the partition was sent before this operation had ended");
        }
        if !answer.dedup {
            self.report.check(S8, at, first > open.floor, || {
                format!("written at {first}, yet {} was there before it was sent", open.floor)
            });
            self.accepted(at, open, append, first);
        }
        if let Some(wm) = answer.wm {
            self.report
                .check(S11, at, last <= wm.0, || format!("acknowledged up to {last} above watermark {wm}"));
        }
        let ceiling = self.ceiling(number, last);
        self.report.check(S8, at, last <= ceiling, || {
            format!("acknowledged at {last}, yet only up to {ceiling} everything had been sent")
        });
        self.oracle.logs[number].raise_floor(last);
        self.show(open, number, last);
    }

    /// Whether the final log has the events where the answer puts them.
    fn is_where_said(
        &mut self,
        at: At,
        open: &Open<'_>,
        append: &Append,
        answer: &Appended,
        log: usize,
    ) -> bool {
        for (nth, event) in append.events.iter().enumerate() {
            let said = Place { log, at: answer.first.0 + nth as u64 };
            let logged = self.oracle.logs[log].event(said.at).copied();
            let Some(logged) =
                logged.filter(|logged| logged.id == event.id && logged.tenant == open.tenant())
            else {
                self.not_where_said(at, open, event, said);
                return false;
            };
            self.report.check(S1, at, true, String::new);
            if !self.is_answer_like_others(at, open, (nth, event), &logged, answer, said) {
                return false;
            }
        }
        true
    }

    fn not_where_said(&mut self, at: At, open: &Open<'_>, event: &Event, said: Place) {
        let name = self.oracle.logs[said.log].name();
        let id = event.id;
        let Some(place) = self.oracle.place(open.scope.fork, open.tenant(), id) else {
            let lost =
                format!("event {id} was acknowledged at position {} of {name} and is nowhere", said.at);
            return self.report.violate(S1, at, lost);
        };
        let was_acked = self.oracle.logs[place.log].mark(place.at).is_acked;
        let invariant = if was_acked || self.misplaced.contains(&place) { S7 } else { S2 };
        self.misplaced.insert(place);
        let elsewhere =
            format!("event {id} was acknowledged at position {} of {name} and lies at {}", said.at, place.at);
        self.report.violate(invariant, at, elsewhere);
    }

    fn is_answer_like_others(
        &mut self,
        at: At,
        open: &Open<'_>,
        (nth, event): (usize, &Event),
        logged: &Logged,
        answer: &Appended,
        said: Place,
    ) -> bool {
        let id = event.id;
        let mark = self.oracle.logs[said.log].mark(said.at);
        let was_acked = std::mem::replace(&mut mark.is_acked, true);
        if !was_acked {
            mark.acked_at = at.index as u32;
        }
        // Of requests that are under way together any one may have written it, whichever hears first.
        let was_there = was_acked && u64::from(mark.acked_at) < open.index;
        let was_claimed = mark.is_claimed;
        mark.is_claimed |= !answer.dedup;
        let takes_other = mark.is_sent && !is_as_sent(event, logged);
        self.report.check(S2, at, true, String::new);
        let same = self.report.check(S7, at, !takes_other, || {
            format!("event {id} was accepted again with other content or for another entity")
        });
        let again = self.report.check(S7, at, answer.dedup || !(was_there || was_claimed), || {
            format!("event {id} was written before, yet the answer says that this request wrote it")
        });
        let Some(version) = answer.version(nth) else {
            self.report.undecided(at, format!("the answer does not tell the version of event {id}"));
            return false;
        };
        let invariant = if was_acked { S7 } else { S10 };
        let placed = self.report.check(invariant, at, version == logged.version, || {
            format!("event {id} was acknowledged as version {version} and is version {}", logged.version)
        });
        same && again && placed
    }

    pub(super) fn refused(&mut self, at: At, open: &Open<'_>, append: &Append, refusal: &Refusal) {
        for event in &append.events {
            let Some(place) = self.oracle.place(open.scope.fork, open.tenant(), event.id) else {
                self.report.check(S5, at, true, String::new);
                continue;
            };
            self.oracle.logs[place.log].mark(place.at).fails += 1;
            self.failed.insert(place, at);
        }
        match refusal.reason {
            Reason::WrongVersion => self.refused_version(at, open, append, refusal),
            Reason::ConditionFailed => self.refused_condition(at, open, append),
            Reason::Conflict => self.refused_ids(at, open, append),
            Reason::Corrupt | Reason::Other(_) => {}
        }
        if open.log.is_some_and(|log| self.oracle.logs[log].fence == Fence::Sent) && !append.fence {
            self.report.undecided(at, "the fence of the partition was sent before this operation had ended");
        }
    }

    /// A conflict needs another use of one of the ids, and one of them in the log.
    fn refused_ids(&mut self, at: At, open: &Open<'_>, append: &Append) {
        let place = |event: &Event| self.oracle.place(open.scope.fork, open.tenant(), event.id);
        let places: Vec<Option<Place>> = append.events.iter().map(place).collect();
        let follows = |nth: usize| places[0].map(|first| Place { at: first.at + nth as u64, ..first });
        let is_whole =
            places.iter().enumerate().all(|(nth, place)| place.is_some() && *place == follows(nth));
        let is_used = places.iter().flatten().any(|place| {
            let mark = &self.oracle.logs[place.log].marks[place.at as usize - 1];
            !is_whole || mark.is_contested || mark.is_mixed
        });
        self.report.check(S7, at, is_used, || {
            "refused as a conflict, yet nothing else was stored under these ids".to_string()
        });
    }
}

/// Whether the log has an event as this call sent it.
pub(super) fn is_as_sent(event: &Event, logged: &Logged) -> bool {
    event.hash == logged.hash && event.entity == logged.entity
}
