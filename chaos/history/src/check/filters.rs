//! What a filter finds in a log; S24.

use std::collections::BTreeMap;

use super::judge::{Judge, Open};
use super::log::{Log, word};
use super::sequence::{Powers, Sequence};
use crate::answer::Matches;
use crate::call::{Call, Filter, Search};
use crate::fact::Logged;
use crate::line::{Body, Line};
use crate::report::At;
use crate::report::Invariant::{S11, S24};
use crate::{Event, Hash, Tenant};

/// What filters find, as far as anybody asked.
pub(super) type Found = BTreeMap<(usize, Option<Tenant>, Filter), Scan>;

/// What one filter finds up to a position.
pub(super) struct Scan {
    to: u64,
    events: Sequence,
}

/// An event as a filter sees it: as it is in the log, with the types and tags it was sent with.
pub(super) struct Sight<'h> {
    logged: Logged,
    sent: Option<&'h Event>,
}

impl<'h> Sight<'h> {
    /// The event at a position that the log has.
    pub(super) fn of(log: &Log, position: u64, lines: &'h [Line]) -> Sight<'h> {
        let at = position as usize - 1;
        let mark = &log.marks[at];
        let call = if mark.is_sent { lines.get(mark.line as usize) } else { None };
        let sent = match call.map(|line| &line.body) {
            Some(Body::Call { call: Call::Append(append), .. }) => append.events.get(usize::from(mark.nth)),
            _ => None,
        };
        Sight { logged: log.events[at], sent }
    }

    /// An event that was acknowledged as it was sent.
    pub(super) fn as_sent(logged: Logged, sent: &'h Event) -> Sight<'h> {
        Sight { logged, sent: Some(sent) }
    }

    pub(super) fn tenant(&self) -> Tenant {
        self.logged.tenant
    }

    pub(super) fn passes(&self, filter: &Filter) -> bool {
        let Filter { types, tags, streams } = filter;
        let has_type = || self.sent.is_some_and(|event| types.contains(&event.kind));
        let has_tags = || self.sent.is_some_and(|event| tags.iter().all(|tag| event.tags.contains(tag)));
        (streams.is_empty() || streams.contains(&self.logged.entity))
            && (types.is_empty() || has_type())
            && (tags.is_empty() || has_tags())
    }
}

impl Judge<'_> {
    /// Number and hash of the events after one position and up to another that a reader with this filter is shown. Types
    /// and tags are known of what has been sent: `to` is at most the ceiling if the filter looks at them.
    pub(super) fn shown(
        &mut self,
        (number, tenant): (usize, Option<Tenant>),
        filter: &Filter,
        after: u64,
        to: u64,
    ) -> (u64, Hash) {
        let log = &self.oracle.logs[number];
        let sees_all = tenant.is_none() || tenant == log.tenant || log.events.is_empty();
        if sees_all && *filter == Filter::default() {
            return count(&log.whole, after, to, &self.oracle.powers);
        }
        let key = (number, tenant, filter.clone());
        let scan = self.found.entry(key).or_insert_with(|| Scan { to: 0, events: Sequence::some() });
        for position in scan.to + 1..=to.min(log.len()) {
            let event = Sight::of(log, position, self.lines);
            if tenant.is_none_or(|tenant| tenant == event.tenant()) && event.passes(filter) {
                scan.events.push(position, word(&event.logged));
            }
            scan.to = position;
        }
        count(&scan.events, after, to, &self.oracle.powers)
    }

    pub(super) fn searched(&mut self, at: At, open: &Open<'_>, search: &Search, answer: &Matches) {
        let Some(log) = self.log_of(at, open) else { return };
        let ceiling = self.ceiling(log, answer.at.0);
        self.report.check(S11, at, answer.at <= answer.wm, || {
            format!("the index answers for {} above watermark {}", answer.at, answer.wm)
        });
        let known = self.report.check(S24, at, answer.at.0 <= ceiling, || {
            format!("the index answers for {}, yet nothing after {ceiling} has been sent", answer.at)
        });
        if !known {
            return;
        }
        let (count, hash) = self.shown((log, open.scope.tenant), &search.filter, 0, answer.at.0);
        self.report.check(S24, at, answer.count == count && answer.hash == hash, || {
            let (via, told, at) = (&search.via, answer.count, answer.at);
            format!("{via} found {told} events up to {at}, a scan finds {count}, or others")
        });
    }
}

fn count(events: &Sequence, after: u64, to: u64, powers: &Powers) -> (u64, Hash) {
    let (before, upto) = (events.count_to(after), events.count_to(to));
    let upto = upto.max(before);
    (upto - before, events.hash(before, upto, powers))
}
