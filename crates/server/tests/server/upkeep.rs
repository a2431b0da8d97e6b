//! What a node does by itself: parts, the search for damage, and what can be seen of both.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chronos_domain::place;
use chronos_proto::v1;
use chronos_proto::v1::admin_client::AdminClient;
use serde_json::json;
use tonic::transport::Channel;

use crate::served::{Served, fresh};

const ENTITY: &str = "a";

fn partition() -> u8 {
    place("default", ENTITY).get()
}

async fn admin(served: &Served) -> AdminClient<Channel> {
    AdminClient::new(served.channel().await)
}

/// Stores events of one entity and has all of them put into a part.
async fn one_part(served: &Served) {
    for n in 0..20 {
        let body = json!({"entity_id": ENTITY, "event_type": "t", "payload": {"n": n}});
        served.post(body.to_string()).await.ok();
    }
    let request = v1::CompactRequest { partitions: Vec::new(), wait: true };
    let answer = admin(served).await.compact(request).await.unwrap().into_inner();
    assert!(answer.partitions.iter().all(|one| one.failure.is_none()), "{answer:?}");
}

async fn verify(served: &Served) -> Vec<v1::VerifyResponse> {
    let request = v1::VerifyRequest { partitions: Vec::new() };
    let mut answers = admin(served).await.verify(request).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(one) = answers.message().await.unwrap() {
        all.push(one);
    }
    all
}

fn parquet(data: &Path) -> PathBuf {
    let dir = data.join(format!("parts/p{:02}", partition()));
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut parquet = files.filter(|file| file.extension().is_some_and(|ending| ending == "parquet"));
    parquet.next().expect("everything is in parts")
}

/// The value of a metric, by its name and labels.
async fn metric(served: &Served, name: &str) -> Option<f64> {
    let text = String::from_utf8(served.get("/metrics").await.body.to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_and_their_upkeep_show_in_the_metrics() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    one_part(&served).await;
    let labelled = |name: &str| format!("{name}{{partition=\"{}\"}}", partition());
    let bytes = fs::metadata(parquet(&config.data)).unwrap().len();
    let of_file = format!("chronos_part_bytes{{partition=\"{}\",file=\"parquet\"}}", partition());
    assert_eq!(metric(&served, &labelled("chronos_parts")).await, Some(1.0));
    assert_eq!(metric(&served, &of_file).await, Some(bytes as f64));
    assert_eq!(metric(&served, &labelled("chronos_uncompacted_events")).await, Some(0.0));
    assert_eq!(metric(&served, "chronos_compaction_events_total").await, Some(20.0));
    assert_eq!(metric(&served, "chronos_compaction_debt_cuts").await, Some(0.0));
    assert_eq!(metric(&served, "chronos_scrub_findings_total").await, Some(0.0));
    assert_eq!(metric(&served, "chronos_compaction_last_error_info").await, None, "nothing has failed");
    assert_eq!(metric(&served, "chronos_scrub_last_pass_seconds").await, None, "there was none yet");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_verifies_itself_names_damage_and_no_longer_serves_it() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    one_part(&served).await;
    let whole = verify(&served).await;
    assert_eq!(whole.len(), 32);
    assert!(whole.iter().all(|one| one.findings.is_empty() && one.failure.is_none()), "{whole:?}");
    let here = &whole[usize::from(partition())];
    assert_eq!((here.parts, here.events), (1, 20));
    let file = parquet(&config.data);
    let bytes = fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    fs::OpenOptions::new().write(true).open(&file).unwrap().write_at(&[bytes[at] ^ 1], at as u64).unwrap();

    let found = verify(&served).await;
    let here = &found[usize::from(partition())];
    assert_eq!(here.findings.len(), 1, "{here:?}");
    assert!(here.findings[0].starts_with(file.to_str().unwrap()), "{here:?}");
    assert_eq!(found.iter().map(|one| one.findings.len()).sum::<usize>(), 1, "only one is damaged");
    assert_eq!(metric(&served, "chronos_scrub_findings_total").await, Some(1.0));
    let refused = format!("chronos_partition_refused{{partition=\"{}\"}}", partition());
    assert_eq!(metric(&served, &refused).await, Some(1.0));
    served.get(&format!("/v1/entities/{ENTITY}/events")).await.problem(500, "CORRUPT");
    served
        .post(json!({"entity_id": ENTITY, "event_type": "t", "payload": {}}).to_string())
        .await
        .problem(500, "CORRUPT");
    let again = verify(&served).await;
    assert!(again[usize::from(partition())].failure.is_some(), "what is refused is not read again");
    served.stop().await;
}
