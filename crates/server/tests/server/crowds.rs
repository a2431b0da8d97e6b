//! More connections than a port takes.

use std::time::Duration;

use chronos_env::Env;
use chronos_proto::v1;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::served::{Answer, Served, fresh};

/// Longer than anybody waits who is served: without room nobody ever is.
const LONG: Duration = Duration::from_secs(60);

/// A port with so many places, whose callers may say nothing for as long as they like.
async fn patient(connections_max: usize) -> (tempfile::TempDir, Served) {
    let (dir, mut config) = fresh();
    (config.limits.connections_max, config.limits.header_read_timeout_ms) = (connections_max, 3_600_000);
    let served = Served::start(&config).await;
    (dir, served)
}

async fn watermarks(served: &Served) -> Answer {
    let answer = Env::real().clock.timeout(LONG, served.get("/v1/watermarks")).await;
    answer.expect("it is answered")
}

async fn until_text(stream: &mut TcpStream, wanted: &str) {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut piece = [0; 512];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_36_who_only_stays_keeps_nobody_out() {
    let (_dir, served) = patient(4).await;
    let mut crowd = Vec::new();
    // Nothing, and three beginnings of which nothing comes.
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nhost: x"].repeat(5) {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        crowd.push(stream);
    }
    watermarks(&served).await.ok();
    let first = Env::real().clock.timeout(LONG, crowd[0].read(&mut [0])).await;
    assert!(matches!(first, Ok(Ok(0) | Err(_))), "who came first has left: {first:?}");
    drop(crowd);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_all_are_busy_is_told_so_and_is_served_when_one_of_them_is_not() {
    let (_dir, served) = patient(1).await;
    let body = json!({"entity_id": "a", "event_type": "t", "payload": 1}).to_string();
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    let head = format!(
        "POST /v1/events?timeout_ms=60000 HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    // The request is looked at, and its body is waited for.
    until_text(&mut busy, "100 Continue\r\n\r\n").await;
    let problem = watermarks(&served).await.problem(503, "UNAVAILABLE");
    assert_eq!(problem["class"], "NOT_APPLIED");
    let why = problem["detail"].as_str().unwrap();
    assert!(why.contains("takes 1 connections of clients") && why.contains("ask another node"), "{why}");
    let refused = served.grpc().await.watermarks(v1::WatermarksRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("takes 1 connections of clients"), "{refused}");
    busy.write_all(body.as_bytes()).await.unwrap();
    until_text(&mut busy, "\"deduplicated\":false").await;
    // It stays, and asks nothing.
    watermarks(&served).await.ok();
    served.stop().await;
}
