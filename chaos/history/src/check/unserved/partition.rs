//! What one partition without a final log must have held: S2, S3, S7, S8, S9, S10, S11 of appends; of reads in [`reads`].

mod reads;

use std::collections::{BTreeMap, BTreeSet};

use super::ties::Ties;
use crate::answer::{Appended, Refusal};
use crate::check::judge::Open;
use crate::check::log::word;
use crate::check::map::Map;
use crate::fact::Logged;
use crate::report::Invariant::{S2, S3, S7, S8, S9, S10, S11};
use crate::report::{At, Tally};
use crate::{Append, EntityId, Event, EventId, Session, Tenant, Version};

#[derive(Default)]
pub(super) struct Surmise<'h> {
    /// What acknowledgements put where.
    events: BTreeMap<u64, Known<'h>>,
    places: Map<(Tenant, EventId), u64>,
    ties: Ties,
    trails: BTreeMap<(Tenant, EntityId), Trail>,
    /// Ids that were sent so far: there are no more events than these.
    sent: BTreeSet<(Tenant, EventId)>,
    sessions: BTreeMap<Session, u64>,
    /// The highest position that a completed operation has proven to be there.
    pub(super) floor: u64,
}

/// An event that was acknowledged.
struct Known<'h> {
    logged: Logged,
    event: &'h Event,
    acked_at: u64,
    /// Some append of it was told that it wrote it.
    is_claimed: bool,
}

/// One entity.
#[derive(Default)]
struct Trail {
    ties: Ties,
    /// Where its versions are, as far as known.
    places: BTreeMap<u64, u64>,
}

impl Trail {
    /// The version that it has at least when this position is there.
    fn least(&self, position: u64) -> u64 {
        let there = self.places.iter().filter(|(_, at)| **at <= position);
        there.map(|(version, _)| *version).max().unwrap_or(0)
    }

    /// Whether a version can be at a position, by what is known of the others.
    fn fits(&self, version: u64, position: u64) -> bool {
        let possible = version <= position;
        let before = self.places.range(..version).next_back().is_none_or(|(_, at)| *at < position);
        let after = self.places.range(version + 1..).next().is_none_or(|(_, at)| *at > position);
        possible && before && after && self.places.get(&version).is_none_or(|at| *at == position)
    }
}

/// Appends.
impl<'h> Surmise<'h> {
    pub(super) fn sent(&mut self, open: &Open<'h>, append: &'h Append) {
        self.sent.extend(append.events.iter().map(|event| (open.tenant(), event.id)));
    }

    pub(super) fn acked(
        &mut self,
        at: At,
        open: &Open<'h>,
        append: &'h Append,
        answer: &Appended,
        report: &mut Tally,
    ) {
        let (first, last, sent) = (answer.first.0, answer.last.0, append.events.len() as u64);
        let is_whole =
            report.check(S3, at, first > 0 && last.checked_sub(first) == sent.checked_sub(1), || {
                format!("{sent} events are said to lie at {first} to {last}")
            });
        if !is_whole || !self.is_known(at, last, report) {
            return;
        }
        for (nth, event) in append.events.iter().enumerate() {
            let Some(version) = answer.version(nth) else {
                return report
                    .undecided(at, format!("the answer does not tell the version of event {}", event.id));
            };
            let (id, entity, hash, tenant) = (event.id, event.entity, event.hash, open.tenant());
            let logged = Logged { id, entity, version, hash, at: 0, tenant };
            if !self.learn(at, open, (first + nth as u64, event), logged, answer.dedup, report) {
                return;
            }
        }
        if !answer.dedup {
            report.check(S8, at, first > open.floor, || {
                format!("written at {first}, yet {} was there before it was sent", open.floor)
            });
            is_as_expected(at, append, answer, report);
        }
        if let Some(wm) = answer.wm {
            report.check(S11, at, last <= wm.0, || format!("acknowledged up to {last} above watermark {wm}"));
        }
        self.floor = self.floor.max(last);
        self.show(open, last);
    }

