//! What can be said once all lines are read: S4, S5, S13 and S20 of whole logs, and what operations without a known
//! outcome did.

use super::judge::{Judge, Open};
use super::log::{Fence, Mark};
use super::oracle::Place;
use crate::call::Call;
use crate::fact::Fact;
use crate::line::Body;
use crate::report::At;
use crate::report::Invariant::{S4, S5, S13, S20};
use crate::{Append, Fork, Op};

impl Judge<'_> {
    pub(super) fn end(&mut self) {
        let open = std::mem::take(&mut self.open);
        let mut open: Vec<(Op, Open<'_>)> = open.into_iter().collect();
        open.sort_by_key(|(op, _)| *op);
        for (op, open) in &open {
            if let Call::Append(append) = open.call {
                self.resolve(At { index: open.index, op: Some(*op) }, open, append);
            }
        }
        for log in 0..self.oracle.logs.len() {
            self.is_fenced(log);
            for position in 1..=self.oracle.logs[log].len() {
                self.is_from_somebody(Place { log, at: position });
            }
        }
        self.compare_forks();
        self.audit.end(&mut self.report);
        if !matches!(self.lines.first().map(|line| &line.body), Some(Body::Fact(Fact::Header(_)))) {
            self.report.undecided(At::line(0), "the history does not begin with its header");
        }
    }

    /// An append whose outcome nobody knows is in the log or it is not: all of it.
    fn resolve(&mut self, at: At, open: &Open<'_>, append: &Append) {
        if self.unserved.is_about(open) || self.log_of(at, open).is_none() {
            return;
        }
        let find = |id| self.oracle.place(open.scope.fork, open.tenant(), id);
        let places: Vec<Option<Place>> = append.events.iter().map(|event| find(event.id)).collect();
        let marks: Vec<Mark> =
            places.iter().flatten().map(|at| *self.oracle.logs[at.log].mark(at.at)).collect();
        if marks.is_empty() || marks.iter().any(|mark| mark.is_mixed || mark.is_contested) {
            return;
        }
        let first = places[0];
        let follows = |nth: u64| first.map(|first| Place { at: first.at + nth, ..first });
        let whole = first.is_some() && (0..).zip(&places).all(|(nth, place)| *place == follows(nth));
        self.report.check(S13, at, whole, || {
            let there = marks.len();
            format!("{there} of the {} events are there, or they are not side by side", places.len())
        });
        if let (true, Some(first)) = (whole && marks.iter().all(|mark| mark.calls == 1), first) {
            self.accepted(at, open, append, first.at);
        }
    }

    fn is_fenced(&mut self, log: usize) {
        let log = &self.oracle.logs[log];
        let missing = match log.fence {
            Fence::Untouched | Fence::Closed => return,
            Fence::Open => "no fence was sent after the last append",
            Fence::Sent => "the fence is not acknowledged as the last event",
        };
        let missing = format!("{}: {missing}, so what is unknown stays so", log.name());
        self.report.undecided(At::line(log.line), missing);
    }

    fn is_from_somebody(&mut self, place: Place) {
        let log = &self.oracle.logs[place.log];
        let (mark, event) = (log.marks[place.at as usize - 1], log.events[place.at as usize - 1]);
        if place.at <= log.base || mark.is_twin {
            return;
        }
        if mark.calls == 0 {
            let (name, at) = (log.name(), At::line(log.line));
            let other = self.sent_elsewhere(log.fork, event.tenant, event.id);
            let what = format!("{name}: event {} at position {} was never sent there", event.id, place.at);
            return match other {
                Some(fork) => self.report.violate(S20, at, format!("{what}, but to fork {fork}")),
                None => self.report.violate(S4, at, what),
            };
        }
        if log.fork != Fork(0) {
            self.report.check(S20, At::line(log.line), true, String::new);
        }
        let at = At::line(log.line);
        self.report.check(S4, at, mark.is_sent, || {
            let (id, entity) = (event.id, event.entity);
            format!(
                "position {}: event {id} of entity {entity} was sent with other content or for another",
                place.at
            )
        });
        if mark.fails >= mark.calls {
            let at = self.risen(place);
            let what = format!("event {} is at position {}, yet it failed for certain", event.id, place.at);
            self.report.check(S5, at, false, || what);
        }
    }

    /// Where the last certain failure of an event shows.
    fn risen(&self, place: Place) -> At {
        self.failed.get(&place).copied().unwrap_or_else(|| At::line(self.oracle.logs[place.log].line))
    }

    /// The ceiling of a log. When somebody saw more, events that nobody ever sends are let pass: they are violations of
    /// their own (S4), and whoever sees them is not to blame.
    pub(super) fn ceiling(&mut self, log: usize, seen: u64) -> u64 {
        if seen > self.oracle.logs[log].ceiling && !std::mem::replace(&mut self.phantoms_known, true) {
            self.let_phantoms_pass();
        }
        self.oracle.logs[log].ceiling
    }

    fn let_phantoms_pass(&mut self) {
        for line in self.lines {
            let Body::Call { scope, call: Call::Append(append), .. } = &line.body else { continue };
            for event in &append.events {
                let place = self.oracle.place(scope.fork, scope.tenant.unwrap_or_default(), event.id);
                if let Some(place) = place {
                    self.oracle.logs[place.log].mark(place.at).is_ever_sent = true;
                }
            }
        }
        for log in &mut self.oracle.logs {
            log.marks.iter_mut().for_each(|mark| mark.is_phantom = !mark.is_ever_sent);
            log.raise_ceiling();
        }
    }
}
