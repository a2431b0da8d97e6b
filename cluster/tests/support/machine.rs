//! Three machines, each with its own disk, and the nodes that run on them: over the real transport, in a simulated world.

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
use chronos_store::{CutLimits, Digest};
use chronos_wal::Wal;

const CLUSTER: u128 = 0xC0FFEE;
const SPACE: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };
/// Far beyond anything these worlds need.
pub(crate) const LONG: Duration = Duration::from_secs(300);

pub(crate) fn n(number: u64) -> NodeId {
    NodeId::new(number)
}

/// What is asked of the nodes of a world.
pub(crate) struct Kind {
    pub(crate) lanes: u8,
    pub(crate) limits: Limits,
    /// Nobody harms the disks: a log that is damaged fails the test.
    pub(crate) is_unharmed: bool,
}

/// A running node.
pub(crate) struct Node {
    pub(crate) number: u64,
    pub(crate) host: Host,
    pub(crate) env: Env,
    pub(crate) groups: Groups,
    pub(crate) peers: Peers,
    pub(crate) wal: Wal,
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
    pub(crate) async fn begin(world: &World, number: u64, life: u64, kind: Kind) -> Node {
        let Kind { lanes, limits, is_unharmed } = kind;
        let host = world.host(&format!("n{number}"));
        let env = host.env();
        env.disk.create_dir_all(Path::new("/data")).unwrap();
        env.disk.sync_dir(Path::new("/")).unwrap();
        let log = chronos_wal::Config {
            segment_bytes: 256 << 10,
            lanes,
            exists: life > 1,
            ..chronos_wal::Config::new(PathBuf::from("/data/wal"), CLUSTER)
        };
        let (wal, recovery) = Wal::open(&env, log).unwrap();
        assert!(!is_unharmed || recovery.damages.is_empty(), "n{number}: {:?}", recovery.damages);
        let (exchange, parcels) = (Exchange::default(), Parcels::new(&env));
        let base = peer::Config::new(n(number), CLUSTER, life, "0.0.0.0:7000", Security::PlaintextAnywhere);
        let peers = Peers::start(
            &env,
            peer::Config { limits, ..base },
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

    /// 0 where it does not serve the partition.
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
        // What is left of it belongs to a process that is dead.
        self.exchange.close();
        self.parcels.close();
    }

    /// The power is cut, if it is not yet, and comes back: what was not synced is gone.
    pub(crate) fn lose_power(self) {
        let disk = self.host.disk();
        if !disk.is_off() {
            disk.power_off();
        }
        self.kill();
        disk.power_on();
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

fn event_id(number: u64) -> EventId {
    EventId::from_u128(u128::from(number) + 1)
}

/// Makes these the voters of a partition that the first of them leads; who is new learns first.
pub(crate) async fn make_members(leader: &Node, id: PartitionId, numbers: &[u64]) {
    for number in numbers.iter().filter(|number| **number != leader.number) {
        leader.groups.add_learner(id, n(*number)).await.unwrap();
    }
    leader.groups.set_voters(id, numbers.iter().copied().map(n).collect()).await.unwrap();
}

/// Waits until `is_so`, as long as it takes, within reason.
pub(crate) async fn until(clock: &Clock, what: &str, is_so: impl Fn() -> bool) {
    assert!(comes_true(clock, is_so).await, "it never came to this: {what}");
}

async fn comes_true(clock: &Clock, is_so: impl Fn() -> bool) -> bool {
    let waiting = clock.timeout(LONG, async {
        while !is_so() {
            clock.sleep(Duration::from_millis(20)).await;
        }
    });
    waiting.await.is_ok()
}

/// Waits until all nodes have so many events in each of these partitions, and compares them.
pub(crate) async fn agree(nodes: &[&Node], ids: &[PartitionId], events: u64) {
    let clock = &nodes[0].env.clock;
    let all = || nodes.iter().flat_map(move |node| ids.iter().map(move |id| (node, *id)));
    if !comes_true(clock, || all().all(|(node, id)| node.head(id) == events)).await {
        let heads: Vec<_> = all().map(|(node, id)| (node.number, id.get(), node.head(id))).collect();
        let wards: Vec<_> = nodes.iter().map(|node| node.groups.wards()).collect();
        panic!("not all have all {events} events: {heads:?}; {wards:#?}");
    }
    for id in ids {
        let digests: Vec<_> = nodes.iter().map(|node| node.digest(*id)).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
        for node in nodes {
            let lost = (0..events).find(|number| !node.has(*id, *number));
            assert_eq!(lost, None, "lost on n{} in partition {id}", node.number);
        }
    }
}
