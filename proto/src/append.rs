//! Appends: plain events in, one packed block out; and what a durable append gave back.

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::limits::BATCH_EVENTS_MAX;
use chronos_domain::{
    Condition, EntityId, EventId, EventType, Expectation, Invalid, PartitionId, Position, QueryItem,
    Rejection, Tag, Timestamp, Token, Version,
};

use crate::v1;
use crate::v1::expectation::{Any, Exists, NoEntity, Rule};

/// An append that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the events live.
    pub partition: PartitionId,
    /// Position of the first event; the others follow without a gap. 0 for a request that only checked.
    pub first_position: Position,
    /// Version of each event within its entity, in the order of the request.
    pub versions: Vec<Version>,
    /// When the partition's leader recorded the events.
    pub recorded_at: Timestamp,
    /// The very same events had been stored before: all numbers are the original ones.
    pub deduplicated: bool,
    /// Covers this append: a read that is given it sees these events.
    pub token: Token,
    /// How durable, by its name: `quorum-fsync`.
    pub durability: String,
}

impl Appended {
    /// The position of event `i` of the request.
    ///
    /// # Panics
    /// When the request had no such event.
    #[must_use]
    pub fn position(&self, i: usize) -> Position {
        assert!(i < self.versions.len(), "event {i} of an append of {}", self.versions.len());
        Position::new(self.first_position.get() + i as u64)
    }
}

impl From<Appended> for v1::AppendResponse {
    fn from(appended: Appended) -> Self {
        Self {
            partition: appended.partition.get().into(),
            first_position: appended.first_position.get(),
            versions: appended.versions.iter().map(|version| version.get()).collect(),
            recorded_at: appended.recorded_at.get(),
            deduplicated: appended.deduplicated,
            token: appended.token.to_string(),
            durability: appended.durability,
            event_ids: Vec::new(),
        }
    }
}

impl TryFrom<v1::AppendResponse> for Appended {
    type Error = Invalid;

    /// Checks that the numbers are such as apply gives: none is 0 where there are events.
    fn try_from(response: v1::AppendResponse) -> Result<Self, Invalid> {
        let stores = !response.versions.is_empty();
        if stores && (response.first_position == 0 || response.versions.contains(&0)) {
            return Err(Invalid::new("versions", "or first_position of stored events is 0"));
        }
        Ok(Self {
            partition: crate::partition(response.partition)?,
            first_position: Position::new(response.first_position),
            versions: response.versions.into_iter().map(Version::new).collect(),
            recorded_at: Timestamp::new(response.recorded_at),
            deduplicated: response.deduplicated,
            token: Token::parse(&response.token)?,
            durability: response.durability,
        })
    }
}

/// A plain request, packed.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The request.
    pub block: Block,
    /// The id of each event when any had to be made, in the order of the request; else empty.
    pub event_ids: Vec<EventId>,
}

/// Packs a plain request. `mint` makes an id for each event that has none.
///
/// # Errors
/// The first rule that is broken; where it concerns an event, the message names the event by its place from 0 and
/// the field.
pub fn pack(request: v1::AppendRequest, mut mint: impl FnMut() -> EventId) -> Result<Packed, Rejection> {
    Rejection::bound("events", BATCH_EVENTS_MAX, request.events.len())?;
    let minted = request.events.iter().any(|event| event.event_id.is_empty());
    let mut event_ids = Vec::new();
    let mut packer = Packer::new();
    for expected in &request.expectations {
        let (entity, expectation) = expectation(expected)?;
        packer.expect(entity, expectation)?;
    }
    if let Some(wanted) = request.condition {
        packer.condition(condition(&wanted)?)?;
    }
    for (i, event) in request.events.into_iter().enumerate() {
        let draft = draft(event, i, &mut mint)?;
        if minted {
            event_ids.push(draft.event_id);
        }
        packer.push(draft)?;
    }
    Ok(Packed { block: packer.finish(Compression::None)?, event_ids })
}

/// The event at place `i` of a request, checked.
///
/// # Errors
/// [`Invalid`] names the field and the place.
pub fn draft(event: v1::NewEvent, i: usize, mint: impl FnOnce() -> EventId) -> Result<Draft, Invalid> {
    checked(event, mint).map_err(|invalid| of_event(i, &invalid))
}

