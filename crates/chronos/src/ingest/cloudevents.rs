//! CloudEvents 1.0 in their JSON format, one a line.
//!
//! | attribute | becomes |
//! |---|---|
//! | `id` | the event id when it is a UUID; else the id derives from `source` and `id`, and `id` stays in the metadata |
//! | `subject`, or `source` without one | the entity, without leading slashes; a `subject` that had some stays in the metadata |
//! | `type`, `time` | event type, `occurred_at` |
//! | `data`, `data_base64`, `datacontenttype` | payload and content type, as it stands; without one it is JSON |
//! | `source` and every extension | metadata |
//! | `specversion` | checked to be 1.x, not kept |

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chronos_block::Draft;
use chronos_domain::{ContentType, EntityId, EventId, EventType};
use serde_json::value::RawValue;

use super::derived;
use super::ndjson::check_sizes;
use super::parsed::{Identity, Parsed, sentence};
use crate::moment;

type Attributes<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Reads one line.
pub(crate) fn parse(line: &str) -> Result<Parsed, String> {
    let mut attributes: Attributes<'_> = serde_json::from_str(line).map_err(|e| sentence(&e))?;
    check_names(&attributes)?;
    let version = required(&mut attributes, "specversion")?;
    if !version.starts_with("1.") {
        return Err(format!("specversion is {:?}; 1.0 is what can be read", &*version));
    }
    let id = required(&mut attributes, "id")?;
    let source = required(&mut attributes, "source")?;
    let subject = optional(&mut attributes, "subject")?;
    let event_type = required(&mut attributes, "type")?;
    let occurred_at = optional(&mut attributes, "time")?.map(|text| moment::parse_time(&text)).transpose()?;
    let (content_type, payload) = data(&mut attributes)?;
    let about = subject.as_ref().unwrap_or(&source);
    let entity = about.trim_start_matches('/');
    let shortened = subject.as_deref().filter(|subject| *subject != entity);
    let draft = Draft {
        event_id: event_id(&source, &id),
        entity_id: EntityId::parse(entity).map_err(|e| e.to_string())?,
        event_type: EventType::parse(&event_type).map_err(|e| e.to_string())?,
        content_type,
        payload,
        metadata: metadata(attributes, &source, &id, shortened)?,
        tags: Vec::new(),
        occurred_at,
    };
    check_sizes(&draft)?;
    Ok(Parsed { draft, identity: Identity::Given })
}

/// `source` and `id` together name a CloudEvent.
fn event_id(source: &str, id: &str) -> EventId {
    EventId::parse(id)
        .unwrap_or_else(|_| derived::event_id(&[b"cloudevents", source.as_bytes(), id.as_bytes()]))
}

fn optional<'a>(attributes: &mut Attributes<'a>, name: &'static str) -> Result<Option<Cow<'a, str>>, String> {
    match attributes.remove(name) {
        None => Ok(None),
        Some(raw) if raw.get() == "null" => Ok(None),
        Some(raw) => {
            serde_json::from_str(raw.get()).map(Some).map_err(|_| format!("{name} must be a string"))
        }
    }
}

fn required<'a>(attributes: &mut Attributes<'a>, name: &'static str) -> Result<Cow<'a, str>, String> {
    let text = optional(attributes, name)?;
    let text = text.ok_or_else(|| format!("{name} is missing; every CloudEvent has one"))?;
    if text.is_empty() {
        return Err(format!("{name} is empty; every CloudEvent has one that is not"));
    }
    Ok(text)
}

/// The specification's names of attributes; the two members that are no attributes beside them.
fn check_names(attributes: &Attributes<'_>) -> Result<(), String> {
    let attribute = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match attributes.keys().find(|name| **name != "data_base64" && !attribute(name)) {
        None => Ok(()),
        Some(name) => Err(format!("{name:?} is no name of a CloudEvents attribute; use only a-z and 0-9")),
    }
}

