//! Git histories that are not as git itself would write them today.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::objects;
use crate::server::Server;

fn git(repository: &Path, args: &[&str], input: &str) -> String {
    let mut child = Command::new("git")
        .current_dir(repository)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {args:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with one commit for each of these author times.
fn repository(path: &Path, times: &[&str]) {
    fs::create_dir(path).unwrap();
    git(path, &["init", "-q"], "");
    fs::write(path.join("tab\there"), "1").unwrap();
    git(path, &["add", "."], "");
    let tree = git(path, &["write-tree"], "");
    let mut parent = String::new();
    for time in times {
        let commit = format!(
            "tree {tree}\n{parent}author A <a@b> {time} +0000\ncommitter A <a@b> 1700000000 +0000\n\nat {time}\n"
        );
        let hash = git(path, &["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], &commit);
        parent = format!("parent {hash}\n");
    }
    let head = parent.trim().strip_prefix("parent ").unwrap().to_owned();
    git(path, &["update-ref", "HEAD", &head], "");
}

#[test]
fn commits_of_any_time_go_in_and_skipped_files_are_named() {
    let server = Server::start();
    let path = server.dir().join("old");
    repository(&path, &["-86400", "noon", "99999999999999999", "7"]);
    let run = server.run(&["import-git", path.to_str().unwrap(), "--output", "json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("skipped \"tab\\there\" of commit "), "{}", run.stderr);
    let summary = &objects(&run)[0];
    assert_eq!((&summary["stored"], &summary["skipped"]), (&4.into(), &1.into()));
    let times: Vec<Value> = objects(&server.run(&["read", "repo-{old}", "--output", "json"]))
        .iter()
        .map(|event| event["occurred_at"].clone())
        .collect();
    assert_eq!(times, [(-86_400_000_000_i64).into(), Value::Null, Value::Null, 7_000_000.into()]);
    for name in ["", "a/b", "a{b}", ".."] {
        let run = server.run(&["import-git", path.to_str().unwrap(), "--name", name]);
        assert_eq!(run.code, 2, "{name:?}: {}", run.stderr);
    }
}
