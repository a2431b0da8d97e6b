//! Why a question has no answer, and what its asker can do about it.

use std::sync::Arc;

use arrow::error::ArrowError;
use chronos_domain::PartitionId;
use chronos_store::Fault;
use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

/// Why a question was not answered, or not to its end. Nothing is ever changed by asking.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It is not a question: it would change something, or reach for something that is not the events.
    #[error(
        "only questions are answered here (SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES, DESCRIBE), and this is {what}; \
         nothing was done"
    )]
    Refused {
        /// What it is, in a few words.
        what: String,
    },
    /// It cannot be understood, or asks for what cannot be computed, such as a number from a word.
    #[error("{text}; SHOW TABLES, DESCRIBE events and SHOW FUNCTIONS list what there is")]
    Invalid {
        /// What is wrong with it.
        text: String,
    },
    /// Its answer is longer than allowed. What was received before is a beginning of it.
    #[error(
        "the answer has more than the {rows} rows allowed; add LIMIT, go on from the last row received with WHERE \
         (recorded_at or partition and position, and ORDER BY them), or ask for a higher limit of rows"
    )]
    TooManyRows {
        /// The limit.
        rows: u64,
    },
    /// Its sorts, groups and joins hold more than the engine may.
    #[error(
        "the sorts, groups and joins of all running queries together need more than {bytes} bytes; narrow this one by \
         entity_id, event_type, recorded_at or position, select fewer columns, or ask again when others are done"
    )]
    OutOfMemory {
        /// The limit.
        bytes: usize,
    },
    /// Its time is up.
    #[error(
        "the query was stopped when its time was up, after {rows} rows read; narrow it by entity_id, event_type, \
         recorded_at or position, or allow it more time"
    )]
    OutOfTime {
        /// Rows read until then.
        rows: u64,
    },
    /// A stored event could not be read back unharmed, or not at all.
    #[error("partition {partition}: {fault}")]
    Storage {
        /// Where.
        partition: PartitionId,
        /// What is wrong.
        fault: Arc<Fault>,
    },
    /// A fault of this program.
    #[error("the query failed for a reason of the server's own: {text}; please report it with the query")]
    Internal {
        /// What happened.
        text: String,
    },
}

/// A fault of storage on its way through the operators.
#[derive(Debug, thiserror::Error)]
#[error("partition {partition}: {fault}")]
pub(crate) struct Unreadable {
    pub(crate) partition: PartitionId,
    pub(crate) fault: Arc<Fault>,
}

impl Unreadable {
    pub(crate) fn new(partition: PartitionId, fault: Fault) -> Unreadable {
        Unreadable { partition, fault: Arc::new(fault) }
    }

    /// A part that does not give back its rows.
    pub(crate) fn of_part(partition: PartitionId, fault: chronos_parts::Fault) -> Unreadable {
        Unreadable::new(
            partition,
            match fault {
                chronos_parts::Fault::Io(source) => Fault::Io { partition, source },
                other => Fault::Corrupt(format!("partition {partition}: {other}")),
            },
        )
    }

    /// Rows of another shape than parts have.
    pub(crate) fn shape(partition: PartitionId, error: &ArrowError) -> Unreadable {
        Unreadable::new(partition, Fault::Corrupt(format!("partition {partition}: {error}")))
    }
}

impl From<Unreadable> for DataFusionError {
    fn from(unreadable: Unreadable) -> DataFusionError {
        DataFusionError::External(Box::new(unreadable))
    }
}

impl Error {
    pub(crate) fn invalid(text: impl Into<String>) -> Error {
        Error::Invalid { text: text.into() }
    }

    /// What a failure inside of the operators means to the asker.
    pub(crate) fn of(failure: &DataFusionError, memory_bytes: usize) -> Error {
        match failure.find_root() {
            DataFusionError::ResourcesExhausted(_) => Error::OutOfMemory { bytes: memory_bytes },
            DataFusionError::External(inner) => match inner.downcast_ref::<Unreadable>() {
                Some(Unreadable { partition, fault }) => {
                    Error::Storage { partition: *partition, fault: fault.clone() }
                }
                None => Error::invalid(plain(failure)),
            },
            DataFusionError::Internal(_)
            | DataFusionError::ExecutionJoin(_)
            | DataFusionError::IoError(_) => Error::Internal { text: plain(failure) },
            _ => Error::invalid(plain(failure)),
        }
    }
}

/// The text of a failure as one line without trimmings.
fn plain(failure: &DataFusionError) -> String {
    let text = match failure.find_root() {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
            ParserError::RecursionLimitExceeded => "the query nests too deep; split it by WITH".to_owned(),
        },
        other => other.message().into_owned(),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim_end_matches('.').to_owned()
}
