//! S9: an expectation or a condition decides exactly as it says, at the moment the append takes effect.
//!
//! An accepted append took effect just before its first position. A refused one took effect at some head between the
//! floor at its sending and the ceiling at its return, so there must be such a head at which the refusal is right.

use super::filters;
use super::judge::{Judge, Open};
use crate::answer::Refusal;
use crate::report::At;
use crate::report::Invariant::S9;
use crate::{Append, EntityId, Expect, Version};

impl Judge<'_> {
    pub(super) fn accepted(&mut self, at: At, open: &Open<'_>, append: &Append, first: u64) {
        for (entity, expect) in &append.expects {
            let version = self.version_before(open, append, *entity, first);
            self.report.check(S9, at, expect.allows(version), || {
                format!(
                    "accepted with {expect:?} for entity {entity}, which had version {version} before {first}"
                )
            });
        }
        if let Some(condition) = &append.fail_if {
            let hit = self.first_match(open, &condition.items, condition.after.0, first - 1);
            self.report.check(S9, at, hit.is_none(), || {
                let hit = hit.unwrap_or(0);
                format!(
                    "accepted at {first} though position {hit} after {} is one to fail for",
                    condition.after
                )
            });
        }
    }

    fn version_before(&self, open: &Open<'_>, append: &Append, entity: EntityId, first: u64) -> Version {
        let log = open.log.map(|log| &self.oracle.logs[log]);
        let nth = append.events.iter().position(|event| event.entity == entity);
        let logged = log.zip(nth).and_then(|(log, nth)| log.event(first + nth as u64));
        match logged {
            Some(logged) => Version(logged.version.0.saturating_sub(1)),
            None => self.version_at(open, entity, first - 1),
        }
    }

    /// The entity's version when a position was the head.
    pub(super) fn version_at(&self, open: &Open<'_>, entity: EntityId, head: u64) -> Version {
        let trail = self.oracle.trail(open.scope.fork, open.tenant(), entity);
        Version(trail.map_or(0, |trail| trail.events.count_to(head)))
    }

    pub(super) fn refused_version(&mut self, at: At, open: &Open<'_>, append: &Append, refusal: &Refusal) {
        let Some(log) = self.log_of(at, open) else { return };
        let ceiling = self.oracle.logs[log].ceiling;
        let bounds =
            |entity| (self.version_at(open, entity, open.floor), self.version_at(open, entity, ceiling));
        let may_fail = |expect: &Expect, (low, high): (Version, Version)| match expect {
            Expect::Any => false,
            Expect::None => high > Version(0),
            Expect::Exists => low == Version(0),
            Expect::Rev(expected) => low != high || low != *expected,
        };
        let tells = |(low, high): (Version, Version)| refusal.rev.is_none_or(|rev| low <= rev && rev <= high);
        let right = append.expects.iter().any(|(entity, expect)| {
            let bounds = bounds(*entity);
            may_fail(expect, bounds) && tells(bounds) && refusal.rev.is_none_or(|rev| !expect.allows(rev))
        });
        self.report.check(S9, at, right, || {
            let told = refusal.rev.map_or(String::new(), |rev| format!(" with version {rev}"));
            format!("refused{told}, yet what was expected held from its sending to its return")
        });
    }

    pub(super) fn refused_condition(&mut self, at: At, open: &Open<'_>, append: &Append) {
        let Some(log) = self.log_of(at, open) else { return };
        let ceiling = self.oracle.logs[log].ceiling;
        let hit = append
            .fail_if
            .as_ref()
            .and_then(|condition| self.first_match(open, &condition.items, condition.after.0, ceiling));
        self.report.check(S9, at, hit.is_some(), || {
            format!("refused by its condition, yet nothing up to {ceiling} is one to fail for")
        });
    }

    /// The first position after one and up to another that passes any of the filters.
    fn first_match(
        &self,
        open: &Open<'_>,
        items: &[crate::call::Filter],
        after: u64,
        to: u64,
    ) -> Option<u64> {
        let log = &self.oracle.logs[open.log?];
        (after + 1..=to.min(log.len())).find(|position| {
            let event = filters::Sight::of(log, *position, self.lines);
            event.tenant() == open.tenant() && items.iter().any(|filter| event.passes(filter))
        })
    }
}
