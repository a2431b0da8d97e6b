//! Building one append request.

use std::time::Duration;

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::{
    Batch, Condition, ContentType, EntityId, EventId, EventType, Expectation, Invalid, Rejection, Tag,
    Timestamp,
};

use crate::ids::Ids;

/// One append request: 1 to 4096 events for entities of one partition, all or nothing.
///
/// Built by a chain of calls. What concerns an entity goes to the one named last ([`Append::to`], [`Append::and`]),
/// what concerns an event to the event added last. Mistakes are kept and reported by
/// [`Client::append`](crate::Client::append).
///
/// ```
/// use chronos_client::{Append, Expectation};
///
/// Append::to("order-{c42}-7")
///     .expect(Expectation::NoEntity)
///     .event("order.placed", r#"{"qty":2}"#)
///     .tag("vip")
///     .and("customer-{c42}")
///     .event("customer.ordered", r#"{"order":"order-{c42}-7"}"#);
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is appended before it is given to a client"]
pub struct Append {
    entity: Option<EntityId>,
    /// An event that the caller gave no id has the nil id until it is packed.
    events: Vec<Draft>,
    expectations: Vec<(EntityId, Expectation)>,
    condition: Option<Condition>,
    deadline: Option<Duration>,
    mistake: Option<Rejection>,
}

impl Append {
    /// A request about an entity, which the next calls speak of.
    pub fn to(entity_id: impl AsRef<str>) -> Self {
        Self::empty().and(entity_id)
    }

    /// A request of events that are complete already.
    pub fn of(events: Vec<Draft>) -> Self {
        Self { events, ..Self::empty() }
    }

    const fn empty() -> Self {
        Self {
            entity: None,
            events: Vec::new(),
            expectations: Vec::new(),
            condition: None,
            deadline: None,
            mistake: None,
        }
    }

    /// Another entity, which the next calls speak of. It must live in the same partition; a common `{hash tag}` in
    /// the names makes sure of that.
    pub fn and(self, entity_id: impl AsRef<str>) -> Self {
        self.tried(|append| {
            append.entity = Some(EntityId::parse(entity_id.as_ref())?);
            Ok(())
        })
    }

    /// What the entity's version must be. Nothing is expected unless this says so; an entity may be checked without
    /// being written.
    pub fn expect(self, expectation: Expectation) -> Self {
        self.tried(|append| {
            let entity = append.entity()?;
            append.expectations.push((entity, expectation));
            Ok(())
        })
    }

    /// An event about the entity: its type, and its payload as JSON (see [`Payload`]).
    pub fn event(self, event_type: impl AsRef<str>, payload: impl Payload) -> Self {
        self.tried(|append| {
            let (entity, event_type) = (append.entity()?, EventType::parse(event_type.as_ref())?);
            append.events.push(Draft::json(EventId::NIL, entity, event_type, payload.into_json()));
            Ok(())
        })
    }

    /// The event's id. One is made when this is left out; retries inside the SDK keep it, but only an id that the
    /// caller keeps makes the append safe to repeat after the caller itself has failed.
    pub fn id(self, event_id: EventId) -> Self {
        self.of_event(|event| {
            event.event_id = event_id;
            Ok(())
        })
    }

    /// A label of the event, for conditions and filters.
    pub fn tag(self, tag: impl AsRef<str>) -> Self {
        self.of_event(|event| {
            event.tags.push(Tag::parse(tag.as_ref())?);
            Ok(())
        })
    }

    /// The event's metadata: a JSON object.
    pub fn metadata(self, object: impl Payload) -> Self {
        self.of_event(|event| {
            event.metadata = chronos_proto::append::metadata(object.into_json());
            Ok(())
        })
    }

    /// When the event happened.
    pub fn occurred_at(self, time: Timestamp) -> Self {
        self.of_event(|event| {
            event.occurred_at = Some(time);
            Ok(())
        })
    }

    /// How to read the event's payload, where it is not JSON.
    pub fn content_type(self, content_type: impl AsRef<str>) -> Self {
        self.of_event(|event| {
            event.content_type = ContentType::parse(content_type.as_ref())?;
            Ok(())
        })
    }

