//! The binary as its users meet it: arguments in; text, JSON lines and exit codes out.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives real processes from outside, and ends where something is not as it should be"
)]

#[path = "cli/archive.rs"]
mod archive;
#[path = "cli/ending.rs"]
mod ending;
#[path = "cli/layout.rs"]
mod layout;
#[path = "cli/odd_history.rs"]
mod odd_history;
#[path = "cli/server.rs"]
mod server;
#[path = "cli/silent.rs"]
mod silent;
#[path = "cli/sql.rs"]
mod sql;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use server::{Run, Server, chronos};

const MISSING: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

/// One value per line.
fn objects(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).expect("a line is one JSON object")).collect()
}

fn lines(count: u64) -> String {
    let line = |i: u64| {
        format!(
            "{{\"event_id\":\"0192f0c1-2345-7abc-8def-{i:012}\",\"entity_id\":\"order-{}\",\"event_type\":\"order.changed\",\
             \"occurred_at\":{},\"payload\":{{\"n\": {i}, \"price\":1.50}},\"metadata\":{{\"actor\":\"a\"}},\"tags\":[\"x\"]}}\n",
            i % 97,
            1_000_000 * i
        )
    };
    (1..=count).map(line).collect()
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn append_get_read_and_state_tell_one_story() {
    let server = Server::start();
    let appended = server.json(&[
        "append",
        "order-7",
        "order.placed",
        r#"{"total":42,"status":"placed"}"#,
        "--expect",
        "none",
    ]);
    assert_eq!((&appended["version"], &appended["deduplicated"]), (&1.into(), &false.into()));
    assert_eq!(appended["durability"], "quorum-fsync");
    let paid = server.json(&[
        "append",
        "order-7",
        "order.paid",
        r#"{"status": "paid"}"#,
        "--expect",
        "1",
        "--tag",
        "vip",
        "--tag",
        "eu",
        "--metadata",
        r#"{"actor":"ann"}"#,
        "--occurred-at",
        "2024-05-01T12:00:00Z",
    ]);
    assert_eq!(paid["version"], 2);

    let event = server.json(&["get", paid["event_id"].as_str().unwrap()]);
    let fields: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields.len(), 12, "{fields:?}");
    for (field, wanted) in [
        ("entity_id", Value::from("order-7")),
        ("tenant_id", "default".into()),
        ("event_type", "order.paid".into()),
        ("occurred_at", 1_714_564_800_000_000_i64.into()),
        ("position", paid["position"].clone()),
        ("partition", paid["partition"].clone()),
        ("tags", serde_json::json!(["eu", "vip"])),
    ] {
        assert_eq!(event[field], wanted, "{field}");
    }
    let text = server.run(&["get", paid["event_id"].as_str().unwrap(), "--output", "json"]).stdout;
    assert!(text.contains(r#""payload":{"status": "paid"}"#), "a payload keeps its bytes: {text}");

    let versions = |args: &[&str]| -> Vec<Value> {
        objects(&server.run(&[args, &["--output", "json"]].concat()))
            .iter()
            .map(|e| e["version"].clone())
            .collect()
    };
    assert_eq!(versions(&["read", "order-7"]), [1, 2]);
    assert_eq!(versions(&["read", "order-7", "--backward", "--limit", "1"]), [2]);
    assert_eq!(versions(&["read", "order-7", "--from", "2"]), [2]);
    assert_eq!(versions(&["read", "order-7", "--type", "order.placed"]), [1]);
    assert_eq!(versions(&["read", "--all", "--tag", "vip"]), [2]);
    assert_eq!(versions(&["read", "--all", "--occurred-until", "2024-05-02"]), [2]);
    assert_eq!(
        versions(&[
            "read",
            "--partition",
            &paid["partition"].to_string(),
            "--as-of",
            appended["token"].as_str().unwrap()
        ]),
        [1]
    );
    let recorded = event["recorded_at"].to_string();
    assert_eq!(versions(&["read", "order-7", "--as-of", &recorded]), [1, 2]);

    let state = |args: &[&str]| server.json(&[&["state", "order-7"], args].concat());
    assert_eq!(state(&[])["state"], serde_json::json!({"total": 42, "status": "paid"}));
    assert_eq!(state(&["--as-of", "1"])["state"]["status"], "placed");
    assert_eq!(state(&["--as-of", appended["token"].as_str().unwrap()])["version"], 1);
    assert_eq!(state(&["--reducer", "count"])["state"], 2);
    assert_eq!(state(&["--reducer", "list"])["state"].as_array().unwrap().len(), 2);
    assert_eq!(state(&["--occurred-until", "2024-05-02", "--reducer", "last"])["state"]["status"], "paid");
    let table = server.run(&["read", "order-7"]);
    assert!(table.stdout.starts_with("PARTITION"), "{}", table.stdout);
    assert!(table.stdout.contains("2024-05-01T12:00:00.000000Z"), "{}", table.stdout);
}

#[test]
fn exit_codes_tell_what_happened() {
    let server = Server::start();
    let code = |args: &[&str]| server.run(args).code;
    assert_eq!(code(&["append", "a", "t", "{}", "--expect", "none"]), 0);
    assert_eq!(code(&["append", "a", "t", "{}", "--expect", "none"]), 4, "a wrong expectation");
    assert_eq!(code(&["append", "a", "t", "{}", "--expect", "7"]), 4, "a wrong version");
    assert_eq!(code(&["append", "b", "t", "{}", "--expect", "exists"]), 4, "an entity that is not there");
    assert_eq!(code(&["append", "a", "t", "{}", "--expect", "some"]), 2, "an expectation that is none");
    assert_eq!(code(&["get", MISSING]), 3);
    assert_eq!(code(&["get", "7"]), 2);
    assert_eq!(code(&["read", "nobody"]), 3);
    assert_eq!(code(&["state", "nobody"]), 3);
    assert_eq!(code(&["read"]), 2);
    assert_eq!(code(&["read", "--partition", "32"]), 2);
    assert_eq!(code(&["read", "--all", "--as-of", "yesterday"]), 2);
    assert_eq!(code(&["read", "a", "--as-of", "2999-01-01"]), 4, "the future stands not still");
    assert_eq!(code(&["read", "a", "--as-of", "1971-01-01"]), 0, "an empty past of an entity that is there");
    assert_eq!(code(&["frobnicate"]), 2);
    let wrong = server.run(&["append", "a", "t", "{}", "--expect", "none"]);
    assert!(wrong.stderr.contains("a") && wrong.stderr.contains('1'), "{}", wrong.stderr);
}

#[test]
fn a_server_that_never_answers_is_sent_nothing() {
    let address = silent::start();
    let run = chronos(&["append", "a", "t", "{}", "--id", MISSING, "--addr", &address, "--timeout", "300ms"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("certainly not done"), "{}", run.stderr);
    assert_eq!(chronos(&["get", MISSING, "--addr", &address, "--timeout", "300ms"]).code, 1);
}

#[test]
fn bad_input_is_refused_with_a_reason_and_nothing_is_stored() {
    let server = Server::start();
    let long = "x".repeat(257);
    let cases: [(&[&str], &str); 9] = [
        (&["append", "", "t", "{}"], "entity_id"),
        (&["append", &long, "t", "{}"], "256"),
        (&["append", "a\u{7}b", "t", "{}"], "entity_id"),
        (&["append", "../../etc", "t", "{}"], "entity_id"),
        (&["append", "a", "t t", "{}"], "event_type"),
        (&["append", "a", "t", "{\"a\":"], "payload"),
        (&["append", "a", "t", "{}", "--metadata", "[1]"], "metadata"),
        (&["append", "a", "t", "{}", "--tag", "x", "--tag", "x"], "tag"),
        (&["append", "a", "t", "{}", "--id", "00000000-0000-0000-0000-000000000000"], "event_id"),
    ];
    for (args, wanted) in cases {
        let run = server.run(args);
        assert_eq!(run.code, 4, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(wanted), "{args:?}: {}", run.stderr);
    }
    let mut payload = "1".repeat(1 << 20);
    assert_eq!(server.run_with(&["append", "a", "t", "-"], &payload).code, 0, "the largest payload is fine");
    payload.push('1');
    let run = server.run_with(&["append", "a", "t", "-"], &payload);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(run.stderr.contains("1048576"), "{}", run.stderr);
    assert_eq!(server.json(&["stats"])["events"], 1);
}

#[test]
fn the_same_id_is_stored_once_and_another_content_under_it_is_a_conflict() {
    let server = Server::start();
    let append =
        |payload: &str| server.run(&["append", "a", "t", payload, "--id", MISSING, "--output", "json"]);
    assert_eq!(objects(&append("1"))[0]["deduplicated"], false);
    let again = &objects(&append("1"))[0];
    assert_eq!((&again["deduplicated"], &again["version"]), (&true.into(), &1.into()));
    let other = append("2");
    assert_eq!(other.code, 4);
    assert!(other.stderr.contains(MISSING), "{}", other.stderr);
}

#[test]
fn an_import_is_complete_idempotent_and_exported_byte_for_byte() {
    let server = Server::start();
    let count = 5000;
    let file = write(server.dir(), "events.ndjson", &lines(count));
    let first = server.json(&["import", &file]);
    let numbers =
        |run: &Value| ["read", "stored", "already_there", "skipped"].map(|name| run[name].as_u64().unwrap());
    assert_eq!(numbers(&first), [count, count, 0, 0]);
    assert_eq!(numbers(&server.json(&["import", &file])), [count, 0, count, 0]);
    assert!(server.run(&["import", &file]).stdout.contains("nothing new"));

    let exported = server.run(&["export"]).stdout;
    let bodies = |text: &str| -> BTreeMap<String, String> {
        text.lines()
            .map(|line| {
                let event: Value = serde_json::from_str(line).unwrap();
                let payload =
                    line.split("\"payload\":").nth(1).unwrap().split("\"metadata\"").next().unwrap();
                (event["event_id"].as_str().unwrap().to_owned(), payload.trim_end_matches(',').to_owned())
            })
            .collect()
    };
    assert_eq!(bodies(&exported), bodies(&lines(count)));
    gapless(&server, count);
    holds(&server, count, 97);

    let other = Server::start();
    let export = write(other.dir(), "export.ndjson", &exported);
    assert_eq!(numbers(&other.json(&["import", &export])), [count, count, 0, 0]);
    let again = other.run(&["export"]).stdout;
    assert_eq!(without_recorded_at(&again), without_recorded_at(&exported));
}

/// The claim of `chronos export --help`: nothing but this differs, not even the order of lines.
fn without_recorded_at(export: &str) -> Vec<String> {
    let strip = |line: &str| {
        let (before, after) = line.split_once("\"recorded_at\":").unwrap();
        format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    export.lines().map(strip).collect()
}

fn gapless(server: &Server, events: u64) {
    let partitions = objects(&server.run(&["partitions", "--output", "json"]));
    assert_eq!(partitions.len(), 32);
    assert_eq!(partitions.iter().map(|p| p["head"].as_u64().unwrap()).sum::<u64>(), events);
    for partition in &partitions {
        let number = partition["partition"].to_string();
        let read = objects(&server.run(&["read", "--partition", &number, "--output", "json"]));
        let positions: Vec<u64> = read.iter().map(|event| event["position"].as_u64().unwrap()).collect();
        assert_eq!(positions, (1..=partition["head"].as_u64().unwrap()).collect::<Vec<u64>>());
    }
}

fn holds(server: &Server, events: u64, entities: u64) {
    let stats = server.json(&["stats"]);
    assert_eq!((&stats["events"], &stats["entities"]), (&events.into(), &entities.into()), "{stats}");
    let partitions = objects(&server.run(&["partitions", "--output", "json"]));
    assert_eq!(partitions.iter().map(|p| p["entities"].as_u64().unwrap()).sum::<u64>(), entities);
}

#[test]
fn an_import_goes_on_where_another_stopped_however_the_batches_fall() {
    let server = Server::start();
    let (part, all) = (lines(1234), lines(4000));
    // Another beginning moves every later cut.
    let moved: String =
        all.lines().skip(500).chain(all.lines().take(500)).map(|line| format!("{line}\n")).collect();
    let files = [("part", &part), ("all", &all), ("moved", &moved)]
        .map(|(name, text)| write(server.dir(), name, text));
    assert_eq!(server.json(&["import", &files[0]])["stored"], 1234);
    assert_eq!(server.json(&["import", &files[1]])["stored"], 4000 - 1234);
    let third = server.json(&["import", &files[2]]);
    assert_eq!((&third["stored"], &third["already_there"]), (&0.into(), &4000.into()));
    gapless(&server, 4000);
    let first = server.run(&["read", "--all", "--limit", "1500", "--output", "json"]);
    let cursor = first.stderr.trim().rsplit(' ').next().unwrap().to_owned();
    let rest = server.run(&["read", "--all", "--cursor", &cursor, "--output", "json"]);
    let whole = server.run(&["read", "--all", "--output", "json"]);
    assert_eq!(first.stdout + &rest.stdout, whole.stdout);
}

#[test]
fn a_bad_line_is_named_and_stops_the_import_or_is_skipped() {
    let server = Server::start();
    let good = lines(20);
    let text: String = good
        .lines()
        .enumerate()
        .flat_map(|(i, line)| if i == 10 { vec!["{\"entity_id\":\"a\"}", line] } else { vec![line] })
        .map(|line| format!("{line}\n"))
        .collect();
    let file = write(server.dir(), "bad.ndjson", &text);
    let stopped = server.run(&["import", &file]);
    assert_eq!(stopped.code, 1);
    assert!(stopped.stderr.contains(&format!("{file}:11: missing field")), "{}", stopped.stderr);
    assert_eq!(
        server.json(&["stats"])["events"],
        10,
        "what stands before the bad line is in, nothing after it"
    );
    let skipped = server.run(&["import", &file, "--on-error", "skip", "--output", "json"]);
    assert_eq!(skipped.code, 0, "{}", skipped.stderr);
    assert!(skipped.stderr.contains(":11:"), "{}", skipped.stderr);
    let summary = &objects(&skipped)[0];
    assert_eq!(
        (&summary["stored"], &summary["already_there"], &summary["skipped"]),
        (&10.into(), &10.into(), &1.into())
    );
    assert_eq!(server.run(&["import", "/nowhere/at.all"]).code, 1);
}

#[test]
fn compressed_files_standard_input_and_cloudevents_are_read() {
    let server = Server::start();
    let path = server.dir().join("events.ndjson.zst");
    fs::write(&path, zstd::encode_all(lines(300).as_bytes(), 3).unwrap()).unwrap();
    assert_eq!(server.json(&["import", path.to_str().unwrap()])["stored"], 300);
    let piped = server.run_with(&["import", "-", "--output", "json"], &lines(310));
    assert_eq!(objects(&piped)[0]["stored"], 10);
    let cloud = r#"{"specversion":"1.0","id":"A7","source":"shop","type":"cart.opened","time":"2024-05-01T00:00:00Z","data":{"a":1}}"#;
    let run = server.run_with(&["import", "-", "--format", "cloudevents", "--output", "json"], cloud);
    assert_eq!(objects(&run)[0]["stored"], 1);
    let event = server.json(&["read", "shop"]);
    assert_eq!(event["event_type"], "cart.opened");
    assert_eq!(event["metadata"], serde_json::json!({"id": "A7", "source": "shop"}));
    let anonymous = "{\"entity_id\":\"z\",\"event_type\":\"t\",\"payload\":1}\n".repeat(3);
    for wanted in [3, 0] {
        let run = server.run_with(&["import", "-", "--output", "json"], &anonymous);
        assert_eq!(objects(&run)[0]["stored"], wanted);
    }
}

#[test]
fn a_git_history_is_imported_once() {
    let server = Server::start();
    let repository = server.dir().join("shop");
    fs::create_dir(&repository).unwrap();
    let git = |args: &[&str]| {
        let identity =
            ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"];
        let done = Command::new("git").current_dir(&repository).args(identity).args(args).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q"]);
    fs::write(repository.join("a file.txt"), "1").unwrap();
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    let path = repository.to_str().unwrap();
    assert_eq!(server.json(&["import-git", path])["stored"], 2);
    fs::write(repository.join("a file.txt"), "2").unwrap();
    git(&["commit", "-q", "-a", "-m", "second"]);
    let again = server.json(&["import-git", path]);
    assert_eq!((&again["stored"], &again["already_there"]), (&2.into(), &2.into()));
    let types: Vec<Value> = objects(&server.run(&["read", "file-shop/a file.txt", "--output", "json"]))
        .iter()
        .map(|event| event["event_type"].clone())
        .collect();
    assert_eq!(types, ["file.added", "file.modified"]);
    let state = server.json(&["state", "repo-{shop}"]);
    assert_eq!((&state["version"], &state["state"]["subject"]), (&2.into(), &"second".into()));
    assert_eq!(server.run(&["import-git", "/"]).code, 1);
}

#[test]
fn a_killed_server_keeps_what_it_acknowledged_and_an_import_goes_on() {
    let mut server = Server::start();
    let file = write(server.dir(), "events.ndjson", &lines(3000));
    assert_eq!(server.json(&["import", &file])["stored"], 3000);
    server.kill();
    let gone = server.run(&["stats"]);
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.contains("chronos server"), "{}", gone.stderr);
    assert_eq!(server.verify().code, 0);
    server.restart();
    assert_eq!(server.json(&["import", &file])["already_there"], 3000);
    gapless(&server, 3000);
    holds(&server, 3000, 97);
}

#[test]
fn verify_is_clean_after_a_stop_and_names_a_flipped_byte() {
    let mut server = Server::start();
    let file = write(server.dir(), "events.ndjson", &lines(500));
    server.json(&["import", &file]);
    assert_eq!(server.verify().code, 1, "a directory in use is not verified");
    assert_eq!(server.stop(), Some(0));
    let clean = server.verify();
    assert_eq!(clean.code, 0, "{}{}", clean.stdout, clean.stderr);
    assert!(clean.stdout.contains("clean: 500 events"), "{}", clean.stdout);

    let segment = server.segment();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(13).position(|window| window == b"order.changed").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let damaged = server.verify();
    assert_eq!(damaged.code, 1);
    assert!(damaged.stdout.contains(segment.to_str().unwrap()), "{}", damaged.stdout);
    let objects = objects(&server.verify_json());
    let damage = objects.iter().find(|object| object["kind"] == "damage").expect("a damage is reported");
    assert_eq!(damage["file"], segment.to_str().unwrap());
    assert!(damage["offset"].as_u64().unwrap() > 0, "{damage}");
    assert!(damage["partition"].is_u64(), "{damage}");
    let summary = objects.last().unwrap();
    assert_eq!((&summary["kind"], &summary["clean"]), (&"summary".into(), &false.into()));
}

#[test]
fn looking_at_a_node_needs_no_events() {
    let server = Server::start();
    let stats = server.json(&["stats"]);
    assert_eq!(
        (&stats["partitions_served"], &stats["events"], &stats["nodes"]),
        (&32.into(), &0.into(), &1.into())
    );
    assert_eq!((&stats["entities"], &stats["blocks"]), (&0.into(), &0.into()));
    assert_eq!(objects(&server.run(&["watermarks", "--output", "json"])).len(), 32);
    server.json(&["append", "a", "t", "1"]);
    what_stats_shows(&server);
    let token = server.run(&["watermarks", "--token"]).stdout.trim().to_owned();
    server.json(&["append", "a", "t", "2"]);
    let past = objects(&server.run(&["export", "--as-of", &token]));
    assert_eq!(past.len(), 1);
    assert_eq!(objects(&server.run(&["export", "--order", "time"])).len(), 2);
    assert_eq!(objects(&server.run(&["export", "--entity", "a"])).len(), 2);
    assert_eq!(server.run(&["export", "--entity", "b"]).code, 3);
}

/// Of a server with one event.
fn what_stats_shows(server: &Server) {
    let stats = server.json(&["stats"]);
    for (name, wanted) in
        [("events", 1), ("entities", 1), ("blocks", 1), ("cached_blocks", 1), ("partitions_refused", 0)]
    {
        assert_eq!(stats[name], wanted, "{name} of {stats}");
    }
    for name in ["cached_bytes", "log_syncs", "log_segments"] {
        assert!(stats[name].as_u64().unwrap() > 0, "{name} of {stats}");
    }
    // These count a group commit only after its appends are answered.
    assert!(stats["log_bytes"].is_u64() && stats["log_units"].is_u64(), "{stats}");
    let table = server.run(&["stats"]).stdout;
    for name in ["entities", "events", "blocks in memory", "log written", "log syncs", "log files"] {
        assert!(table.lines().any(|line| line.starts_with(name)), "{name} is missing of:\n{table}");
    }
    let table = server.run(&["partitions"]).stdout;
    assert!(table.lines().any(|line| line.ends_with("1..1       1         1  served")), "{table}");
    let routed = &objects(&server.run(&["route", "order-7", "--nodes", "--output", "json"]))[0];
    assert_eq!(
        (&routed["leader"]["node"], &routed["replicas"][0]["node"]),
        (&serde_json::json!(1), &serde_json::json!(1))
    );
    let table = server.run(&["route", "order-7", "--nodes"]).stdout;
    assert!(table.contains("LEADER") && table.contains("n1"), "{table}");
}

#[test]
fn what_needs_no_server_needs_no_server() {
    let route = chronos(&["route", "order-{c42}-7", "invoice-{c42}-1", "--output", "json"]);
    let routes = objects(&route);
    assert_eq!(routes[0]["routing_key"], "c42");
    assert_eq!(routes[0]["partition"], routes[1]["partition"]);
    assert_eq!(chronos(&["route", ""]).code, 4);
    for shell in ["bash", "zsh", "fish"] {
        assert!(chronos(&["completions", shell]).stdout.contains("import-git"), "{shell}");
    }
    let help = chronos(&["import", "--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("--on-error"), "{}", help.stdout);
    assert_eq!(chronos(&["stats", "--addr", "127.0.0.1:1"]).code, 1);
}

#[test]
fn a_server_refuses_what_it_cannot_be_told() {
    let home = tempfile::tempdir().unwrap();
    let config = |text: &str| write(home.path(), "chronos.toml", text);
    let data = home.path().join("data");
    let server = |file: &str| chronos(&["server", "--config", file, "--data", data.to_str().unwrap()]);
    let partitions = server(&config("partitions = 64"));
    assert_eq!(partitions.code, 2);
    assert!(partitions.stderr.contains("for life"), "{}", partitions.stderr);
    let unknown = server(&config("lane = 1"));
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("lane"), "{}", unknown.stderr);
    assert_eq!(chronos(&["server"]).code, 2, "no data directory");

    let running = Server::start();
    let locked = chronos(&["server", "--listen", "127.0.0.1:0", "--data", running.data().to_str().unwrap()]);
    assert_eq!(locked.code, 1);
    assert!(locked.stderr.contains("lock"), "{}", locked.stderr);
}

/// It cannot write a line any more, and says so to nobody, least of all by a panic.
#[test]
fn a_server_whose_log_nobody_reads_any_more_goes_on_and_ends_in_order() {
    let mut server = Server::unread();
    assert_eq!(server.json(&["append", "order-1", "order.placed", "{}"])["version"], 1);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(server.verify().code, 0);
}

#[test]
fn the_demo_proves_what_it_shows() {
    let run = chronos(&["demo", "--events", "6000", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let last = objects(&run).pop().expect("the result is the last line");
    for (name, wanted) in [
        ("events", 6000),
        ("kills", 1),
        ("lost", 0),
        ("duplicates", 0),
        ("gaps", 0),
        ("nodes", 3),
        ("digests_different", 0),
    ] {
        assert_eq!(last[name], wanted, "{name} of {last}");
    }
    let before = last["acknowledged_before_kill"].as_u64().unwrap();
    assert!((3600..6000).contains(&before), "killed in mid-write, not after {before}");
    let led = last["partitions_led"].as_u64().unwrap();
    assert!((8..=14).contains(&led), "a third of the partitions lost their leader, not {led}");
    assert_eq!(last["digests_compared"], 96, "every replica of every partition");
    assert!(last["events_per_second"].as_u64().unwrap() > 0);
    assert!(last["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(last["durability"], "quorum-fsync");
    assert_eq!((&last["past_unchanged"], &last["verify_clean"]), (&true.into(), &true.into()));
    assert!(run.stderr.contains("PARTITION"), "{}", run.stderr);
}

#[test]
fn a_campaign_counts_what_was_lost() {
    let run = chronos(&[
        "torture",
        "--rounds",
        "2",
        "--every",
        "1s",
        "--fault",
        "kill,restart",
        "--rate",
        "300",
        "--json",
    ]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let report = objects(&run).pop().expect("the result is the last line");
    for (name, wanted) in [
        ("rounds", 2),
        ("nodes", 3),
        ("lost", 0),
        ("duplicates", 0),
        ("gaps", 0),
        ("digests_compared", 96),
        ("digests_different", 0),
    ] {
        assert_eq!(report[name], wanted, "{name} of {report}");
    }
    assert!(report["acknowledged"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["verify_clean"], true);
}

#[test]
fn a_failover_is_timed_with_its_conditions() {
    let run = chronos(&["bench", "failover", "--rounds", "1", "--output", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let report = &objects(&run)[0];
    assert_eq!((&report["rounds"], &report["nodes"]), (&1.into(), &3.into()));
    assert!((8..=14).contains(&report["partitions"].as_u64().unwrap()), "{report}");
    let (p50, max) = (&report["round_ms"]["p50"], &report["round_ms"]["max"]);
    assert!(0.0 < p50.as_f64().unwrap() && p50.as_f64() <= max.as_f64(), "{report}");
    for condition in ["durability", "replicas_per_partition", "cores", "load", "release", "seed"] {
        assert!(!report[condition].is_null(), "{condition} of {report}");
    }
}

#[test]
fn a_benchmark_never_hides_its_conditions() {
    for workload in ["append", "read", "query"] {
        let run = chronos(&[
            "bench",
            workload,
            "--duration",
            "200ms",
            "--entities",
            "20",
            "--batch",
            "10",
            "--concurrency",
            "2",
            "--output",
            "json",
        ]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let report = &objects(&run)[0];
        for condition in
            ["durability", "batch", "payload", "concurrency", "nodes", "entities", "duration_seconds"]
        {
            assert!(!report[condition].is_null(), "{condition} of {report}");
        }
        assert!(
            report["latency_us"]["p99"].as_u64().unwrap() >= report["latency_us"]["p50"].as_u64().unwrap()
        );
        assert!(report["events"].as_u64().unwrap() > 0, "{report}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_reason_to_panic() {
    let server = Server::start();
    let file = write(server.dir(), "events.ndjson", &lines(4000));
    server.json(&["import", &file]);
    let mut export =
        server.command(&["export"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(export.stdout.take());
    let done = export.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
}
