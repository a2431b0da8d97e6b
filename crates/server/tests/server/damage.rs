//! Damage at rest, a directory in use, and directories of somebody else.

use std::fs;
use std::os::unix::fs::FileExt;

use chronos_domain::place;
use chronos_env::Env;
use chronos_server::{Node, StartError};
use serde_json::json;

use crate::served::{Served, config, first_segment, fresh, one_in_each};

fn body(entity: &str, payload: &str) -> String {
    json!({"entity_id": entity, "event_type": "t", "payload": payload}).to_string()
}

/// Flips one bit inside the only occurrence of `needle` in the first log file.
fn damage(data: &std::path::Path, needle: &str) {
    let path = first_segment(data);
    let bytes = fs::read(&path).unwrap();
    let at =
        bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).expect("it is in the log");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_at(&[bytes[at] ^ 1], at as u64).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_partition_is_refused_by_name_and_the_others_serve() {
    let (_dir, config) = fresh();
    let entities = one_in_each();
    let served = Served::start(&config).await;
    for entity in &entities {
        served.post(body(entity, &format!("needle-of-{entity}."))).await.ok();
        served.post(body(entity, "more")).await.ok();
    }
    served.stop().await;
    let (hurt, whole) = (&entities[5], &entities[6]);
    damage(&config.data, &format!("needle-of-{hurt}."));
    let partition = place("default", hurt).get();

    let served = Served::start(&config).await;
    let problem = served.get(&format!("/v1/entities/{hurt}/events")).await.problem(500, "CORRUPT");
    assert!(problem["detail"].as_str().unwrap().contains("lane-00"), "{problem}");
    let problem = served.post(body(hurt, "x")).await.problem(500, "CORRUPT");
    assert_eq!(problem["class"], "NOT_APPLIED");
    served.get("/v1/events").await.problem(500, "CORRUPT");
    served.get("/v1/events/01890a5d-ac96-774b-bcce-b302099a8057").await.problem(500, "CORRUPT");
    assert_eq!(served.post(body(whole, "x")).await.ok()["versions"], json!([3]));
    let page = served.get(&format!("/v1/entities/{whole}/events")).await.ok();
    assert_eq!(page["events"].as_array().map(Vec::len), Some(3));
    let ready = served.get("/readyz").await.ok();
    assert_eq!((&ready["served"], &ready["refused"][0]["partition"]), (&json!(31), &json!(partition)));
    let marks = served.get("/v1/watermarks").await.ok();
    assert_eq!(marks["partitions"][usize::from(partition)]["problem"]["reason"], "CORRUPT");
    let metrics = String::from_utf8(served.get("/metrics").await.body.to_vec()).unwrap();
    assert!(
        metrics.contains(&format!("chronos_partition_refused{{partition=\"{partition}\"}} 1")),
        "{metrics}"
    );
    served.stop().await;
}

async fn refusal(config: &chronos_server::Config) -> StartError {
    match Node::start(Env::real(), config).await {
        Ok(_) => panic!("it must not start"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_in_use_is_refused_and_the_user_goes_on() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let error = refusal(&config).await;
    assert!(matches!(error, StartError::Data(_)), "{error}");
    assert!(error.to_string().contains("running"), "{error}");
    served.post(body("a", "x")).await.ok();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_another_cluster_is_refused() {
    let (_dir, mut config) = fresh();
    Served::start(&config).await.stop().await;
    config.cluster = Some(7);
    let error = refusal(&config).await;
    assert!(error.to_string().contains("cluster"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_with_other_things_in_it_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "precious").unwrap();
    refusal(&config(dir.path())).await;
    assert_eq!(fs::read_to_string(dir.path().join("thesis.txt")).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_without_a_directory_is_refused() {
    let error = refusal(&chronos_server::Config::default()).await;
    assert!(error.to_string().contains("data"), "{error}");
}
