//! Questions that took the process down, or kept its threads, and others of their kind.

use super::fact::{EVENTS, Fact, facts};
use super::plain::{A_MOMENT, Asker};
use crate::{Error, Limits};

fn asker() -> Asker {
    Asker::new(Limits::default())
}

/// The text of the refusal.
fn refused(asker: &Asker, facts: &[Fact], sql: &str) -> String {
    let shown = &sql[..sql.len().min(200)];
    match asker.ask(facts, sql) {
        Err(Error::Invalid { text }) => text,
        Err(other) => panic!("{shown}: {other}"),
        Ok((rows, _)) => panic!("{shown}: {} rows", rows.len()),
    }
}

fn repeated(part: &str, by: &str, times: usize) -> String {
    vec![part; times].join(by)
}

#[test]
fn a_question_as_long_as_allowed_is_planned_and_answered() {
    let (asker, facts) = (asker(), facts());
    let any = (0..500).map(|version| format!("version={version}")).collect::<Vec<_>>().join(" OR ");
    let total = [EVENTS.to_string()];
    assert_eq!(asker.rows(&facts, &format!("SELECT count(*) FROM events WHERE {any}")).concat(), total);
    let ids = (0..4000).map(|version| version.to_string()).collect::<Vec<_>>().join(",");
    let sql = format!("SELECT count(*) FROM events WHERE version IN ({ids})");
    assert_eq!(asker.rows(&facts, &sql).concat(), total);
    let sum = format!("SELECT {}", repeated("1", "+", 400));
    assert_eq!(asker.rows(&[], &sum).concat(), ["400"]);
    let sum = format!("SELECT max({}) FROM events", repeated("version", "+", 400));
    assert!(asker.ask(&facts, &sum).is_ok());
}

#[test]
fn a_question_of_many_parts_is_planned_and_answered() {
    let union = repeated("SELECT 1", " UNION ALL ", 400);
    assert_eq!(asker().rows(&[], &union).len(), 400);
}

#[test]
fn a_longer_question_is_refused_with_its_length() {
    let asker = asker();
    let any = (0..3000).map(|version| format!("version={version}")).collect::<Vec<_>>().join(" OR ");
    for sql in [
        format!("SELECT count(*) FROM events WHERE {any}"),
        format!("SELECT {}", repeated("1", "+", 20_000)),
        repeated("SELECT 1", " UNION ALL ", 3000),
        format!("SELECT 1 IN ({})", repeated("1", ",", 5000)),
        format!("SELECT {} true", repeated("NOT", " ", 10_000)),
    ] {
        let text = refused(&asker, &[], &sql);
        assert!(text.contains("may have 1024") || text.contains("may have 8192"), "{text}");
    }
}

#[test]
fn what_doubles_at_every_step_is_refused_before_it_is_planned() {
    let (asker, facts) = (asker(), facts());
    let steps = |first: &str, step: &str| {
        let later = (1..40).map(|n| format!(", t{n} AS ({})", step.replace('$', &format!("t{}", n - 1))));
        format!("WITH t0 AS ({first}){}", later.collect::<String>())
    };
    let unions = steps("SELECT 1 AS v", "SELECT v FROM $ UNION ALL SELECT v FROM $");
    assert!(refused(&asker, &facts, &format!("{unions} SELECT count(*) FROM t39")).contains("tables"));
    let sums = steps("SELECT version AS v FROM events", "SELECT v + v AS v FROM $");
    assert!(
        refused(&asker, &facts, &format!("{sums} SELECT count(*) FROM t39 WHERE v = 1")).contains("parts")
    );
    let tables = (0..100).map(|n| format!("(VALUES (1)) t{n}")).collect::<Vec<_>>().join(", ");
    assert!(refused(&asker, &facts, &format!("SELECT 1 FROM {tables}")).contains("64 joins"));
    let many = repeated("SELECT version FROM events", " UNION ALL ", 40);
    assert!(refused(&asker, &facts, &many).contains("40 times"));
}

