//! Every bound, met and passed.

use super::fact::facts;
use super::plain::{A_MOMENT, Asker};
use crate::{Error, Limits};

#[test]
fn an_answer_may_have_as_many_rows_as_allowed_and_not_one_more() {
    let (asker, facts) = (Asker::new(Limits::default()), facts());
    let all = facts.len() as u64;
    let ask = |rows| asker.ask_for(&facts, "SELECT position FROM events", rows, std::future::pending());
    let (rows, stats) = ask(all).unwrap();
    assert_eq!((rows.len() as u64, stats.rows_returned), (all, all));
    let error = ask(all - 1).unwrap_err();
    assert!(matches!(error, Error::TooManyRows { rows } if rows == all - 1), "{error}");
    // What is read to answer does not count.
    assert!(asker.ask_for(&facts, "SELECT count(*) FROM events", 1, std::future::pending()).is_ok());
}

#[test]
fn a_question_that_needs_more_memory_than_there_is_says_so_and_the_next_one_is_answered() {
    let limits = Limits { memory_bytes: 64 << 10, ..Limits::default() };
    let (asker, facts) = (Asker::new(limits), facts());
    let hungry =
        "SELECT a.payload, b.payload FROM events a CROSS JOIN events b ORDER BY a.payload, b.payload";
    let error = asker.ask(&facts, hungry).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { bytes } if bytes == 64 << 10), "{error:?}");
    assert!(asker.ask(&facts, "SELECT count(*) FROM events").is_ok());
}

#[test]
fn a_question_ends_when_its_time_is_up_and_its_turn_is_free_again() {
    let limits = Limits { questions: 1, ..Limits::default() };
    let (asker, facts) = (Asker::new(limits), facts());
    let endless = "SELECT count(*) FROM events a JOIN events b ON a.version % 1 = b.version % 1 JOIN events c ON b.version % 1 = c.version % 1 \
         JOIN events d ON c.version % 1 = d.version % 1 WHERE a.version + b.version > c.version * d.version + 1000000";
    #[expect(clippy::disallowed_methods, reason = "a time that passes is what is tested")]
    let expiry = async { tokio::time::sleep(A_MOMENT).await };
    let error = asker.ask_for(&facts, endless, 1, expiry).unwrap_err();
    assert!(matches!(error, Error::OutOfTime { .. }), "{error:?}");
    asker.pause();
    assert!(asker.ask(&facts, "SELECT 1").is_ok());
}

#[test]
fn a_question_whose_time_is_up_before_it_begins_is_not_answered_with_nothing() {
    let (asker, facts) = (Asker::new(Limits::default()), facts());
    let outcome = asker.ask_for(&facts, "SELECT * FROM events", 1000, std::future::ready(()));
    // It may be quick enough; it must not be cut short in silence.
    match outcome {
        Ok((rows, _)) => assert_eq!(rows.len(), facts.len()),
        Err(error) => assert!(matches!(error, Error::OutOfTime { .. }), "{error:?}"),
    }
}
