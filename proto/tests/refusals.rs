//! What is wrong on the wire is refused by name, and nothing is guessed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use chronos_domain::{EventId, Invalid, Rejection};
use chronos_proto::json::EventJson;
use chronos_proto::{Class, Consistency, Event, Failure, Info, Moment, Reducer, append, error, v1};
use tonic::{Code, Status};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn new_event(change: impl FnOnce(&mut v1::NewEvent)) -> v1::NewEvent {
    let mut event = v1::NewEvent {
        event_id: ID.to_owned(),
        entity_id: "order-1".to_owned(),
        event_type: "order.placed".to_owned(),
        payload: "{}".into(),
        ..v1::NewEvent::default()
    };
    change(&mut event);
    event
}

fn packed(events: Vec<v1::NewEvent>) -> Result<append::Packed, Rejection> {
    let request = v1::AppendRequest { events, ..v1::AppendRequest::default() };
    let mut next = 0;
    append::pack(request, || {
        next += 1;
        EventId::new_v7(next, 7)
    })
}

#[test]
fn a_bad_field_is_named_with_the_place_of_its_event() {
    type Change = fn(&mut v1::NewEvent);
    let changes: [(&str, Change); 6] = [
        ("event_id", |event| event.event_id = "7".to_owned()),
        ("entity_id", |event| event.entity_id = String::new()),
        ("entity_id", |event| event.entity_id = "../../etc".to_owned()),
        ("event_type", |event| event.event_type = "two words".to_owned()),
        ("content_type", |event| event.content_type = "json".to_owned()),
        ("tag", |event| event.tags = vec!["\n".to_owned()]),
    ];
    for (field, change) in changes {
        let good = new_event(|event| event.event_id.clear());
        let refused = packed(vec![good, new_event(change)]).unwrap_err();
        let text = refused.to_string();
        assert!(text.starts_with(field) && text.contains("of event 1 "), "{field}: {text}");
    }
}

#[test]
fn too_many_events_are_refused_before_they_are_looked_at() {
    let refused = packed(vec![new_event(|event| event.entity_id.clear()); 4097]).unwrap_err();
    assert!(matches!(refused, Rejection::TooLarge { max: 4096, actual: 4097, .. }), "{refused}");
}

#[test]
fn ids_are_returned_when_the_server_made_any() {
    let events = vec![new_event(|_| {}), new_event(|event| event.event_id.clear())];
    let packed = packed(events).unwrap();
    assert_eq!(packed.event_ids, [EventId::parse(ID).unwrap(), EventId::new_v7(1, 7)]);
}

#[test]
fn metadata_without_members_is_none() {
    let packed = packed(vec![new_event(|event| event.metadata = "{}".into())]).unwrap();
    assert_eq!(packed.block.event(0).metadata, b"");
}

#[test]
fn a_choice_that_was_not_made_is_refused() {
    let expectation = v1::Expectation { entity_id: "a".to_owned(), rule: None };
    assert_eq!(append::expectation(&expectation).unwrap_err().field, "expectation");
    assert_eq!(Moment::try_from(v1::AsOf::default()).unwrap_err().field, "as_of");
    assert_eq!(Consistency::try_from(v1::Consistency::default()).unwrap_err().field, "consistency");
    assert_eq!(Failure::try_from(v1::Failure::default()).unwrap_err().field, "class");
}

#[test]
fn a_number_of_a_later_release_is_refused() {
    assert_eq!(Reducer::from_wire(9).unwrap_err().field, "reducer");
    let failure = v1::Failure { class: 9, ..v1::Failure::default() };
    assert!(Failure::try_from(failure).unwrap_err().to_string().contains('9'));
    assert!(chronos_proto::partition(32).is_err() && chronos_proto::partition(256).is_err());
}

#[test]
fn a_stored_event_without_numbers_is_refused() {
    let message = v1::Event {
        event_id: ID.to_owned(),
        tenant_id: "default".to_owned(),
        entity_id: "a".to_owned(),
        event_type: "t".to_owned(),
        version: 1,
        position: 1,
        ..v1::Event::default()
    };
    assert!(Event::try_from(message.clone()).is_ok());
    let field = |message: v1::Event| Event::try_from(message).unwrap_err().field;
    assert_eq!(field(v1::Event { version: 0, ..message.clone() }), "version");
    assert_eq!(field(v1::Event { position: 0, ..message.clone() }), "position");
    assert_eq!(field(v1::Event { partition: 32, ..message }), "partition");
}