#[test]
fn a_window_gives_no_text_to_many_rows() {
    let (asker, facts) = (asker(), facts());
    for function in [
        "array_agg(payload)",
        "string_agg(payload, ',')",
        "first_value(payload)",
        "last_value(metadata)",
        "nth_value(payload, 2)",
        "max(payload)",
        "min(tags)",
        "lag(version, 1, 5) + array_length(array_agg(version) OVER ())",
        "lag(payload, 1, entity_id)",
        "lag(payload) IGNORE NULLS",
    ] {
        let sql = format!("SELECT payload, {function} OVER (ORDER BY version) FROM events");
        assert!(matches!(asker.ask(&facts, &sql), Err(Error::Invalid { .. })), "{sql}");
    }
    let text = refused(&asker, &facts, "SELECT payload, array_agg(payload) OVER () FROM events");
    assert!(text.contains("GROUP BY"), "{text}");
    for function in [
        "count(*)",
        "row_number()",
        "sum(version)",
        "lag(payload)",
        "lead(event_type, 2, 'none')",
        "max(recorded_at)",
    ] {
        let sql =
            format!("SELECT payload, {function} OVER (PARTITION BY entity_id ORDER BY version) FROM events");
        assert_eq!(asker.rows(&facts, &sql).len() as u64, EVENTS, "{sql}");
    }
}

#[test]
fn what_a_window_holds_counts_as_memory() {
    let limits = Limits { memory_bytes: 256 << 10, ..Limits::default() };
    let (asker, facts) = (Asker::new(limits), facts());
    let wide = "SELECT payload, metadata, entity_id, event_id, content_type, count(*) OVER () FROM events";
    assert!(matches!(asker.ask(&facts, wide), Err(Error::OutOfMemory { .. })));
    assert_eq!(asker.rows(&facts, "SELECT version, count(*) OVER () FROM events").len() as u64, EVENTS);
}

#[test]
fn text_cannot_be_made_longer_and_longer() {
    let (asker, facts) = (asker(), facts());
    for step in [
        "v || v",
        "concat(v, v)",
        "replace(v, 'a', 'aaaaaaaaaa')",
        "regexp_replace(v, 'a', 'aaaaaaaaaa', 'g')",
        "overlay(v placing v from 1 for 0)",
        "array_to_string(make_array(v, v), v)",
        "concat_ws(v, v, v)",
    ] {
        let nested =
            |first: &str| (0..45).fold(first.to_owned(), |sql, _| format!("SELECT {step} AS v FROM ({sql})"));
        for first in ["SELECT 'aaaa' AS v", "SELECT concat('aaaa', event_type) AS v FROM events"] {
            let sql = format!("SELECT sum(length(v)) FROM ({})", nested(first));
            let error = asker.ask(&facts, &sql).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. } | Error::OutOfMemory { .. }), "{sql}: {error}");
        }
    }
    assert_eq!(
        asker.rows(&[], "SELECT 'a' || 1 || NULL, 'a' || 1, concat('a', NULL, 'b')").concat(),
        ["NULL", "a1", "ab"]
    );
    let sql = "SELECT count(DISTINCT replace(entity_id || '/' || version, 'order', 'sale')) FROM events";
    assert_eq!(asker.rows(&facts, sql).concat(), [EVENTS.to_string()]);
    assert_eq!(
        asker.rows(&facts, "SELECT array_to_string(['a','b'] || 'c' || ['d'], '-')").concat(),
        ["a-b-c-d"]
    );
    // What was reserved is given back.
    assert!((0..20).all(|_| asker.ask(&facts, sql).is_ok()));
}

#[test]
fn lists_cannot_be_made_longer_and_longer() {
    let (asker, facts) = (asker(), facts());
    for step in ["[v, v]", "array_concat(v, v)", "v || v"] {
        let nested = (0..45).fold("SELECT tags AS v FROM events".to_owned(), |sql, _| {
            format!("SELECT {step} AS v FROM ({sql})")
        });
        let sql = format!("SELECT sum(cardinality(v)) FROM ({nested})");
        let error = asker.ask(&facts, &sql).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. } | Error::OutOfMemory { .. }), "{sql}: {error}");
    }
    let long = repeated("1", ",", 2000);
    let sql = format!("SELECT count(*) FROM (SELECT payload, unnest([{long}]) FROM events)");
    assert_eq!(asker.rows(&facts, &sql).concat(), [(EVENTS * 2000).to_string()]);
    let sql = "SELECT count(*) FROM (SELECT unnest(tags) FROM events)";
    let tags: usize = facts.iter().map(|fact| fact.tags.len()).sum();
    assert_eq!(asker.rows(&facts, sql).concat(), [tags.to_string()]);
}

