//! Which texts are questions.
//!
//! The rule is a list of what is let through, so that a kind of statement nobody thought of is refused. The plan is
//! checked once more before it runs: text may hide a change inside a question.

use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

use crate::error::Error;
use crate::guard::{text, uses};
use crate::limits::{DEPTH_MAX, SQL_BYTES_MAX};

/// A question that may be planned.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Its answer is wanted.
    Rows(Statement),
    /// How it is answered is wanted; with the operators' own counters, if `analyze`.
    Plan { of: Statement, analyze: bool },
}

/// Reads the text of one question, written as for PostgreSQL.
///
/// # Errors
/// [`Error::Refused`] for anything but one question, [`Error::Invalid`] for what is not SQL.
pub(crate) fn parse(sql: &str) -> Result<Asked, Error> {
    if sql.len() > SQL_BYTES_MAX {
        let bytes = sql.len();
        return Err(Error::invalid(format!("the query has {bytes} bytes; give at most {SQL_BYTES_MAX}")));
    }
    text::check(sql)?;
    let mut statements = DFParserBuilder::new(sql)
        .with_dialect(&PostgreSqlDialect {})
        .with_recursion_limit(DEPTH_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|failure| Error::of(&failure, 0))?;
    if statements.len() > 1 {
        return Err(Error::Refused { what: format!("{} statements at once", statements.len()) });
    }
    let Some(statement) = statements.pop_front() else {
        return Err(Error::invalid("the query is empty; write for example SELECT count(*) FROM events"));
    };
    match &statement {
        Statement::Explain(explain) => uses::check(&explain.statement)?,
        other => uses::check(other)?,
    }
    match statement {
        Statement::Explain(explain) => match refusal(&explain.statement) {
            None => Ok(Asked::Plan { of: *explain.statement, analyze: explain.options.analyze }),
            Some(what) => Err(Error::Refused { what }),
        },
        statement => match refusal(&statement) {
            None => Ok(Asked::Rows(statement)),
            Some(what) => Err(Error::Refused { what }),
        },
    }
}

/// What a statement is, if it is not a question.
fn refusal(statement: &Statement) -> Option<String> {
    let what = match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            ast::Statement::Query(query) => return changing(&query.body).map(str::to_owned),
            ast::Statement::ExplainTable { .. }
            | ast::Statement::ShowTables { .. }
            | ast::Statement::ShowColumns { .. }
            | ast::Statement::ShowFunctions { .. } => return None,
            other => first_words(&other.to_string()),
        },
        Statement::CreateExternalTable(_) => "CREATE EXTERNAL TABLE".to_owned(),
        Statement::CopyTo(_) => "COPY".to_owned(),
        Statement::Explain(_) => "an EXPLAIN inside of an EXPLAIN".to_owned(),
        Statement::Reset(_) => "RESET".to_owned(),
    };
    Some(what)
}

/// What the body of a query does beside asking.
fn changing(body: &ast::SetExpr) -> Option<&'static str> {
    match body {
        ast::SetExpr::Insert(_) => Some("INSERT"),
        ast::SetExpr::Update(_) => Some("UPDATE"),
        ast::SetExpr::Delete(_) => Some("DELETE"),
        ast::SetExpr::Merge(_) => Some("MERGE"),
        ast::SetExpr::Select(select) => select.into.as_ref().map(|_| "SELECT INTO"),
        ast::SetExpr::Query(query) => changing(&query.body),
        ast::SetExpr::SetOperation { left, right, .. } => changing(left).or_else(|| changing(right)),
        ast::SetExpr::Values(_) | ast::SetExpr::Table(_) => None,
    }
}

/// The words that name a statement, in capitals: `CREATE VIEW`, `SET`.
fn first_words(text: &str) -> String {
    let word = |word: &&str| word.chars().all(|letter| letter.is_ascii_uppercase());
    text.split_whitespace().take(2).take_while(word).collect::<Vec<_>>().join(" ")
}

/// Refuses a plan that changes anything, wherever in it that happens.
pub(crate) fn check(plan: &LogicalPlan) -> Result<(), Error> {
    let questions =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    questions
        .verify_plan(plan)
        .map_err(|failure| Error::Refused { what: failure.find_root().message().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_of_every_form_are_let_through() {
        for sql in [
            "SELECT 1",
            "select * from events;",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1), (2)",
            "(SELECT 1) UNION ALL SELECT 2",
            "SHOW TABLES",
            "SHOW COLUMNS FROM events",
            "SHOW FUNCTIONS",
            "DESCRIBE events",
        ] {
            assert!(matches!(parse(sql), Ok(Asked::Rows(_))), "{sql}: {:?}", parse(sql));
        }
        for (sql, analyzed) in [("EXPLAIN SELECT 1", false), ("EXPLAIN ANALYZE SELECT 1", true)] {
            assert!(matches!(parse(sql), Ok(Asked::Plan { analyze, .. }) if analyze == analyzed), "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_its_name() {
        for (sql, name) in [
            ("INSERT INTO events VALUES (1)", "INSERT"),
            ("UPDATE events SET version = 1", "UPDATE"),
            ("DELETE FROM events", "DELETE"),
            ("DROP TABLE events", "DROP"),
            ("CREATE TABLE t (a INT)", "CREATE TABLE"),
            ("CREATE VIEW v AS SELECT 1", "CREATE VIEW"),
            ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
            ("COPY events TO '/tmp/out.csv'", "COPY"),
            ("COPY (SELECT 1) TO '/tmp/out.csv'", "COPY"),
            ("SET datafusion.execution.batch_size = 1", "SET"),
            ("SELECT 1 INTO t", "SELECT INTO"),
            ("EXPLAIN DELETE FROM events", "DELETE"),
            ("EXPLAIN ANALYZE INSERT INTO events VALUES (1)", "INSERT"),
            ("SELECT 1; DROP TABLE events", "2 statements"),
            ("BEGIN", "BEGIN"),
            ("PREPARE p AS SELECT 1", "PREPARE"),
            ("TRUNCATE TABLE events", "TRUNCATE"),
        ] {
            match parse(sql) {
                Err(Error::Refused { what }) => assert!(what.contains(name), "{sql}: {what}"),
                other => panic!("{sql}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_sql_is_invalid_and_says_where() {
        for sql in ["", ";", "SELEC 1", "SELECT * FROM", "SELECT (1"] {
            assert!(matches!(parse(sql), Err(Error::Invalid { .. })), "{sql}: {:?}", parse(sql));
        }
        let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
        assert!(matches!(parse(&deep), Err(Error::Invalid { .. })));
        let long = format!("SELECT '{}'", "x".repeat(SQL_BYTES_MAX));
        assert!(matches!(parse(&long), Err(Error::Invalid { .. })));
    }
}
