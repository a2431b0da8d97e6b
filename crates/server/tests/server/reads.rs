//! Reads of every kind, over gRPC and over HTTP, now and in the past.

use chronos_proto::v1;
use futures::TryStreamExt;
use serde_json::{Value, json};
use tonic::Streaming;

use crate::served::{Answer, Served, fresh, one_in_each};

/// Seven events of one entity, three of them of type `b.two`, and one of another entity in the same partition.
async fn seven(served: &Served) -> Vec<Value> {
    let mut stored = Vec::new();
    for n in 1..=7 {
        let kind = if n % 2 == 0 { "b.two" } else { "a.one" };
        let event = json!({
            "entity_id": "{k}/x", "event_type": kind, "payload": {"n": n, format!("f{n}"): n}, "tags": [format!("t{n}"), "all"],
            "metadata": {"actor": "test"}, "occurred_at": n * 1_000,
        });
        stored.push(served.post(event.to_string()).await.ok());
    }
    served.post(json!({"entity_id": "{k}/y", "event_type": "a.one", "payload": null}).to_string()).await.ok();
    stored
}

fn versions(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["version"].as_u64().unwrap()).collect()
}

async fn collect(stream: Streaming<v1::ReadResponse>) -> Vec<v1::ReadResponse> {
    stream.try_collect().await.unwrap()
}

fn of(pages: &[v1::ReadResponse]) -> Vec<(u64, u64)> {
    pages.iter().flat_map(|page| &page.events).map(|event| (event.version, event.position)).collect()
}

const ENTITY: &str = "/v1/entities/%7Bk%7D%2Fx";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_is_read_forward_and_backward_in_pages_over_http() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    seven(&served).await;
    let page = served.get(&format!("{ENTITY}/events?limit=3")).await.ok();
    assert_eq!((versions(&page), &page["next"]), (vec![1, 2, 3], &json!(4)));
    let page = served.get(&format!("{ENTITY}/events?limit=4&from=4")).await.ok();
    assert_eq!((versions(&page), &page["next"]), (vec![4, 5, 6, 7], &Value::Null));
    let page = served.get(&format!("{ENTITY}/events?backward=true&limit=3")).await.ok();
    assert_eq!((versions(&page), &page["next"]), (vec![7, 6, 5], &json!(4)));
    let page = served.get(&format!("{ENTITY}/events?backward=true&from=2")).await.ok();
    assert_eq!((versions(&page), &page["next"]), (vec![2, 1], &Value::Null));
    let event = &page["events"][1];
    assert_eq!(event["entity_id"], "{k}/x");
    assert_eq!(event["tenant_id"], "default");
    assert_eq!(event["metadata"], json!({"actor": "test"}));
    assert_eq!(event["occurred_at"], 1_000);
    served.get("/v1/entities/nobody/events").await.problem(404, "NOT_FOUND");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_and_times_choose_events_over_http() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let stored = seven(&served).await;
    let read = async |query: &str| served.get(&format!("{ENTITY}/events?{query}")).await.ok();
    assert_eq!(versions(&read("type=b.two").await), [2, 4, 6]);
    assert_eq!(versions(&read("type=b.two&type=a.one&tag=all&tag=t3").await), [3]);
    assert_eq!(versions(&read("type_prefix=a.").await), [1, 3, 5, 7]);
    assert_eq!(versions(&read("occurred_until=2000").await), [1, 2]);
    assert_eq!(versions(&read("occurred_until=1970-01-01T00:00:00.003Z").await), [1, 2, 3]);
    assert_eq!(versions(&read("as_of=v5&type=b.two").await), [2, 4]);
    let token = stored[2]["token"].as_str().unwrap();
    assert_eq!(versions(&read(&format!("as_of={token}")).await), [1, 2, 3]);
    assert_eq!(versions(&read(&format!("at_least={token}")).await).len(), 7);
    let recorded = stored[3]["recorded_at"].as_i64().unwrap();
    assert!(versions(&read(&format!("as_of={recorded}")).await).len() >= 4);
    let before = stored[0]["recorded_at"].as_i64().unwrap() - 1;
    assert_eq!(versions(&read(&format!("as_of={before}")).await), [0_u64; 0]);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_as_of_gives_the_same_bytes_after_more_was_written() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let stored = seven(&served).await;
    let token = stored[4]["token"].as_str().unwrap();
    let path = format!("{ENTITY}/events?as_of={token}");
    let before = served.get(&path).await;
    seven(&served).await;
    assert_eq!(served.get(&path).await.body, before.body);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_folded_as_of_any_moment_over_http() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    seven(&served).await;
    let state = async |query: &str| served.get(&format!("{ENTITY}/state?{query}")).await;
    let merged = state("as_of=v2").await.ok();
    assert_eq!(merged["state"], json!({"n": 2, "f1": 1, "f2": 2}));
    assert_eq!((&merged["version"], &merged["events"]), (&json!(2), &json!(2)));
    assert_eq!(state("reducer=count").await.ok()["state"], 7);
    assert_eq!(state("reducer=last&occurred_until=3000").await.ok()["state"], json!({"n": 3, "f3": 3}));
    assert_eq!(state("reducer=list&as_of=v3").await.ok()["state"].as_array().map(Vec::len), Some(3));
    state("reducer=sum").await.problem(400, "INVALID");
    state("as_of=v8").await.problem(400, "INVALID");
    served.get("/v1/entities/nobody/state").await.problem(404, "NOT_FOUND");
    served.stop().await;
}

