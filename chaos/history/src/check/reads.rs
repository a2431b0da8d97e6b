//! Reads of entities and gets: S2, S3, S4, S8, S11, S12, S19, S22.

use super::judge::{Judge, Open};
use super::oracle::Place;
use crate::answer::{EntityRange, Found};
use crate::call::{Get, Mode, ReadEntity, Then};
use crate::report::At;
use crate::report::Invariant::{S1, S2, S3, S4, S8, S11, S12, S19};
use crate::{Hash, Version};

impl Judge<'_> {
    pub(super) fn read_entity(&mut self, at: At, open: &Open<'_>, read: &ReadEntity, answer: &EntityRange) {
        let Some(number) = self.log_of(at, open) else { return };
        let last = if answer.last < answer.from { Version(0) } else { answer.last };
        let trail = self.oracle.trail(open.scope.fork, open.tenant(), read.stream);
        let of_answer = trail.map_or(0, |trail| trail.events.position(answer.rev.0.min(trail.events.len())));
        let ceiling = self.ceiling(number, of_answer);
        let newest = self.version_at(open, read.stream, ceiling);
        let invariant = if read.mode == Mode::Strong { S8 } else { S4 };
        let known = self.report.check(invariant, at, answer.rev.max(last) <= newest, || {
            format!(
                "saw version {} of entity {}, yet nothing after {newest} had been sent",
                answer.rev, read.stream
            )
        });
        if !known || !self.is_entity_range(at, open, read, answer) {
            return;
        }
        let trail = self.oracle.trail(open.scope.fork, open.tenant(), read.stream);
        let seen = trail.map_or(0, |trail| trail.events.position(answer.rev.0));
        let shown = trail.map_or(0, |trail| trail.events.position(last.0));
        if let Some(wm) = answer.wm {
            self.report
                .check(S11, at, shown <= wm.0, || format!("returned position {shown} above watermark {wm}"));
        }
        match read.mode {
            Mode::AsOf(then) => return self.version_then(at, open, number, (then, read.stream), answer.rev),
            Mode::Strong => {
                self.sees(S8, at, open, read, answer.rev, open.floor);
                self.oracle.logs[number].raise_floor(seen);
            }
            Mode::AtLeast(least) => self.sees(S12, at, open, read, answer.rev, least.0),
            Mode::Weak => {}
        }
        if open.scope.session.is_some() {
            self.sees(S12, at, open, read, answer.rev, open.shown);
            self.show(open, number, seen);
        }
    }

    /// Whether a read of an entity saw everything of it up to a position.
    fn sees(
        &mut self,
        of: crate::report::Invariant,
        at: At,
        open: &Open<'_>,
        read: &ReadEntity,
        rev: Version,
        position: u64,
    ) {
        let least = self.version_at(open, read.stream, position);
        self.report.check(of, at, rev >= least, || {
            let entity = read.stream;
            format!("saw version {rev} of entity {entity}, which had version {least} at position {position} before")
        });
    }

    fn is_entity_range(&mut self, at: At, open: &Open<'_>, read: &ReadEntity, answer: &EntityRange) -> bool {
        let (after, last) = (answer.from.0.saturating_sub(1), answer.last.0);
        let placed = answer.from == read.from && last <= answer.rev.0.max(after);
        if !self.report.check(S3, at, placed, || {
            format!("asked from version {}, shown {} to {last} of {}", read.from, answer.from, answer.rev)
        }) {
            return false;
        }
        let trail = self.oracle.trail(open.scope.fork, open.tenant(), read.stream);
        let shown = match trail {
            Some(trail) if last > after => {
                (last - after, trail.events.hash(after, last, &self.oracle.powers))
            }
            _ => (0, Hash(0)),
        };
        self.is_shown(at, open, shown, (answer.count, answer.hash), answer.bad)
    }

    /// S19 for an entity.
    fn version_then(
        &mut self,
        at: At,
        open: &Open<'_>,
        log: usize,
        (then, entity): (Then, crate::EntityId),
        rev: Version,
    ) {
        let (low, high) = match then {
            Then::Rev(version) => (version, version),
            Then::Pos(position) => {
                let version = self.version_at(open, entity, position.0);
                (version, version)
            }
            Then::Time(micros) => {
                let (low, high) = self.heads_at(log, micros, open.floor);
                (self.version_at(open, entity, low), self.version_at(open, entity, high))
            }
        };
        self.report.check(S19, at, low <= rev && rev <= high, || {
            format!("as of {then:?} entity {entity} has version {high}, the answer has {rev}")
        });
    }

    pub(super) fn got(&mut self, at: At, open: &Open<'_>, get: &Get, answer: Option<&Found>) {
        let place = self.oracle.place(open.scope.fork, open.tenant(), get.id);
        match (answer, place) {
            (None, None) => {}
            (None, Some(place)) => self.not_found(at, open, get, place),
            (Some(found), _) => self.found(at, open, get, found),
        }
    }

    fn not_found(&mut self, at: At, open: &Open<'_>, get: &Get, place: Place) {
        let position = place.at;
        let is_of_token = open.scope.part == Some(self.oracle.logs[place.log].part);
        let (of, proven) = match get.mode {
            Mode::Strong => (S8, open.floor),
            Mode::AtLeast(least) if is_of_token => (S12, least.0),
            Mode::Weak | Mode::AtLeast(_) => (S12, open.shown),
            Mode::AsOf(_) => return self.report.undecided(at, "a get as of a moment"),
        };
        self.report.check(of, at, position > proven.max(open.shown), || {
            format!("event {} was not found, yet position {position} was known to be there", get.id)
        });
    }

    fn found(&mut self, at: At, open: &Open<'_>, get: &Get, found: &Found) {
        let Some(place) = self.oracle.place(open.scope.fork, open.tenant(), get.id) else {
            if self.oracle.named(open.scope.fork, found.part).is_none() {
                let unknown =
                    format!("no final log of partition {}, in which an event was found", found.part);
                return self.report.undecided(at, unknown);
            }
            let lost = format!("event {} was found at {} and is nowhere in the final logs", get.id, found.at);
            return self.report.violate(S1, at, lost);
        };
        let log = &self.oracle.logs[place.log];
        let logged = log.events[place.at as usize - 1];
        let same = (found.part, found.at.0, found.stream) == (log.part, place.at, logged.entity)
            && (found.rev, found.hash) == (logged.version, logged.hash);
        let same = self.report.check(S2, at, same, || {
            format!(
                "event {} was found as {found:?}, the final log has it at {} as {logged:?}",
                get.id, place.at
            )
        });
        if same && self.is_known(at, place.log, get.mode, place.at) {
            if get.mode == Mode::Strong {
                self.oracle.logs[place.log].raise_floor(place.at);
            }
            self.show(open, place.log, place.at);
        }
    }
}
