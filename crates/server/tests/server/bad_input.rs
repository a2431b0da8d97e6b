//! Bad input: each is refused with a clear reason, on both surfaces, and nothing is stored.

use chronos_proto::error::Failure;
use chronos_proto::v1;
use serde_json::{Value, json};
use tonic::Status;

use crate::served::{Served, fresh, request};

fn event(entity: &str) -> Value {
    json!({"entity_id": entity, "event_type": "t", "payload": 1})
}

/// A name and a body that must be refused with this status and reason, whose message has this word.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16, &'static str, &'static str)> {
    let text = |value: Value| value.to_string().into_bytes();
    let with = |name: &str, value: Value| {
        let mut event = event("a");
        event[name] = value;
        event.to_string().into_bytes()
    };
    let two = json!({"events": [with_id("a"), with_id("a")]});
    vec![
        ("an empty entity id", text(event("")), 400, "INVALID", "entity_id"),
        ("an entity id of 257 bytes", text(event(&"e".repeat(257))), 400, "INVALID", "256"),
        ("a control character", text(event("a\u{7}b")), 400, "INVALID", "control"),
        ("a path out of somewhere", text(event("../../etc")), 400, "INVALID", "path"),
        ("an absolute path", text(event("/etc")), 400, "INVALID", "path"),
        ("a backslash", text(event("a\\b")), 400, "INVALID", "backslash"),
        (
            "invalid UTF-8",
            b"{\"entity_id\":\"\xff\",\"event_type\":\"t\",\"payload\":1}".to_vec(),
            400,
            "INVALID",
            "UTF-8",
        ),
        ("malformed JSON", b"{\"entity_id\":".to_vec(), 400, "INVALID", "EOF"),
        (
            "a malformed payload",
            b"{\"entity_id\":\"a\",\"event_type\":\"t\",\"payload\":{1}}".to_vec(),
            400,
            "INVALID",
            "line 1",
        ),
        ("an unknown field", with("colour", json!("red")), 400, "INVALID", "colour"),
        ("no type", with("event_type", json!("")), 400, "INVALID", "event_type"),
        ("a type with a blank", with("event_type", json!("order placed")), 400, "INVALID", "white space"),
        ("an id that is no UUID", with("event_id", json!("7")), 400, "INVALID", "UUID"),
        (
            "a nil id",
            with("event_id", json!("00000000-0000-0000-0000-000000000000")),
            400,
            "INVALID",
            "event_id",
        ),
        (
            "17 tags",
            with("tags", json!((0..17).map(|n| n.to_string()).collect::<Vec<_>>())),
            413,
            "TOO_LARGE",
            "16",
        ),
        ("a tag twice", with("tags", json!(["x", "x"])), 400, "INVALID", "twice"),
        ("metadata that is no object", with("metadata", json!([1])), 400, "INVALID", "metadata"),
        ("a payload that is no base64", with("content_type", json!("text/plain")), 400, "INVALID", "base64"),
        (
            "a payload one byte too long",
            with("payload", json!("x".repeat((1 << 20) - 1))),
            413,
            "TOO_LARGE",
            "payload",
        ),
        ("4,097 events", text(json!({"events": vec![event("a"); 4097]})), 413, "TOO_LARGE", "4096"),
        ("one id twice", text(two), 400, "INVALID", "event_id"),
        ("nothing at all", b"{\"events\":[]}".to_vec(), 400, "INVALID", ""),
    ]
}

fn with_id(entity: &str) -> Value {
    let mut event = event(entity);
    event["event_id"] = json!("01890a5d-ac96-774b-bcce-b302099a8057");
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bodies_over_http_are_refused_and_store_nothing() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    for (name, body, status, reason, word) in bodies() {
        let answer = served.post(body).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {:?}", answer.body);
        let problem = answer.problem(status, reason);
        assert_eq!(problem["class"], "REJECTED", "{name}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{name}: {problem}");
    }
    assert_eq!(served.stored().await, 0);
    served.stop().await;
}

