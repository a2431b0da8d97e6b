//! Several nodes with one group each, in one world, over a network that takes its time and can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_block::{Compression, Draft, Packer};
use chronos_domain::{EntityId, EventId, EventType, ForkId, PartitionId, Space, TenantId, Timestamp};
use chronos_env::sim::{Trace, World};
use chronos_env::{Entropy, Env};
use chronos_store::Partition;
use chronos_store::entry::Outcome;
use chronos_wal::{LogId, Wal};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use crate::backlog::Backlog;
use crate::clocks::Clocks;
use crate::compaction::CompactionConfig;
use crate::consensus::{Common, Phase};
use crate::exchange::kinds;
use crate::freshness::{Freshness, ReadError};
use crate::group::{self, Fault, Group};
use crate::groups::{Among, Config, Groups};
use crate::node::NodeId;
use crate::peer::{CallError, Cause, Handler, Link, Message, Refusal};
use crate::proposal::{Caller, Proposal, ProposeError};
use crate::raft::{BEAT, Beat, Known, Post, Raft, Transfers};
use crate::repair::Ballots;
use crate::request::Request;

pub(super) const SPACE: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };

pub(super) fn partition_id() -> PartitionId {
    PartitionId::new(3).unwrap()
}

/// Connects nodes. Clones are the same network.
#[derive(Clone)]
pub(super) struct Net(Arc<Wires>);

struct Wires {
    env: Env,
    latency: Entropy,
    trace: Trace,
    posts: Mutex<BTreeMap<NodeId, Post>>,
    /// Who answers what is asked about reads.
    readers: Mutex<BTreeMap<NodeId, Arc<dyn Handler>>>,
    held: Mutex<BTreeSet<NodeId>>,
    /// Whose group says nothing to the others, and hears nothing of them.
    apart: Mutex<BTreeSet<NodeId>>,
    /// How many messages of each kind were sent.
    sent: Mutex<BTreeMap<u8, u64>>,
    cut: Mutex<BTreeSet<(NodeId, NodeId)>>,
    /// When the last request of one node arrives at another.
    arrivals: Mutex<BTreeMap<(NodeId, NodeId), Duration>>,
}

impl Net {
    pub(super) fn new(world: &World) -> Net {
        let env = world.env();
        let latency = env.entropy.child("latency");
        Net(Arc::new(Wires {
            env,
            latency,
            trace: world.trace(),
            posts: Mutex::default(),
            readers: Mutex::default(),
            held: Mutex::default(),
            apart: Mutex::default(),
            sent: Mutex::default(),
            cut: Mutex::default(),
            arrivals: Mutex::default(),
        }))
    }

    /// Nothing gets from or to a node any more.
    pub(super) fn isolate(&self, node: NodeId, others: &[NodeId]) {
        let mut cut = self.0.cut.lock();
        for other in others {
            cut.extend([(node, *other), (*other, node)]);
        }
    }

    /// Nothing gets from one node to another.
    pub(super) fn cut(&self, from: NodeId, to: NodeId) {
        self.0.cut.lock().insert((from, to));
    }

    /// What a node sends and what is sent to it waits until the cuts are healed, and then arrives: as when its process is
    /// stopped and continued.
    pub(super) fn hold(&self, node: NodeId) {
        self.0.held.lock().insert(node);
    }

    /// Between the group of one node and those of the others nothing gets through, while reads are asked and answered.
    pub(super) fn set_apart(&self, node: NodeId) {
        self.0.apart.lock().insert(node);
    }

    pub(super) fn heal(&self) {
        self.0.cut.lock().clear();
        self.0.held.lock().clear();
        self.0.apart.lock().clear();
    }

    /// How many messages of a kind were sent since the last call.
    pub(super) fn take_sent(&self, kind: u8) -> u64 {
        self.0.sent.lock().remove(&kind).unwrap_or_default()
    }

    /// How long a request takes that leaves now: it does not overtake an earlier one.
    fn behind_the_last(&self, from: NodeId, to: NodeId) -> Duration {
        let now = self.0.env.clock.monotonic();
        let soonest = now + Duration::from_micros(500 + self.0.latency.below(4500));
        let mut arrivals = self.0.arrivals.lock();
        let last = arrivals.entry((from, to)).or_default();
        *last = soonest.max(*last + Duration::from_millis(1));
        *last - now
    }

