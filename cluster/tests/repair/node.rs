//! Three machines, each with its own disk, and some partitions that live on all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_block::{Compression, Draft, Packer};
use chronos_cluster::peer::{self, NoRegistrar, Peers, Security};
use chronos_cluster::{
    Among, CompactionConfig, Config, Exchange, Groups, NodeId, Parcels, ProposeError, Request, ScrubConfig,
};
use chronos_domain::{EntityId, EventId, EventType, ForkId, PartitionId, Space, TenantId};
use chronos_env::sim::{Host, World};
use chronos_env::{Clock, Env};
use chronos_store::{CutLimits, Digest};
use chronos_wal::Wal;

const CLUSTER: u128 = 0xC0FFEE;
const SPACE: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };
/// Far beyond anything these worlds need.
pub(crate) const LONG: Duration = Duration::from_secs(300);

/// The partitions that have events.
pub(crate) fn used() -> [PartitionId; 3] {
    [1, 2, 5].map(|id| PartitionId::new(id).unwrap())
}

pub(crate) fn n(number: u64) -> NodeId {
    NodeId::new(number)
}

/// A running node.
pub(crate) struct Node {
    pub(crate) number: u64,
    pub(crate) host: Host,
    pub(crate) env: Env,
    pub(crate) groups: Groups,
    peers: Peers,
    wal: Wal,
    parcels: Parcels,
    exchange: Exchange,
}

/// Small generations and short logs.
fn config(number: u64) -> Config {
    let store = chronos_store::Config::new(PathBuf::from("/data/parts"), CLUSTER);
    let cuts = CutLimits { events: 20, bytes: 1 << 20 };
    let store = chronos_store::Config { cuts, ..store };
    let compaction = CompactionConfig { bytes_per_second: 1 << 30, ..CompactionConfig::default() };
    let scrub = ScrubConfig { background: false, ..ScrubConfig::default() };
    Config { node: n(number), entries_kept: 8, compaction, scrub, ..Config::new(store) }
}

impl Node {
    /// Starts a process on what the machine's disk holds; it is the `life`-th one.
    pub(crate) async fn start(world: &World, number: u64, life: u64) -> Node {
        let host = world.host(&format!("n{number}"));
        let env = host.env();
        env.disk.create_dir_all(Path::new("/data")).unwrap();
        env.disk.sync_dir(Path::new("/")).unwrap();
        let log = chronos_wal::Config {
            segment_bytes: 256 << 10,
            lanes: 2,
            exists: life > 1,
            ..chronos_wal::Config::new(PathBuf::from("/data/wal"), CLUSTER)
        };
        let (wal, _) = Wal::open(&env, log).unwrap();
        let (exchange, parcels) = (Exchange::default(), Parcels::new(&env));
        let peers = peer::Config::new(n(number), CLUSTER, life, "0.0.0.0:7000", Security::PlaintextAnywhere);
        let peers = Peers::start(
            &env,
            peers,
            Arc::new(exchange.clone()),
            Arc::new(parcels.clone()),
            Arc::new(NoRegistrar),
        )
        .await
        .unwrap();
        for other in (1..=3).filter(|other| *other != number) {
            peers.set_peer(n(other), &format!("n{other}:7000"));
        }
        let among = Among { link: Arc::new(peers.clone()), founder: number == 1, peers: Some(peers.clone()) };
        let groups = Groups::start_among(&env, &wal, &config(number), among).await;
        exchange.open(1..=15, groups.handler());
        exchange.open(88..=95, groups.repair_handler());
        parcels.open(&groups);
        Node { number, host, env, groups, peers, wal, parcels, exchange }
    }

    /// Tries once to append an event.
    pub(crate) async fn try_append(&self, id: PartitionId, number: u64) -> Result<(), ProposeError> {
        let deadline = self.env.clock.monotonic() + Duration::from_secs(1);
        self.groups.propose(id, request(number), deadline).await.map(drop)
    }

    pub(crate) fn digest(&self, id: PartitionId) -> Digest {
        self.groups.partition(id).unwrap().digest(None).unwrap()
    }

    pub(crate) fn head(&self, id: PartitionId) -> u64 {
        self.groups.partition(id).map_or(0, |partition| partition.head().get())
    }

    pub(crate) fn has(&self, id: PartitionId, number: u64) -> bool {
        self.groups.partition(id).unwrap().by_id(SPACE, event_id(number)).unwrap().is_some()
    }

