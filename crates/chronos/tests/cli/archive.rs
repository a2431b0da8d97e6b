//! Whole histories: digests that stay, proofs that need no server, truncations, samples, and what there is.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::server::{Server, chronos};
use crate::{lines, objects, write};

const EVENTS: u64 = 300;

fn filled() -> (Server, tempfile::TempDir) {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let file = write(dir.path(), "events.ndjson", &lines(EVENTS));
    assert_eq!(server.run(&["import", &file]).code, 0);
    (server, dir)
}

fn id(n: u64) -> String {
    format!("0192f0c1-2345-7abc-8def-{n:012}")
}

#[test]
fn a_digest_outlives_compaction_and_truncation_and_a_proof_needs_no_server() {
    let (server, dir) = filled();
    let before = server.run(&["digest"]).stdout;
    assert_eq!(before.lines().count(), 32);
    let token = server.run(&["watermarks", "--token"]).stdout.trim().to_owned();

    let proof = dir.path().join("proof.json").to_str().unwrap().to_owned();
    let written = server.json(&["prove", &id(17), "--out", &proof]);
    let digest = written["digest"].as_str().unwrap();
    let partition = written["partition"].as_u64().unwrap();
    let line = before.lines().nth(usize::try_from(partition).unwrap()).unwrap();
    assert!(line.ends_with(digest), "{line} is not {digest}");
    let check = |file: &str, digest: &str| chronos(&["prove", "--check", file, "--digest", digest]);
    let proven = check(&proof, digest);
    assert_eq!(proven.code, 0, "{}", proven.stderr);
    assert!(proven.stdout.contains(&id(17)), "{}", proven.stdout);
    assert_eq!(check(&proof, &"0".repeat(64)).code, 4);
    let forged = fs::read_to_string(&proof).unwrap().replace("1.50", "1.51");
    assert_eq!(check(&write(dir.path(), "forged.json", &forged), digest).code, 4);

    let compacted = objects(&server.run(&["compact", "--wait", "--output", "json"]));
    assert_eq!(compacted.iter().map(|one| one["position"].as_u64().unwrap()).sum::<u64>(), EVENTS);
    assert_eq!(server.run(&["digest"]).stdout, before);

    let entity = ["truncate", "order-17", "--before", "3"];
    assert_eq!(server.json(&entity)["truncated_before"], 3);
    assert_eq!(server.json(&entity)["truncated_before"], 3, "a repetition changes nothing");
    assert_eq!(server.run(&["compact", "--wait"]).code, 0);
    assert_eq!(server.run(&["digest", "--at", &token]).stdout, before);
    let left = objects(&server.run(&["read", "order-17", "--output", "json"]));
    assert_eq!(left.iter().map(|event| event["version"].as_u64().unwrap()).collect::<Vec<_>>(), [3]);
    let gone = server.json(&["get", &id(17)]);
    assert_eq!((&gone["erased"], &gone["payload"]), (&Value::Bool(true), &Value::Null));
    let erased = dir.path().join("erased.json").to_str().unwrap().to_owned();
    server.json(&["prove", &id(17), "--out", &erased]);
    let proven = check(&erased, digest);
    assert_eq!(proven.code, 0, "{}", proven.stderr);
    assert!(proven.stdout.contains("erased"), "{}", proven.stdout);
}

#[test]
fn what_cannot_be_truncated_or_proven_says_so_by_its_exit_code() {
    let (server, _dir) = filled();
    assert_eq!(server.run(&["truncate", "order-17", "--before", "5"]).code, 4);
    assert_eq!(server.run(&["truncate", "nobody", "--before", "1"]).code, 4);
    assert_eq!(server.run(&["truncate", "order-17", "--before", "0"]).code, 2);
    assert_eq!(server.run(&["prove", crate::MISSING]).code, 3);
    assert_eq!(server.run(&["prove"]).code, 2);
    assert_eq!(server.run(&["digest", "--at", "3"]).code, 4, "a version is no moment of partitions");
}

#[test]
fn a_sample_and_the_statistics_tell_of_the_same_history() {
    let (server, _dir) = filled();
    let sample = objects(&server.run(&["sample", "--n", "25", "--seed", "7", "--output", "json"]));
    assert_eq!(sample.len(), 25);
    assert!(server.run(&["sample", "--type", "no.such"]).stdout.is_empty());
    let raw_bytes = server.json(&["stats"])["types"][0]["raw_bytes"].clone();
    for compact in [false, true] {
        if compact {
            assert_eq!(server.run(&["compact", "--wait"]).code, 0);
        }
        let stats = server.json(&["stats"]);
        assert_eq!(stats["types"][0]["event_type"], "order.changed");
        assert_eq!(stats["types"][0]["events"], EVENTS);
        assert_eq!(stats["types"][0]["raw_bytes"], raw_bytes, "before and after compaction");
        let held = stats["partitions_held"].as_array().unwrap();
        let sum = |field: &str| held.iter().map(|one| one[field].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("events"), sum("entities")), (EVENTS, 97));
        assert_eq!(sum("uncompacted"), if compact { 0 } else { EVENTS });
        assert_eq!(sum("parts") > 0, compact);
    }
    let table = server.run(&["stats"]).stdout;
    assert!(table.contains("order.changed") && table.contains("FIRST RECORDED"), "{table}");
}

