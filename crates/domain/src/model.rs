//! The referee: a plain, slow, obviously right set of stored events.
//!
//! Tests compare real storage with it, fakes stand on it, and offline verification feeds it a whole log. It keeps
//! everything in ordered maps, refuses (by panic) any event that breaks a law of [`invariants`], and shares no code
//! with the engine beyond the types of this crate.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::convert::Infallible;

use crate::batch::{Append, Batch, Space};
use crate::condition::{Condition, QueryItem};
use crate::expect::Expectation;
use crate::id::{EntityId, EventId, EventType, Tag};
use crate::index::{Found, Index};
use crate::invariants;
use crate::number::{ContentHash, ForkId, Position, Version};
use crate::partition::Receipt;
use crate::time::Timestamp;

/// One stored event, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whose event it is.
    pub tenant: String,
    /// On which line of the tenant's.
    pub fork: ForkId,
    /// What it is about.
    pub entity: String,
    /// Its number within the entity.
    pub version: Version,
    /// Its number within the partition.
    pub position: Position,
    /// When the partition's leader took it.
    pub recorded_at: Timestamp,
    /// Its identity.
    pub id: EventId,
    /// Hash of what it says.
    pub content: ContentHash,
    /// What kind of fact it states.
    pub event_type: String,
    /// Its labels.
    pub tags: Vec<String>,
}

impl Stored {
    /// Whose it is.
    pub fn space(&self) -> Space<'_> {
        Space { tenant: &self.tenant, fork: self.fork }
    }
}

/// The stored events of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    events: Vec<Stored>,
    spaces: BTreeMap<(String, ForkId), Lookup>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lookup {
    ids: BTreeMap<EventId, Position>,
    entities: BTreeMap<String, Vec<Position>>,
    /// The version before which an entity's events are erased.
    truncated: BTreeMap<String, Version>,
}

impl Model {
    /// No events.
    pub fn new() -> Model {
        Model::default()
    }

    /// Adds the next event.
    ///
    /// # Panics
    /// When its position, version, moment or id cannot be that of the next event.
    pub fn insert(&mut self, event: Stored) {
        let last = self.head();
        assert!(
            invariants::gapless_positions(last, event.position),
            "I-01: position {} after {last}",
            event.position
        );
        if let Some(before) = self.events.last() {
            assert!(
                invariants::recorded_at_never_decreases(before.recorded_at, event.recorded_at),
                "I-05: recorded_at {} after {} at position {}",
                event.recorded_at,
                before.recorded_at,
                event.position
            );
        }
        let version = self.version_of(event.space(), &event.entity);
        assert!(
            invariants::gapless_versions(version, event.version),
            "I-02: version {} after {version} of entity `{}`",
            event.version,
            event.entity
        );
        let space = self.spaces.entry((event.tenant.clone(), event.fork)).or_default();
        let known = space.ids.insert(event.id, event.position);
        assert_eq!(
            known, None,
            "event id {} is stored twice, again at position {}",
            event.id, event.position
        );
        space.entities.entry(event.entity.clone()).or_default().push(event.position);
        self.events.push(event);
    }

    /// Adds the events of a request that apply has accepted.
    ///
    /// # Panics
    /// As [`insert`](Self::insert).
    pub fn record(&mut self, command: &Append<'_, Request>, receipt: &Receipt) {
        let versions = receipt.versions(command.batch);
        for (i, (event, version)) in command.batch.events.iter().zip(versions).enumerate() {
            self.insert(Stored {
                tenant: command.space.tenant.to_string(),
                fork: command.space.fork,
                entity: command.batch.entity(event.entity).to_string(),
                version,
                position: receipt.position(i),
                recorded_at: receipt.recorded_at,
                id: event.id,
                content: event.content,
                event_type: event.event_type.to_string(),
                tags: event.tags.iter().map(Tag::to_string).collect(),
            });
        }
    }

    /// Erases the content of an entity's events before a version. What the model holds of them stays readable here, for
    /// comparisons; [`is_erased`](Self::is_erased) tells.
    ///
    /// # Panics
    /// When the mark would fall or no event of the entity would stay.
    pub fn truncate(&mut self, space: Space<'_>, entity: &str, before: Version) {
        let version = self.version_of(space, entity);
        assert!(before <= version, "{entity:?} is at version {version} and is truncated before {before}");
        let mark = self.mark(space, entity);
        assert!(before >= mark, "the mark of {entity:?} falls from {mark} to {before}");
        let space = self.spaces.entry((space.tenant.to_string(), space.fork)).or_default();
        space.truncated.insert(entity.to_string(), before);
    }