    pub(crate) async fn stop(self) {
        self.groups.stop().await;
        self.exchange.close();
        self.parcels.close();
        self.peers.stop();
        self.wal.close().await;
    }

    /// SIGKILL.
    pub(crate) fn kill(self) {
        self.host.kill();
        self.exchange.close();
        self.parcels.close();
    }
}

fn request(number: u64) -> Request {
    let mut packer = Packer::new();
    let entity = EntityId::parse(&format!("thing-{}", number % 7)).unwrap();
    let kind = EventType::parse("thing.changed").unwrap();
    let data = Bytes::from(format!("{{\"n\":{number},\"text\":\"{}\"}}", "x".repeat(200)));
    packer.push(Draft::json(event_id(number), entity, kind, data)).unwrap();
    let block = packer.finish(Compression::None).unwrap();
    Request::Append { tenant: TenantId::default_tenant(), fork: ForkId::MAIN, block }
}

fn event_id(number: u64) -> EventId {
    EventId::from_u128(u128::from(number) + 1)
}

/// Waits until `is_so`, as long as it takes, within reason.
pub(crate) async fn until(clock: &Clock, what: &str, is_so: impl Fn() -> bool) {
    let waiting = clock.timeout(LONG, async {
        while !is_so() {
            clock.sleep(Duration::from_millis(20)).await;
        }
    });
    waiting.await.unwrap_or_else(|_| panic!("it never came to this: {what}"));
}

/// Three nodes that hold the used partitions together, with so many events in each.
pub(crate) async fn three(world: &World, events: u64) -> [Node; 3] {
    (1..=3).for_each(|number| drop(world.host(&format!("n{number}"))));
    let first = Node::start(world, 1, 1).await;
    let (second, third) = (Node::start(world, 2, 1).await, Node::start(world, 3, 1).await);
    for id in used() {
        first.groups.add_learner(id, n(2)).await.unwrap();
        first.groups.add_learner(id, n(3)).await.unwrap();
        first.groups.set_voters(id, BTreeSet::from([n(1), n(2), n(3)])).await.unwrap();
    }
    let nodes = [first, second, third];
    append(&nodes, 0..events).await;
    converge(&nodes, events).await;
    nodes
}

/// Has a node read everything it has of the used partitions, and repair what is damaged.
pub(crate) async fn examine(node: &Node) {
    for id in used() {
        let deadline = node.env.clock.monotonic() + LONG;
        node.groups.repair(id, deadline).await.unwrap();
    }
}

/// Appends these events to every used partition, each as often as it takes.
pub(crate) async fn append(nodes: &[Node], events: std::ops::Range<u64>) {
    for (number, id) in events.flat_map(|number| used().map(|id| (number, id))) {
        append_one(nodes, id, number).await;
    }
}

/// Appends one event to whoever leads.
pub(crate) async fn append_one(nodes: &[Node], id: PartitionId, number: u64) {
    let clock = &nodes[0].env.clock;
    let appending = clock.timeout(LONG, async {
        loop {
            for node in nodes {
                if node.groups.leader(id) == Some(n(node.number)) && node.try_append(id, number).await.is_ok()
                {
                    return;
                }
            }
            clock.sleep(Duration::from_millis(50)).await;
        }
    });
    appending.await.unwrap_or_else(|_| panic!("event {number} of partition {id} is never taken"));
}

/// Waits until every node serves everything, and compares them.
pub(crate) async fn converge(nodes: &[Node], events: u64) {
    let clock = &nodes[0].env.clock;
    let all = || nodes.iter().flat_map(|node| used().map(|id| (node, id)));
    let waiting = clock.timeout(LONG, async {
        while !all().all(|(node, id)| node.head(id) == events) {
            clock.sleep(Duration::from_millis(20)).await;
        }
    });
    if waiting.await.is_err() {
        let heads: Vec<_> = all().map(|(node, id)| (node.number, id.get(), node.head(id))).collect();
        let wards: Vec<_> = nodes.iter().map(|node| node.groups.wards()).collect();
        panic!("not all have all {events} events: {heads:?}; {wards:#?}");
    }
    for id in used() {
        let digests: Vec<_> = nodes.iter().map(|node| node.digest(id)).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
        for node in nodes {
            let lost = (0..events).find(|number| !node.has(id, *number));
            assert_eq!(lost, None, "lost on n{} in partition {id}", node.number);
        }
    }
}
