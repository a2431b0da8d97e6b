//! S20: a fork is its parent's prefix and a suffix of its own, and neither writes into the other.

use super::judge::{Judge, Open};
use super::log::Mark;
use super::map::Map;
use crate::answer::Forked;
use crate::report::At;
use crate::report::Invariant::S20;
use crate::{Append, EventId, Fork, Partition, Position, Tenant};

/// The forks made, and what was sent to them.
#[derive(Default)]
pub(super) struct Forks {
    made: Vec<Made>,
    /// Events sent to a fork that is not main.
    sent: Map<(Tenant, EventId), Fork>,
}

struct Made {
    at: At,
    parent: Fork,
    fork: Fork,
    points: Vec<(Partition, Position)>,
}

impl Forks {
    pub(super) fn sent(&mut self, open: &Open<'_>, append: &Append) {
        if open.scope.fork != Fork(0) {
            let keys = append.events.iter().map(|event| (open.tenant(), event.id));
            self.sent.extend(keys.map(|key| (key, open.scope.fork)));
        }
    }
}

impl Judge<'_> {
    /// A fork begins with what its parent has, as if it had been sent to the fork too.
    pub(super) fn forked(&mut self, at: At, open: &Open<'_>, answer: &Forked) {
        if answer.fork == Fork(0) {
            return;
        }
        for (part, point) in &answer.points {
            let parent = self.oracle.named(open.scope.fork, *part);
            let (Some(parent), Some(fork)) = (parent, self.oracle.named(answer.fork, *part)) else {
                continue;
            };
            let shared = self.oracle.logs[parent].marks.iter().take(point.0 as usize);
            let shared: Vec<Mark> = shared
                .map(|mark| Mark {
                    calls: mark.calls.min(1),
                    fails: 0,
                    is_acked: false,
                    is_claimed: false,
                    ..*mark
                })
                .collect();
            let log = &mut self.oracle.logs[fork];
            for (mine, theirs) in log.marks.iter_mut().zip(shared) {
                *mine = theirs;
            }
            log.base = point.0;
            log.raise_ceiling();
            log.raise_floor(point.0.min(log.ceiling));
        }
        let (parent, fork, points) = (open.scope.fork, answer.fork, answer.points.clone());
        self.forks.made.push(Made { at, parent, fork, points });
    }

    pub(super) fn compare_forks(&mut self) {
        for made in std::mem::take(&mut self.forks.made) {
            for (part, point) in &made.points {
                self.compare_fork(&made, *part, point.0);
            }
        }
    }

    fn compare_fork(&mut self, made: &Made, part: Partition, point: u64) {
        let (parent, fork) = (self.oracle.named(made.parent, part), self.oracle.named(made.fork, part));
        let (Some(parent), Some(fork)) = (parent, fork) else {
            let missing =
                format!("the final log of partition {part} of fork {} or its parent is missing", made.fork);
            return self.report.undecided(made.at, missing);
        };
        let (parent, fork) = (&self.oracle.logs[parent], &self.oracle.logs[fork]);
        let prefix = |log: &super::log::Log| log.whole.hash(0, point.min(log.len()), &self.oracle.powers);
        let has_both = point <= parent.len() && point <= fork.len();
        self.report.check(S20, made.at, has_both && prefix(parent) == prefix(fork), || {
            format!("up to its fork point {point}, {} differs from {}", fork.name(), parent.name())
        });
    }

    /// The other fork that an event was sent to, if it was.
    pub(super) fn sent_elsewhere(&self, fork: Fork, tenant: Tenant, id: EventId) -> Option<Fork> {
        let elsewhere = self.forks.sent.get(&(tenant, id)).copied();
        let in_main = || {
            let place = self.oracle.place(Fork(0), tenant, id)?;
            let mark = self.oracle.logs[place.log].marks[place.at as usize - 1];
            mark.is_sent.then_some(Fork(0))
        };
        elsewhere.or_else(in_main).filter(|other| *other != fork)
    }
}