    /// Refuses the append when something like this has happened in the partition.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// How long the append may take in all, retries included.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    pub(crate) const fn patience(&self) -> Option<Duration> {
        self.deadline
    }

    /// The request as a block, with an id for every event.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn pack(self, ids: &Ids) -> Result<Block, Rejection> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let mut packer = Packer::new();
        for (entity, expectation) in self.expectations {
            packer.expect(entity, expectation)?;
        }
        if let Some(condition) = self.condition {
            packer.condition(condition)?;
        }
        for mut event in self.events {
            if event.event_id.is_nil() {
                event.event_id = ids.next();
            }
            packer.push(event)?;
        }
        packer.finish(Compression::None)
    }

    fn entity(&self) -> Result<EntityId, Invalid> {
        self.entity.clone().ok_or_else(|| Invalid::new("entity_id", "is not named yet; call `and` first"))
    }

    fn of_event(self, change: impl FnOnce(&mut Draft) -> Result<(), Invalid>) -> Self {
        self.tried(|append| {
            let event = append.events.last_mut().ok_or_else(|| Invalid::new("event", "is not there yet"))?;
            change(event)
        })
    }

    /// Keeps the first mistake and ignores what follows it.
    fn tried(mut self, step: impl FnOnce(&mut Self) -> Result<(), Invalid>) -> Self {
        if self.mistake.is_none() {
            self.mistake = step(&mut self).err().map(Rejection::from);
        }
        self
    }
}

/// The same request with other events: what must never be sent in its place ([`chronos_bugs::Bug::M16`]).
pub(crate) fn with_new_ids(block: &Block, ids: &Ids) -> Block {
    let valid = "a block holds what was packed";
    let mut packer = Packer::new();
    for e in 0..block.entities() {
        packer.expect(EntityId::parse(block.entity(e)).expect(valid), block.expectation(e)).expect(valid);
    }
    if let Some(condition) = block.condition() {
        packer.condition(condition.clone()).expect(valid);
    }
    for i in 0..block.events() {
        let event = block.event(i);
        let draft = Draft {
            event_id: ids.next(),
            entity_id: EntityId::parse(event.entity_id).expect(valid),
            event_type: EventType::parse(event.event_type).expect(valid),
            content_type: ContentType::parse(event.content_type).expect(valid),
            payload: block.payload(i),
            metadata: Bytes::copy_from_slice(event.metadata),
            tags: event.tags.map(|tag| Tag::parse(tag).expect(valid)).collect(),
            occurred_at: event.occurred_at,
        };
        packer.push(draft).expect(valid);
    }
    packer.finish(block.compression()).expect(valid)
}

/// A payload given as JSON: text is taken as it stands, byte for byte, and a value is written out.
pub trait Payload {
    /// The JSON text.
    fn into_json(self) -> Bytes;
}

impl Payload for Bytes {
    fn into_json(self) -> Bytes {
        self
    }
}

impl Payload for Vec<u8> {
    fn into_json(self) -> Bytes {
        self.into()
    }
}

impl Payload for String {
    fn into_json(self) -> Bytes {
        self.into()
    }
}

impl Payload for &str {
    fn into_json(self) -> Bytes {
        Bytes::copy_from_slice(self.as_bytes())
    }
}

impl Payload for &serde_json::Value {
    fn into_json(self) -> Bytes {
        self.to_string().into()
    }
}

impl Payload for serde_json::Value {
    fn into_json(self) -> Bytes {
        (&self).into_json()
    }
}

#[cfg(test)]
mod tests {
    use chronos_domain::Version;

    use super::*;

    fn ids() -> Ids {
        Ids::seeded(1, || 1)
    }

    #[test]
    fn a_chain_of_calls_becomes_one_request() {
        let given = EventId::from_u128(9);
        let block = Append::to("order-{c}-1")
            .expect(Expectation::Exact(Version::new(3)))
            .event("order.placed", serde_json::json!({"qty": 2}))
            .id(given)
            .tag("vip")
            .metadata(r#"{"actor":"me"}"#)
            .occurred_at(Timestamp::new(5))
            .and("customer-{c}")
            .event("customer.ordered", "raw")
            .content_type("text/plain")
            .pack(&ids())
            .unwrap();
        assert_eq!(block.events(), 2);
        let (order, customer) = (block.event(0), block.event(1));
        assert_eq!(
            (order.event_id, order.entity_id, order.payload),
            (given, "order-{c}-1", &br#"{"qty":2}"#[..])
        );
        assert_eq!(order.tags.collect::<Vec<_>>(), ["vip"]);
        assert_eq!((order.metadata, order.occurred_at), (&br#"{"actor":"me"}"#[..], Some(Timestamp::new(5))));
        assert_eq!((customer.entity_id, customer.content_type), ("customer-{c}", "text/plain"));
        assert!(!customer.event_id.is_nil());
        assert_eq!(block.expectation(0), Expectation::Exact(Version::new(3)));
    }

    #[test]
    fn the_first_mistake_is_the_one_reported() {
        let mistake = |append: Append| append.pack(&ids()).unwrap_err().to_string();
        assert!(mistake(Append::to("").event("two words", "{}")).starts_with("entity_id"));
        assert!(mistake(Append::to("a").tag("early")).starts_with("event is not there yet"));
        assert!(
            mistake(Append::of(Vec::new()).expect(Expectation::Any)).starts_with("entity_id is not named")
        );
        assert!(mistake(Append::to("a")).starts_with("events"), "{}", mistake(Append::to("a")));
    }
}