fn new_event(change: impl FnOnce(&mut v1::NewEvent)) -> v1::NewEvent {
    let mut event = v1::NewEvent {
        entity_id: "a".to_owned(),
        event_type: "t".to_owned(),
        payload: "1".into(),
        ..v1::NewEvent::default()
    };
    change(&mut event);
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_over_grpc_are_refused_and_store_nothing() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let one = |change: fn(&mut v1::NewEvent)| vec![new_event(change)];
    let cases = [
        ("an empty entity id", one(|e| e.entity_id.clear()), "INVALID"),
        ("an entity id of 257 bytes", one(|e| e.entity_id = "e".repeat(257)), "INVALID"),
        ("a control character", one(|e| e.entity_id = "a\n".to_owned()), "INVALID"),
        ("a path", one(|e| e.entity_id = "../../etc".to_owned()), "INVALID"),
        ("a malformed payload", one(|e| e.payload = "{".into()), "INVALID"),
        ("invalid UTF-8 in JSON", one(|e| e.payload = b"\"\xff\"".as_slice().into()), "INVALID"),
        ("malformed metadata", one(|e| e.metadata = "{".into()), "INVALID"),
        ("metadata that is no object", one(|e| e.metadata = "[]".into()), "INVALID"),
        ("a payload one byte too long", one(|e| e.payload = vec![b'1'; (1 << 20) + 1].into()), "TOO_LARGE"),
        ("4,097 events", vec![new_event(|_| {}); 4097], "TOO_LARGE"),
        ("nothing at all", vec![], "INVALID"),
    ];
    for (name, events, reason) in cases {
        let request = v1::AppendRequest { events, ..v1::AppendRequest::default() };
        let status = client.append(request).await.expect_err(name);
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{name}: {status}");
        let failure = Failure::from_status(&status);
        assert_eq!(failure.reason, reason, "{name}: {failure}");
        assert_eq!(failure.class, chronos_proto::Class::Rejected, "{name}");
    }
    let expectations = vec![v1::Expectation { entity_id: "a".to_owned(), rule: None }];
    let request = v1::AppendRequest { events: one(|_| {}), expectations, condition: None };
    let failure = Failure::from_status(&client.append(request).await.unwrap_err());
    assert_eq!(failure.metadata["field"], "expectation");
    assert_eq!(served.stored().await, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_reads_are_refused_on_both_surfaces() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    for (path, word) in [
        ("/v1/partitions/32/events", "partition is \"32\"; give 0 to 31"),
        ("/v1/partitions/-1/events", "partition is \"-1\"; give 0 to 31"),
        ("/v1/partitions/abc/events", "partition is \"abc\"; give 0 to 31"),
        ("/v1/entities/a%00/events", "control"),
        ("/v1/entities/%FF/events", "UTF-8"),
        ("/v1/entities/a/events?limit=0", "limit"),
        ("/v1/entities/a/events?limit=4097", "4096"),
        ("/v1/entities/a/events?from=-1", "from"),
        ("/v1/entities/a/events?backward=maybe", "backward"),
        ("/v1/entities/a/events?colour=red", "colour"),
        ("/v1/entities/a/events?as_of=yesterday", "as_of"),
        ("/v1/entities/a/events?occurred_until=soon", "occurred_until"),
        ("/v1/entities/a/events?tag=", "tag"),
        ("/v1/entities/a/events?type=a%20b", "type"),
        ("/v1/events?cursor=c1.x", "cursor"),
        ("/v1/events?as_of=v3", "version"),
        ("/v1/events?as_of=2999-01-01T00:00:00Z", "not passed"),
        ("/v1/events/nothing", "UUID"),
        ("/v1/route/..%2Fx", "path"),
    ] {
        let problem = served.get(path).await.problem(400, "INVALID");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{path}: {problem}");
    }
    let mut client = served.grpc().await;
    let request = v1::ReadPartitionRequest { partition: 32, ..v1::ReadPartitionRequest::default() };
    let status = client.read_partition(request).await.unwrap_err();
    assert_eq!(Failure::from_status(&status).metadata["field"], "partition");
    let request = v1::ReadEntityRequest {
        entity_id: "a".to_owned(),
        as_of: Some(v1::AsOf { moment: None }),
        ..v1::ReadEntityRequest::default()
    };
    let status = client.read_entity(request).await.unwrap_err();
    assert_eq!(Failure::from_status(&status).metadata["field"], "as_of");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_served_is_a_problem_too() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let problem = served.get("/v1/entities/a/b/events").await.problem(404, "NOT_FOUND");
    assert!(problem["detail"].as_str().unwrap().contains("%2F"), "{problem}");
    served.get("/v2/events").await.problem(404, "NOT_FOUND");
    served.send(request("DELETE", "/v1/events", "")).await.problem(405, "INVALID");
    let mut form = request("POST", "/v1/events", "a=b");
    form.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    served.send(form).await.problem(415, "INVALID");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packed_body_is_refused_by_the_name_of_its_encoding() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let body = r#"{"entity_id":"a","event_type":"t","payload":1}"#;
    let encoded = |encoding: &str| {
        let mut request = request("POST", "/v1/events", body);
        request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        served.send(request)
    };
    let problem = encoded("gzip").await.problem(415, "INVALID");
    assert!(problem["detail"].as_str().unwrap().contains("content-encoding \"gzip\""), "{problem}");
    assert_eq!(encoded("identity").await.status, 200);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_means_another_cluster_is_refused_before_anything_is_done() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let info = served.get("/v1/info").await.json();
    let ours = info["cluster_id"].as_str().unwrap();
    let event = json!({"entity_id": "a", "event_type": "t", "payload": 1}).to_string();
    let append = |cluster: &str| {
        let mut request = request("POST", "/v1/events", event.clone());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        request.headers_mut().insert("chronos-cluster", cluster.parse().unwrap());
        request
    };
    for other in ["01890a5d-ac96-774b-bcce-b302099a8057", "x"] {
        let problem = served.send(append(other)).await.problem(503, "UNAVAILABLE");
        assert_eq!(
            (&problem["class"], &problem["details"]["other_cluster"]),
            (&json!("NOT_APPLIED"), &json!(ours))
        );
        let mut call = request("POST", "/chronos.v1.EventStore/ReadPartition", vec![0; 5]);
        call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        call.headers_mut().insert("chronos-cluster", other.parse().unwrap());
        let status =
            Status::from_header_map(&served.send(call).await.headers).expect("the call ends at once");
        assert_eq!(Failure::from_status(&status).metadata["other_cluster"], ours);
    }
    assert_eq!(served.stored().await, 0);
    assert_eq!(served.send(append(ours)).await.status, 200);
    served.stop().await;
}