#[test]
fn a_partition_that_is_not_served_is_missed_by_whoever_asks_for_everything() {
    let (mut server, dir) = filled();
    assert_eq!(server.run(&["compact", "--wait"]).code, 0);
    assert_eq!(server.stop(), Some(0));
    let part = parts(&server).remove(0);
    fs::remove_file(&part).unwrap();
    server.restart();
    let out = dir.path().join("out.ndjson").to_str().unwrap().to_owned();
    for everything in [
        &["export"][..],
        &["export", "--output-file", &out],
        &["watermarks", "--token"],
        &["export", "--order", "time"],
    ] {
        let refused = server.run(everything);
        assert_eq!(refused.code, 1, "{everything:?}: {}", refused.stdout);
        let file = part.file_name().unwrap().to_str().unwrap();
        assert!(refused.stderr.contains(file), "{everything:?}: {}", refused.stderr);
    }
}

#[test]
fn stats_compare_parts_with_a_file_and_a_second_compaction_finds_nothing_to_do() {
    let (server, dir) = filled();
    let file = dir.path().join("events.ndjson").to_str().unwrap().to_owned();
    let compact = || server.run(&["compact", "--wait"]).stdout;
    let (first, files) = (compact(), parts(&server));
    assert_eq!((compact(), parts(&server)), (first, files));
    let stats = server.json(&["stats", "--against", &file]);
    let bytes = |name: &str| stats[name].as_u64().unwrap();
    assert_eq!(bytes("against_bytes"), fs::metadata(&file).unwrap().len());
    let all: u64 = parts(&server).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert_eq!(bytes("stored_bytes"), all);
    assert!(0 < bytes("stored_bytes_without_indexes") && bytes("stored_bytes_without_indexes") < all);
    assert!(server.run(&["stats", "--against", &file]).stdout.contains(&format!("% of {file}")));
    assert_eq!(server.run(&["stats", "--against", "/nowhere"]).code, 2);
}

#[test]
fn tables_say_what_was_truncated() {
    let (server, _dir) = filled();
    assert_eq!(server.run(&["truncate", "order-17", "--before", "3"]).code, 0);
    assert!(server.run(&["read", "order-17"]).stderr.contains("versions before 3 were erased"));
    assert!(server.run(&["state", "order-17"]).stdout.contains("versions before 3 were erased"));
    let past = server.run(&["state", "order-17", "--as-of", "v2"]);
    assert_eq!((past.code, past.stdout.contains("nothing is left")), (0, true), "{}", past.stdout);
    assert!(server.run(&["get", &id(17)]).stdout.contains("erased"));
}

#[test]
fn a_list_longer_than_a_message_is_refused_and_the_rest_is_not() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let long = "x".repeat((1 << 20) - 16);
    let line = |n| {
        format!(
            "{{\"entity_id\":\"long\",\"event_type\":\"t.t\",\"payload\":{{\"v\":\"{long}\"}},\"tags\":[\"n:{n}\"]}}\n"
        )
    };
    let file = write(dir.path(), "long.ndjson", &(0..9).map(line).collect::<String>());
    assert_eq!(server.json(&["import", &file])["stored"], 9);
    let list = server.run(&["state", "long", "--reducer", "list"]);
    assert_eq!((list.code, list.stderr.contains("read the events")), (4, true), "{}", list.stderr);
    assert_eq!(server.json(&["state", "long", "--reducer", "count"])["state"], 9);
    assert_eq!(server.json(&["state", "long", "--as-of", "v3", "--reducer", "list"])["events"], 3);
}

/// All files of all parts.
fn parts(server: &Server) -> Vec<PathBuf> {
    let is_part = |file: &PathBuf| file.extension().is_some_and(|end| end == "parquet" || end == "index");
    let partitions = fs::read_dir(server.dir().join("data/parts")).unwrap();
    let files = partitions.flat_map(|dir| fs::read_dir(dir.unwrap().path()).unwrap());
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).filter(is_part).collect();
    files.sort();
    files
}
