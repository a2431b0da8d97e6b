//! Three machines, each with its own disk, and a partition that lives on some of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_block::{Compression, Draft, Packer};
use chronos_cluster::peer::{self, Limits, NoRegistrar, Peers, Security};
use chronos_cluster::{
    Among, CompactionConfig, Config, Exchange, Groups, NodeId, Parcels, ProposeError, Request, ScrubConfig,
};
use chronos_domain::{EntityId, EventId, EventType, ForkId, PartitionId, Space, TenantId};
use chronos_env::sim::{Host, World};
use chronos_env::{Clock, Env};
use chronos_store::{CutLimits, Digest, Manifest, Partition};
use chronos_wal::Wal;

pub(crate) const CLUSTER: u128 = 0xC0FFEE;
pub(crate) const SPACE: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };
/// Far beyond anything these worlds need.
pub(crate) const LONG: Duration = Duration::from_secs(300);

pub(crate) fn id() -> PartitionId {
    PartitionId::new(3).unwrap()
}

pub(crate) fn n(number: u64) -> NodeId {
    NodeId::new(number)
}

/// A running node.
pub(crate) struct Node {
    pub(crate) host: Host,
    pub(crate) env: Env,
    pub(crate) groups: Groups,
    pub(crate) peers: Peers,
    wal: Wal,
    parcels: Parcels,
    exchange: Exchange,
}

/// Small generations, a short log, and files that take their time.
fn config(number: u64) -> Config {
    let store = chronos_store::Config::new(PathBuf::from("/data/parts"), CLUSTER);
    let cuts = CutLimits { events: 20, bytes: 1 << 20 };
    let store = chronos_store::Config { cuts, ..store };
    let compaction = CompactionConfig { bytes_per_second: 1 << 30, ..CompactionConfig::default() };
    let scrub = ScrubConfig { background: false, ..ScrubConfig::default() };
    Config { node: n(number), entries_kept: 8, compaction, scrub, ..Config::new(store) }
}

impl Node {
    /// Starts a process on what the machine's disk holds; it is not the `life`-th one.
    pub(crate) async fn start(world: &World, number: u64, life: u64, bytes_per_second: u64) -> Node {
        let host = world.host(&format!("n{number}"));
        let env = host.env();
        env.disk.create_dir_all(Path::new("/data")).unwrap();
        env.disk.sync_dir(Path::new("/")).unwrap();
        let log = chronos_wal::Config {
            segment_bytes: 256 << 10,
            ..chronos_wal::Config::new(PathBuf::from("/data/wal"), CLUSTER)
        };
        let (wal, recovery) = Wal::open(&env, log).unwrap();
        assert_eq!(recovery.damages, []);
        let (exchange, parcels) = (Exchange::default(), Parcels::new(&env));
        let limits = Limits {
            bulk_bytes_per_second: bytes_per_second,
            bulk_chunk_bytes: 2 << 10,
            bulk_patience: Duration::from_secs(4),
            ..Limits::default()
        };
        let base = peer::Config::new(n(number), CLUSTER, life, "0.0.0.0:7000", Security::PlaintextAnywhere);
        let peers = peer::Config { limits, ..base };
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
        parcels.open(&groups);
        Node { host, env, groups, peers, wal, parcels, exchange }
    }

    pub(crate) fn partition(&self) -> Partition {
        self.groups.partition(id()).unwrap()
    }

