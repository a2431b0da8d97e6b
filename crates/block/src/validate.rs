//! The rules of a request, for blocks from outside: what [`Packer`](crate::Packer) keeps to by itself.
//!
//! Distinctness is decided by sorting, never by a hash table: a fixed hash can be attacked by whoever knows it.

use chronos_domain::limits::{BATCH_BYTES_MAX, METADATA_BYTES_MAX, PAYLOAD_BYTES_MAX};
use chronos_domain::xxh64::xxh64;
use chronos_domain::{
    Batch, EventId, Expectation, Invalid, Rejection, check_content_type, check_entity_id, check_event_type,
    check_tag,
};

use crate::block::Block;
use crate::content::content_hash;
use crate::event::EventRef;
use crate::layout::EventRecord;
use crate::malformed::Malformed;

/// Refuses a block whose request breaks a rule or whose content hashes are not those of its events.
pub(crate) fn request(block: &Block) -> Result<(), Malformed> {
    check_asks_something(block)?;
    check_names(block)?;
    check_entities_distinct(block)?;
    check_ids(block)?;
    let mut used = FirstUse::default();
    let mut bytes = 0;
    for i in 0..block.events() {
        let record = block.record(i);
        let event = block.event(i);
        bytes += event_bytes(&event);
        check_payload(event.payload, event.metadata, i)?;
        check_tags(&event, i)?;
        used.note(block, &record).map_err(|what| {
            Malformed::damaged(format!("event {i} is the first with its {what}, but out of order"))
        })?;
        if content_hash(&event) != record.content {
            return Err(Malformed::damaged(format!("event {i} does not have its content hash")));
        }
    }
    used.check_all(block)?;
    Ok(Rejection::bound(BYTES_OF_EVENTS, BATCH_BYTES_MAX, bytes)?)
}

pub(crate) const BYTES_OF_EVENTS: &str = "bytes of events";

/// What an event counts against the bound of a request.
fn event_bytes(event: &EventRef<'_>) -> usize {
    let tags: usize = event.tags.clone().map(str::len).sum();
    event.entity_id.len() + event.event_type.len() + tags + event.payload.len() + event.metadata.len()
}

/// Bounds of one event's bytes, and that its metadata are text: they are kept in a column of texts for years. Whether
/// that text is a JSON object is for the edge to say.
pub(crate) fn check_payload(payload: &[u8], metadata: &[u8], i: usize) -> Result<(), Rejection> {
    Rejection::bound("payload bytes", PAYLOAD_BYTES_MAX, payload.len())?;
    Rejection::bound("metadata bytes", METADATA_BYTES_MAX, metadata.len())?;
    if std::str::from_utf8(metadata).is_err() {
        let reason = format!("of event {i} is no UTF-8 text; give a JSON object or leave it out");
        return Err(Invalid::new("metadata", reason).into());
    }
    Ok(())
}

/// A request stores or checks something.
pub(crate) fn check_asks_something<B: Batch>(batch: &B) -> Result<(), Rejection> {
    let checks = batch.condition().is_some_and(|condition| !condition.fail_if.is_empty())
        || (0..batch.entities()).any(|e| batch.expectation(e) != Expectation::Any);
    if batch.events() > 0 || checks {
        return Ok(());
    }
    Err(Invalid::new(
        "events",
        "are missing and nothing is checked; give an event, an expectation or a condition",
    )
    .into())
}

fn check_names(block: &Block) -> Result<(), Invalid> {
    let inner = block.inner();
    for e in 0..block.entities() {
        check_entity_id(block.entity(e)).map_err(|invalid| numbered(invalid, e))?;
    }
    each_text(block, inner.sections.type_records(&inner.wire), check_event_type)?;
    each_text(block, inner.sections.content_type_records(&inner.wire), check_content_type)?;
    each_text(block, inner.sections.tag_records(&inner.wire), check_tag)
}

