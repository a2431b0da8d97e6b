//! Damage at rest, a directory in use, and directories of somebody else.

use std::fs;
use std::os::unix::fs::FileExt;

use chronos_domain::place;
use chronos_domain::xxh64::xxh64;
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
    let named = format!("out of service on this node: partition {partition} (callers are refused)");
    assert!(ready["detail"].as_str().unwrap().contains(&named), "{ready}");
    let marks = served.get("/v1/watermarks").await.ok();
    assert_eq!(marks["partitions"][usize::from(partition)]["problem"]["reason"], "CORRUPT");
    let stats = served.get("/v1/info").await.ok()["stats"].clone();
    assert_eq!((&stats["partitions_refused"], &stats["entities"]), (&json!(1), &json!(31)));
    let counted = stats["partitions"].as_array().unwrap();
    assert!(counted.len() == 31 && counted.iter().all(|of| of["partition"] != partition), "{stats}");
    let metrics = String::from_utf8(served.get("/metrics").await.body.to_vec()).unwrap();
    assert!(
        metrics.contains(&format!("chronos_partition_refused{{partition=\"{partition}\"}} 1")),
        "{metrics}"
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_under_a_running_node_is_told_and_never_served() {
    let (_dir, mut config) = fresh();
    // Next to nothing stays in memory, so that reads go back to the file.
    config.cache_bytes = 1;
    let served = Served::start(&config).await;
    for n in 0..40 {
        served.post(body("{k}-a", &format!("needle-{n}.{}", "x".repeat(20_000)))).await.ok();
    }
    let page = served.get("/v1/entities/%7Bk%7D-a/events").await.ok();
    assert_eq!(
        page["events"].as_array().map(Vec::len),
        Some(40),
        "what left the memory is read from the file"
    );
    damage(&config.data, "needle-30.");
    // A read that does not meet the damage does not know of it.
    let whole = served.get("/v1/entities/%7Bk%7D-a/events?from=12&backward=true&limit=1").await.ok();
    assert!(whole["events"][0]["payload"].as_str().unwrap().starts_with("needle-11."));
    served.get("/v1/entities/%7Bk%7D-a/events?from=31&limit=1").await.problem(500, "CORRUPT");
    // From now on the partition is refused, to readers and writers; the others go on.
    served.get("/v1/entities/%7Bk%7D-a/events?from=12&limit=1").await.problem(500, "CORRUPT");
    let refused = served.post(body("{k}-a", "one more")).await.problem(500, "CORRUPT");
    assert_eq!(refused["class"], "NOT_APPLIED");
    assert_eq!(served.get("/readyz").await.ok()["served"], 31);
    let elsewhere =
        (0..).map(|n| format!("b-{n}")).find(|entity| place("default", entity) != place("default", "{k}-a"));
    served.post(body(&elsewhere.unwrap(), "still taken")).await.ok();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_cannot_be_finished_say_so_and_break_off() {
    let (_dir, mut config) = fresh();
    config.cache_bytes = 1;
    // So many bytes would go into a part, and the log would not be asked any more.
    config.compaction.background = false;
    let served = Served::start(&config).await;
    for n in 0..12 {
        served.post(body("a", &format!("needle-{n}.{}", "x".repeat(900_000)))).await.ok();
    }
    damage(&config.data, "needle-8.");
    let (lines, broken) = served.broken_lines("/v1/entities/a/events").await;
    assert!(broken, "the transfer must not look complete");
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["problem"]["reason"], "CORRUPT");
    let events = lines.lines().filter(|line| line.contains("event_id")).count();
    assert!((1..=8).contains(&events), "{events} events before the damage");
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
    config.cluster.id = Some(7);
    let error = refusal(&config).await;
    assert!(error.to_string().contains("cluster"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_a_newer_format_is_refused() {
    let (_dir, config) = fresh();
    Served::start(&config).await.stop().await;
    let path = config.data.join("IDENTITY");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] += 1;
    let (summed, _) = bytes.split_last_chunk::<8>().unwrap();
    let checksum = xxh64(summed, 0).to_le_bytes();
    let at = summed.len();
    bytes[at..].copy_from_slice(&checksum);
    fs::write(&path, &bytes).unwrap();
    let error = refusal(&config).await;
    assert!(error.to_string().contains("format"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "it is left as it was");
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