    /// Half a millisecond to five; for ever where the way is cut.
    async fn way(&self, from: NodeId, to: NodeId) {
        self.way_of(from, to, Duration::from_micros(500 + self.0.latency.below(4500))).await;
    }

    async fn way_of(&self, from: NodeId, to: NodeId, took: Duration) {
        self.0.env.clock.sleep(took).await;
        while [from, to].iter().any(|node| self.0.held.lock().contains(node)) {
            self.0.env.clock.sleep(took).await;
        }
        if self.0.cut.lock().contains(&(from, to)) {
            std::future::pending::<()>().await;
        }
    }
}

/// The network as one node sees it.
struct Seen {
    net: Net,
    from: NodeId,
}

impl Link for Seen {
    fn call(
        &self,
        to: NodeId,
        message: Message,
        within: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let (net, from) = (self.net.clone(), self.from);
        let took = net.behind_the_last(from, to);
        Box::pin(async move {
            let sum = chronos_domain::xxh64::xxh64(&message.body, 0);
            net.0.trace.record("send", &[from.get(), to.get(), u64::from(message.kind), sum]);
            *net.0.sent.lock().entry(message.kind).or_default() += 1;
            let answer = async {
                net.way_of(from, to, took).await;
                let is_read = kinds::READS.contains(&message.kind);
                if !is_read && [from, to].iter().any(|node| net.0.apart.lock().contains(node)) {
                    std::future::pending::<()>().await;
                }
                let post: Option<Arc<dyn Handler>> = if is_read {
                    net.0.readers.lock().get(&to).cloned()
                } else {
                    net.0.posts.lock().get(&to).map(|post| Arc::new(post.clone()) as Arc<dyn Handler>)
                };
                let answered = match post {
                    Some(post) => post.handle(from, message).await,
                    None => Err(Refusal::new(Refusal::ABSENT, "nobody is there")),
                };
                net.way(to, from).await;
                let size = answered.as_ref().map_or(u64::MAX, |body| body.len() as u64);
                net.0.trace.record("answer", &[to.get(), from.get(), size]);
                answered.map_err(|refusal| CallError::Refused { from: to, refusal })
            };
            let late = Err(CallError::Unknown { to, cause: Cause::Deadline(within) });
            net.0.env.clock.timeout(within, answer).await.unwrap_or(late)
        })
    }

    fn others(&self) -> Vec<NodeId> {
        Vec::new()
    }
}

/// One group's part of [`Groups::readers`].
struct Asked(Arc<Freshness>);

impl Handler for Asked {
    fn handle(&self, _: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let freshness = Arc::clone(&self.0);
        Box::pin(async move { freshness.answer(message).await })
    }
}

/// A node with all its partitions.
pub(super) struct Whole {
    pub(super) id: NodeId,
    pub(super) groups: Groups,
    wal: Wal,
    net: Net,
}

impl Whole {
    pub(super) async fn start(world: &World, net: &Net, id: u64) -> Whole {
        let (env, id) = (world.env(), NodeId::new(id));
        let data = PathBuf::from(format!("/{id}"));
        env.disk.create_dir_all(&data).unwrap();
        let config =
            chronos_wal::Config { segment_bytes: 256 << 10, ..chronos_wal::Config::new(data.join("wal"), 7) };
        let (wal, _) = Wal::open(&env, config).unwrap();
        let store = chronos_store::Config::new(data.join("parts"), 7);
        let among = Among {
            link: Arc::new(Seen { net: net.clone(), from: id }),
            founder: id == NodeId::FIRST,
            peers: None,
        };
        let groups = Groups::start_among(&env, &wal, &Config { node: id, ..Config::new(store) }, among).await;
        net.0.posts.lock().insert(id, groups.post().clone());
        net.0.readers.lock().insert(id, groups.readers());
        Whole { id, groups, wal, net: net.clone() }
    }

    pub(super) async fn stop(self) {
        self.net.0.posts.lock().remove(&self.id);
        self.net.0.readers.lock().remove(&self.id);
        self.groups.stop().await;
        drop(self.groups);
        self.wal.close().await;
    }
}

/// One node with one partition.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) env: Env,
    pub(super) fault: Fault,
    group: Group,
    wal: Wal,
    net: Net,
}

