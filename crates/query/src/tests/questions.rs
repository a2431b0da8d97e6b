//! Questions whose answers are known by hand.

use super::fact::{Fact, TYPES, entity, facts};
use super::plain::Asker;
use crate::{Error, Limits};

fn asker() -> Asker {
    Asker::new(Limits::default())
}

fn line(rows: &[Vec<String>], about: &str) -> String {
    rows.iter().find(|row| row[0] == about).map(|row| row[1].clone()).unwrap_or_default()
}

#[test]
fn the_tables_and_their_columns_can_be_found_out() {
    let asker = asker();
    let tables = asker.rows(&[], "SHOW TABLES");
    let names: Vec<_> = tables.iter().filter(|row| row[1] == "public").map(|row| row[2].as_str()).collect();
    for name in ["events", "events_per_type_and_hour", "entity_counts", "recent_changes"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let columns = asker.rows(&[], "DESCRIBE events");
    let names: Vec<_> = columns.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names[..4], ["partition", "position", "version", "event_id"]);
    assert_eq!(names.len(), 14);
    assert!(!asker.rows(&[], "SHOW COLUMNS FROM recent_changes").is_empty());
    let sql = "SELECT DISTINCT routine_name FROM information_schema.routines WHERE routine_name LIKE 'json%'";
    assert_eq!(asker.rows(&[], sql).len(), 7);
}

