//! From bytes to a block whose accessors cannot fail: checksum, bounds and offsets.
//!
//! Sections and texts lie dense, in one possible order, so one running sum per table proves every offset. What a
//! request *means* is not looked at here.

use bytes::Bytes;
use chronos_domain::Rejection;
use chronos_domain::limits::{BATCH_BYTES_MAX, BATCH_ENTITIES_MAX, BATCH_EVENTS_MAX, TAGS_MAX};

use crate::block::{Block, Inner};
use crate::compression::Compression;
use crate::condition;
use crate::layout::{
    BLOCK_BYTES_MAX, CONDITION_BYTES_MAX, Counts, ENTITY_BYTES, EVENT_BYTES, EventRecord, FORMAT,
    HEADER_BYTES, Header, MAGIC, Sections, TAG_NUMBERS_MAX, TEXT_BYTES, Text, checksum, decode_expectation,
};
use crate::malformed::Malformed;

/// A block over bytes of any origin.
pub(crate) fn parse(wire: Bytes) -> Result<Block, Malformed> {
    let (header, compression) = check_header(&wire)?;
    let found = checksum(&wire);
    if found != header.checksum {
        return Err(Malformed::damaged(format!(
            "its checksum is {found:016x} where the header says {:016x}",
            header.checksum
        )));
    }
    let sections = check_sizes(&header, compression)?;
    let stored = wire.slice(sections.body..);
    assemble(wire, &header, compression, sections, |raw| compression.decompress(stored, raw))
}

/// A block over bytes this process has just packed, whose body is still at hand.
pub(crate) fn adopt(wire: Bytes, header: &Header, compression: Compression, body: Bytes) -> Block {
    let sections = Sections::new(&header.counts);
    let body = match compression {
        Compression::None => wire.slice(sections.body..),
        Compression::Lz4 => body,
    };
    assemble(wire, header, compression, sections, |_| Ok(body)).expect("what was packed has its structure")
}

fn assemble(
    wire: Bytes,
    header: &Header,
    compression: Compression,
    sections: Sections,
    body: impl FnOnce(usize) -> Result<Bytes, Malformed>,
) -> Result<Block, Malformed> {
    let strings = str::from_utf8(&wire[sections.strings..sections.body])
        .map_err(|error| Malformed::damaged(format!("its names are not UTF-8: {error}")))?;
    check_texts(&wire, &sections, strings)?;
    check_expectations(sections.entity_records(&wire))?;
    check_events(&wire, &sections, &header.counts, header.body_raw_bytes)?;
    let condition = match &wire[sections.condition..sections.strings] {
        [] => None,
        encoded => Some(condition::decode(encoded)?),
    };
    let strings = Box::from(strings);
    let body = body(header.body_raw_bytes as usize)?;
    Ok(Block::new(Inner { wire, sections, compression, strings, body, condition }))
}

fn check_header(wire: &Bytes) -> Result<(Header, Compression), Malformed> {
    let Some((header, _)) = wire.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed::damaged(format!(
            "it has {} bytes where the header alone has {HEADER_BYTES}",
            wire.len()
        )));
    };
    if header[0..4] != MAGIC {
        return Err(Malformed::damaged("it does not start with the magic `CBK1`"));
    }
    if header[4] != FORMAT {
        return Err(Malformed::Version { found: header[4], supported: FORMAT });
    }
    let Some(compression) = Compression::from_byte(header[5]) else {
        return Err(Malformed::damaged(format!("compression {} does not exist", header[5])));
    };
    if header[6..8] != [0; 2] || header[52..56] != [0; 4] {
        return Err(Malformed::damaged("reserved bytes of the header are not zero"));
    }
    Rejection::bound("bytes of a packed request", BLOCK_BYTES_MAX, wire.len())?;
    let header = Header::decode(header);
    let said = HEADER_BYTES as u64 + u64::from(header.head_bytes) + u64::from(header.body_bytes);
    if said != wire.len() as u64 {
        return Err(Malformed::damaged(format!("it has {} bytes where the header says {said}", wire.len())));
    }
    Ok((header, compression))
}

/// Every count is within its bound, and together they fill the head. Nothing has been allocated before this.
fn check_sizes(header: &Header, compression: Compression) -> Result<Sections, Malformed> {
    let counts = &header.counts;
    let events = usize::from(counts.events);
    Rejection::bound("events", BATCH_EVENTS_MAX, events)?;
    Rejection::bound("entities", BATCH_ENTITIES_MAX, usize::from(counts.entities))?;
    Rejection::bound("bytes of events", BATCH_BYTES_MAX, header.body_raw_bytes as usize)?;
    at_most("event types", counts.types.into(), events)?;
    at_most("content types", counts.content_types.into(), events)?;
    at_most("tag numbers", counts.tag_numbers as usize, TAG_NUMBERS_MAX)?;
    at_most("tags", counts.tags as usize, counts.tag_numbers as usize)?;
    at_most("condition bytes", counts.condition_bytes as usize, CONDITION_BYTES_MAX)?;
    at_most("bytes of names", counts.strings_bytes as usize, header.head_bytes as usize)?;
    let sections = Sections::new(counts);
    let head = sections.body - HEADER_BYTES;
    if head != header.head_bytes as usize {
        return Err(Malformed::damaged(format!(
            "its sections take {head} bytes where the header says {}",
            header.head_bytes
        )));
    }
    if !compression.fits(header.body_bytes as usize, header.body_raw_bytes as usize) {
        return Err(Malformed::damaged(format!(
            "a body of {} bytes cannot be stored in {} bytes",
            header.body_raw_bytes, header.body_bytes
        )));
    }
    Ok(sections)
}

