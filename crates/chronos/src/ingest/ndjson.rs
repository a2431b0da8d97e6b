//! Our own lines: one event object a line, as `chronos export` writes them.
//!
//! Payload and metadata are kept byte for byte, as they stand in the line. The fields that a server sets
//! (`tenant_id`, `recorded_at`, `version`, `position`, `partition`) may be there and are ignored; any other field
//! that an event does not have is an error, because it would be lost.

use chronos_block::Draft;
use chronos_domain::EventId;
use chronos_domain::limits::{METADATA_BYTES_MAX, PAYLOAD_BYTES_MAX, TAGS_MAX};
use chronos_proto::json::EventJson;

use super::parsed::{Identity, Parsed, derived_from_line, sentence};

/// Reads one line.
pub(crate) fn parse(line: &str) -> Result<Parsed, String> {
    let object: EventJson<'_> = serde_json::from_str(line).map_err(|e| sentence(&e))?;
    let identity = if object.event_id.is_some() { Identity::Given } else { Identity::Derived };
    let mut draft = object.into_draft(|| EventId::NIL).map_err(|e| e.to_string())?;
    if identity == Identity::Derived {
        draft.event_id = derived_from_line(&draft.entity_id, line);
    }
    check_sizes(&draft)?;
    Ok(Parsed { draft, identity })
}

/// What the types of a draft leave open, and a server would refuse a whole batch for.
pub(crate) fn check_sizes(draft: &Draft) -> Result<(), String> {
    let limits = [
        ("payload", draft.payload.len(), PAYLOAD_BYTES_MAX, "bytes"),
        ("metadata", draft.metadata.len(), METADATA_BYTES_MAX, "bytes"),
        ("tags", draft.tags.len(), TAGS_MAX, "tags"),
    ];
    for (field, actual, max, unit) in limits {
        if actual > max {
            return Err(format!("{field} has {actual} {unit}; {max} are the most"));
        }
    }
    if draft.event_id.is_nil() {
        return Err("event_id is the nil UUID, which names nothing; give another or leave it out".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chronos_domain::{Tag, Timestamp};

    use super::*;

    const ID: &str = "fea5aa07-35ab-5ad2-bf22-9c5cec4e35a3";

    fn refusal(line: &str) -> String {
        parse(line).err().unwrap_or_else(|| panic!("{line} was taken"))
    }

    #[test]
    fn a_full_line_keeps_every_byte() {
        let line = format!(
            r#"{{"event_id":"{ID}","entity_id":"order-{{7}}","event_type":"order.placed","occurred_at":5,"payload":{{ "b" : 1.00, "a":"\u00e9"}},"metadata":{{"actor": "é"}},"tags":["x:y","\"z\""]}}"#
        );
        let parsed = parse(&line).unwrap();
        assert_eq!(parsed.identity, Identity::Given);
        let draft = parsed.draft;
        assert_eq!(draft.event_id.to_string(), ID);
        assert_eq!(draft.entity_id.as_str(), "order-{7}");
        assert_eq!(&draft.payload[..], br#"{ "b" : 1.00, "a":"\u00e9"}"#);
        assert_eq!(&draft.metadata[..], r#"{"actor": "é"}"#.as_bytes());
        assert_eq!(draft.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["x:y", "\"z\""]);
        assert_eq!(draft.occurred_at, Some(Timestamp::new(5)));
    }

    #[test]
    fn the_smallest_line_gets_an_id_that_follows_from_it() {
        let line = r#"{"entity_id":"a","event_type":"t","payload":null}"#;
        let (one, two) = (parse(line).unwrap(), parse(line).unwrap());
        assert_eq!(one.identity, Identity::Derived);
        assert_eq!(one.draft.event_id, two.draft.event_id);
        assert_eq!(&one.draft.payload[..], b"null");
        let other = parse(r#"{"entity_id":"a","event_type":"t","payload":1}"#).unwrap();
        assert_ne!(one.draft.event_id, other.draft.event_id);
    }

    #[test]
    fn what_a_server_set_is_ignored() {
        let line = r#"{"entity_id":"a","event_type":"t","payload":{},"metadata":null,"tags":[],"occurred_at":null,
            "tenant_id":"default","recorded_at":1,"version":2,"position":3,"partition":4}"#;
        let draft = parse(line).unwrap().draft;
        assert_eq!(draft.metadata.len(), 0);
        assert_eq!(draft.occurred_at, None);
    }

    #[test]
    fn other_payloads_come_as_base64() {
        let line = |payload: &str| {
            format!(r#"{{"entity_id":"a","event_type":"t","content_type":"image/png","payload":{payload}}}"#)
        };
        assert_eq!(&parse(&line("\"Zm9v\"")).unwrap().draft.payload[..], b"foo");
        assert!(refusal(&line("{}")).contains("base64"));
        assert!(refusal(&line("\"***\"")).contains("base64"));
    }

    #[test]
    fn a_refusal_says_what_and_where() {
        let cases = [
            (r#"{"entity_id":"a","event_type":"t","payload":1,"color":"red"}"#, "unknown field `color`"),
            (r#"{"event_type":"t","payload":1}"#, "missing field `entity_id`"),
            (r#"{"entity_id":"a","event_type":"t"}"#, "missing field `payload`"),
            (
                r#"{"entity_id":"a","entity_id":"b","event_type":"t","payload":1}"#,
                "duplicate field `entity_id`",
            ),
            (r#"{"entity_id":"","event_type":"t","payload":1}"#, "entity_id"),
            (r#"{"entity_id":"../../etc","event_type":"t","payload":1}"#, "entity_id"),
            (r#"{"entity_id":"a","event_type":"t","payload":{"a":}}"#, "column"),
            (r#"{"entity_id":"a","event_type":"t","payload":1} {}"#, "trailing"),
            (r#"{"entity_id":"a","event_type":"t","payload":1,"metadata":[1]}"#, "not a JSON object"),
            (r#"{"event_id":"7","entity_id":"a","event_type":"t","payload":1}"#, "event_id"),
            (r#"{"entity_id":"a","event_type":"t","payload":1,"occurred_at":1.5}"#, "1.5"),
            ("[]", "expected"),
            ("nonsense", "expected"),
        ];
        for (line, wanted) in cases {
            assert!(refusal(line).contains(wanted), "{line}: {}", refusal(line));
        }
    }

    #[test]
    fn limits_are_exact() {
        let line = |payload: usize| {
            format!(r#"{{"entity_id":"a","event_type":"t","payload":"{}"}}"#, "x".repeat(payload - 2))
        };
        assert!(parse(&line(PAYLOAD_BYTES_MAX)).is_ok());
        assert!(refusal(&line(PAYLOAD_BYTES_MAX + 1)).contains("payload has 1048577 bytes"));
        let tags: Vec<String> = (0..=TAGS_MAX).map(|i| format!("\"t{i}\"")).collect();
        let line = format!(r#"{{"entity_id":"a","event_type":"t","payload":1,"tags":[{}]}}"#, tags.join(","));
        assert!(refusal(&line).contains("tags"));
    }
}