#[test]
fn a_node_without_limits_or_with_a_partition_too_many_is_refused_and_one_that_does_not_count_is_not() {
    let silent = v1::InfoResponse { limits: Some(v1::Limits::default()), ..v1::InfoResponse::default() };
    assert_eq!(Info::try_from(silent.clone()).unwrap().stats, None);
    let field = |message: v1::InfoResponse| Info::try_from(message).unwrap_err().field;
    assert_eq!(field(v1::InfoResponse { limits: None, ..silent.clone() }), "limits");
    let beyond = v1::PartitionStats { partition: 32, ..v1::PartitionStats::default() };
    let stats = v1::Stats { partitions: vec![beyond], ..v1::Stats::default() };
    assert_eq!(field(v1::InfoResponse { stats: Some(stats), ..silent }), "partition");
}

#[test]
fn bad_json_is_refused_by_field() {
    let refusal = |text: &str| -> Invalid {
        EventJson::parse(text).and_then(|event| event.into_draft(|| EventId::new_v7(1, 1))).unwrap_err()
    };
    let cases = [
        (r#"{"entity_id":"a","event_type":"t","payload":{},"colour":1}"#, "event", "colour"),
        (r#"{"entity_id":"a","event_type":"t"}"#, "event", "payload"),
        (r#"{"entity_id":"a","event_type":"t","payload":{"x":}}"#, "event", "column"),
        (r#"{"entity_id":"","event_type":"t","payload":{}}"#, "entity_id", "empty"),
        (r#"{"entity_id":"a","event_type":"t","payload":{},"metadata":[]}"#, "metadata", "object"),
        (
            r#"{"entity_id":"a","event_type":"t","payload":{},"content_type":"image/png"}"#,
            "payload",
            "string",
        ),
        (
            r#"{"entity_id":"a","event_type":"t","payload":"?","content_type":"image/png"}"#,
            "payload",
            "base64",
        ),
    ];
    for (text, field, word) in cases {
        let invalid = refusal(text);
        assert_eq!(invalid.field, field, "{text}");
        assert!(invalid.reason.contains(word), "{text}: {invalid}");
    }
}

#[test]
fn the_server_set_fields_are_needed_only_to_read_a_stored_event() {
    let text = r#"{"entity_id":"a","event_type":"t","payload":{}}"#;
    assert_eq!(EventJson::parse(text).unwrap().into_event().unwrap_err().field, "event_id");
    assert!(EventJson::parse(text).unwrap().into_draft(|| EventId::new_v7(1, 1)).is_ok());
}

#[test]
fn each_reason_has_its_code() {
    let table = [
        (Code::FailedPrecondition, "WRONG_EXPECTED_VERSION CONDITION_FAILED"),
        (Code::AlreadyExists, "IDEMPOTENCY_CONFLICT"),
        (Code::InvalidArgument, "INVALID TOO_LARGE CROSS_PARTITION"),
        (Code::ResourceExhausted, "QUOTA_EXCEEDED RESOURCE_EXHAUSTED"),
        (Code::NotFound, "NOT_FOUND"),
        (Code::Unavailable, "NOT_CAUGHT_UP NOT_LEADER UNAVAILABLE"),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Code::DataLoss, "CORRUPT"),
        (Code::Unauthenticated, "UNAUTHENTICATED"),
        (Code::PermissionDenied, "FORBIDDEN"),
        (Code::Unimplemented, "UNIMPLEMENTED"),
        (Code::Internal, "INTERNAL SOMETHING_ELSE"),
    ];
    for (code, reasons) in table {
        for reason in reasons.split(' ') {
            assert_eq!(error::code(reason), code, "{reason}");
        }
    }
}

#[test]
fn a_status_of_somebody_else_is_rejected_only_where_its_code_says_so() {
    let class = |code| Failure::from_status(&Status::new(code, "x")).class;
    for code in [Code::InvalidArgument, Code::OutOfRange, Code::Unimplemented, Code::PermissionDenied] {
        assert_eq!(class(code), Class::Rejected, "{code:?}");
    }
    for code in [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled, Code::DeadlineExceeded] {
        assert_eq!(class(code), Class::Unknown, "{code:?}");
    }
}

#[test]
fn a_rejection_carries_its_values() {
    let failure = Failure::from(&Rejection::TooLarge { limit: "payload bytes", max: 5, actual: 6 });
    assert_eq!(failure.class, Class::Rejected);
    assert_eq!(failure.reason, "TOO_LARGE");
    assert_eq!((failure.metadata["max"].as_str(), failure.metadata["actual"].as_str()), ("5", "6"));
}

#[test]
fn the_descriptors_name_the_service() {
    let set = String::from_utf8_lossy(v1::FILE_DESCRIPTOR_SET);
    assert!(set.contains("EventStore") && set.contains("AppendStream"));
}
