//! JSON that is laid out over several lines, through an export and back.

use bytes::Bytes;
use chronos_client::{Append, Client, Draft, EntityId, EventId, EventType};

use crate::server::Server;

/// As an editor leaves it.
const PRETTY: &str = "{\n  \"total\": 42,\n  \"note\": \"two words\"\n}\n";

/// Stores bytes as they are, which `chronos append` would not.
fn append_as_it_is(server: &Server, id: u128, payload: &'static str) {
    let draft = Draft::json(
        EventId::from_u128(id),
        EntityId::parse("note-1").unwrap(),
        EventType::parse("note.added").unwrap(),
        Bytes::from_static(payload.as_bytes()),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(server.address()).unwrap();
        client.append(Append::of(vec![draft])).await.unwrap();
    });
}

#[test]
fn an_export_goes_back_into_the_store_it_came_from_however_its_json_was_laid_out() {
    let server = Server::start();
    for (id, payload) in [(1, PRETTY), (2, "{\"a\": 1}\n"), (3, " 1 "), (4, "{\"plain\":true}")] {
        append_as_it_is(&server, id, payload);
    }
    let exported = server.run(&["export"]).stdout;
    assert_eq!(exported.lines().count(), 4);
    for _ in 0..2 {
        let run = server.run_with(&["import", "-", "--output", "json"], &exported);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let summary: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((&summary["stored"], &summary["already_there"]), (&0.into(), &4.into()));
    }
    let other = exported.replace("two words", "three small words");
    let conflict = server.run_with(&["import", "-"], &other);
    assert_eq!(conflict.code, 4, "{}", conflict.stderr);
    assert!(conflict.stderr.contains("IDEMPOTENCY_CONFLICT"), "{}", conflict.stderr);
}

#[test]
fn white_space_around_a_payload_is_not_stored() {
    let server = Server::start();
    let run = server.run_with(&["append", "note-1", "note.added", "-"], PRETTY);
    assert_eq!(run.code, 0, "{}", run.stderr);
    server.json(&["append", "note-1", "note.added", " {\"a\": 1}\n"]);
    let read = server.run(&["read", "note-1", "--backward", "--limit", "1", "--output", "json"]).stdout;
    assert!(read.contains("\"payload\":{\"a\": 1},\"metadata\""), "{read}");
    assert_eq!(server.run_with(&["append", "a", "t", "-"], " \n").code, 4, "white space alone is no JSON");
    let text = [&["append", "a", "t", "-", "--content-type", "text/plain"][..]].concat();
    assert_eq!(server.run_with(&text, " a \n").code, 0);
    assert!(
        server.run(&["export", "--entity", "a"]).stdout.contains("\"IGEgCg==\""),
        "text keeps every byte"
    );
}