fn data(attributes: &mut Attributes<'_>) -> Result<(ContentType, Bytes), String> {
    let declared = optional(attributes, "datacontenttype")?;
    let encoded = optional(attributes, "data_base64")?;
    let raw = attributes.remove("data");
    let content_type = |text: &str| ContentType::parse(text).map_err(|e| e.to_string());
    match (raw, encoded) {
        (Some(_), Some(_)) => {
            Err("there is both data and data_base64; a CloudEvent has one of them".to_owned())
        }
        (None, Some(text)) => {
            let bytes =
                STANDARD.decode(text.as_bytes()).map_err(|e| format!("data_base64 is no base64: {e}"))?;
            Ok((content_type(declared.as_deref().unwrap_or("application/octet-stream"))?, bytes.into()))
        }
        (raw, None) => match declared {
            Some(declared) if !is_json(&declared) => Ok((content_type(&declared)?, text_of(raw)?.into())),
            declared => {
                let json = raw.map_or("null", RawValue::get);
                let content_type = content_type(declared.as_deref().unwrap_or("application/json"))?;
                Ok((content_type, Bytes::copy_from_slice(json.as_bytes())))
            }
        },
    }
}

/// JSON in any of its guises: what stands in `data` is then the value itself.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// Data that is not JSON stands in a JSON string.
fn text_of(raw: Option<&RawValue>) -> Result<Vec<u8>, String> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let text: Cow<'_, str> = serde_json::from_str(raw.get())
        .map_err(|_| "datacontenttype is not JSON, so data must be a string".to_owned())?;
    Ok(text.as_bytes().to_vec())
}

