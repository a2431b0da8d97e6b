//! Whether an event that is stored already is the one a line brings, for lines that were exported.
//!
//! A server compares content byte for byte. A line cannot always give the bytes back: white space around a JSON text
//! is not part of the line's value, and a text with a line break between its tokens was written without the white
//! space there, because a line is an event. So the stored event is asked what its own line would bring.

use bytes::Bytes;
use chronos_block::{Block, Compression, Packer};
use chronos_domain::Batch as _;
use chronos_proto::event::Event;
use chronos_proto::json::{self, Layout};

use super::ndjson;

/// Whether an export of `stored` brings exactly what the only event of `block` brings: all fields that a writer sets.
pub(crate) fn is_exported_as(stored: &Event, block: &Block) -> bool {
    assert_eq!(block.events(), 1, "events are compared one by one");
    // The hash of the content covers every field but the id, and is what a server compares.
    let brought = reimported(stored);
    brought.is_some_and(|own| {
        own.event(0).event_id == block.event(0).event_id && own.content(0) == block.content(0)
    })
}

/// What an import makes of the event's exported line; `None` when it would not take the line.
fn reimported(stored: &Event) -> Option<Block> {
    let mut line = Vec::new();
    json::write(&mut line, stored, Layout::Line);
    let parsed = ndjson::parse(std::str::from_utf8(&line).ok()?).ok()?;
    let mut packer = Packer::new();
    packer.push(parsed.draft).ok()?;
    packer.finish(Compression::None).ok()
}

/// A JSON text without the white space around it. White space is what JSON calls so, nothing else.
pub(crate) fn trim(text: &Bytes) -> Bytes {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    match (text.iter().position(|byte| !space(byte)), text.iter().rposition(|byte| !space(byte))) {
        (Some(first), Some(last)) => text.slice(first..=last),
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use chronos_block::Draft;
    use chronos_domain::{
        ContentType, EntityId, EventId, EventType, PartitionId, Position, Tag, TenantId, Timestamp, Version,
    };

    use super::*;

    fn stored(payload: &'static str) -> Event {
        Event {
            event_id: EventId::from_u128(7),
            tenant_id: TenantId::default_tenant(),
            entity_id: EntityId::parse("a").unwrap(),
            event_type: EventType::parse("t").unwrap(),
            payload: payload.into(),
            content_type: ContentType::json(),
            metadata: "{ \"actor\":\n \"ann\" }".into(),
            tags: vec![Tag::parse("x").unwrap(), Tag::parse("y").unwrap()],
            occurred_at: Some(Timestamp::new(5)),
            recorded_at: Timestamp::new(6),
            version: Version::new(3),
            position: Position::new(9),
            partition: PartitionId::new(1).unwrap(),
            erased: false,
        }
    }

    /// What an import makes of the event's exported line.
    fn exported(event: &Event) -> Draft {
        let mut line = Vec::new();
        json::write(&mut line, event, Layout::Line);
        assert!(!line.contains(&b'\n'), "a line is an event");
        ndjson::parse(std::str::from_utf8(&line).unwrap()).unwrap().draft
    }

    fn block(draft: Draft) -> Block {
        let mut packer = Packer::new();
        packer.push(draft).unwrap();
        packer.finish(Compression::None).unwrap()
    }

    const PAYLOADS: [&str; 6] = [
        "1",
        "{\"a\": 1}\n",
        "\r\n {\n  \"a\": [1, 2],\n \"b\": \"x\\\" y\"\n}",
        " 1 ",
        "{\"a\" : 1} ",
        "\"a\\nb\"",
    ];

    #[test]
    fn what_was_exported_is_what_is_stored_however_it_was_laid_out() {
        for payload in PAYLOADS {
            let event = stored(payload);
            assert!(is_exported_as(&event, &block(exported(&event))), "{payload:?}");
        }
    }

    #[test]
    fn every_field_that_a_writer_sets_tells_events_apart() {
        type Change = fn(&mut Draft);
        let changes: [(&str, Change); 8] = [
            ("id", |draft| draft.event_id = EventId::from_u128(8)),
            ("entity", |draft| draft.entity_id = EntityId::parse("b").unwrap()),
            ("type", |draft| draft.event_type = EventType::parse("u").unwrap()),
            ("payload", |draft| draft.payload = "{\"a\":2}".into()),
            ("content type", |draft| draft.content_type = ContentType::parse("text/plain").unwrap()),
            ("metadata", |draft| draft.metadata = Bytes::new()),
            ("tags", |draft| drop(draft.tags.pop())),
            ("time", |draft| draft.occurred_at = None),
        ];
        let event = stored("{\n \"a\": 1\n}");
        for (what, change) in changes {
            let mut draft = exported(&event);
            change(&mut draft);
            assert!(!is_exported_as(&event, &block(draft)), "another {what} went unnoticed");
        }
    }

    #[test]
    fn white_space_on_one_line_is_content() {
        let event = stored("{\"a\": 1}");
        let mut draft = exported(&event);
        draft.payload = "{\"a\":1}".into();
        assert!(
            !is_exported_as(&event, &block(draft)),
            "an export keeps it, so another layout is another event"
        );
    }

    #[test]
    fn trimming_leaves_the_inside_alone() {
        let trimmed = |text: &'static str| trim(&Bytes::from_static(text.as_bytes()));
        assert_eq!(trimmed(" \t\r\n{ } \n"), "{ }");
        assert_eq!(trimmed("1"), "1");
        assert_eq!(trimmed(" \n"), "");
        assert_eq!(trimmed(""), "");
    }
}
