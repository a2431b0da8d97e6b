//! Asking for events.

mod events;
mod order;

use std::sync::Arc;

use chronos_block::{Direction, Filter};
use chronos_domain::{EntityId, Invalid, PartitionId, Timestamp, Token, place};
use chronos_proto::{Consistency, Event, Moment, v1};
use tonic::Streaming;

use crate::call::Answered;
use crate::client::{Inner, TENANT, own_writes};
use crate::connections::Rpc;
use crate::outcome::ReadError;
use crate::routing::Aim;
use events::Seen;
use order::{Order, Scope};

pub use events::Events;

/// Which events.
///
/// ```
/// use chronos_client::{Filter, Read};
///
/// Read::entity("order-1").from(3).limit(10);
/// Read::all().filter(Filter { types: vec!["order.placed".into()], ..Filter::default() }).backward();
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is read before it is given to a client"]
pub struct Read {
    of: Of,
    from: Option<u64>,
    to: Option<u64>,
    cursor: String,
    direction: Direction,
    limit: Option<u64>,
    as_of: Option<Moment>,
    filter: Filter,
    consistency: Option<Consistency>,
}

/// The pages of a read, and who sends them.
type Inbound = Answered<Streaming<v1::ReadResponse>>;

#[derive(Clone, Debug)]
enum Of {
    Entity(String),
    Partition(PartitionId),
    All,
}

impl Read {
    /// The events of an entity, by version.
    pub fn entity(entity_id: impl Into<String>) -> Self {
        Self::of(Of::Entity(entity_id.into()))
    }

    /// The events of a partition, by position.
    pub fn partition(partition: PartitionId) -> Self {
        Self::of(Of::Partition(partition))
    }

    /// The events of all partitions, by (`recorded_at`, partition, position).
    pub fn all() -> Self {
        Self::of(Of::All)
    }

    fn of(of: Of) -> Self {
        Self {
            of,
            from: None,
            to: None,
            cursor: String::new(),
            direction: Direction::Forward,
            limit: None,
            as_of: None,
            filter: Filter::default(),
            consistency: None,
        }
    }

    /// The first version (of an entity) or position (of a partition) to return.
    pub const fn from(mut self, number: u64) -> Self {
        self.from = Some(number);
        self
    }

    /// The last version of an entity to return.
    pub const fn to(mut self, version: u64) -> Self {
        self.to = Some(version);
        self
    }

