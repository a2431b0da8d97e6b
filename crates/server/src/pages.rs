//! An opened read as a surface hands it out: in pieces of bounded size, each with the place to go on from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chronos_app::{AllReader, Class, Error, Reader, Reason};
use chronos_block::Recorded;
use chronos_domain::{PartitionId, Position, Token, Version};

use crate::edge::Edge;
use crate::engine::Engine;

/// Events fetched at once from the merge of all partitions.
const MERGE_EVENTS: usize = 64;

/// An opened read. What it holds in memory is one page, however slowly its caller takes it.
pub(crate) struct Pages {
    edge: Arc<Edge>,
    source: Source,
    waiting: VecDeque<Recorded>,
    /// When the caller stops waiting for the whole of it, on the node's clock.
    deadline: Option<Duration>,
    /// The past that is read.
    token: Token,
}

enum Source {
    One(Box<Reader<Engine>>),
    /// With the last position handed out of every partition.
    All(AllReader<Engine>, BTreeMap<PartitionId, Position>),
}

impl Pages {
    /// The pages of one entity or one partition.
    pub(crate) fn of_one(edge: Arc<Edge>, reader: Reader<Engine>) -> Self {
        let token = reader.token();
        Self::new(edge, Source::One(Box::new(reader)), token)
    }

    /// The pages of all partitions, going on from `cursor`.
    pub(crate) fn of_all(edge: Arc<Edge>, reader: AllReader<Engine>, cursor: &Token) -> Self {
        let token = reader.bounds().clone();
        Self::new(edge, Source::All(reader, cursor.iter().collect()), token)
    }

    fn new(edge: Arc<Edge>, source: Source, token: Token) -> Self {
        Self { edge, source, waiting: VecDeque::new(), deadline: None, token }
    }

    /// Fails when the whole is not done by then. Without it every single page is still bounded in time, by what the node
    /// waits for others.
    pub(crate) fn until(self, deadline: Option<Duration>) -> Self {
        Self { deadline, ..self }
    }

    /// The past that is read: the same at every piece.
    pub(crate) const fn token(&self) -> &Token {
        &self.token
    }

    /// Of one entity, once pages have been fetched: the version before which its events have been erased.
    pub(crate) fn truncated_before(&self) -> Version {
        match &self.source {
            Source::One(reader) => reader.truncated_before(),
            Source::All(..) => Version::ZERO,
        }
    }

    /// Where a read of all partitions goes on after what has been handed out.
    pub(crate) fn cursor(&self) -> Option<Token> {
        match &self.source {
            Source::All(_, seen) => {
                Some(seen.iter().map(|(partition, position)| (*partition, *position)).collect())
            }
            Source::One(_) => None,
        }
    }

    /// The next events, at least one, at most `events_max`, and no more than one beyond `bytes_max`; empty at the end.
    pub(crate) async fn next(&mut self, events_max: usize, bytes_max: usize) -> Result<Vec<Recorded>, Error> {
        if self.waiting.is_empty() {
            let fetched = self.fetch().await;
            self.waiting = fetched.inspect_err(|error| self.edge.metrics.read_failed(error))?;
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < events_max && bytes < bytes_max {
            let Some(event) = self.waiting.pop_front() else { break };
            bytes += weight(&event);
            if let Source::All(_, seen) = &mut self.source {
                seen.insert(event.partition, event.position);
            }
            taken.push(event);
        }
        self.edge.metrics.events_read(taken.len());
        Ok(taken)
    }

    async fn fetch(&mut self) -> Result<VecDeque<Recorded>, Error> {
        let fetched = match self.deadline {
            None => self.source.fetch().await,
            Some(deadline) => {
                let clock = self.edge.env.clock.clone();
                let left = deadline.saturating_sub(clock.monotonic());
                clock.timeout(left, self.source.fetch()).await.unwrap_or_else(|_| Err(late()))
            }
        };
        fetched.map(VecDeque::from)
    }
}

impl Source {
    async fn fetch(&mut self) -> Result<Vec<Recorded>, Error> {
        match self {
            Self::One(reader) => Ok(reader.next().await?.unwrap_or_default()),
            Self::All(reader, _) => reader.next(MERGE_EVENTS).await,
        }
    }
}

/// Bytes an event adds to a message, roughly: what its writer gave, and a little for the numbers.
fn weight(event: &Recorded) -> usize {
    const NUMBERS: usize = 128;
    let view = event.event();
    NUMBERS + view.entity_id.len() + view.event_type.len() + view.payload.len() + view.metadata.len()
}

fn late() -> Error {
    let text = "the deadline passed before the read was done; go on from the last event received, or allow more time";
    Error::new(Class::Failed, Reason::DeadlineExceeded, text)
}