fn lines(answer: &Answer) -> Vec<Value> {
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_partitions_are_read_in_pages_and_as_lines_over_http() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let entities = one_in_each();
    for n in 0..3 {
        for entity in &entities {
            served.post(json!({"entity_id": entity, "event_type": "t", "payload": n}).to_string()).await.ok();
        }
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = served.get(&format!("/v1/events?limit=40{cursor}")).await.ok();
        let events = page["events"].as_array().unwrap();
        seen.extend(events.iter().map(|event| (event["partition"].clone(), event["position"].clone())));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let all = lines(&served.get_lines("/v1/events").await);
    assert_eq!(all.len(), 96);
    assert!(all.iter().map(|event| event["recorded_at"].as_i64()).is_sorted());
    let places: Vec<_> =
        all.iter().map(|event| (event["partition"].clone(), event["position"].clone())).collect();
    assert_eq!(seen, places);
    let backward = lines(&served.get_lines("/v1/events?backward=true").await);
    assert_eq!(backward, all.into_iter().rev().collect::<Vec<_>>());
    let partition = served.get("/v1/partitions/31/events?from=2").await.ok();
    assert_eq!(partition["events"].as_array().map(Vec::len), Some(2));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_works_over_grpc() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let stored = seven(&served).await;
    let mut client = served.grpc().await;
    let entity = v1::ReadEntityRequest { entity_id: "{k}/x".to_owned(), ..v1::ReadEntityRequest::default() };
    let pages = collect(client.read_entity(entity.clone()).await.unwrap().into_inner()).await;
    assert_eq!(of(&pages).iter().map(|(version, _)| *version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let some = v1::ReadEntityRequest { from_version: Some(2), to_version: Some(4), ..entity.clone() };
    assert_eq!(of(&collect(client.read_entity(some).await.unwrap().into_inner()).await).len(), 3);
    let back =
        v1::ReadEntityRequest { to_version: Some(6), backward: true, limit: Some(9), ..entity.clone() };
    let back = of(&collect(client.read_entity(back).await.unwrap().into_inner()).await);
    assert_eq!(back.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [7, 6]);
    let partition = u32::try_from(stored[0]["partition"].as_u64().unwrap()).unwrap();
    let whole = v1::ReadPartitionRequest { partition, backward: true, ..v1::ReadPartitionRequest::default() };
    let pages = collect(client.read_partition(whole).await.unwrap().into_inner()).await;
    assert_eq!(of(&pages).len(), 8);
    assert_eq!(of(&pages)[0].1, 8);
    let all = v1::ReadAllRequest { limit: Some(5), ..v1::ReadAllRequest::default() };
    let first = collect(client.read_all(all).await.unwrap().into_inner()).await;
    let cursor = first.last().unwrap().cursor.clone();
    let rest = v1::ReadAllRequest { cursor, ..v1::ReadAllRequest::default() };
    let rest = collect(client.read_all(rest).await.unwrap().into_inner()).await;
    let positions: Vec<_> = of(&first).into_iter().chain(of(&rest)).map(|(_, position)| position).collect();
    assert_eq!(positions, (1..=8).collect::<Vec<_>>());
    let state = v1::GetStateRequest { entity_id: "{k}/x".to_owned(), ..v1::GetStateRequest::default() };
    let state = client.get_state(state).await.unwrap().into_inner();
    assert_eq!((state.version, state.events), (7, 7));
    assert_eq!(serde_json::from_slice::<Value>(&state.state).unwrap()["n"], 7);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_read_without_events_is_one_page_with_its_token() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let pages = collect(client.read_all(v1::ReadAllRequest::default()).await.unwrap().into_inner()).await;
    assert_eq!(pages.len(), 1);
    assert!(pages[0].events.is_empty() && !pages[0].token.is_empty());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_found_by_its_id_and_an_unknown_one_is_not_found() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let stored = seven(&served).await;
    let id = stored[0]["event_ids"][0].as_str().unwrap();
    let event = served.get(&format!("/v1/events/{id}")).await.ok();
    assert_eq!((&event["event_id"], &event["version"]), (&json!(id), &json!(1)));
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    served.get(&format!("/v1/events/{unknown}")).await.problem(404, "NOT_FOUND");
    served.get("/v1/events/7").await.problem(400, "INVALID");
    let request = v1::GetEventRequest { event_id: unknown.to_owned() };
    let status = served.grpc().await.get_event(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_come_back_byte_for_byte() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let payload = "{ \"b\":1.0e2,  \"a\":[1,\t2],\"a2\":\"\\u00e4\" }";
    let event = |payload: &str| format!(r#"{{"entity_id":"a","event_type":"t","payload":{payload}}}"#);
    served.post(event(payload)).await.ok();
    served
        .post(r#"{"entity_id":"a","event_type":"t","content_type":"text/plain","payload":"aGk="}"#)
        .await
        .ok();
    served.post(event("[1,\n2]")).await.ok();
    let request = v1::ReadEntityRequest { entity_id: "a".to_owned(), ..v1::ReadEntityRequest::default() };
    let pages = collect(served.grpc().await.read_entity(request).await.unwrap().into_inner()).await;
    let stored: Vec<_> = pages[0].events.iter().map(|event| event.payload.clone()).collect();
    assert_eq!(stored, [payload.as_bytes(), b"hi", b"[1,\n2]"]);
    let body = served.get("/v1/entities/a/events").await.body;
    assert!(String::from_utf8(body.to_vec()).unwrap().contains(payload));
    let lines = lines(&served.get_lines("/v1/entities/a/events").await);
    assert_eq!((&lines[1]["payload"], &lines[1]["content_type"]), (&json!("aGk="), &json!("text/plain")));
    assert_eq!(lines[2]["payload"], json!([1, 2]));
    served.stop().await;
}
