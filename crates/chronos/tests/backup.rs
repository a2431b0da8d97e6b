//! Backup and restore as their users meet them: real processes, real files, and aborts at every step.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test drives real processes from outside, and ends where something is not as it should be"
)]

#[path = "cli/server.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use chronos_store::backup::{CRASH_POINTS, RESTORE_CRASH_POINTS};
use serde_json::Value;
use server::{Run, Server, chronos, command};
use tempfile::TempDir;

fn lines(range: std::ops::RangeInclusive<u64>) -> String {
    let line = |i: u64| {
        format!(
            "{{\"event_id\":\"0192f0c1-2345-7abc-8def-{i:012}\",\"entity_id\":\"order-{}\",\"event_type\":\"order.changed\",\
             \"payload\":{{\"n\": {i}, \"price\":1.50}},\"metadata\":{{\"actor\":\"a\"}},\"tags\":[\"x\"]}}\n",
            i % 97
        )
    };
    range.map(line).collect()
}

fn import(server: &Server, range: std::ops::RangeInclusive<u64>) -> Value {
    let run = server.run_with(&["import", "-", "--output", "json"], &lines(range));
    assert_eq!(run.code, 0, "{}", run.stderr);
    serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap()
}

fn backup_dir(server: &Server) -> String {
    server.dir().join("backup").to_str().unwrap().to_owned()
}

fn back_up(server: &Server) -> Value {
    server.json(&["backup", &backup_dir(server)])
}

/// A place for a new node.
struct Home(TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn data(&self) -> String {
        self.0.path().join("data").to_str().unwrap().to_owned()
    }

    /// `chronos restore` with more arguments, and an order to die.
    fn restore(&self, backup: &str, more: &[&str], crash: Option<&str>) -> Run {
        let mut command = command(&[&["restore", backup, "--data", &self.data()], more].concat());
        if let Some(point) = crash {
            command.env("CHRONOS_CRASH_AT", point);
        }
        server::finish(command, "")
    }

    fn serve(self) -> Server {
        Server::on(self.0)
    }
}

fn ok(run: Run) -> String {
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.stdout
}

#[test]
fn a_backup_is_made_of_a_running_node_and_restored_as_another_that_goes_on() {
    let source = Server::start();
    import(&source, 1..=1500);
    let first = back_up(&source);
    assert_eq!((&first["events"], &first["kept_files"]), (&1500.into(), &0.into()));
    let token = first["token"].as_str().unwrap().to_owned();
    let past = ok(source.run(&["export"]));
    import(&source, 1501..=2000);
    let second = back_up(&source);
    assert_eq!(second["events"], 2000);
    assert!(second["kept_files"].as_u64().unwrap() > 0, "{second}");
    assert!(second["copied_bytes"].as_u64().unwrap() < second["bytes"].as_u64().unwrap(), "{second}");
    assert_eq!(back_up(&source)["copied_files"], 0, "nothing is new");
    let now = second["token"].as_str().unwrap();

    let home = Home::new();
    let text = ok(home.restore(&backup_dir(&source), &[], None));
    assert!(text.contains("2,000 events") && text.contains(now), "{text}");
    let restored = home.serve();
    for args in [&["digest", "--at", now][..], &["export"]] {
        assert_eq!(ok(restored.run(args)), ok(source.run(args)), "{args:?}");
    }
    let (old, new) = (source.json(&["stats"]), restored.json(&["stats"]));
    assert_ne!(old["cluster_id"], new["cluster_id"]);
    for id in [&old["cluster_id"], &new["cluster_id"]] {
        assert!(text.contains(id.as_str().unwrap()), "{text}");
    }
    assert_ne!(old["node_id"], new["node_id"]);
    // What was stored before the backup is known by its ids; what is new goes on behind it.
    assert_eq!(import(&restored, 1..=2000)["already_there"], 2000);
    import(&restored, 2001..=2100);
    assert_eq!(ok(restored.run(&["digest", "--at", now])), ok(source.run(&["digest", "--at", now])));

    let home = Home::new();
    ok(home.restore(&backup_dir(&source), &["--at", &token, "--keep-cluster-id"], None));
    let before = home.serve();
    assert_eq!(old["cluster_id"], before.json(&["stats"])["cluster_id"]);
    assert_ne!(old["node_id"], before.json(&["stats"])["node_id"]);
    assert_eq!(ok(before.run(&["export"])), past);
    assert_eq!(ok(before.run(&["digest"])), ok(source.run(&["digest", "--at", &token])));
    assert_eq!(import(&before, 1400..=1600)["already_there"], 101);
}

#[test]
fn a_restored_node_can_be_backed_up_killed_and_verified() {
    let source = Server::start();
    import(&source, 1..=300);
    back_up(&source);
    let home = Home::new();
    ok(home.restore(&backup_dir(&source), &[], None));
    let mut restored = home.serve();
    import(&restored, 301..=400);
    restored.kill();
    let verified = restored.verify();
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    restored.restart();
    let again = back_up(&restored);
    assert_eq!(again["events"], 400);
    ok(chronos(&["backup", &backup_dir(&restored), "--verify"]));
}

