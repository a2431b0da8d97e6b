//! Asking in SQL.

use std::time::Duration;

use bytes::Bytes;
use chronos_domain::Token;
use chronos_proto::v1::query_response::Part;
use chronos_proto::{Class, Failure, Moment, v1};

use tonic::Streaming;

use crate::client::{Client, Inner};
use crate::connections::query_rpc;
use crate::outcome::ReadError;
use crate::pace::Deadline;
use crate::routing::Aim;

/// One question, written as for PostgreSQL.
///
/// ```
/// use chronos_client::Query;
///
/// Query::sql("SELECT event_type, count(*) FROM events GROUP BY event_type").rows(1000);
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before it is given to a client"]
pub struct Query {
    request: v1::QueryRequest,
}

impl Query {
    /// This one.
    pub fn sql(sql: impl Into<String>) -> Self {
        Self { request: v1::QueryRequest { sql: sql.into(), as_of: None, limits: None } }
    }

    /// About the past of a moment: a time or a token.
    pub fn as_of(mut self, moment: Moment) -> Self {
        self.request.as_of = Some(moment.into());
        self
    }

    /// The answer may have so many rows, instead of as many as the server allows by itself. One more is an error.
    pub fn rows(mut self, rows: u64) -> Self {
        self.request.limits.get_or_insert_default().rows = Some(rows);
        self
    }

    /// Answering may take so long, instead of what the server allows by itself; the caller waits no longer either, instead
    /// of [`Options::deadline`](crate::Options::deadline).
    pub fn time(mut self, time: Duration) -> Self {
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.request.limits.get_or_insert_default().time_ms = Some(time_ms);
        self
    }
}

/// An answer as it arrives: the bytes of one [Arrow IPC stream](https://arrow.apache.org/docs/format/Columnar.html),
/// which any Arrow library reads, and then what answering has cost. Flow control holds the server back.
pub struct Answer {
    inbound: Streaming<v1::QueryResponse>,
    deadline: Deadline,
    stats: Option<QueryStats>,
}

/// What answering has cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryStats {
    /// The moment that was asked about: as of this token the same question has the same answer for ever.
    pub token: Token,
    /// Rows of the answer.
    pub rows_returned: u64,
    /// Partitions that were read, counted for every table in the question.
    pub partitions_read: u64,
    /// Files (parts) there are, counted for every table in the question.
    pub files: u64,
    /// Files of which anything was read.
    pub files_read: u64,
    /// Pages of those files that were unpacked.
    pub pages_read: u64,
    /// Rows read from files.
    pub file_rows_read: u64,
    /// Rows read of what is not in files yet.
    pub tail_rows_read: u64,
    /// Rows found one by one, by the event ids in the question.
    pub id_rows_read: u64,
    /// How long the server took.
    pub time: Duration,
}

impl Client {
    /// Asks a question in SQL over the events of all partitions. Nothing can be changed by asking.
    ///
    /// # Errors
    /// See [`ReadError`]. A question that is refused, or cannot be understood, fails with the answer's first piece.
    pub async fn query(&self, query: Query) -> Result<Answer, ReadError> {
        Answer::begin(&self.inner, query).await
    }
}

impl Answer {
    async fn begin(client: &Inner, query: Query) -> Result<Self, ReadError> {
        let time = query.request.limits.as_ref().and_then(|limits| limits.time_ms);
        let time = time.map(Duration::from_millis);
        let deadline = time.map_or_else(|| client.options.due(), Deadline::after);
        let ask = |over| {
            let request = query.request.clone();
            async move { query_rpc(over).query(request).await }
        };
        let inbound = client.call_until(Aim::Nearest, deadline, ask).await?;
        Ok(Self { inbound, deadline, stats: None })
    }

    /// The next bytes of the Arrow stream, cut anywhere; `None` when the answer is whole.
    ///
    /// # Errors
    /// See [`ReadError`]: what came before is only a beginning of the answer.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let message = self.deadline.wait("the answer was not whole", self.inbound.message()).await;
            let message = message.map_err(ReadError::new)?;
            let message = message.map_err(|status| ReadError::new(Failure::from_status(&status)))?;
            match message.map(|message| message.part) {
                Some(Some(Part::Arrow(bytes))) => return Ok(Some(bytes)),
                Some(Some(Part::Stats(stats))) => self.stats = Some(read(stats)?),
                // A later server may say more.
                Some(None) => {}
                None if self.stats.is_some() => return Ok(None),
                None => return Err(ReadError::new(broken_off())),
            }
        }
    }

    /// What answering has cost; known once [`next`](Self::next) has given `None`.
    #[must_use]
    pub const fn stats(&self) -> Option<&QueryStats> {
        self.stats.as_ref()
    }
}

fn read(stats: v1::QueryStats) -> Result<QueryStats, ReadError> {
    Ok(QueryStats {
        token: Token::parse(&stats.token).map_err(|invalid| ReadError::protocol(&invalid))?,
        rows_returned: stats.rows_returned,
        partitions_read: stats.partitions_read,
        files: stats.files,
        files_read: stats.files_read,
        pages_read: stats.pages_read,
        file_rows_read: stats.file_rows_read,
        tail_rows_read: stats.tail_rows_read,
        id_rows_read: stats.id_rows_read,
        time: Duration::from_millis(stats.time_ms),
    })
}

fn broken_off() -> Failure {
    let text = "the answer ended before it was whole; ask again";
    Failure::new(Class::Failed, "UNAVAILABLE", text)
}
