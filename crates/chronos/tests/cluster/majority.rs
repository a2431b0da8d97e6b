//! A cluster whose majority is gone: whatever is asked of the rest ends by its deadline, and says why.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use chronos_domain::{Position, Token, place};

use super::{Node, PATIENCE, chronos, home, pause};

/// How a command ends that must not succeed: what it says. It ends by itself, or the test fails.
fn fails(args: &[&str]) -> String {
    let (code, _, said) = ends(args);
    assert_eq!(code, Some(1), "{args:?}: {said}");
    said
}

/// How a command ends: its exit code, what it prints, and what it says. It ends by itself, or the test fails.
pub(super) fn ends(args: &[&str]) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chronos"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    #[expect(clippy::disallowed_methods, reason = "real processes take real time")]
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{args:?} does not end");
        }
        pause();
    };
    let (mut printed, mut said) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), printed, said)
}

#[test]
fn without_a_majority_every_request_ends_with_the_reason() {
    let (home, [first, second, third]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let join = ["--join", &founder.peers];
    let others = [Node::start(&second, &join), Node::start(&third, &join)];
    founder.leaders();
    let event = founder.append("order-1", "").1["event_ids"][0].as_str().unwrap().to_owned();
    let said = chronos(&["sql", "SELECT count(*) AS events FROM events", "--addr", &founder.clients]);
    assert!(said.contains('1'), "{said}");
    drop(others);

    let nothing = "01890a5d-ac96-774b-bcce-b302099a8057";
    let local = "/v1/entities/order-1/events?consistency=local";
    let (status, past) = founder.ask("GET", local, "", "");
    assert_eq!((status, past["events"][0]["event_id"].as_str()), (200, Some(event.as_str())), "{past}");
    // A moment that has not come here, and that nobody can bring.
    let future = Token::at(place("default", "order-1"), Position::new(1000)).to_string();
    let backup = home.path().join("backup");
    let backup = backup.to_str().unwrap();
    let at_clients = ["--addr", &founder.clients, "--timeout", "4s"];
    for command in [
        &["sql", "SELECT count(*) FROM events"][..],
        &["sql", "SELECT count(*) FROM events", "--as-of", &future],
        &["read", "order-1"],
        &["state", "order-1"],
        &["get", nothing],
        &["export"],
        &["backup", backup],
    ] {
        let said = fails(&[command, &at_clients[..]].concat());
        assert!(said.contains("partition"), "{command:?}: {said}");
    }
    let operators = ["cluster", "backup", "--to", backup, "--admin", &founder.operators];
    assert!(fails(&operators).contains("no backup was made"));
    assert!(!home.path().join("backup").exists(), "a backup that was refused leaves nothing");

    // Whoever appends is told of what, and who would have to be there, by whichever way he came.
    let at = place("default", "order-1");
    let missing =
        format!("partition {at} has no leader: no majority of its replicas n1, n2, n3 can be reached");
    let append = ["append", "order-1", "order.placed", "{}", "--addr", &founder.clients, "--timeout", "20s"];
    let (_, _, said) = ends(&append);
    assert!(said.contains(&missing) && said.contains("n2, n3 are down"), "{said}");
    let body = r#"{"entity_id":"order-1","event_type":"order.placed","payload":{}}"#;
    let json = "Content-Type: application/json\r\n";
    let (status, said) = founder.ask("POST", "/v1/events?timeout_ms=1000", json, body);
    let detail = said["detail"].as_str().unwrap();
    assert!(status == 503 && detail.contains(&missing), "{said}");

    for path in [
        "/v1/entities/order-1/events?timeout_ms=1000".to_owned(),
        "/v1/entities/order-1/state?timeout_ms=1000".to_owned(),
        "/v1/events?consistency=linearizable&timeout_ms=1000".to_owned(),
        format!("/v1/events/{nothing}?timeout_ms=1000"),
    ] {
        let (status, said) = founder.ask("GET", &path, "", "");
        assert!(status == 503 || status == 504, "{path}: {said}");
        assert!(said["details"]["partition"].is_string(), "{path}: {said}");
    }
    let question = r#"{"sql":"SELECT 1","limits":{"time_ms":1000}}"#;
    let (status, said) = founder.ask("POST", "/v1/sql", json, question);
    assert!(status == 503 || status == 504, "{said}");
    let (status, said) = founder.ask("GET", &format!("{local}&at_least={future}"), "", "");
    assert_eq!(status, 400, "{said}");
    let (status, said) = founder.ask("GET", &format!("/v1/events?at_least={future}&timeout_ms=1000"), "", "");
    assert_eq!((status, said["reason"].as_str()), (503, Some("NOT_CAUGHT_UP")), "{said}");
}