#[test]
fn what_cannot_be_restored_is_refused_and_says_what_to_do() {
    let source = Server::start();
    import(&source, 1..=200);
    let backup = backup_dir(&source);
    let home = Home::new();
    let none = home.restore(&backup, &[], None);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("chronos backup"), "{}", none.stderr);
    let token = back_up(&source)["token"].as_str().unwrap().to_owned();
    import(&source, 201..=220);
    let beyond = source.json(&["stats"])["token"].as_str().unwrap().to_owned();
    for at in [beyond.as_str(), "2100-01-01T00:00:00Z", "v3"] {
        let refused = home.restore(&backup, &["--at", at], None);
        assert_eq!(refused.code, 2, "{at}: {}", refused.stderr);
        let is_time = at.starts_with("2100");
        assert_eq!(
            is_time,
            refused.stderr.contains("2100-01-01T00:00:00.000000Z is asked for"),
            "{}",
            refused.stderr
        );
    }
    fs::create_dir_all(home.data()).unwrap();
    fs::write(Path::new(&home.data()).join("mine"), "x").unwrap();
    let refused = home.restore(&backup, &["--at", &token], None);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    fs::remove_dir_all(home.data()).unwrap();
    let foreign = source.run(&["backup", source.data().to_str().unwrap()]);
    assert_eq!(foreign.code, 2, "{}", foreign.stderr);
}

fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_damaged_backup_is_refused_by_name_and_healed_by_the_next_run() {
    let source = Server::start();
    import(&source, 1..=400);
    back_up(&source);
    let backup = backup_dir(&source);
    for end in [".parquet", ".index", "BACKUP"] {
        let file = files(Path::new(&backup), end).pop().unwrap();
        let whole = fs::read(&file).unwrap();
        let mut broken = whole.clone();
        broken[whole.len() / 2] ^= 0x10;
        fs::write(&file, &broken).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let home = Home::new();
        let refused = home.restore(&backup, &[], None);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains(name), "{name}: {}", refused.stderr);
        assert!(!Path::new(&home.data()).exists());
        let verified = chronos(&["backup", &backup, "--verify"]);
        assert_eq!(verified.code, 1, "{}", verified.stdout);
        if end == "BACKUP" {
            let refused = source.run(&["backup", &backup]);
            assert_eq!(refused.code, 1, "{}", refused.stdout);
            fs::remove_file(&file).unwrap();
            assert_eq!(back_up(&source)["copied_files"], 0, "every file that is whole is kept");
        } else {
            assert_eq!(back_up(&source)["copied_files"], 1);
        }
        assert_eq!(
            ok(chronos(&["backup", &backup, "--verify"])).lines().next().unwrap().split(':').next(),
            Some("clean")
        );
    }
}

#[test]
fn a_backup_that_is_killed_at_any_step_is_gone_on_with() {
    let source = Server::start();
    import(&source, 1..=400);
    let backup = backup_dir(&source);
    let mut died = Vec::new();
    for point in CRASH_POINTS {
        for nth in [1, 7] {
            let mut command = source.command(&["backup", &backup]);
            command.env("CHRONOS_CRASH_AT", format!("{point}:{nth}"));
            let run = server::finish(command, "");
            if run.code != 0 {
                assert!(run.stderr.contains(point), "{point}: {}", run.stderr);
                died.push(point);
            }
            let done = back_up(&source);
            assert_eq!(done["events"], 400);
            ok(chronos(&["backup", &backup, "--verify"]));
            assert!(files(Path::new(&backup), ".partial").is_empty());
            fs::remove_dir_all(&backup).unwrap();
        }
    }
    died.dedup();
    // Nothing is removed where nothing was before.
    assert_eq!(died, &CRASH_POINTS[..CRASH_POINTS.len() - 1]);
}

#[test]
fn a_restore_that_is_killed_at_any_step_is_all_or_nothing() {
    let source = Server::start();
    import(&source, 1..=100);
    let token = source.json(&["backup", &backup_dir(&source)])["token"].as_str().unwrap().to_owned();
    import(&source, 101..=300);
    fs::remove_dir_all(backup_dir(&source)).unwrap();
    source.json(&["compact"]);
    back_up(&source);
    for point in RESTORE_CRASH_POINTS {
        let home = Home::new();
        if point == "store.restore.cleared" {
            assert_ne!(home.restore(&backup_dir(&source), &[], Some("store.restore.logged:1")).code, 0);
        }
        let at = ["--at", token.as_str()];
        let at = if point == "store.restore.rewritten" { &at[..] } else { &[] };
        let died = home.restore(&backup_dir(&source), at, Some(&format!("{point}:1")));
        // With parts that end where the token does there is nothing to rewrite.
        if died.code == 0 {
            assert_eq!(point, "store.restore.rewritten", "{point} is never passed");
            continue;
        }
        assert!(died.stderr.contains(point), "{point}: {}", died.stderr);
        let unfinished = format!("{}.restoring", home.data());
        if Path::new(&unfinished).exists() {
            assert!(!Path::new(&home.data()).exists(), "{point}: both names are there");
            let started = chronos(&["server", "--listen", "127.0.0.1:0", "--data", &unfinished]);
            assert_eq!(started.code, 1, "{point}: a half restored node was started");
            assert!(started.stderr.contains("chronos restore"), "{}", started.stderr);
            ok(home.restore(&backup_dir(&source), at, None));
        }
        let events = home.serve().json(&["stats"])["events"].clone();
        assert_eq!(events, if at.is_empty() { 300 } else { 100 }, "{point}");
    }
}