fn each_text<const N: usize>(
    block: &Block,
    records: &[[u8; N]],
    check: fn(&str) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    for (i, record) in records.iter().enumerate() {
        check(block.text(record)).map_err(|invalid| numbered(invalid, i))?;
    }
    Ok(())
}

fn numbered(invalid: Invalid, i: usize) -> Invalid {
    Invalid::new(invalid.field, format!("number {i} of the request {}", invalid.reason))
}

fn check_entities_distinct(block: &Block) -> Result<(), Invalid> {
    let mut order: Vec<(u64, usize)> =
        (0..block.entities()).map(|e| (xxh64(block.entity(e).as_bytes(), 0), e)).collect();
    // Entities with one hash are compared by name, so that even a made-up crowd of them costs O(n log n).
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| block.entity(a.1).cmp(block.entity(b.1))));
    let same =
        |pair: &&[(u64, usize)]| pair[0].0 == pair[1].0 && block.entity(pair[0].1) == block.entity(pair[1].1);
    match order.windows(2).find(same) {
        None => Ok(()),
        Some(pair) => {
            let name = block.entity(pair[0].1);
            Err(Invalid::new(
                "entity_id",
                format!("`{name}` stands in the request's table twice; list it once"),
            ))
        }
    }
}

fn check_ids(block: &Block) -> Result<(), Invalid> {
    let ids = || (0..block.events()).map(|i| block.event_id(i));
    if let Some(i) = ids().position(EventId::is_nil) {
        return Err(nil_id(i));
    }
    // Time-ordered ids made one after the other need no more than a look.
    if ids().is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    let mut sorted: Vec<EventId> = ids().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            let second = ids().enumerate().filter(|(_, id)| *id == pair[0]).nth(1);
            Err(repeated_id(second.expect("it stands there twice").0, pair[0]))
        }
    }
}

pub(crate) fn nil_id(i: usize) -> Invalid {
    Invalid::new("event_id", format!("of event {i} is nil; give every event a UUID of its own"))
}

pub(crate) fn repeated_id(i: usize, id: EventId) -> Invalid {
    Invalid::new(
        "event_id",
        format!("of event {i} is {id} like that of an earlier event; give every event a UUID of its own"),
    )
}

fn check_tags(event: &EventRef<'_>, i: usize) -> Result<(), Malformed> {
    if event.tags.clone().is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    Err(Malformed::damaged(format!("the tags of event {i} are not in ascending order, each once")))
}

/// Types, content types and tags stand in their tables in the order in which events first use them, so that nothing
/// stands there unused.
#[derive(Default)]
struct FirstUse {
    types: usize,
    content_types: usize,
    tags: usize,
}

impl FirstUse {
    fn note(&mut self, block: &Block, record: &EventRecord) -> Result<(), &'static str> {
        let inner = block.inner();
        advance(&mut self.types, record.event_type).ok_or("event type")?;
        advance(&mut self.content_types, record.content_type).ok_or("content type")?;
        for number in &inner.sections.tag_numbers(&inner.wire)[record.tags()] {
            advance(&mut self.tags, u16::from_le_bytes(*number)).ok_or("tag")?;
        }
        Ok(())
    }

    fn check_all(&self, block: &Block) -> Result<(), Malformed> {
        let inner = block.inner();
        let tables = [
            ("event types", self.types, inner.sections.type_records(&inner.wire).len()),
            ("content types", self.content_types, inner.sections.content_type_records(&inner.wire).len()),
            ("tags", self.tags, inner.sections.tag_records(&inner.wire).len()),
        ];
        match tables.iter().find(|(_, used, listed)| used != listed) {
            None => Ok(()),
            Some((what, used, listed)) => {
                Err(Malformed::damaged(format!("events use {used} of {listed} {what} in the table")))
            }
        }
    }
}

fn advance(used: &mut usize, number: u16) -> Option<()> {
    let number = usize::from(number);
    if number == *used {
        *used += 1;
    }
    (number < *used).then_some(())
}
