//! The client.

use std::sync::Arc;
use std::time::Duration;

use chronos_block::{Block, Draft};
use chronos_domain::{EventId, Invalid, PartitionId, Position, Timestamp, Token, Version};
use chronos_proto::{Consistency, Event, Info, PartitionMarks, Placement, v1};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::transport::Channel;

use crate::admin::Admin;
use crate::append::Append;
use crate::connections::Rpc;
use crate::many::{self, ManyReport};
use crate::options::Options;
use crate::outcome::{AppendError, ReadError};
use crate::pace::Deadline;
use crate::read::{Events, Read};
use crate::routing::{Aim, Lines, Router};
use crate::session::{Session, SessionOptions};
use crate::state::{EntityState, State};
use crate::{address, attempt};

/// Until tenants are administered there is one.
pub(crate) const TENANT: &str = "default";

/// A client of one cluster: that of the first server that says which it belongs to. Servers of another one are not used from
/// then on, whatever address they are found at; whoever means another cluster begins with a new client. Clones share the
/// connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) router: Arc<Router>,
    /// For appends in flight.
    pub(crate) permits: Semaphore,
    /// Covers every append of this client that was acknowledged.
    token: Mutex<Token>,
}

/// An append that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The id of each event, in the order of the request.
    pub event_ids: Vec<EventId>,
    /// Where the events live.
    pub partition: PartitionId,
    /// Position of the first event; the others follow without a gap. 0 for a request that only checked.
    pub first_position: Position,
    /// Version of each event within its entity, in the order of the request.
    pub versions: Vec<Version>,
    /// When the partition's leader recorded the events.
    pub recorded_at: Timestamp,
    /// The very same events had been stored before: all numbers are the original ones.
    pub deduplicated: bool,
    /// Covers this append: a read that is given it sees these events.
    pub token: Token,
    /// How durable, by its name: `quorum-fsync`.
    pub durability: String,
}

impl Appended {
    pub(crate) fn new(appended: chronos_proto::Appended, event_ids: Vec<EventId>) -> Self {
        Self {
            event_ids,
            partition: appended.partition,
            first_position: appended.first_position,
            versions: appended.versions,
            recorded_at: appended.recorded_at,
            deduplicated: appended.deduplicated,
            token: appended.token,
            durability: appended.durability,
        }
    }

    /// The position of event `i` of the request.
    ///
    /// # Panics
    /// When the request had no such event.
    #[must_use]
    pub fn position(&self, i: usize) -> Position {
        assert!(i < self.versions.len(), "event {i} of an append of {}", self.versions.len());
        self.first_position.plus(i as u64)
    }
}

/// How far every partition has come on the node that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// One entry for each partition, ascending.
    pub partitions: Vec<PartitionMarks>,
    /// What is applied, over all partitions that are served.
    pub token: Token,
}

impl Client {
    /// A client of the cluster that the servers at `addresses` belong to: a comma-separated list of `host:port`. One
    /// that answers is enough, the others are found by asking it. Nothing is connected before it is needed. Must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Invalid`] when an address is none.
    pub fn connect(addresses: &str) -> Result<Self, Invalid> {
        Self::connect_with(addresses, Options::default())
    }

    /// Like [`connect`](Self::connect), with options of the caller's.
    ///
    /// # Errors
    /// [`Invalid`] when an address is none.
    pub fn connect_with(addresses: &str, options: Options) -> Result<Self, Invalid> {
        let seeds = address::list(addresses)?.into_iter().zip(address::channels(addresses, &options)?);
        let seeds = seeds.collect();
        let dialer = options.clone();
        let dial = move |address: &str| address::channel(address, &dialer);
        Ok(Self::new(Lines::new(seeds, Arc::new(dial)), options))
    }

    /// Like [`connect_with`](Self::connect_with), over channels that the caller makes: of a simulated network, or
    /// through a proxy. `dial` is given the addresses as they stand in the list, and those that nodes are known by.
    ///
    /// # Errors
    /// [`Invalid`] when the list is empty, or `dial` says so of an address in it.
    pub fn connect_through(
        addresses: &str,
        options: Options,
        dial: impl Fn(&str) -> Result<Channel, Invalid> + Send + Sync + 'static,
    ) -> Result<Self, Invalid> {
        let seeds = address::list(addresses)?.into_iter();
        let seeds = seeds.map(|address| dial(&address).map(|channel| (address, channel)));
        Ok(Self::new(Lines::new(seeds.collect::<Result<_, _>>()?, Arc::new(dial)), options))
    }

    /// A client over channels that the caller made. At least one. It asks only there, whatever other nodes there are.
    ///
    /// # Panics
    /// Without a channel.
    #[must_use]
    pub fn over(channels: Vec<Channel>, options: Options) -> Self {
        let seeds = channels.into_iter().map(|channel| (String::new(), channel)).collect();
        let nowhere = |_: &str| Err(Invalid::new("address", "cannot be dialed by this client"));
        Self::new(Lines::new(seeds, Arc::new(nowhere)), options)
    }

