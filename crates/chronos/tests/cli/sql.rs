//! `chronos sql`: rows in three forms, a plan, and refusals with their exit codes.

use crate::server::Server;
use crate::{lines, objects, write};

fn filled() -> Server {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let file = write(dir.path(), "events.ndjson", &lines(300));
    assert_eq!(server.run(&["import", &file]).code, 0);
    server
}

#[test]
fn rows_are_printed_as_a_table_as_lines_and_as_csv() {
    let server = filled();
    let sql = "SELECT entity_id, count(*) AS events, max(json_get_int(payload, 'n')) AS last FROM events \
               WHERE entity_id IN ('order-5', 'order-96') GROUP BY entity_id ORDER BY entity_id";
    let table = server.run(&["sql", sql]);
    assert_eq!(table.stdout, "entity_id  events  last\norder-5         4   296\norder-96        3   290\n");
    assert!(table.stderr.starts_with("2 rows in "), "{}", table.stderr);
    let csv = server.run(&["sql", sql, "--format", "csv"]);
    assert_eq!(csv.stdout, "entity_id,events,last\norder-5,4,296\norder-96,3,290\n");
    assert_eq!(csv.stderr, "");
    for args in [["sql", sql, "--format", "json"], ["sql", sql, "--output", "json"]] {
        let rows = objects(&server.run(&args));
        assert_eq!(rows[1], serde_json::json!({"entity_id": "order-96", "events": 3, "last": 290}));
    }
    let nothing = server.run(&["sql", "SELECT version FROM events WHERE version > 99", "--format", "csv"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (0, "version\n"));
}

#[test]
fn a_question_may_be_about_the_past_and_says_how_it_was_answered() {
    let server = filled();
    let token = server.run(&["watermarks", "--token"]).stdout.trim().to_owned();
    server.json(&["append", "order-5", "order.paid", "{}"]);
    let sql = "SELECT count(*) AS n FROM events WHERE entity_id = 'order-5'";
    assert_eq!(objects(&server.run(&["sql", sql, "--format", "json"]))[0]["n"], 5);
    let past = server.run(&["sql", sql, "--format", "json", "--as-of", &token]);
    assert_eq!(objects(&past)[0]["n"], 4);
    let explained = server.run(&["sql", &format!("EXPLAIN {sql}")]).stdout;
    for part in ["partitions=1 of 32", "rows returned", "rows read"] {
        assert!(explained.contains(part), "{part} is not in {explained}");
    }
}

#[test]
fn what_cannot_be_answered_ends_with_its_own_exit_code_and_a_sentence() {
    let server = filled();
    for (args, said) in [
        (vec!["sql", "DROP TABLE events"], "only questions are answered here"),
        (vec!["sql", "SELECT nothing FROM events"], "No field named nothing"),
        (vec!["sql", "SELECT * FROM events", "--max-rows", "10"], "more than the 10 rows allowed"),
    ] {
        let run = server.run(&args);
        assert_eq!(run.code, 4, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(said), "{args:?}: {}", run.stderr);
    }
}
