//! Appends, over gRPC and over HTTP.

use chronos_proto::error::{Class, Failure};
use chronos_proto::v1;
use serde_json::json;

use crate::served::{Served, apart, fresh};

fn event(entity: &str, payload: &'static str) -> v1::NewEvent {
    v1::NewEvent {
        entity_id: entity.to_owned(),
        event_type: "order.placed".to_owned(),
        payload: payload.into(),
        ..v1::NewEvent::default()
    }
}

fn expect(entity: &str, rule: v1::expectation::Rule) -> v1::Expectation {
    v1::Expectation { entity_id: entity.to_owned(), rule: Some(rule) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_append_over_grpc_is_numbered_and_its_ids_are_made() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let events = vec![event("{k}-1", "1"), event("{k}-2", "2"), event("{k}-1", "3")];
    let request = v1::AppendRequest { events, ..v1::AppendRequest::default() };
    let response = client.append(request).await.unwrap().into_inner();
    assert_eq!(response.first_position, 1);
    assert_eq!(response.versions, [1, 1, 2]);
    assert_eq!(response.event_ids.len(), 3);
    assert_eq!(response.durability, "quorum-fsync");
    assert!(!response.deduplicated);
    let found =
        client.get_event(v1::GetEventRequest { event_id: response.event_ids[2].clone() }).await.unwrap();
    let found = found.into_inner().event.unwrap();
    assert_eq!((found.version, found.position, found.payload.as_ref()), (2, 3, b"3".as_slice()));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expectations_and_conditions_reject_over_grpc_with_their_values() {
    use v1::expectation::{Exists, NoEntity, Rule};
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = served.grpc().await;
    let mut append = async |expectations, condition| {
        let events = vec![v1::NewEvent { tags: vec!["vip".to_owned()], ..event("{k}-1", "1") }];
        let answer = client.append(v1::AppendRequest { events, expectations, condition }).await;
        answer.map(tonic::Response::into_inner).map_err(|status| Failure::from_status(&status))
    };
    let failed = append(vec![expect("{k}-1", Rule::Exists(Exists {}))], None).await.unwrap_err();
    assert_eq!((failed.class, failed.reason.as_str()), (Class::Rejected, "WRONG_EXPECTED_VERSION"));
    assert_eq!((failed.metadata["entity"].as_str(), failed.metadata["actual"].as_str()), ("{k}-1", "0"));
    append(vec![expect("{k}-1", Rule::NoEntity(NoEntity {}))], None).await.unwrap();
    append(vec![expect("{k}-1", Rule::Exact(1))], None).await.unwrap();
    let failed = append(vec![expect("{k}-1", Rule::Exact(1))], None).await.unwrap_err();
    assert_eq!(failed.metadata["actual"], "2");
    let item = v1::QueryItem { types: vec!["order.placed".to_owned()], tags: vec!["vip".to_owned()] };
    let condition = |after| v1::Condition { fail_if: vec![item.clone()], after };
    let failed = append(vec![], Some(condition(1))).await.unwrap_err();
    assert_eq!((failed.reason.as_str(), failed.metadata["position"].as_str()), ("CONDITION_FAILED", "2"));
    append(vec![], Some(condition(2))).await.unwrap();
    assert_eq!(served.stored().await, 3);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_gets_the_first_answer_and_a_changed_one_a_conflict() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let event = |payload: &str| {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        json!({"event_id": id, "entity_id": "a", "event_type": "t", "payload": payload}).to_string()
    };
    let first = served.post(event("x")).await.ok();
    let other =
        served.post(json!({"entity_id": "a", "event_type": "t", "payload": 1}).to_string()).await.ok();
    assert_eq!((&first["versions"], &other["versions"]), (&json!([1]), &json!([2])));
    let again = served.post(event("x")).await.ok();
    assert_eq!(again["deduplicated"], true);
    assert_eq!(
        (&again["versions"], &again["first_position"]),
        (&first["versions"], &first["first_position"])
    );
    served.post(event("y")).await.problem(409, "IDEMPOTENCY_CONFLICT");
    assert_eq!(served.stored().await, 2);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_over_http_carries_expectations_and_a_condition() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let body = |expect: serde_json::Value, after: u64| {
        json!({
            "events": [{"entity_id": "{k}-1", "event_type": "t", "payload": {"n": 1}, "tags": ["a"]}],
            "expectations": [{"entity_id": "{k}-1", "expect": expect}, {"entity_id": "{k}-2", "expect": "none"}],
            "condition": {"fail_if": [{"tags": ["a"]}], "after": after},
        })
        .to_string()
    };
    let stored = served.post(body(json!("none"), 0)).await.ok();
    assert_eq!(stored["versions"], json!([1]));
    assert_eq!(stored["event_ids"].as_array().map(Vec::len), Some(1));
    let problem = served.post(body(json!(7), 1)).await.problem(409, "WRONG_EXPECTED_VERSION");
    assert_eq!((&problem["details"]["actual"], &problem["class"]), (&json!("1"), &json!("REJECTED")));
    let problem = served.post(body(json!("exists"), 0)).await.problem(409, "CONDITION_FAILED");
    assert_eq!(problem["details"]["position"], "1");
    served.post(body(json!(1), 1)).await.ok();
    assert_eq!(served.stored().await, 2);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_only_checks_stores_nothing_and_says_whether_the_checks_hold() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let check = |expect: &str| json!({"expectations": [{"entity_id": "a", "expect": expect}]}).to_string();
    let stored = served.post(check("none")).await.ok();
    assert_eq!((&stored["first_position"], &stored["versions"]), (&json!(0), &json!([])));
    served.post(check("exists")).await.problem(409, "WRONG_EXPECTED_VERSION");
    assert_eq!(served.stored().await, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_two_partitions_are_refused_with_their_names_on_both_surfaces() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let (here, there) = apart();
    let event_json = |entity: &str| json!({"entity_id": entity, "event_type": "t", "payload": 1});
    let body = json!({"events": [event_json(&here), event_json(&there)]}).to_string();
    let problem = served.post(body).await.problem(400, "CROSS_PARTITION");
    let named = problem["details"]["partitions"].as_str().map(|list| list.split(',').count());
    assert_eq!(named, Some(2), "{problem}");
    let events = vec![event(&here, "1"), event(&there, "2")];
    let request = v1::AppendRequest { events, ..v1::AppendRequest::default() };
    let status = served.grpc().await.append(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert_eq!(Failure::from_status(&status).reason, "CROSS_PARTITION");
    assert_eq!(served.stored().await, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_restart_and_numbering_goes_on() {
    let (_dir, config) = fresh();
    let body = |n: u64| json!({"entity_id": "a", "event_type": "t", "payload": n}).to_string();
    let served = Served::start(&config).await;
    for n in 1..=20 {
        assert_eq!(served.post(body(n)).await.ok()["versions"], json!([n]));
    }
    served.stop().await;
    let served = Served::start(&config).await;
    let page = served.get("/v1/entities/a/events").await.ok();
    let payloads: Vec<_> = page["events"].as_array().unwrap().iter().map(|e| e["payload"].as_u64()).collect();
    assert_eq!(payloads, (1..=20).map(Some).collect::<Vec<_>>());
    assert_eq!(served.post(body(21)).await.ok()["versions"], json!([21]));
    served.stop().await;
}