#[test]
fn a_number_in_a_question_decides_no_length() {
    let (asker, facts) = (asker(), facts());
    for sql in [
        "SELECT repeat('x', 5)",
        "SELECT lpad('x', 5)",
        "SELECT array_repeat(1, 5)",
        "SELECT generate_series(1, 5)",
        "SELECT * FROM generate_series(1, 5)",
        "SELECT arrow_cast('x', 'FixedSizeBinary(1000000000)')",
        "SELECT CAST(NULL AS INT[1000000000]) FROM events",
        "SELECT approx_percentile_cont(version, 0.5, 1000000000000) FROM events",
        "SELECT array_transform([1, 2], x -> payload) FROM events",
    ] {
        assert!(matches!(asker.ask(&facts, sql), Err(Error::Invalid { .. })), "{sql}");
    }
    assert!(asker.ask(&facts, "SELECT approx_percentile_cont(version, 0.5) FROM events").is_ok());
    let sql =
        "SELECT entity_id, max(version) m FROM events GROUP BY entity_id ORDER BY m DESC LIMIT 1000000000000";
    assert!(asker.ask(&facts, sql).is_ok());
}

/// So many rows from tables of ten.
fn rows(power: usize) -> String {
    let ten = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))";
    let tables = (0..power).map(|n| format!("{ten} AS t{n}(c{n})")).collect::<Vec<_>>().join(", ");
    let number =
        (0..power).map(|n| format!("c{n} * {}", 10_u64.pow(n as u32))).collect::<Vec<_>>().join(" + ");
    format!("(SELECT {number} AS n FROM {tables})")
}

#[test]
fn a_join_without_an_equality_compares_so_many_pairs_and_no_more() {
    let (asker, facts) = (asker(), facts());
    let few = "SELECT count(*) FROM events a, events b WHERE a.version > b.version + 100000";
    assert_eq!(asker.rows(&facts, few).concat(), ["0"]);
    let many = format!("SELECT count(*) FROM {} a, {} b WHERE a.n > b.n + 1000000", rows(4), rows(4));
    assert!(refused(&asker, &[], &many).contains("equality"));
    let cross = format!("SELECT max(a.n + b.n) FROM {} a, {} b", rows(4), rows(4));
    assert!(refused(&asker, &[], &cross).contains("equality"));
}

#[test]
fn the_threads_are_free_after_a_question_that_was_given_up() {
    let limits = Limits { questions: 4, ..Limits::default() };
    let (asker, facts) = (Asker::new(limits), facts());
    let numbers = rows(4);
    for endless in [
        format!("SELECT count(*) FROM {numbers} a, {numbers} b WHERE a.n > b.n + 100000"),
        format!(
            "SELECT count(*) FROM {numbers} a JOIN {numbers} b ON a.n % 1 = b.n % 1 WHERE a.n * b.n > 1000000000"
        ),
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r".to_owned(),
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT 1 - n FROM r) SELECT count(*) FROM r".to_owned(),
    ] {
        // More of them than threads.
        for _ in 0..4 {
            #[expect(clippy::disallowed_methods, reason = "a time that passes is what is tested")]
            let expiry = async { tokio::time::sleep(A_MOMENT * 100).await };
            let error = asker.ask_for(&[], &endless, 1, expiry).unwrap_err();
            assert!(matches!(error, Error::OutOfTime { .. }), "{endless}: {error}");
        }
        assert_eq!(asker.rows(&facts, "SELECT count(*) FROM events").concat(), [EVENTS.to_string()]);
    }
}