fn at_most(what: &str, count: usize, max: usize) -> Result<(), Malformed> {
    if count > max {
        return Err(Malformed::damaged(format!("{count} {what} are more than the {max} possible")));
    }
    Ok(())
}

/// Names of all tables lie one after the other and fill the strings, each whole characters.
fn check_texts(wire: &[u8], sections: &Sections, strings: &str) -> Result<(), Malformed> {
    let mut at = texts_from(0, sections.entity_records(wire), strings, "entity")?;
    at = texts_from(at, sections.type_records(wire), strings, "event type")?;
    at = texts_from(at, sections.content_type_records(wire), strings, "content type")?;
    at = texts_from(at, sections.tag_records(wire), strings, "tag")?;
    if at != strings.len() {
        return Err(Malformed::damaged(format!("{} bytes of names belong to nothing", strings.len() - at)));
    }
    let reserved =
        [sections.type_records(wire), sections.content_type_records(wire), sections.tag_records(wire)];
    if reserved.into_iter().flatten().any(|record: &[u8; TEXT_BYTES]| record[6..8] != [0; 2]) {
        return Err(Malformed::damaged("reserved bytes of a name are not zero"));
    }
    Ok(())
}

fn texts_from<const N: usize>(
    mut at: usize,
    records: &[[u8; N]],
    strings: &str,
    what: &str,
) -> Result<usize, Malformed> {
    for (i, record) in records.iter().enumerate() {
        let range = Text::decode(record).range();
        // Both ends of every name but the last are a start or an end of another.
        if range.start != at || !strings.is_char_boundary(range.end) {
            return Err(Malformed::damaged(format!("the name of {what} {i} is not where it should be")));
        }
        at = range.end;
    }
    Ok(at)
}

fn check_expectations(records: &[[u8; ENTITY_BYTES]]) -> Result<(), Malformed> {
    match records.iter().position(|record| record[7] != 0 || decode_expectation(record).is_none()) {
        None => Ok(()),
        Some(e) => Err(Malformed::damaged(format!("the expectation of entity {e} does not exist"))),
    }
}

/// Numbers into tables are in range; tags and bodies of all events lie one after the other and fill their sections.
fn check_events(
    wire: &[u8],
    sections: &Sections,
    counts: &Counts,
    body_raw_bytes: u32,
) -> Result<(), Malformed> {
    let (mut body_at, mut tags_at) = (0u64, 0u64);
    for (i, bytes) in sections.event_records(wire).iter().enumerate() {
        let record = EventRecord::decode(bytes);
        if let Err(what) = check_event(bytes, &record, counts, body_at, tags_at) {
            return Err(Malformed::damaged(format!("event {i}: {what}")));
        }
        body_at += u64::from(record.payload_bytes) + u64::from(record.metadata_bytes);
        tags_at += u64::from(record.tags);
    }
    if body_at != u64::from(body_raw_bytes) {
        return Err(Malformed::damaged(format!("events take {body_at} bytes of a body of {body_raw_bytes}")));
    }
    if tags_at != u64::from(counts.tag_numbers) {
        return Err(Malformed::damaged(format!(
            "events take {tags_at} of {} tag numbers",
            counts.tag_numbers
        )));
    }
    match sections.tag_numbers(wire).iter().position(|n| u32::from(u16::from_le_bytes(*n)) >= counts.tags) {
        None => Ok(()),
        Some(at) => Err(Malformed::damaged(format!("tag number {at} names no tag"))),
    }
}

fn check_event(
    bytes: &[u8; EVENT_BYTES],
    record: &EventRecord,
    counts: &Counts,
    body_at: u64,
    tags_at: u64,
) -> Result<(), &'static str> {
    let facts = [
        (record.entity < counts.entities, "its entity is not in the table"),
        (record.event_type < counts.types, "its event type is not in the table"),
        (record.content_type < counts.content_types, "its content type is not in the table"),
        (usize::from(record.tags) <= TAGS_MAX, "it has more tags than an event may"),
        (u64::from(record.tags_at) == tags_at, "its tags are not where they should be"),
        (u64::from(record.body_at) == body_at, "its payload is not where it should be"),
        (bytes[55] == 0, "its reserved byte is not zero"),
    ];
    match facts.iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, what)) => Err(what),
    }
}
