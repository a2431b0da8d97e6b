//! From drafts to a block.

use bytes::Bytes;
use chronos_domain::limits::{BATCH_BYTES_MAX, BATCH_ENTITIES_MAX, BATCH_EVENTS_MAX, TAGS_MAX};
use chronos_domain::{Condition, EntityId, EventId, Expectation, Invalid, Rejection, Tag, Timestamp};
use hashbrown::HashTable;

use crate::block::Block;
use crate::compression::Compression;
use crate::condition;
use crate::content::{self, Content};
use crate::dictionary::Dictionary;
use crate::draft::Draft;
use crate::layout::{
    Counts, EventRecord, HEADER_BYTES, Header, OCCURRED_AT_ABSENT, Sections, TAG_NUMBER_BYTES, Text,
    checksum, encode_entity,
};
use crate::structure;
use crate::validate::{BYTES_OF_EVENTS, check_asks_something, check_payload, nil_id, repeated_id};

/// Packs one append request, event by event. A call that is refused changes nothing, so that its caller may leave that
/// event out and go on.
#[derive(Debug, Default)]
pub struct Packer {
    entities: Dictionary,
    /// By entity; `None` where nothing was said.
    expectations: Vec<Option<Expectation>>,
    types: Dictionary,
    content_types: Dictionary,
    tags: Dictionary,
    tag_numbers: Vec<u8>,
    records: Vec<u8>,
    body: Vec<u8>,
    ids: HashTable<EventId>,
    condition: Option<Condition>,
    events: usize,
    bytes: usize,
}

impl Packer {
    /// An empty request.
    pub fn new() -> Packer {
        Packer::default()
    }

    /// How many events have been packed.
    pub fn events(&self) -> usize {
        self.events
    }

    /// Bytes of entity ids, types, tags, payloads and metadata packed so far, which the bound of a request counts.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// States what the request expects of an entity, written by it or not.
    ///
    /// # Errors
    /// [`Invalid`] when something else was expected of it before, or when the request names too many entities.
    pub fn expect(&mut self, entity: EntityId, expectation: Expectation) -> Result<(), Invalid> {
        match self.entities.find(entity.as_str()) {
            None => {
                if self.entities.len() == BATCH_ENTITIES_MAX {
                    let reason = format!("are more than {BATCH_ENTITIES_MAX}; split the request");
                    return Err(Invalid::new("entities", reason));
                }
                self.entities.intern(entity.as_str());
                self.expectations.push(Some(expectation));
            }
            Some(e) => match self.expectations[e] {
                Some(earlier) if earlier != expectation => {
                    let reason = format!("of `{entity}` is {earlier} and then {expectation}; state one");
                    return Err(Invalid::new("expectation", reason));
                }
                _ => self.expectations[e] = Some(expectation),
            },
        }
        Ok(())
    }

    /// Sets the request's condition.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`] beyond a bound of conditions, [`Rejection::Invalid`] when one was set before.
    pub fn condition(&mut self, condition: Condition) -> Result<(), Rejection> {
        if self.condition.is_some() {
            return Err(Invalid::new("condition", "is given twice; join both into the items of one").into());
        }
        condition.check()?;
        self.condition = Some(condition);
        Ok(())
    }

    /// Adds an event after those already packed.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`] beyond a bound of events or requests, [`Rejection::Invalid`] when the id is nil or
    /// was packed before, the metadata are no text, a tag is named twice, or `occurred_at` is the number that stands for none.
    pub fn push(&mut self, draft: Draft) -> Result<(), Rejection> {
        let mut sorted = [""; TAGS_MAX];
        let tags = self.sort_tags(&draft.tags, &mut sorted)?;
        let bytes = self.check(&draft, tags)?;
        let content = content::hash(&content_of(&draft), tags.iter().copied());
        let record = EventRecord {
            event_id: draft.event_id,
            content,
            occurred_at: draft.occurred_at.map_or(OCCURRED_AT_ABSENT, Timestamp::get),
            body_at: self.body.len() as u32,
            payload_bytes: draft.payload.len() as u32,
            metadata_bytes: draft.metadata.len() as u32,
            tags_at: (self.tag_numbers.len() / TAG_NUMBER_BYTES) as u32,
            entity: self.entities.intern(draft.entity_id.as_str()) as u16,
            event_type: self.types.intern(draft.event_type.as_str()) as u16,
            content_type: self.content_types.intern(draft.content_type.as_str()) as u16,
            tags: tags.len() as u8,
        };
        for tag in tags {
            let number = self.tags.intern(tag) as u16;
            self.tag_numbers.extend_from_slice(&number.to_le_bytes());
        }
        self.expectations.resize(self.entities.len(), None);
        self.ids.insert_unique(id_hash(draft.event_id), draft.event_id, |id| id_hash(*id));
        self.records.extend_from_slice(&record.encode());
        self.body.extend_from_slice(&draft.payload);
        self.body.extend_from_slice(&draft.metadata);
        self.events += 1;
        self.bytes = bytes;
        Ok(())
    }