    /// Appends one event, trying until it is taken.
    pub(crate) async fn append(&self, number: u64) {
        let deadline = self.env.clock.monotonic() + LONG;
        loop {
            match self.groups.propose(id(), request(number), deadline).await {
                Ok(_) => return,
                Err(error) => {
                    assert!(self.env.clock.monotonic() < deadline, "event {number} is never taken: {error}");
                    self.env.clock.sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Appends one event if this node leads.
    pub(crate) async fn try_append(&self, number: u64) -> Result<(), ProposeError> {
        let deadline = self.env.clock.monotonic() + Duration::from_secs(1);
        self.groups.propose(id(), request(number), deadline).await.map(drop)
    }

    pub(crate) fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.partition().shelf().manifest)
    }

    pub(crate) fn digest(&self) -> Digest {
        self.partition().digest(None).unwrap()
    }

    pub(crate) fn first_in_log(&self) -> u64 {
        self.wal.log(chronos_wal::LogId::new(id().get())).state().purged.map_or(0, |mark| mark.index)
    }

    pub(crate) async fn stop(self) {
        self.groups.stop().await;
        self.exchange.close();
        self.parcels.close();
        self.peers.stop();
        self.wal.close().await;
    }

    /// SIGKILL; with the power cut as well, what was not synced is gone.
    pub(crate) fn kill(self, power: bool) {
        if power && !self.host.disk().is_off() {
            self.host.disk().power_off();
        }
        self.host.kill();
        // What is left of it belongs to a process that is dead.
        self.exchange.close();
        self.parcels.close();
        if power {
            self.host.disk().power_on();
        }
    }
}

fn request(number: u64) -> Request {
    let mut packer = Packer::new();
    let entity = EntityId::parse(&format!("thing-{}", number % 7)).unwrap();
    let kind = EventType::parse("thing.changed").unwrap();
    // Bytes that no compression makes small.
    let mut noise = number;
    let noise: String = (0..40)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:08x}", noise >> 32)
        })
        .collect();
    let data = Bytes::from(format!("{{\"n\":{number},\"noise\":\"{noise}\"}}"));
    packer.push(Draft::json(event_id(number), entity, kind, data)).unwrap();
    let block = packer.finish(Compression::None).unwrap();
    Request::Append { tenant: TenantId::default_tenant(), fork: ForkId::MAIN, block }
}

pub(crate) fn event_id(number: u64) -> EventId {
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

/// The first node, with so many events in parts and a log that begins late.
pub(crate) async fn founder(world: &World, events: u64, bytes_per_second: u64) -> Node {
    for number in 1..=3 {
        world.host(&format!("n{number}"));
    }
    let first = Node::start(world, 1, 1, bytes_per_second).await;
    append(&first, 0..events).await;
    let clock = first.env.clock.clone();
    let is_purged = || first.first_in_log() + 8 >= first.manifest().applied.get();
    until(&clock, "the log is purged", is_purged).await;
    first
}

/// Appends these events, and waits until parts have taken in what they can.
pub(crate) async fn append(leader: &Node, events: std::ops::Range<u64>) {
    for number in events {
        leader.append(number).await;
    }
    let clock = leader.env.clock.clone();
    let is_compacted = || leader.partition().debt().sealed_generations == 0;
    until(&clock, "everything is compacted", is_compacted).await;
}

/// Waits until every node has everything, and compares them.
pub(crate) async fn converge(nodes: &[&Node], events: u64) {
    let clock = nodes[0].env.clock.clone();
    until(&clock, "all replicas have everything", || {
        nodes.iter().all(|node| node.partition().head().get() == events)
    })
    .await;
    let digests: Vec<_> = nodes.iter().map(|node| node.digest()).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
    for node in nodes {
        for number in 0..events {
            let found = node.partition().by_id(SPACE, event_id(number)).unwrap();
            assert!(found.is_some(), "event {number} is lost");
        }
    }
}

/// Makes these the voters of the partition; who is new learns first.
pub(crate) async fn make_members(leader: &Node, numbers: &[u64]) {
    for number in numbers.iter().filter(|number| **number != 1) {
        leader.groups.add_learner(id(), n(*number)).await.unwrap();
    }
    let voters: BTreeSet<NodeId> = numbers.iter().copied().map(n).collect();
    leader.groups.set_voters(id(), voters).await.unwrap();
}

/// Bytes of the files of all parts.
pub(crate) fn part_bytes(node: &Node) -> u64 {
    node.manifest().bytes()
}

/// What an offline check finds on a machine on which nothing runs. The directory has no identity, as in all these worlds.
pub(crate) fn looked_at(world: &World, number: u64) -> chronos_store::Report {
    let env = world.host(&format!("n{number}")).env();
    let mut report = chronos_store::verify(&env.disk, Path::new("/data")).unwrap();
    report.damages.retain(|damage| !damage.file.ends_with("IDENTITY"));
    report
}