/// What is left, plus what the event could not be traced back without, as one object in the order of names.
fn metadata(
    rest: Attributes<'_>,
    source: &str,
    id: &str,
    shortened_subject: Option<&str>,
) -> Result<Bytes, String> {
    let quoted = |text: &str| RawValue::from_string(serde_json::Value::from(text).to_string());
    let source = quoted(source).map_err(|e| e.to_string())?;
    let subject = shortened_subject.map(quoted).transpose().map_err(|e| e.to_string())?;
    let kept_id = quoted(id).map_err(|e| e.to_string())?;
    let mut named: BTreeMap<&str, &RawValue> = rest.iter().map(|(name, raw)| (&**name, *raw)).collect();
    named.insert("source", &source);
    if let Some(subject) = &subject {
        named.insert("subject", subject);
    }
    if EventId::parse(id).is_err() {
        named.insert("id", &kept_id);
    }
    serde_json::to_vec(&named).map(Bytes::from).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use chronos_domain::Timestamp;

    use super::*;

    const ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

    #[test]
    fn the_usual_event_maps() {
        let line = format!(
            r#"{{"specversion":"1.0","id":"{ID}","source":"shop/eu","subject":"order-7","type":"order.placed","time":"1970-01-01T00:00:02Z","datacontenttype":"application/json","data":{{"a": 1}},"traceparent":"00-ab"}}"#
        );
        let draft = parse(&line).unwrap().draft;
        assert_eq!(draft.event_id.to_string(), ID);
        assert_eq!(draft.entity_id.as_str(), "order-7");
        assert_eq!(draft.event_type.as_str(), "order.placed");
        assert_eq!(draft.occurred_at, Some(Timestamp::new(2_000_000)));
        assert_eq!(&draft.payload[..], br#"{"a": 1}"#);
        assert_eq!(&draft.metadata[..], br#"{"source":"shop/eu","traceparent":"00-ab"}"#);
    }

    #[test]
    fn an_id_that_is_no_uuid_becomes_one_and_is_kept() {
        let line =
            |source: &str| format!(r#"{{"specversion":"1.0","id":"A-1","source":"{source}","type":"t"}}"#);
        let (one, again, other) = (parse(&line("s")), parse(&line("s")), parse(&line("z")));
        let one = one.unwrap().draft;
        assert_eq!(one.event_id, again.unwrap().draft.event_id);
        assert_ne!(one.event_id, other.unwrap().draft.event_id);
        assert_eq!(one.entity_id.as_str(), "s");
        assert_eq!(&one.payload[..], b"null");
        assert_eq!(&one.metadata[..], br#"{"id":"A-1","source":"s"}"#);
    }

    #[test]
    fn an_entity_never_starts_with_a_slash() {
        let about = |members: &str| {
            let text = format!(r#"{{"specversion":"1.0","id":"{ID}","type":"t",{members}}}"#);
            let draft = parse(&text)?.draft;
            Ok::<_, String>((
                draft.entity_id.to_string(),
                String::from_utf8(draft.metadata.to_vec()).unwrap(),
            ))
        };
        let pair = |entity: &str, metadata: &str| (entity.to_owned(), metadata.to_owned());
        assert_eq!(
            about(r#""source":"/mycontext""#).unwrap(),
            pair("mycontext", r#"{"source":"/mycontext"}"#)
        );
        assert_eq!(about(r#""source":"//host/a""#).unwrap(), pair("host/a", r#"{"source":"//host/a"}"#));
        assert_eq!(
            about(r#""source":"/s","subject":"/blobs/a""#).unwrap(),
            pair("blobs/a", r#"{"source":"/s","subject":"/blobs/a"}"#)
        );
        assert_eq!(about(r#""source":"/s","subject":"a/b""#).unwrap(), pair("a/b", r#"{"source":"/s"}"#));
        assert!(about(r#""source":"/""#).unwrap_err().contains("entity_id"));
    }

    #[test]
    fn a_declared_content_type_is_kept() {
        let of = |declared: &str| {
            let text = format!(
                r#"{{"specversion":"1.0","id":"{ID}","source":"s","type":"t","datacontenttype":{declared},"data":{{"a": 1}}}}"#
            );
            let draft = parse(&text).unwrap().draft;
            assert_eq!(&draft.payload[..], br#"{"a": 1}"#);
            draft.content_type.to_string()
        };
        for kept in ["application/json", "application/geo+json", "application/json; charset=utf-8"] {
            assert_eq!(of(&format!("{kept:?}")), kept);
        }
        assert_eq!(of("null"), "application/json");
    }

    #[test]
    fn bytes_and_text_are_payloads_too() {
        let line = |rest: &str| {
            let text = format!(r#"{{"specversion":"1.0","id":"{ID}","source":"s","type":"t",{rest}}}"#);
            parse(&text).map(|parsed| (parsed.draft.content_type.to_string(), parsed.draft.payload.to_vec()))
        };
        assert_eq!(
            line(r#""datacontenttype":"text/plain","data":"a\nb""#).unwrap(),
            ("text/plain".to_owned(), b"a\nb".to_vec())
        );
        assert_eq!(
            line(r#""data_base64":"Zm9v""#).unwrap(),
            ("application/octet-stream".to_owned(), b"foo".to_vec())
        );
        assert_eq!(line(r#""data":"x""#).unwrap(), ("application/json".to_owned(), b"\"x\"".to_vec()));
        assert!(line(r#""data":1,"data_base64":"Zg==""#).unwrap_err().contains("both"));
        assert!(
            line(r#""datacontenttype":"text/plain","data":{}"#).unwrap_err().contains("must be a string")
        );
    }

    #[test]
    fn what_is_no_cloudevent_is_refused() {
        let cases = [
            (r#"{"id":"1","source":"s","type":"t"}"#, "specversion is missing"),
            (r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#, "0.3"),
            (r#"{"specversion":"1.0","id":"1","type":"t"}"#, "source is missing"),
            (r#"{"specversion":"1.0","id":1,"source":"s","type":"t"}"#, "id must be a string"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"noon"}"#, "no time"),
            (r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#, "id is empty"),
            (r#"{"specversion":"1.0","id":"1","source":"","type":"t"}"#, "source is empty"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","traceParent":"x"}"#, "traceParent"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","a_b":1}"#, "a_b"),
            (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","":1}"#, "no name"),
            ("[]", "expected"),
        ];
        for (line, wanted) in cases {
            let refusal = parse(line).err().unwrap_or_else(|| panic!("{line} was taken"));
            assert!(refusal.contains(wanted), "{line}: {refusal}");
        }
    }
}
