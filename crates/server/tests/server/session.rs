//! Append sessions: packed blocks, many in flight.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronos_block::{Compression, Draft, Packer};
use chronos_domain::{EntityId, EventId, EventType, Expectation};
use chronos_proto::v1;
use chronos_proto::v1::append_stream_response::Outcome;
use futures::stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::served::{Served, fresh};

fn block(entity: &str, id: u128, payload: &str, expect: Option<Expectation>) -> Bytes {
    let entity = EntityId::parse(entity).unwrap();
    let mut packer = Packer::new();
    if let Some(expectation) = expect {
        packer.expect(entity.clone(), expectation).unwrap();
    }
    let event_type = EventType::parse("t").unwrap();
    packer.push(Draft::json(EventId::from_u128(id), entity, event_type, payload.to_owned())).unwrap();
    packer.finish(Compression::None).unwrap().bytes().clone()
}

fn request(request_id: u64, block: Bytes) -> v1::AppendStreamRequest {
    v1::AppendStreamRequest { request_id, block, deadline_ms: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_a_session_is_answered_once() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let requests = (1..=3000_u64).map(|n| request(n, block(&format!("e-{}", n % 97), n.into(), "1", None)));
    let mut answers = client.append_stream(stream::iter(requests)).await.unwrap().into_inner();
    let mut seen = BTreeMap::new();
    while let Some(answer) = answers.message().await.unwrap() {
        let stored = matches!(answer.outcome, Some(Outcome::Stored(_)));
        assert_eq!(
            seen.insert(answer.request_id, stored),
            None,
            "request {} was answered twice",
            answer.request_id
        );
    }
    assert_eq!(seen.len(), 3000);
    assert!(seen.values().all(|stored| *stored));
    assert_eq!(served.stored().await, 3000);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_does_not_end_the_session() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let whole = block("a", 1, "1", None);
    let mut damaged = whole.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let requests = vec![
        request(1, whole),
        request(2, damaged.into()),
        request(3, block("a", 2, "{", None)),
        request(4, Bytes::new()),
        request(5, block("b", 3, "1", Some(Expectation::Exists))),
        request(6, block("a", 4, "2", None)),
    ];
    let mut answers = client.append_stream(stream::iter(requests)).await.unwrap().into_inner();
    let mut reasons = BTreeMap::new();
    while let Some(answer) = answers.message().await.unwrap() {
        let reason = match answer.outcome.unwrap() {
            Outcome::Stored(_) => "stored".to_owned(),
            Outcome::Failure(failure) => failure.reason,
        };
        reasons.insert(answer.request_id, reason);
    }
    let expected = ["stored", "INVALID", "INVALID", "INVALID", "WRONG_EXPECTED_VERSION", "stored"];
    assert_eq!(reasons.into_values().collect::<Vec<_>>(), expected);
    assert_eq!(served.stored().await, 2);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_request_is_answered_while_the_session_stays_open() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let (send, requests) = mpsc::channel(1);
    let mut answers = client.append_stream(ReceiverStream::new(requests)).await.unwrap().into_inner();
    for n in 1..=5 {
        send.send(request(n, block("a", n.into(), "1", None))).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().request_id, n);
    }
    drop(send);
    assert!(answers.message().await.unwrap().is_none());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_block_is_answered_with_the_first_numbers() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let again = block("a", 9, "1", Some(Expectation::NoEntity));
    for deduplicated in [false, true] {
        let requests = stream::iter([request(1, again.clone())]);
        let mut answers = client.append_stream(requests).await.unwrap().into_inner();
        let Some(Outcome::Stored(stored)) = answers.message().await.unwrap().unwrap().outcome else {
            panic!("it must be stored");
        };
        assert_eq!((stored.deduplicated, stored.versions), (deduplicated, vec![1]));
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_a_reader_is_held_back_and_loses_nothing() {
    let (_dir, mut config) = fresh();
    config.limits.session_appends_max = 4;
    config.limits.session_bytes_max = 64 << 10;
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let payload = format!("\"{}\"", "x".repeat(32 << 10));
    let requests: Vec<_> = (1..=200_u64).map(|n| request(n, block("a", n.into(), &payload, None))).collect();
    let mut answers = client.append_stream(stream::iter(requests)).await.unwrap().into_inner();
    let mut count = 0;
    while answers.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 200);
    assert_eq!(served.stored().await, 200);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_session_ends_with_a_reason_when_the_server_stops() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let (send, requests) = mpsc::channel(1);
    let mut answers = client.append_stream(ReceiverStream::new(requests)).await.unwrap().into_inner();
    send.send(request(1, block("a", 1, "1", None))).await.unwrap();
    answers.message().await.unwrap().unwrap();
    let stopping = chronos_env::Env::real().tasks.spawn("stop", served.stop());
    let status = answers.message().await.unwrap_err();
    let failure = chronos_proto::Failure::from_status(&status);
    assert_eq!(failure.reason, "UNAVAILABLE");
    assert_eq!(failure.class, chronos_proto::Class::NotApplied);
    drop((send, answers, client));
    stopping.await.unwrap();
}
