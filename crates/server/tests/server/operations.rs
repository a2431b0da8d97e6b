//! What operators and tools ask: health, readiness, metrics, reflection, information, the interface's description.

use chronos_domain::place;
use chronos_proto::v1;
use serde_json::{Value, json};
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::served::{Served, fresh};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_node_is_alive_ready_and_healthy() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    assert_eq!(served.get("/healthz").await.status, 200);
    let ready = served.get("/readyz").await.ok();
    assert_eq!(
        (&ready["ready"], &ready["served"], &ready["refused"]),
        (&json!(true), &json!(32), &json!([]))
    );
    let mut health = HealthClient::new(served.channel().await);
    for service in ["", "chronos.v1.EventStore"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_the_service() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut client = ServerReflectionClient::new(served.channel().await);
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("not a list: {answer:?}");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"chronos.v1.EventStore"), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_surfaces_say_the_same_of_the_node() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let json = served.get("/v1/info").await.ok();
    let grpc = served.grpc().await.info(v1::InfoRequest {}).await.unwrap().into_inner();
    assert_eq!(json["cluster_id"], grpc.cluster_id);
    assert_eq!(json["node_id"], grpc.node_id);
    assert_eq!(json["partitions"], grpc.partitions);
    assert_eq!(json["durability"], grpc.durability);
    assert_eq!(json["limits"]["batch_events_max"], grpc.limits.unwrap().batch_events_max);
    served.stop().await;
}

/// Bytes written to the log, as the metrics tell it.
async fn written(served: &Served) -> u64 {
    let text = String::from_utf8(served.get("/metrics").await.body.to_vec()).unwrap();
    let number = text.lines().find_map(|line| line.strip_prefix("chronos_wal_written_bytes_total "));
    number.expect("it is counted").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_surfaces_count_what_the_node_holds() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let stats = served.get("/v1/info").await.ok()["stats"].clone();
    assert_eq!((&stats["entities"], &stats["events"], &stats["blocks"]), (&json!(0), &json!(0), &json!(0)));
    for entity in ["{k}-a", "{k}-b", "{k}-a"] {
        served.post(json!({"entity_id": entity, "event_type": "t", "payload": 1}).to_string()).await.ok();
    }
    let stats = served.get("/v1/info").await.ok()["stats"].clone();
    for (name, wanted) in
        [("entities", 2), ("events", 3), ("blocks", 3), ("cached_blocks", 3), ("partitions_refused", 0)]
    {
        assert_eq!(stats[name], wanted, "{name} of {stats}");
    }
    let at = usize::from(place("default", "{k}-a").get());
    assert_eq!(stats["partitions"].as_array().map(Vec::len), Some(32));
    assert_eq!(stats["partitions"][at], json!({"partition": at, "events": 3, "entities": 2}));

    let before = written(&served).await;
    let grpc = served.grpc().await.info(v1::InfoRequest {}).await.unwrap().into_inner().stats.unwrap();
    assert_eq!((grpc.entities, grpc.events, grpc.blocks, grpc.cached_blocks), (2, 3, 3, 3));
    assert_eq!(stats["cached_bytes"], grpc.cached_bytes);
    let wanted = u32::try_from(at).unwrap();
    assert_eq!(grpc.partitions[at], v1::PartitionStats { partition: wanted, events: 3, entities: 2 });
    let log = grpc.log.unwrap();
    // A unit is counted after its appends are answered, its sync before.
    assert!(log.units >= 2 && log.syncs >= 3 && log.segments >= 1, "each append waited for a sync: {log:?}");
    assert!(
        before > 0 && (before..=written(&served).await).contains(&log.bytes),
        "as in the metrics: {log:?}"
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watermarks_move_with_appends_and_their_token_covers_them() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let body = json!({"entity_id": "a", "event_type": "t", "payload": 1}).to_string();
    let stored = served.post(body).await.ok();
    let marks = served.get("/v1/watermarks").await.ok();
    let partition = stored["partition"].as_u64().unwrap();
    let mark = &marks["partitions"][usize::try_from(partition).unwrap()];
    for name in ["appended", "flushed", "committed", "applied"] {
        assert_eq!(mark[name], 1, "{name}");
    }
    let token = marks["token"].as_str().unwrap();
    let page = served.get(&format!("/v1/events?as_of={token}")).await.ok();
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1));
    let grpc = served.grpc().await.watermarks(v1::WatermarksRequest {}).await.unwrap().into_inner();
    assert_eq!(grpc.partitions.len(), 32);
    assert_eq!(grpc.token, token);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_is_routed_by_its_hash_tag() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let route = async |entity: &str| served.get(&format!("/v1/route/{entity}")).await.ok();
    let order = route("order-%7Bcust42%7D-7").await;
    let invoice = route("invoice-%7Bcust42%7D-3").await;
    assert_eq!(order["routing_key"], "cust42");
    assert_eq!(order["partition"], invoice["partition"]);
    assert_eq!(order["served"], true);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_counted() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let body = json!({"entity_id": "a", "event_type": "t", "payload": 1}).to_string();
    served.post(body).await.ok();
    served.post("{").await.problem(400, "INVALID");
    served.post(json!({"expectations": [{"entity_id": "a", "expect": 9}]}).to_string()).await;
    served.get("/v1/entities/a/events").await.ok();
    let text = String::from_utf8(served.get("/metrics").await.body.to_vec()).unwrap();
    for line in [
        "chronos_appends_total{outcome=\"stored\"} 1",
        "chronos_append_errors_total{class=\"REJECTED\",reason=\"WRONG_EXPECTED_VERSION\"} 1",
        "chronos_append_seconds_count 2",
        "chronos_reads_total{kind=\"entity\"} 1",
        "chronos_events_read_total 1",
        "chronos_node_faulted 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing of:\n{text}");
    }
    for name in ["chronos_wal_sync_seconds_bucket", "chronos_wal_syncs_total", "chronos_watermark_position"] {
        assert!(text.contains(name), "{name} is missing");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_of_the_interface_is_served() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let document: Value = served.get("/v1/openapi.json").await.ok();
    assert_eq!(document["openapi"], "3.1.0");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_grpc_method_is_unimplemented() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let mut request = crate::served::request("POST", "/chronos.v9.EventStore/Append", "");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let answer = served.send(request).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["grpc-status"]), (200, &"12".parse().unwrap()));
    served.stop().await;
}