    /// Whether a truncation has taken the event's content.
    pub fn is_erased(&self, event: &Stored) -> bool {
        event.version < self.mark(event.space(), &event.entity)
    }

    fn mark(&self, space: Space<'_>, entity: &str) -> Version {
        self.lookup(space).and_then(|space| space.truncated.get(entity)).copied().unwrap_or_default()
    }

    /// Position of the last event; zero without one.
    pub fn head(&self) -> Position {
        Position::new(self.events.len() as u64)
    }

    /// All events, by position.
    pub fn events(&self) -> &[Stored] {
        &self.events
    }

    /// The event at a position.
    pub fn at(&self, position: Position) -> Option<&Stored> {
        let before = position.previous()?;
        self.events.get(usize::try_from(before.get()).ok()?)
    }

    /// The event with an id.
    pub fn by_id(&self, space: Space<'_>, id: EventId) -> Option<&Stored> {
        self.at(*self.lookup(space)?.ids.get(&id)?)
    }

    /// The events of an entity, by version.
    pub fn history(&self, space: Space<'_>, entity: &str) -> impl DoubleEndedIterator<Item = &Stored> {
        let positions = self.lookup(space).and_then(|space| space.entities.get(entity));
        positions.into_iter().flatten().map(|p| self.at(*p).expect("the model indexes only what it holds"))
    }

    /// The names of all entities of a space, in order.
    pub fn entities(&self, space: Space<'_>) -> impl Iterator<Item = &str> {
        self.lookup(space).into_iter().flat_map(|space| space.entities.keys().map(String::as_str))
    }

    /// The labels it still has.
    fn tags<'e>(&self, event: &'e Stored) -> impl Iterator<Item = &'e str> + Clone + use<'e> {
        let tags: &[String] = if self.is_erased(event) { &[] } else { &event.tags };
        tags.iter().map(String::as_str)
    }

    fn version_of(&self, space: Space<'_>, entity: &str) -> Version {
        let events = self.lookup(space).and_then(|space| space.entities.get(entity)).map_or(0, Vec::len);
        Version::new(events as u64)
    }

    fn lookup(&self, space: Space<'_>) -> Option<&Lookup> {
        self.spaces.get(&(space.tenant.to_string(), space.fork))
    }
}

impl Index for Model {
    type Error = Infallible;

    fn version(&self, space: Space<'_>, entity: &str) -> Result<Version, Infallible> {
        Ok(self.version_of(space, entity))
    }

    fn find(&self, space: Space<'_>, id: EventId) -> Result<Option<Found>, Infallible> {
        Ok(self.by_id(space, id).map(|event| Found { position: event.position, content: event.content }))
    }

    fn version_at(&self, position: Position) -> Result<Version, Infallible> {
        Ok(self.at(position).map_or(Version::ZERO, |event| event.version))
    }

    fn recorded_at(&self, position: Position) -> Result<Timestamp, Infallible> {
        Ok(self.at(position).map_or(Timestamp::MIN, |event| event.recorded_at))
    }

    fn truncated_before(&self, space: Space<'_>, entity: &str) -> Result<Version, Infallible> {
        Ok(self.mark(space, entity))
    }

    fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
    ) -> Result<Option<(Position, EventId)>, Infallible> {
        let matches = |e: &&Stored| {
            e.position > after && e.space() == space && item.matches(&e.event_type, self.tags(e))
        };
        Ok(self.events.iter().find(matches).map(|event| (event.position, event.id)))
    }
}

/// A request that is not packed: what a [`Batch`] says, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Distinct entities and what is expected of each.
    pub entities: Vec<(EntityId, Expectation)>,
    /// The events, in order.
    pub events: Vec<Event>,
    /// The condition, if any.
    pub condition: Option<Condition>,
}

/// An event of a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which entity of the request it is about.
    pub entity: usize,
    /// Its identity.
    pub id: EventId,
    /// Hash of what it says.
    pub content: ContentHash,
    /// What kind of fact it states.
    pub event_type: EventType,
    /// Its labels.
    pub tags: Vec<Tag>,
}

impl Batch for Request {
    fn entities(&self) -> usize {
        self.entities.len()
    }

    fn entity(&self, e: usize) -> &str {
        self.entities[e].0.as_str()
    }

    fn expectation(&self, e: usize) -> Expectation {
        self.entities[e].1
    }

    fn condition(&self) -> Option<&Condition> {
        self.condition.as_ref()
    }

    fn events(&self) -> usize {
        self.events.len()
    }

    fn event_entity(&self, i: usize) -> usize {
        self.events[i].entity
    }

    fn event_id(&self, i: usize) -> EventId {
        self.events[i].id
    }

    fn content(&self, i: usize) -> ContentHash {
        self.events[i].content
    }
}
