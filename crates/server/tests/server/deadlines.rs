//! Deadlines and slow callers.

use chronos_domain::{PartitionId, Position, Token};
use chronos_proto::error::Failure;
use chronos_proto::v1;
use prost::Message;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Status;

use crate::served::{Served, fresh, request};

fn ahead() -> Token {
    let mut token = Token::new();
    for partition in PartitionId::all() {
        token.advance(partition, Position::new(7));
    }
    token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_waits_for_more_than_there_is_says_what_is_missing() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let path = format!("/v1/partitions/3/events?at_least={}&timeout_ms=20", ahead());
    let problem = served.get(&path).await.problem(503, "NOT_CAUGHT_UP");
    assert_eq!((&problem["details"]["have"], &problem["details"]["want"]), (&json!("0"), &json!("7")));
    let message = v1::ReadPartitionRequest {
        partition: 3,
        consistency: Some(v1::Consistency {
            level: Some(v1::consistency::Level::AtLeast(ahead().to_string())),
        }),
        ..v1::ReadPartitionRequest::default()
    };
    // Sent without a client library, which would end the call by itself before the server does.
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    frame.extend(message.encode_to_vec());
    let mut call = request("POST", "/chronos.v1.EventStore/ReadPartition", frame);
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    call.headers_mut().insert("grpc-timeout", "20m".parse().unwrap());
    let status = Status::from_header_map(&served.send(call).await.headers).expect("the call ends at once");
    let failure = Failure::from_status(&status);
    assert_eq!((failure.reason.as_str(), failure.metadata["want"].as_str()), ("NOT_CAUGHT_UP", "7"));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_without_time_is_certainly_not_done() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut body = request(
        "POST",
        "/v1/events?timeout_ms=0",
        json!({"entity_id": "a", "event_type": "t", "payload": 1}).to_string(),
    );
    body.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let problem = served.send(body).await.problem(504, "DEADLINE_EXCEEDED");
    assert_eq!(problem["class"], "NOT_APPLIED");
    assert_eq!(served.stored().await, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_message_never_becomes_whole_ends_at_its_deadline() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = "POST /chronos.v1.EventStore/GetEvent HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\n\
                te: trailers\r\ngrpc-timeout: 20m\r\ncontent-length: 100\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[0, 0, 0, 0, 95, 10, 36]).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    // Resolves only because the server answers, or hangs up.
    while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "an answer comes before the end");
        answer.extend_from_slice(&piece[..read]);
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("grpc-status: 4"), "{answer}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_never_finishes_its_header_is_hung_up_on() {
    let (_dir, mut config) = fresh();
    config.limits.header_read_timeout_ms = 30;
    let served = Served::start(&config).await;
    for opening in [&b""[..], &b"GET /healthz HTTP/1.1\r\nhost: "[..]] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(opening).await.unwrap();
        let mut answer = Vec::new();
        // Resolves only because the server closes the connection.
        stream.read_to_end(&mut answer).await.unwrap();
    }
    assert_eq!(served.get("/healthz").await.status, 200);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_everything_and_holds_nobody_up() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let payload = format!("\"{}\"", "x".repeat(200 << 10));
    for _ in 0..4 {
        let event = v1::NewEvent {
            entity_id: "big".to_owned(),
            event_type: "t".to_owned(),
            payload: payload.clone().into(),
            ..v1::NewEvent::default()
        };
        let append = v1::AppendRequest { events: vec![event; 30], ..v1::AppendRequest::default() };
        client.append(append).await.unwrap();
    }
    let read = v1::ReadEntityRequest { entity_id: "big".to_owned(), ..v1::ReadEntityRequest::default() };
    let mut pages = client.read_entity(read).await.unwrap().into_inner();
    let mut events = pages.message().await.unwrap().unwrap().events.len();
    // The reader does not read; others are served as ever, on the same connection too.
    let state = v1::GetStateRequest {
        entity_id: "big".to_owned(),
        reducer: v1::Reducer::Count.into(),
        ..v1::GetStateRequest::default()
    };
    assert_eq!(client.get_state(state).await.unwrap().into_inner().state.as_ref(), b"120");
    assert_eq!(served.get("/healthz").await.status, 200);
    while let Some(page) = pages.message().await.unwrap() {
        events += page.events.len();
    }
    assert_eq!(events, 120);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_cuts_a_caller_that_does_not_end() {
    let (_dir, mut config) = fresh();
    config.limits.drain_timeout_ms = 50;
    let served = Served::start(&config).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").await.unwrap();
    let stopping = chronos_env::Env::real().tasks.spawn("stop", served.stop());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    stopping.await.unwrap();
}
