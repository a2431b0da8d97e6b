//! The rules of an append, said once more and as plainly as possible over a list of stored events.

use chronos_domain::model::{Event, Request};
use chronos_domain::{
    ContentHash, EventId, Expectation, ForkId, Position, QueryItem, Receipt, Rejection, Timestamp, Verdict,
    Version,
};

use crate::Logged;

/// The stored events, oldest first: the event at position p is the p-th.
#[derive(Default)]
pub(crate) struct Referee(Vec<Row>);

#[derive(Clone, PartialEq)]
struct Row {
    space: (&'static str, ForkId),
    entity: String,
    id: EventId,
    content: ContentHash,
    event_type: String,
    tags: Vec<String>,
    recorded_at: Timestamp,
}

impl Referee {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many events of the entity there are among the first `rows`.
    fn version(&self, space: (&str, ForkId), entity: &str, rows: usize) -> u64 {
        self.0[..rows].iter().filter(|row| row.space == space && row.entity == entity).count() as u64
    }

    pub(crate) fn version_now(&self, space: (&str, ForkId), entity: &str) -> u64 {
        self.version(space, entity, self.len())
    }

    pub(crate) fn decide(&mut self, logged: &Logged) -> Verdict {
        let space = (logged.tenant, logged.fork);
        let request = &logged.request;
        if let Some(start) = self.run_of(space, request) {
            return Verdict::Duplicate(self.receipt(space, request, start, self.0[start].recorded_at));
        }
        if let Some(event_id) = self.conflict(space, request) {
            return Verdict::Rejected(Rejection::IdempotencyConflict { event_id });
        }
        if let Some(rejection) = self.unmet(space, request) {
            return Verdict::Rejected(rejection);
        }
        if let Some(rejection) = self.condition(space, request) {
            return Verdict::Rejected(rejection);
        }
        self.store(space, request, logged.recorded_at)
    }

    /// Where in the list these very events stand in a row.
    fn run_of(&self, space: (&str, ForkId), request: &Request) -> Option<usize> {
        let wanted = &request.events;
        if wanted.is_empty() {
            return None;
        }
        self.0.windows(wanted.len()).position(|rows| {
            let same = |(row, event): (&Row, &Event)| {
                row.space == space && row.id == event.id && row.content == event.content
            };
            rows.iter().zip(wanted).all(same)
        })
    }

    fn conflict(&self, space: (&str, ForkId), request: &Request) -> Option<EventId> {
        let place = |event: &Event| self.0.iter().position(|row| row.space == space && row.id == event.id);
        let places: Vec<Option<usize>> = request.events.iter().map(place).collect();
        let events = request.events.iter().zip(&places);
        if places.contains(&None) {
            return events.filter(|(_, place)| place.is_some()).map(|(event, _)| event.id).next();
        }
        let start = places.first().copied().flatten()?;
        let offends = |(i, (event, place)): (usize, (&Event, &Option<usize>))| {
            let fits = *place == Some(start + i) && self.0[start + i].content == event.content;
            (!fits).then_some(event.id)
        };
        events.enumerate().find_map(offends)
    }

    fn unmet(&self, space: (&str, ForkId), request: &Request) -> Option<Rejection> {
        request.entities.iter().find_map(|(entity, expected)| {
            let version = self.version_now(space, entity.as_str());
            let met = match expected {
                Expectation::Any => true,
                Expectation::Exact(wanted) => version == wanted.get(),
                Expectation::Exists => version >= 1,
            };
            (!met).then(|| Rejection::WrongExpectedVersion {
                entity: entity.clone(),
                expected: *expected,
                actual: Version::new(version),
            })
        })
    }

    fn condition(&self, space: (&str, ForkId), request: &Request) -> Option<Rejection> {
        let condition = request.condition.as_ref()?;
        let rows = (1u64..).zip(&self.0);
        let fails = |row: &Row| row.space == space && condition.fail_if.iter().any(|item| row.matches(item));
        rows.filter(|(position, _)| *position > condition.after.get()).find(|(_, row)| fails(row)).map(
            |(position, row)| Rejection::ConditionFailed {
                position: Position::new(position),
                event_id: row.id,
            },
        )
    }

    fn store(&mut self, space: (&'static str, ForkId), request: &Request, recorded_at: Timestamp) -> Verdict {
        let last = self.0.last().map_or(recorded_at, |row| row.recorded_at);
        let recorded_at = recorded_at.max(last);
        let start = self.len();
        for event in &request.events {
            self.0.push(Row {
                space,
                entity: request.entities[event.entity].0.to_string(),
                id: event.id,
                content: event.content,
                event_type: event.event_type.to_string(),
                tags: event.tags.iter().map(ToString::to_string).collect(),
                recorded_at,
            });
        }
        Verdict::Stored(self.receipt(space, request, start, recorded_at))
    }

    /// The numbers of the request's events, which stand in the list from `start` on.
    fn receipt(
        &self,
        space: (&str, ForkId),
        request: &Request,
        start: usize,
        recorded_at: Timestamp,
    ) -> Receipt {
        let first_version = |e: usize| {
            let first = request.events.iter().position(|event| event.entity == e);
            first.map_or(0, |i| self.version(space, request.entities[e].0.as_str(), start + i) + 1)
        };
        let first = if request.events.is_empty() { 0 } else { start as u64 + 1 };
        Receipt {
            first: Position::new(first),
            recorded_at,
            first_versions: (0..request.entities.len()).map(|e| Version::new(first_version(e))).collect(),
        }
    }
}

impl Row {
    fn matches(&self, item: &QueryItem) -> bool {
        let types: Vec<&str> = item.types.iter().map(|t| t.as_str()).collect();
        let typed = types.is_empty() || types.contains(&self.event_type.as_str());
        typed && item.tags.iter().all(|tag| self.tags.iter().any(|mine| mine == tag.as_str()))
    }
}