    /// Takes in what an acknowledgement says of one event; whether it is no other than what was said before.
    fn learn(
        &mut self,
        at: At,
        open: &Open<'h>,
        (position, event): (u64, &'h Event),
        logged: Logged,
        dedup: bool,
        report: &mut Tally,
    ) -> bool {
        let Logged { id, entity, version, tenant, .. } = logged;
        let place = *self.places.entry((tenant, id)).or_insert(position);
        let known = self.events.entry(position).or_insert(Known {
            logged,
            event,
            acked_at: at.index,
            is_claimed: false,
        });
        let again = known.acked_at < open.index || known.is_claimed;
        known.is_claimed |= !dedup;
        let right = report.check(S7, at, place == position, || {
            format!("event {id} was acknowledged at position {position}, and at {place} before")
        }) && report.check(S2, at, known.logged == logged, || {
            format!("position {position} was acknowledged as {logged:?}, and as {:?} before", known.logged)
        }) && report.check(S7, at, dedup || !again, || {
            format!("event {id} was written before, yet the answer says that this request wrote it")
        }) && report.check(S2, at, self.ties.tie_one(position, word(&logged)), || {
            format!("event {id} was acknowledged at position {position}, where something else was read")
        });
        let trail = self.trails.entry((tenant, entity)).or_default();
        right && report.check(S10, at, version.0 > 0 && trail.fits(version.0, position), || {
            let at = &trail.places;
            format!(
                "position {position} has version {version} of entity {entity}, whose versions are at {at:?}"
            )
        }) && report.check(S2, at, trail.ties.tie_one(version.0, word(&logged)), || {
            format!(
                "event {id} was acknowledged as version {version} of {entity}, where something else was read"
            )
        }) && trail.places.insert(version.0, position).is_none_or(|before| before == position)
    }

    pub(super) fn refused_version(
        &self,
        at: At,
        open: &Open<'_>,
        append: &Append,
        refusal: &Refusal,
        report: &mut Tally,
    ) {
        let Some(rev) = refusal.rev else { return };
        let may_be = |entity: &EntityId| {
            let trail = self.trails.get(&(open.tenant(), *entity));
            trail.is_none_or(|trail| trail.least(open.floor) <= rev.0)
        };
        let right = append.expects.iter().any(|(entity, expect)| !expect.allows(rev) && may_be(entity));
        report.check(S9, at, right, || {
            format!("refused with version {rev}, which was expected, or too low for what was there when it was sent")
        });
    }
}

/// S9 of an append that was accepted, for entities that it writes to.
fn is_as_expected(at: At, append: &Append, answer: &Appended, report: &mut Tally) {
    for (entity, expect) in &append.expects {
        let nth = append.events.iter().position(|event| event.entity == *entity);
        let Some(version) = nth.and_then(|nth| answer.version(nth)) else { continue };
        let before = Version(version.0.saturating_sub(1));
        report.check(S9, at, expect.allows(before), || {
            format!("accepted with {expect:?} for entity {entity}, which had version {before}")
        });
    }
}

impl Surmise<'_> {
    /// Nobody sees more than was sent.
    fn is_known(&self, at: At, seen: u64, report: &mut Tally) -> bool {
        let ceiling = self.ceiling();
        report.check(S8, at, seen <= ceiling, || {
            format!("saw up to {seen}, yet {ceiling} events had been sent")
        })
    }

    pub(super) fn ceiling(&self) -> u64 {
        self.sent.len() as u64
    }

    pub(super) fn place(&self, event: (Tenant, EventId)) -> Option<u64> {
        self.places.get(&event).copied()
    }

    pub(super) fn shown_to(&self, session: Option<Session>) -> u64 {
        session.and_then(|session| self.sessions.get(&session)).copied().unwrap_or(0)
    }

    fn show(&mut self, open: &Open<'_>, position: u64) {
        if let Some(session) = open.scope.session {
            let shown = self.sessions.entry(session).or_default();
            *shown = position.max(*shown);
        }
    }
}