#[test]
fn json_is_looked_into_by_functions_and_by_arrows() {
    let asker = asker();
    let one = |expression: &str| {
        let rows = asker.rows(&[], &format!("SELECT {expression} FROM (VALUES \
            ('{{\"a\":{{\"b\":[10,\"x\",null,2.5,true]}},\"s\":\"it''s\",\"big\":12345678901234567890}}')) AS t(j)"));
        rows[0][0].clone()
    };
    let cases = [
        ("json_get_int(j, 'a', 'b', 0)", "10"),
        ("json_get_str(j, 'a', 'b', 1)", "x"),
        ("json_get_str(j, 'a', 'b', 0)", "NULL"),
        ("json_get_float(j, 'a', 'b', 3)", "2.5"),
        ("json_get_float(j, 'a', 'b', 0)", "10.0"),
        ("json_get_int(j, 'a', 'b', 3)", "NULL"),
        ("json_get_int(j, 'big')", "NULL"),
        ("json_get_bool(j, 'a', 'b', 4)", "true"),
        ("json_get_bool(j, 's')", "NULL"),
        ("json_get_json(j, 'a')", r#"{"b":[10,"x",null,2.5,true]}"#),
        ("json_get_json(j, 's')", r#""it's""#),
        ("json_as_text(j, 's')", "it's"),
        ("json_as_text(j, 'a', 'b', 2)", "NULL"),
        ("json_contains(j, 'a', 'b', 2)", "true"),
        ("json_contains(j, 'a', 'c')", "false"),
        ("j -> 'a' -> 'b' ->> 3", "2.5"),
        ("j ->> 's' = 'it''s'", "true"),
        ("j -> 'a' -> 'b' -> 9", "NULL"),
        ("j -> 'a' -> 'b' -> -1", "NULL"),
        ("json_get_str(NULL, 's')", "NULL"),
        ("json_get_str('no json', 's')", "NULL"),
        ("json_get_int('7')", "7"),
    ];
    for (expression, value) in cases {
        assert_eq!(one(expression), value, "{expression}");
    }
    // A path may differ by row.
    let rows = asker
        .rows(&[], r#"SELECT json_get_int('{"a":1,"b":2}', k) FROM (VALUES ('a'), ('b'), ('c')) AS t(k)"#);
    assert_eq!(rows.concat(), ["1", "2", "NULL"]);
    let wrong = asker.ask(&[], "SELECT json_get_int(5, 'a')").unwrap_err();
    assert!(matches!(&wrong, Error::Invalid { text } if text.contains("json_get_int")), "{wrong}");
}

#[test]
fn a_question_about_one_entity_reads_its_partition_and_its_rows_only() {
    let (asker, facts) = (asker(), facts());
    let sql = format!("SELECT count(*) FROM events WHERE entity_id = '{}'", entity(3));
    let (rows, stats) = asker.ask(&facts, &sql).unwrap();
    let events = facts.iter().filter(|fact| fact.entity == entity(3)).count();
    assert_eq!(rows.concat(), [events.to_string()]);
    assert_eq!(stats.partitions_read, 1);
    assert_eq!(stats.file_rows_read + stats.tail_rows_read, events as u64);
    assert!(stats.files_read < stats.files, "{stats:?}");
}

#[test]
fn the_newest_events_are_found_without_reading_the_old_ones() {
    let (asker, facts) = (asker(), facts());
    let sql = "SELECT event_id, payload FROM events ORDER BY recorded_at DESC LIMIT 3";
    let (rows, stats) = asker.ask(&facts, sql).unwrap();
    let newest: Vec<_> = facts.iter().rev().take(3).map(|fact| fact.event_id.to_string()).collect();
    assert_eq!(rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>(), newest);
    assert!(stats.rows_read() < facts.len() as u64, "{stats:?}");
}

#[test]
fn explain_shows_the_plan_and_what_was_read_against_what_was_returned() {
    let (asker, facts) = (asker(), facts());
    let sql = format!("SELECT * FROM events WHERE entity_id = '{}' AND version > 2", entity(0));
    let (_, stats) = asker.ask(&facts, &sql).unwrap();
    for (explain, metrics) in [("EXPLAIN", false), ("EXPLAIN ANALYZE", true)] {
        let rows = asker.rows(&facts, &format!("{explain} {sql}"));
        let plan: Vec<_> = rows.iter().filter(|row| row[0] == "plan").map(|row| row[1].as_str()).collect();
        assert!(plan.iter().any(|line| line.contains("Events:") && line.contains("order-0")), "{plan:?}");
        assert_eq!(plan.iter().any(|line| line.contains("output_rows")), metrics, "{plan:?}");
        assert_eq!(line(&rows, "files"), format!("{} read of {}", stats.files_read, stats.files));
        let read = format!(
            "{} from files, {} from the tail, 0 by event id",
            stats.file_rows_read, stats.tail_rows_read
        );
        assert_eq!(line(&rows, "rows read"), read);
        assert_eq!(line(&rows, "rows returned"), stats.rows_returned.to_string());
    }
}

#[test]
fn the_views_answer_the_usual_questions() {
    let (asker, facts) = (asker(), facts());
    let total = facts.len().to_string();
    let sql = "SELECT sum(events), count(DISTINCT event_type), min(hour) FROM events_per_type_and_hour";
    assert_eq!(asker.rows(&facts, sql).concat(), [&total, &TYPES.len().to_string(), "2026-01-01T00:00:00Z"]);
    let of_one = facts.iter().filter(|fact| fact.entity == entity(1)).count().to_string();
    let sql = format!("SELECT events, last_version FROM entity_counts WHERE entity_id = '{}'", entity(1));
    assert_eq!(asker.rows(&facts, &sql).concat(), [of_one.clone(), of_one]);
    let newest: Vec<_> = facts.iter().rev().take(5).map(|fact| fact.event_id.to_string()).collect();
    assert_eq!(asker.rows(&facts, "SELECT event_id FROM recent_changes LIMIT 5").concat(), newest);
}

#[test]
fn what_was_erased_or_is_no_json_has_no_payload_text() {
    let (asker, facts) = (asker(), facts());
    let count = |pick: fn(&Fact) -> bool| facts.iter().filter(|fact| pick(fact)).count().to_string();
    let sql = "SELECT count(*) FILTER (WHERE erased AND payload IS NULL AND payload_bytes IS NULL), \
               count(*) FILTER (WHERE content_type = 'image/png' AND payload IS NULL AND payload_bytes = X'FF00FE'), \
               count(*) FILTER (WHERE payload IS NOT NULL) FROM events";
    let expected = [count(|f| f.erased), count(|f| !f.json), count(|f| f.json && !f.erased)];
    assert_eq!(asker.rows(&facts, sql).concat(), expected);
}

#[test]
fn every_column_has_a_name_of_its_own_and_now_is_one_moment() {
    let asker = asker();
    let names = |sql: &str| {
        let schema = asker.schema(&[], sql);
        schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    let sql = "SELECT a.version, a.version AS version_2, b.version, b.position, c.version \
               FROM events a, events b, events c";
    assert_eq!(names(sql), ["version", "version_2", "version_3", "position", "version_4"]);
    assert_eq!(asker.rows(&[], "SELECT now() - now(), now() > TIMESTAMP '2020-01-01'").concat()[1], "true");
}

#[test]
fn an_empty_store_answers_too() {
    let asker = asker();
    assert_eq!(asker.rows(&[], "SELECT count(*), max(position) FROM events").concat(), ["0", "NULL"]);
    assert!(asker.rows(&[], "SELECT * FROM events").is_empty());
    assert!(asker.rows(&[], "SELECT * FROM recent_changes").is_empty());
}

#[test]
fn nothing_outside_of_the_events_can_be_reached() {
    let asker = asker();
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/hostname\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('/tmp/x.parquet')",
        "SELECT * FROM other_table",
        "SELECT no_such_column FROM events",
        "SELECT repeat('x', 1000000000)",
    ] {
        let error = asker.ask(&[], sql).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{sql}: {error:?}");
    }
}

#[test]
fn a_value_that_cannot_be_computed_is_the_askers_error() {
    let error = asker().ask(&facts(), "SELECT CAST(entity_id AS BIGINT) FROM events").unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    let error = asker().ask(&facts(), "SELECT 1 / (version - version) FROM events").unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
}