    fn new(lines: Lines, options: Options) -> Self {
        let permits = Semaphore::new(options.in_flight_max.clamp(1, Semaphore::MAX_PERMITS));
        let router = Arc::new(Router::new(lines, &options));
        Self { inner: Arc::new(Inner { options, router, permits, token: Mutex::new(Token::new()) }) }
    }

    /// Appends one request, atomically. When this returns `Ok` the events are on the disks of a quorum.
    ///
    /// What certainly failed, or may have, is tried again with the same event ids until it is settled or the deadline
    /// comes.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let patience = append.patience();
        let block = append.pack(&self.inner.options.ids)?;
        self.append_within(&block, patience).await
    }

    /// Appends a request that is packed already. Call it from several tasks to have several in flight.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append_block(&self, block: &Block) -> Result<Appended, AppendError> {
        self.append_within(block, None).await
    }

    async fn append_within(
        &self,
        block: &Block,
        patience: Option<Duration>,
    ) -> Result<Appended, AppendError> {
        let partition = block.placement(TENANT)?;
        let deadline = patience.map_or_else(|| self.inner.options.due(), Deadline::after);
        attempt::append(&self.inner, block, partition, deadline).await
    }

    /// Appends events of any partitions: *not* atomic. They are split into one request for each partition, or several
    /// where one would be too large, and each is reported.
    ///
    /// # Errors
    /// [`AppendError::Rejected`] when an event could not be packed; then nothing was sent.
    pub async fn append_many(&self, events: Vec<Draft>) -> Result<ManyReport, AppendError> {
        many::append(self, events).await
    }

    /// Opens a session for a long sequence of events.
    #[must_use]
    pub fn session(&self, options: SessionOptions) -> Session {
        Session::new(self.clone(), options)
    }

    /// Opens a read.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self, read: Read) -> Result<Events, ReadError> {
        let own = self.inner.options.read_your_writes.then(|| self.token());
        read.open(&self.inner, own).await
    }

    /// The event of that id, as fresh as the leaders have it; `None` when there is none.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn get(&self, event_id: EventId) -> Result<Option<Event>, ReadError> {
        let request = v1::GetEventRequest { event_id: event_id.to_string() };
        let answer = self.inner.call(Aim::Nearest, |mut rpc| {
            let request = request.clone();
            async move { rpc.get_event(request).await }
        });
        match answer.await {
            Ok(response) => {
                let event = response.event.ok_or_else(|| Invalid::new("event", "is missing"));
                let event = event.and_then(Event::try_from);
                event.map(Some).map_err(|invalid| ReadError::protocol(&invalid))
            }
            Err(ReadError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An entity's events folded into a state.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn state(&self, state: State) -> Result<EntityState, ReadError> {
        state.ask(&self.inner).await
    }

    /// How far every partition has come.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn watermarks(&self) -> Result<Watermarks, ReadError> {
        let ask = |mut rpc: Rpc| async move { rpc.watermarks(v1::WatermarksRequest {}).await };
        let answer = self.inner.call(Aim::Named, ask).await?;
        let read = || {
            let partitions =
                answer.partitions.into_iter().map(PartitionMarks::try_from).collect::<Result<_, _>>()?;
            Ok(Watermarks { partitions, token: Token::parse(&answer.token)? })
        };
        read().map_err(|invalid| ReadError::protocol(&invalid))
    }

    /// Who answers, what it accepts, and how much it holds.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn info(&self) -> Result<Info, ReadError> {
        let ask = |mut rpc: Rpc| async move { rpc.info(v1::InfoRequest {}).await };
        let answer = self.inner.call(Aim::Named, ask).await?;
        Info::try_from(answer).map_err(|invalid| ReadError::protocol(&invalid))
    }

    /// Which nodes there are, and which of them hold and lead each partition, as far as the node knows that answers.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn placement(&self) -> Result<Placement, ReadError> {
        let ask = |mut rpc: Rpc| async move { rpc.placement(v1::PlacementRequest {}).await };
        let answer = self.inner.call(Aim::Named, ask).await?;
        Placement::try_from(answer).map_err(|invalid| ReadError::protocol(&invalid))
    }

    /// What is asked about whole histories, and done to them.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// Covers every acknowledged append of this client and its clones. Given to a read as
    /// [`Consistency::AtLeast`], the read sees them all, whichever replica answers.
    #[must_use]
    pub fn token(&self) -> Token {
        self.inner.token.lock().clone()
    }

    /// Where this client's event ids come from.
    #[must_use]
    pub fn ids(&self) -> &crate::Ids {
        &self.inner.options.ids
    }
}

impl Inner {
    /// Notes an acknowledged append.
    pub(crate) fn seen(&self, token: &Token) {
        self.token.lock().merge(token);
    }
}

/// The freshness of a read that does not name one.
pub(crate) fn own_writes(own: Option<Token>) -> Option<Consistency> {
    own.filter(|token| !token.is_empty()).map(Consistency::AtLeast)
}