impl Node {
    /// Starts a node on what its directory holds.
    pub(super) async fn start(world: &World, net: &Net, id: u64) -> Node {
        let (env, id) = (world.env(), NodeId::new(id));
        let data = PathBuf::from(format!("/{id}"));
        env.disk.create_dir_all(&data).unwrap();
        let config =
            chronos_wal::Config { segment_bytes: 256 << 10, ..chronos_wal::Config::new(data.join("wal"), 7) };
        let (wal, recovery) = Wal::open(&env, config).unwrap();
        assert_eq!(recovery.damages, []);
        let log = wal.log(LogId::new(partition_id().get()));
        let store = chronos_store::Config::new(data.join("parts"), 7).of(partition_id());
        let known = if id == NodeId::FIRST { Known::Founder(id) } else { Known::Nobody };
        let partition = group::open(&env, partition_id(), &log, store, id, known).await.unwrap();
        let post = Post::default();
        let common = Common {
            env: env.clone(),
            node: id,
            clocks: Arc::new(Clocks::new(&env.clock, id)),
            beat: Beat::of(id, BEAT),
            cluster: 7,
            link: Arc::new(Seen { net: net.clone(), from: id }),
            known,
            alone: false,
            post: post.clone(),
            backlog: Arc::new(Backlog::new(CompactionConfig::default(), wal.gauge())),
            transfers: Transfers::new(&env.clock, None),
            entries_kept: 4096,
            ballots: Ballots::default(),
            alarm: mpsc::unbounded_channel().0,
        };
        let fault = Fault::default();
        let group = Group::start(&common, log, partition, &fault);
        net.0.posts.lock().insert(id, post);
        net.0.readers.lock().insert(id, Arc::new(Asked(Arc::clone(&group.freshness))));
        let node = Node { id, env, fault, group, wal, net: net.clone() };
        node.group.consensus.phase().await;
        node
    }

    /// Ends the node. Nothing of it reaches the others any more.
    pub(super) async fn stop(self) {
        self.net.0.posts.lock().remove(&self.id);
        self.net.0.readers.lock().remove(&self.id);
        self.group.close();
        self.group.stop().await;
        drop(self.group);
        self.wal.close().await;
    }

    pub(super) fn partition(&self) -> &Partition {
        &self.group.subject.partition
    }

    /// The last entry that is on this node's disk for good.
    pub(super) fn flushed(&self) -> u64 {
        self.wal.log(LogId::new(partition_id().get())).state().flushed
    }

    /// Waits until everything that was acknowledged is applied here, at most so long.
    pub(super) async fn linearize(&self, within: Duration) -> Result<(), ReadError> {
        self.group.freshness.linearize(self.env.clock.monotonic() + within).await.map(drop)
    }

    /// Waits until the past up to `t` stands, at most so long.
    pub(super) async fn pass(&self, t: Timestamp, within: Duration) -> Result<(), ReadError> {
        self.group.freshness.pass(t, self.env.clock.monotonic() + within).await.map(drop)
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::new(self.env.clock.wall_micros())
    }

    pub(super) async fn raft(&self) -> Raft {
        match self.group.consensus.phase().await {
            Phase::Serving(running) => running.raft,
            Phase::Ended(reason) => panic!("{} has ended: {reason}", self.id),
            Phase::Starting | Phase::Full => panic!("{} does not serve", self.id),
        }
    }

    /// Appends one event and waits for the outcome, or for two seconds.
    pub(super) async fn append(&self, n: u64) -> Result<Outcome, ProposeError> {
        let mut packer = Packer::new();
        let entity = EntityId::parse(&format!("thing-{}", n % 7)).unwrap();
        let kind = EventType::parse("thing.changed").unwrap();
        packer.push(Draft::json(event_id(n), entity, kind, Bytes::from(format!("{{\"n\":{n}}}")))).unwrap();
        let block = packer.finish(Compression::None).unwrap();
        let request = Request::Append { tenant: TenantId::default_tenant(), fork: ForkId::MAIN, block };
        let room = Arc::new(Semaphore::new(0)).try_acquire_many_owned(0).unwrap();
        let (caller, answer) = Caller::new(room);
        let deadline = self.env.clock.monotonic() + Duration::from_secs(2);
        let proposal = Proposal { command: request.into_command(), deadline, caller };
        self.group.queue().unwrap().send(proposal).await.ok().unwrap();
        match self.env.clock.timeout(Duration::from_secs(2), answer).await {
            Ok(answer) => answer.unwrap(),
            Err(_) => Err(ProposeError::Unknown("no answer in time".into())),
        }
    }
}

pub(super) fn event_id(n: u64) -> EventId {
    EventId::from_u128(u128::from(n) + 1)
}
