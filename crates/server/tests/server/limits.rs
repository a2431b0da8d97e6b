//! Every bound of a request at one less, exactly, and one more.

use chronos_domain::limits::{
    BATCH_BYTES_MAX, BATCH_EVENTS_MAX, ENTITY_ID_BYTES_MAX, EVENT_TYPE_BYTES_MAX, METADATA_BYTES_MAX,
    PAYLOAD_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX,
};
use chronos_proto::v1;
use serde_json::json;

use crate::served::{Served, fresh};

fn event() -> v1::NewEvent {
    v1::NewEvent {
        entity_id: "a".to_owned(),
        event_type: "t".to_owned(),
        payload: "1".into(),
        ..v1::NewEvent::default()
    }
}

/// A JSON text of exactly so many bytes.
fn json_of(bytes: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes()
}

fn metadata_of(bytes: usize) -> Vec<u8> {
    format!("{{\"k\":\"{}\"}}", "x".repeat(bytes - 8)).into_bytes()
}

/// Events whose ids, types and payloads are so many bytes together.
fn batch_of(bytes: usize) -> Vec<v1::NewEvent> {
    let names = event().entity_id.len() + event().event_type.len();
    let mut left = bytes;
    let mut events = Vec::new();
    while left > 0 {
        // The last payload must be a JSON text too.
        let payload = match left - names {
            fits if fits <= PAYLOAD_BYTES_MAX => fits,
            more => PAYLOAD_BYTES_MAX.min(more - names - 2),
        };
        events.push(v1::NewEvent { payload: json_of(payload).into(), ..event() });
        left -= names + payload;
    }
    events
}

type Case = (&'static str, usize, fn(usize) -> Vec<v1::NewEvent>);

const CASES: [Case; 8] = [
    ("entity id bytes", ENTITY_ID_BYTES_MAX, |n| vec![v1::NewEvent { entity_id: "e".repeat(n), ..event() }]),
    ("event type bytes", EVENT_TYPE_BYTES_MAX, |n| {
        vec![v1::NewEvent { event_type: "t".repeat(n), ..event() }]
    }),
    ("payload bytes", PAYLOAD_BYTES_MAX, |n| vec![v1::NewEvent { payload: json_of(n).into(), ..event() }]),
    ("metadata bytes", METADATA_BYTES_MAX, |n| {
        vec![v1::NewEvent { metadata: metadata_of(n).into(), ..event() }]
    }),
    ("tags", TAGS_MAX, |n| vec![v1::NewEvent { tags: (0..n).map(|i| format!("t{i}")).collect(), ..event() }]),
    ("tag bytes", TAG_BYTES_MAX, |n| vec![v1::NewEvent { tags: vec!["t".repeat(n)], ..event() }]),
    ("events", BATCH_EVENTS_MAX, |n| vec![event(); n]),
    ("bytes of a batch", BATCH_BYTES_MAX, batch_of),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bound_admits_one_less_and_itself_and_refuses_one_more() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    for (name, max, events) in CASES {
        for (n, fits) in [(max - 1, true), (max, true), (max + 1, false)] {
            let before = served.stored().await;
            let events = events(n);
            let sent = events.len() as u64;
            let request = v1::AppendRequest { events, ..v1::AppendRequest::default() };
            let answer = client.append(request).await;
            assert_eq!(answer.is_ok(), fits, "{name} {n}: {:?}", answer.err());
            let stored = served.stored().await - before;
            assert_eq!(stored, if fits { sent } else { 0 }, "{name} {n}");
        }
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_bound_is_refused_before_it_is_read() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let events = vec![v1::NewEvent { payload: vec![b' '; 13 << 20].into(), ..event() }];
    let request = v1::AppendRequest { events, ..v1::AppendRequest::default() };
    let status = served.grpc().await.append(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status}");
    let body = vec![b' '; config.limits.http_body_bytes_max + 1];
    served.post(body).await.problem(413, "TOO_LARGE");
    assert_eq!(served.stored().await, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_refuses_what_is_beyond_it_and_says_when_there_is_more() {
    let (_dir, mut config) = fresh();
    config.limits.events_per_second_max = std::num::NonZeroU64::new(1);
    let served = Served::start(&config).await;
    let event = |n: u32| json!({"entity_id": "a", "event_type": "t", "payload": n}).to_string();
    // A second's worth passes; many at once do not, and are certainly not done.
    let (mut stored, mut refused) = (0, 0);
    for n in 0..200 {
        let answer = served.post(event(n)).await;
        if answer.status != 429 {
            answer.ok();
            stored += 1;
        } else {
            refused += 1;
            let problem = answer.problem(429, "QUOTA_EXCEEDED");
            assert_eq!(problem["class"], "REJECTED");
            assert!(problem["details"]["quota"].as_str().is_some_and(|quota| quota.starts_with("1 events")));
        }
    }
    assert!(refused > 0, "200 events in less than 200 seconds");
    assert_eq!(served.stored().await, stored);
    served.stop().await;
}