    /// Of all partitions: go on where another read stood; see [`Events::cursor`].
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = cursor.into();
        self
    }

    /// From the newest to the oldest.
    pub const fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// At most so many events.
    pub const fn limit(mut self, events: u64) -> Self {
        self.limit = Some(events);
        self
    }

    /// The past of a moment.
    pub fn as_of(mut self, moment: Moment) -> Self {
        self.as_of = Some(moment);
        self
    }

    /// Only events that match. Replaces an earlier filter.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Only events that happened (or, where they do not say, were recorded) until then.
    pub const fn occurred_until(mut self, time: Timestamp) -> Self {
        self.filter.occurred_until = Some(time);
        self
    }

    /// How fresh. Without this an entity is read as fresh as its leader has it (linearizable), and a partition or all of
    /// them as fresh as the nearest node that has them (local); where
    /// [`Options::read_your_writes`](crate::Options::read_your_writes) is on, never without what this client has appended.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = Some(consistency);
        self
    }

    /// Opens the read. `own` is what the client itself has appended, where it wants to see that.
    pub(crate) async fn open(mut self, client: &Arc<Inner>, own: Option<Token>) -> Result<Events, ReadError> {
        self.check()?;
        if !matches!(self.of, Of::Entity(_)) {
            self.consistency = self.consistency.or_else(|| own_writes(own));
        }
        let order = Order::new(self.scope(), self.direction);
        let inbound = self.ask(client).await?;
        Ok(Events::new(client.clone(), self, inbound, order))
    }

    /// Asks whoever is to answer.
    async fn ask(&self, client: &Inner) -> Result<Inbound, ReadError> {
        let answered = match &self.of {
            Of::Entity(entity_id) => {
                let request = self.of_entity(entity_id);
                let ask = |mut rpc: Rpc| {
                    let request = request.clone();
                    async move { rpc.read_entity(request).await }
                };
                client.call_stream(self.aim(), ask).await?
            }
            Of::Partition(partition) => {
                let request = self.of_partition(*partition);
                let ask = |mut rpc: Rpc| {
                    let request = request.clone();
                    async move { rpc.read_partition(request).await }
                };
                client.call_stream(self.aim(), ask).await?
            }
            Of::All => {
                let request = self.of_all();
                let ask = |mut rpc: Rpc| {
                    let request = request.clone();
                    async move { rpc.read_all(request).await }
                };
                client.call_stream(self.aim(), ask).await?
            }
        };
        Ok(answered)
    }

    /// Who is to answer: the leader where nothing less is fresh enough, else the nearest who can.
    fn aim(&self) -> Aim {
        let linearizable = match &self.consistency {
            None => matches!(self.of, Of::Entity(_)),
            Some(consistency) => *consistency == Consistency::Linearizable,
        };
        let partition = match &self.of {
            Of::Entity(entity_id) => place(TENANT, entity_id),
            Of::Partition(partition) => *partition,
            Of::All => return Aim::Nearest,
        };
        if linearizable { Aim::Newest(partition) } else { Aim::Replica(partition) }
    }

    /// The rest of this read after what was seen, as any node gives it: of the same past. `None` when nothing is left.
    fn rest(&self, seen: &Seen) -> Option<Self> {
        let mut rest = self.clone();
        if let Some(limit) = self.limit {
            rest.limit = Some(limit.checked_sub(seen.returned).filter(|left| *left > 0)?);
        }
        if let Some(token) = &seen.token {
            rest.as_of = self.as_of.clone().or_else(|| Some(Moment::Token(token.clone())));
            rest.consistency = Some(Consistency::AtLeast(token.clone()));
        }
        if matches!(self.of, Of::All) {
            if !seen.cursor.is_empty() {
                rest.cursor.clone_from(&seen.cursor);
            }
        } else if let Some(last) = seen.last {
            rest.from = Some(match self.direction {
                Direction::Forward => last.checked_add(1)?,
                Direction::Backward => last.checked_sub(1).filter(|next| *next > 0)?,
            });
        }
        Some(rest)
    }

    /// The number that this read counts by.
    fn number(&self, event: &Event) -> u64 {
        match self.of {
            Of::Entity(_) => event.version.get(),
            Of::Partition(_) | Of::All => event.position.get(),
        }
    }

    /// Refuses what the kind of read has no use for: it would be ignored silently.
    fn check(&self) -> Result<(), Invalid> {
        let refuse =
            |field, what: &str| Err(Invalid::new(field, format!("has no meaning in a read of {what}")));
        match &self.of {
            Of::Entity(entity_id) => {
                EntityId::parse(entity_id)?;
                if self.cursor.is_empty() {
                    Ok(())
                } else {
                    refuse("cursor", "one entity; give a version to begin with")
                }
            }
            Of::Partition(_) if !self.cursor.is_empty() => {
                refuse("cursor", "one partition; give a position to begin with")
            }
            Of::All if self.from.is_some() => {
                refuse("from", "all partitions; give the cursor of an earlier read")
            }
            Of::Partition(_) | Of::All if self.to.is_some() => {
                refuse("to", "partitions; give a limit or a moment")
            }
            Of::Partition(_) | Of::All => Ok(()),
        }
    }

    fn scope(&self) -> Scope {
        match self.of {
            Of::Entity(_) if self.filter == Filter::default() => Scope::Versions,
            Of::Entity(_) => Scope::SomeVersions,
            Of::Partition(_) => Scope::SomePositions,
            Of::All => Scope::Times,
        }
    }

    fn of_entity(&self, entity_id: &str) -> v1::ReadEntityRequest {
        v1::ReadEntityRequest {
            entity_id: entity_id.to_owned(),
            from_version: self.from,
            to_version: self.to,
            backward: self.direction == Direction::Backward,
            limit: self.limit,
            as_of: self.as_of.clone().map(v1::AsOf::from),
            filter: self.wire_filter(),
            consistency: self.consistency.clone().map(v1::Consistency::from),
        }
    }

    fn of_partition(&self, partition: PartitionId) -> v1::ReadPartitionRequest {
        v1::ReadPartitionRequest {
            partition: partition.get().into(),
            from_position: self.from,
            backward: self.direction == Direction::Backward,
            limit: self.limit,
            as_of: self.as_of.clone().map(v1::AsOf::from),
            filter: self.wire_filter(),
            consistency: self.consistency.clone().map(v1::Consistency::from),
        }
    }

    fn of_all(&self) -> v1::ReadAllRequest {
        v1::ReadAllRequest {
            cursor: self.cursor.clone(),
            backward: self.direction == Direction::Backward,
            limit: self.limit,
            as_of: self.as_of.clone().map(v1::AsOf::from),
            filter: self.wire_filter(),
            consistency: self.consistency.clone().map(v1::Consistency::from),
        }
    }

    fn wire_filter(&self) -> Option<v1::Filter> {
        (self.filter != Filter::default()).then(|| self.filter.clone().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(last: Option<u64>, returned: u64) -> Seen {
        let token = Some(Token::at(PartitionId::new(3).unwrap(), chronos_domain::Position::new(90)));
        Seen { token, cursor: "c".to_owned(), last, returned }
    }

    #[test]
    fn the_rest_of_a_read_is_of_the_same_past_and_begins_where_it_stood() {
        let rest = Read::entity("a").limit(10).rest(&seen(Some(4), 4)).unwrap();
        assert_eq!((rest.from, rest.limit), (Some(5), Some(6)));
        let token = seen(None, 0).token.unwrap();
        assert_eq!(rest.as_of, Some(Moment::Token(token.clone())));
        assert_eq!(rest.consistency, Some(Consistency::AtLeast(token)));
        assert!(matches!(rest.aim(), Aim::Replica(_)), "any replica that has it may go on");
        let backward = Read::partition(PartitionId::new(3).unwrap()).backward();
        assert_eq!(backward.rest(&seen(Some(4), 4)).unwrap().from, Some(3));
        assert_eq!(Read::all().rest(&seen(Some(4), 4)).unwrap().cursor, "c");
    }

    #[test]
    fn a_moment_that_the_caller_gave_stays_the_moment() {
        let moment = Moment::Version(chronos_domain::Version::new(9));
        let read = Read::entity("a").as_of(moment.clone());
        assert_eq!(read.rest(&seen(Some(4), 4)).unwrap().as_of, Some(moment));
    }

    #[test]
    fn nothing_is_left_after_the_limit_or_before_the_first() {
        assert!(Read::entity("a").limit(4).rest(&seen(Some(4), 4)).is_none());
        assert!(Read::entity("a").backward().rest(&seen(Some(1), 4)).is_none());
    }

    #[test]
    fn a_read_that_saw_nothing_is_asked_again_as_it_was() {
        let nothing = Seen::default();
        let rest = Read::entity("a").from(2).rest(&nothing).unwrap();
        assert_eq!((rest.from, rest.as_of, rest.consistency), (Some(2), None, None));
    }
}