fn checked(event: v1::NewEvent, mint: impl FnOnce() -> EventId) -> Result<Draft, Invalid> {
    let event_id = if event.event_id.is_empty() { mint() } else { EventId::parse(&event.event_id)? };
    Ok(Draft {
        event_id,
        entity_id: EntityId::parse(&event.entity_id)?,
        event_type: EventType::parse(&event.event_type)?,
        content_type: crate::event::content_type(&event.content_type)?,
        payload: event.payload,
        metadata: metadata(event.metadata),
        tags: tags(&event.tags)?,
        occurred_at: event.occurred_at.map(Timestamp::new),
    })
}

/// Says of which event of a request a field is not valid.
#[must_use]
pub fn of_event(i: usize, invalid: &Invalid) -> Invalid {
    Invalid::new(invalid.field, format!("of event {i} {}", invalid.reason))
}

/// Metadata as it is stored: the object without members says nothing and is the same as none.
#[must_use]
pub fn metadata(text: Bytes) -> Bytes {
    if text.as_ref() == b"{}" { Bytes::new() } else { text }
}

impl From<&Draft> for v1::NewEvent {
    fn from(draft: &Draft) -> Self {
        Self {
            event_id: draft.event_id.to_string(),
            entity_id: draft.entity_id.to_string(),
            event_type: draft.event_type.to_string(),
            payload: draft.payload.clone(),
            content_type: draft.content_type.to_string(),
            metadata: draft.metadata.clone(),
            tags: draft.tags.iter().map(Tag::to_string).collect(),
            occurred_at: draft.occurred_at.map(Timestamp::get),
        }
    }
}

/// An expectation and the entity it is about.
///
/// # Errors
/// [`Invalid`] when no rule is given, or the entity's name is no name.
pub fn expectation(message: &v1::Expectation) -> Result<(EntityId, Expectation), Invalid> {
    let entity = EntityId::parse(&message.entity_id)
        .map_err(|invalid| Invalid::new(invalid.field, format!("of an expectation {}", invalid.reason)))?;
    let rule = match &message.rule {
        Some(Rule::Any(Any {})) => Expectation::Any,
        Some(Rule::Exact(version)) => Expectation::Exact(Version::new(*version)),
        Some(Rule::Exists(Exists {})) => Expectation::Exists,
        Some(Rule::NoEntity(NoEntity {})) => Expectation::NoEntity,
        None => {
            let reason = format!("of `{entity}` has no rule; give one of any, exact, exists, no_entity");
            return Err(Invalid::new("expectation", reason));
        }
    };
    Ok((entity, rule))
}

/// The message of [`expectation`].
#[must_use]
pub fn expectation_message(entity: &EntityId, expectation: Expectation) -> v1::Expectation {
    let rule = match expectation {
        Expectation::Any => Rule::Any(Any {}),
        Expectation::NoEntity => Rule::NoEntity(NoEntity {}),
        Expectation::Exact(version) => Rule::Exact(version.get()),
        Expectation::Exists => Rule::Exists(Exists {}),
    };
    v1::Expectation { entity_id: entity.to_string(), rule: Some(rule) }
}

/// A condition. Its bounds are checked when it is packed.
///
/// # Errors
/// [`Invalid`] names the item in which a name is not valid.
pub fn condition(message: &v1::Condition) -> Result<Condition, Invalid> {
    let item = |(i, item): (usize, &v1::QueryItem)| {
        let types = item.types.iter().map(|name| EventType::parse(name)).collect::<Result<_, _>>();
        let tags = tags(&item.tags);
        let of_item = |invalid: Invalid| {
            Invalid::new(invalid.field, format!("of condition item {i} {}", invalid.reason))
        };
        Ok(QueryItem { types: types.map_err(of_item)?, tags: tags.map_err(of_item)? })
    };
    let fail_if = message.fail_if.iter().enumerate().map(item).collect::<Result<_, Invalid>>()?;
    Ok(Condition { fail_if, after: Position::new(message.after) })
}

impl From<&Condition> for v1::Condition {
    fn from(condition: &Condition) -> Self {
        let item = |item: &QueryItem| v1::QueryItem {
            types: item.types.iter().map(EventType::to_string).collect(),
            tags: item.tags.iter().map(Tag::to_string).collect(),
        };
        Self { fail_if: condition.fail_if.iter().map(item).collect(), after: condition.after.get() }
    }
}

pub(crate) fn tags(texts: &[String]) -> Result<Vec<Tag>, Invalid> {
    texts.iter().map(|tag| Tag::parse(tag)).collect()
}