    /// The request as a block. Its body is compressed as asked, unless that would not make it smaller.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] when the request neither stores nor checks anything.
    pub fn finish(mut self, compression: Compression) -> Result<Block, Rejection> {
        let body = Bytes::from(std::mem::take(&mut self.body));
        let (compression, stored) = compression.compress(&body);
        let mut condition = Vec::new();
        if let Some(given) = &self.condition {
            condition::encode(given, &mut condition);
        }
        let counts = self.counts(condition.len());
        let head_bytes = Sections::new(&counts).body - HEADER_BYTES;
        let mut header = Header {
            compression: compression as u8,
            checksum: 0,
            head_bytes: head_bytes as u32,
            body_bytes: stored.len() as u32,
            body_raw_bytes: body.len() as u32,
            counts,
        };
        let mut wire = Vec::with_capacity(HEADER_BYTES + head_bytes + stored.len());
        wire.extend_from_slice(&header.encode());
        self.write_head(&condition, &mut wire);
        assert_eq!(wire.len(), HEADER_BYTES + head_bytes, "the head fills its sections");
        wire.extend_from_slice(&stored);
        header.checksum = checksum(&wire);
        wire[..HEADER_BYTES].copy_from_slice(&header.encode());
        let block = structure::adopt(Bytes::from(wire), &header, compression, body);
        check_asks_something(&block)?;
        Ok(block)
    }

    fn tables(&self) -> [&Dictionary; 4] {
        [&self.entities, &self.types, &self.content_types, &self.tags]
    }

    fn counts(&self, condition_bytes: usize) -> Counts {
        let strings_bytes: usize = self.tables().iter().map(|table| table.text().len()).sum();
        Counts {
            events: self.events as u16,
            entities: self.entities.len() as u16,
            types: self.types.len() as u16,
            content_types: self.content_types.len() as u16,
            tags: self.tags.len() as u32,
            tag_numbers: (self.tag_numbers.len() / TAG_NUMBER_BYTES) as u32,
            strings_bytes: strings_bytes as u32,
            condition_bytes: condition_bytes as u32,
        }
    }

    fn write_head(&self, condition: &[u8], wire: &mut Vec<u8>) {
        let mut at = 0;
        let mut place = |bytes: usize| {
            let text = Text { at, bytes: bytes as u16 };
            at += bytes as u32;
            text
        };
        for (bytes, expectation) in self.entities.lengths().zip(&self.expectations) {
            wire.extend_from_slice(&encode_entity(place(bytes), expectation.unwrap_or_default()));
        }
        for table in &self.tables()[1..] {
            for bytes in table.lengths() {
                wire.extend_from_slice(&place(bytes).encode());
            }
        }
        wire.extend_from_slice(&self.tag_numbers);
        wire.extend_from_slice(&self.records);
        wire.extend_from_slice(condition);
        for table in self.tables() {
            wire.extend_from_slice(table.text().as_bytes());
        }
    }

    /// The tags in ascending order, each once.
    fn sort_tags<'d, 's>(
        &self,
        tags: &'d [Tag],
        sorted: &'s mut [&'d str; TAGS_MAX],
    ) -> Result<&'s [&'d str], Rejection> {
        Rejection::bound("tags of an event", TAGS_MAX, tags.len())?;
        let sorted = &mut sorted[..tags.len()];
        for (place, tag) in sorted.iter_mut().zip(tags) {
            *place = tag.as_str();
        }
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let reason = format!("`{}` of event {} is named twice; name it once", pair[0], self.events);
            return Err(Invalid::new("tag", reason).into());
        }
        Ok(sorted)
    }

    /// Everything that may be refused; gives the bytes of the request with this event.
    fn check(&self, draft: &Draft, tags: &[&str]) -> Result<usize, Rejection> {
        Rejection::bound("events", BATCH_EVENTS_MAX, self.events + 1)?;
        check_payload(&draft.payload, &draft.metadata, self.events)?;
        let names = draft.entity_id.as_str().len() + draft.event_type.as_str().len();
        let tags: usize = tags.iter().map(|tag| tag.len()).sum();
        let bytes = self.bytes + names + tags + draft.payload.len() + draft.metadata.len();
        Rejection::bound(BYTES_OF_EVENTS, BATCH_BYTES_MAX, bytes)?;
        if self.entities.len() == BATCH_ENTITIES_MAX && self.entities.find(draft.entity_id.as_str()).is_none()
        {
            Rejection::bound("entities", BATCH_ENTITIES_MAX, BATCH_ENTITIES_MAX + 1)?;
        }
        if draft.event_id.is_nil() {
            return Err(nil_id(self.events).into());
        }
        if self.ids.find(id_hash(draft.event_id), |id| *id == draft.event_id).is_some() {
            return Err(repeated_id(self.events, draft.event_id).into());
        }
        if draft.occurred_at == Some(Timestamp::MIN) {
            let reason = "is the smallest number there is, which stands for an unknown time; leave it out";
            return Err(Invalid::new("occurred_at", format!("of event {} {reason}", self.events)).into());
        }
        Ok(bytes)
    }
}

fn content_of(draft: &Draft) -> Content<'_> {
    Content {
        entity_id: draft.entity_id.as_str(),
        event_type: draft.event_type.as_str(),
        content_type: draft.content_type.as_str(),
        payload: &draft.payload,
        metadata: &draft.metadata,
        occurred_at: draft.occurred_at,
    }
}

/// Spreads ids over the table, whatever part of them varies. Who makes ids that meet here slows its own request down,
/// within the bound of a request.
fn id_hash(id: EventId) -> u64 {
    let bits = id.as_u128();
    let folded = (bits >> 64) as u64 ^ bits as u64;
    let product = u128::from(folded) * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}
