//! What reads of a partition without a final log were shown.

use super::Surmise;
use crate::answer::{EntityRange, Found, Matches, Range};
use crate::call::{Get, Mode, Read, ReadEntity, Search, Then};
use crate::check::filters::Sight;
use crate::check::judge::Open;
use crate::check::log::word;
use crate::check::unserved::ties::Ties;
use crate::fact::Logged;
use crate::report::Invariant::{S2, S3, S8, S11, S12, S19, S22, S24};
use crate::report::{At, Tally};
use crate::{Hash, RangeHash};

impl Surmise<'_> {
    pub(in crate::check::unserved) fn read(
        &mut self,
        at: At,
        open: &Open<'_>,
        read: &Read,
        answer: &Range,
        report: &mut Tally,
    ) {
        let (after, last, tail) = (answer.from.0.saturating_sub(1), answer.last.0, answer.tail.0);
        let placed = report.check(S3, at, answer.from == read.from && last <= tail.max(after), || {
            format!("asked from {}, shown {} to {last} of {tail}", read.from, answer.from)
        });
        let shown = (after, last.max(after), answer.count, answer.hash);
        if !placed
            || !self.is_known(at, tail, report)
            || !is_shown(at, shown, answer.bad, &mut self.ties, report)
        {
            return;
        }
        report.check(S11, at, last.max(after) == after || last <= answer.wm.0, || {
            format!("returned up to {last} above watermark {}", answer.wm)
        });
        let (of, least) = match read.mode {
            Mode::Strong => (S8, open.floor),
            Mode::AtLeast(least) => (S12, least.0),
            Mode::Weak => (S12, 0),
            Mode::AsOf(then) => {
                let right = matches!(then, Then::Pos(then) if then == answer.tail);
                report.check(S19, at, right, || format!("as of {then:?} the answer has the head {tail}"));
                return;
            }
        };
        report.check(of, at, tail >= least, || {
            format!("saw up to {tail}, yet {least} was there before it was sent")
        });
        if read.mode == Mode::Strong {
            self.floor = self.floor.max(tail);
        }
        if let Some(session) = open.scope.session {
            report.check(S12, at, tail >= open.shown, || {
                format!("session {session} had been shown {}, now sees up to {tail}", open.shown)
            });
            self.show(open, tail);
        }
    }

    pub(in crate::check::unserved) fn entity(
        &mut self,
        at: At,
        open: &Open<'_>,
        read: &ReadEntity,
        answer: &EntityRange,
        report: &mut Tally,
    ) {
        let (after, last, rev) = (answer.from.0.saturating_sub(1), answer.last.0, answer.rev.0);
        let placed = report.check(S3, at, answer.from == read.from && last <= rev.max(after), || {
            format!("asked from version {}, shown {} to {last} of {rev}", read.from, answer.from)
        });
        if !placed || !self.is_known(at, rev, report) {
            return;
        }
        let trail = self.trails.entry((open.tenant(), read.stream)).or_default();
        let shown = (after, last.max(after), answer.count, answer.hash);
        if !is_shown(at, shown, answer.bad, &mut trail.ties, report) {
            return;
        }
        let (of, right) = match read.mode {
            Mode::Strong => (S8, rev >= trail.least(open.floor)),
            Mode::AtLeast(least) => (S12, rev >= trail.least(least.0)),
            Mode::Weak => (S12, rev >= trail.least(open.shown)),
            Mode::AsOf(then) => (S19, matches!(then, Then::Rev(then) if then.0 == rev)),
        };
        report.check(of, at, right, || {
            format!(
                "{:?}: saw version {rev} of entity {}, whose versions are at {:?}",
                read.mode, read.stream, trail.places
            )
        });
    }

    /// What a filter finds: all that it must find of what is known, and nothing else where all is known.
    pub(in crate::check::unserved) fn searched(
        &mut self,
        at: At,
        search: &Search,
        answer: &Matches,
        report: &mut Tally,
    ) {
        report.check(S11, at, answer.at <= answer.wm, || {
            format!("the index answers for {} above watermark {}", answer.at, answer.wm)
        });
        if !self.is_known(at, answer.at.0, report) {
            return;
        }
        let known = self.events.range(1..=answer.at.0);
        let is_all = known.clone().count() as u64 == answer.at.0;
        let (mut count, mut hash) = (0, RangeHash::EMPTY);
        for (_, known) in
            known.filter(|(_, known)| Sight::as_sent(known.logged, known.event).passes(&search.filter))
        {
            count += 1;
            hash.push(word(&known.logged));
        }
        let same =
            if is_all { (count, hash.get()) == (answer.count, answer.hash) } else { count <= answer.count };
        report.check(S24, at, same, || {
            let (via, told, to) = (&search.via, answer.count, answer.at);
            format!("{via} found {told} events up to {to}, of those that are known it has to find {count}")
        });
    }

    pub(in crate::check::unserved) fn found(
        &mut self,
        at: At,
        open: &Open<'_>,
        get: &Get,
        found: &Found,
        report: &mut Tally,
    ) {
        let (id, entity, version, hash) = (get.id, found.stream, found.rev, found.hash);
        let logged = Logged { id, entity, version, hash, at: 0, tenant: open.tenant() };
        let position = found.at.0;
        let place = self.place((open.tenant(), id));
        let same = place.is_none_or(|place| place == position) && position > 0 && version.0 > 0;
        if !self.is_known(at, position, report) {
            return;
        }
        let trail = self.trails.entry((open.tenant(), entity)).or_default();
        let right = same
            && trail.fits(version.0, position)
            && self.ties.tie_one(position, word(&logged))
            && trail.ties.tie_one(version.0, word(&logged));
        report.check(S2, at, right, || {
            format!("event {id} was found as {found:?}, and was said to be otherwise")
        });
        if right && get.mode == Mode::Strong {
            self.floor = self.floor.max(position);
        }
        self.show(open, position);
    }
}

/// Compares number and hash of what was received with what is known to be there.
fn is_shown(
    at: At,
    (after, last, count, hash): (u64, u64, u64, Hash),
    bad: u64,
    ties: &mut Ties,
    report: &mut Tally,
) -> bool {
    report
        .check(S22, at, bad == 0, || format!("{bad} events were served with bytes that belie their checksum"))
        && report.check(S3, at, count == last - after, || {
            format!("received {count} events of {} from {after} to {last}", last - after)
        })
        && report.check(S2, at, ties.tie(after, last, hash), || {
            format!("received other events after {after} up to {last} than were acknowledged or read before")
        })
}
