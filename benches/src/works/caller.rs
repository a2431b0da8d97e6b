//! A caller's side of the wire: the ways to append over gRPC, and the check that everything is stored.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chronos_client::{Append, Client, Options};
use chronos_domain::PartitionId;
use chronos_proto::v1;
use chronos_proto::v1::event_store_client::EventStoreClient;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;
use crate::clock::{Run, note};
use crate::orders::Orders;

/// The generated client over one connection.
pub(crate) type Rpc = EventStoreClient<Channel>;

/// A large request and its frame.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The runtime of the load. A lone caller needs no second thread, and would only pay for going back and forth.
pub(crate) fn runtime(clients: usize) -> Result<Runtime, Failure> {
    let mut builder = match clients {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    Ok(builder.enable_all().build()?)
}

/// How many connections so many clients share.
pub(crate) fn connections(clients: usize) -> usize {
    match clients {
        0..32 => 1,
        32..256 => 4,
        _ => 8,
    }
}

/// A connection of its own.
pub(crate) async fn connect(address: SocketAddr) -> Result<Rpc, Failure> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(10)).connect().await?;
    Ok(Rpc::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

/// How a client behaves whose answers are timed: one that is late is late. An SDK left to itself would ask again after some
/// seconds, and on a machine that is busy with other things be told that everything is stored already.
pub(crate) fn patient() -> Options {
    Options { attempt_timeout: PATIENCE, deadline: PATIENCE, ..Options::default() }
}

/// How a caller appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// One unary call of plain protobuf events for each request, as any gRPC client can.
    Unary,
    /// A packed request on the SDK's one stream.
    Sdk,
}

impl Door {
    pub(crate) const ALL: [Door; 2] = [Door::Unary, Door::Sdk];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Door::Unary => "unary call",
            Door::Sdk => "SDK",
        }
    }

    pub(crate) async fn open(self, address: SocketAddr) -> Result<Caller, Failure> {
        Ok(match self {
            Door::Unary => Caller::Unary(connect(address).await?),
            Door::Sdk => Caller::Sdk(Client::connect_with(&address.to_string(), patient())?),
        })
    }
}

/// An open door. Clones share the connection.
#[derive(Clone)]
pub(crate) enum Caller {
    Unary(Rpc),
    Sdk(Client),
}

impl Caller {
    /// Appends one request of new events and waits until they are durable. What is timed begins with the events as the
    /// caller has them and ends with the acknowledgement.
    pub(crate) async fn append(
        &mut self,
        orders: &mut Orders,
        events: usize,
        run: &mut Run,
    ) -> Result<(), Failure> {
        let drafts = orders.next_batch(events);
        let start = Instant::now();
        let (versions, deduplicated, durability) = match self {
            Caller::Unary(rpc) => {
                let events = drafts.iter().map(v1::NewEvent::from).collect();
                let request = v1::AppendRequest { events, ..Default::default() };
                let stored = rpc.append(request).await?.into_inner();
                (stored.versions.len(), stored.deduplicated, stored.durability)
            }
            Caller::Sdk(client) => {
                let stored = client.append(Append::of(drafts)).await?;
                (stored.versions.len(), stored.deduplicated, stored.durability)
            }
        };
        note(&mut run.latencies, start.elapsed());
        run.events += versions as u64;
        if versions == events && !deduplicated && durability == "quorum-fsync" {
            return Ok(());
        }
        Err(format!(
            "{events} new events were answered with {versions} versions, deduplicated: {deduplicated}, {durability}"
        )
        .into())
    }
}

/// Fails unless the server holds exactly as many events as were acknowledged.
pub(crate) async fn check_stored(address: SocketAddr, acknowledged: u64) -> Result<(), Failure> {
    let marks = connect(address).await?.watermarks(v1::WatermarksRequest {}).await?.into_inner();
    let served = marks.partitions.iter().filter(|partition| partition.failure.is_none()).count();
    let stored: u64 = marks.partitions.iter().map(|partition| partition.applied).sum();
    if stored == acknowledged && served == PartitionId::all().len() {
        return Ok(());
    }
    Err(format!("{acknowledged} events were acknowledged, the server holds {stored} in {served} partitions")
        .into())
}

/// Has everything that is stored compacted, however long it takes.
pub(crate) async fn compact(client: &Client) -> Result<(), Failure> {
    let mut left: Vec<PartitionId> = PartitionId::all().collect();
    let give_up = Instant::now() + COMPACTION_MAX;
    while !left.is_empty() {
        let mut failed = Vec::new();
        for done in client.admin().compact_and_wait(&left).await? {
            if let Err(failure) = done.position {
                failed.push((done.partition, failure));
            }
        }
        if let Some((partition, failure)) = failed.first()
            && Instant::now() > give_up
        {
            return Err(format!("partition {partition} is not compacted: {failure:?}").into());
        }
        left = failed.into_iter().map(|(partition, _)| partition).collect();
    }
    Ok(())
}

/// A compaction that takes longer has failed.
const COMPACTION_MAX: Duration = Duration::from_secs(3600);
