//! Nodes in a world, each on a host of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chronos_block::{Compression, Draft, Packer};
use chronos_cluster::peer::{Admission, Config as PeerConfig, JoinConfig, Security, join};
use chronos_cluster::{
    Addresses, Cluster, Config, MemberState, Neighbour, NodeId, Outcome, Request, Role, ScrubConfig,
    Standing, View,
};
use chronos_domain::{EntityId, EventId, EventType, ForkId, PartitionId, TenantId, Verdict};
use chronos_env::Clock;
use chronos_env::sim::World;
use chronos_wal::Wal;

pub(crate) const CLUSTER: u128 = 0xC0FFEE;
const SECOND: Duration = Duration::from_secs(1);
/// Of virtual time; far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn n(number: u64) -> NodeId {
    NodeId::new(number)
}

/// A running node and what is below it.
pub(crate) struct Node {
    pub(crate) cluster: Cluster,
    wal: Wal,
}

/// A data directory on some host, and what is noted in it.
pub(crate) struct Home {
    pub(crate) host: u64,
    pub(crate) dir: &'static str,
    pub(crate) machine: u128,
    pub(crate) members: Vec<Neighbour>,
    pub(crate) removed: BTreeSet<NodeId>,
}

impl Home {
    /// Where the node is at home that was admitted on that host.
    pub(crate) fn of(host: u64) -> Home {
        let (members, removed) = Default::default();
        Home { host, dir: "/data", machine: u128::from(host), members, removed }
    }
}

/// All nodes, and what they acknowledged.
pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) clock: Clock,
    pub(crate) nodes: BTreeMap<u64, Node>,
    acknowledged: Vec<(PartitionId, EventId)>,
    sent: u64,
}

impl Town {
    /// A town with its founder.
    pub(crate) async fn found(world: &World) -> Town {
        let clock = world.env().clock;
        let mut town =
            Town { world: world.clone(), clock, nodes: BTreeMap::new(), acknowledged: Vec::new(), sent: 0 };
        town.start(Home::of(1), 1).await;
        town
    }

    /// A town of three hosts, over which everything is spread.
    pub(crate) async fn of_three(world: &World) -> Town {
        let mut town = Town::found(world).await;
        town.join(2).await;
        town.join(3).await;
        town.until("everything is spread over three", |town| town.is_spread(3, &[1, 2, 3])).await;
        town
    }

    fn addresses(host: u64) -> Addresses {
        Addresses { client: format!("n{host}:7400"), peer: format!("n{host}:7000"), admin: String::new() }
    }

    /// Starts the node of a host with what its home says.
    pub(crate) async fn start(&mut self, home: Home, incarnation: u64) {
        let Home { host, dir, machine, members, removed } = home;
        let env = self.world.host(&format!("n{host}")).env();
        let dir = Path::new(dir);
        env.disk.create_dir_all(dir).unwrap();
        let log = chronos_wal::Config {
            segment_bytes: 256 << 10,
            ..chronos_wal::Config::new(dir.join("wal"), CLUSTER)
        };
        let (wal, _) = Wal::open(&env, log).unwrap();
        let scrub = ScrubConfig { background: false, ..ScrubConfig::default() };
        let store = chronos_store::Config::new(dir.join("parts"), CLUSTER);
        let config = Config { node: n(host), scrub, ..Config::new(store) };
        let peers = PeerConfig {
            machine,
            ..PeerConfig::new(n(host), CLUSTER, incarnation, "0.0.0.0:7000", Security::PlaintextAnywhere)
        };
        let standing = Standing {
            is_founder: host == 1,
            peers: Some(peers),
            port: None,
            addresses: Town::addresses(host),
            name: format!("n{host}"),
            machine,
            replication: 3,
            token: None,
            release: "0.0.0".to_owned(),
            members,
            removed,
        };
        let cluster = Cluster::start(&env, &wal, &config, standing).await.unwrap();
        self.nodes.insert(host, Node { cluster, wal });
    }

    /// Has a machine join by way of the first node that runs.
    pub(crate) async fn join(&mut self, host: u64) {
        let members = self.admit(host).await;
        self.start(Home { members, ..Home::of(host) }, 1).await;
    }

    /// Has a machine admitted that does not start yet; what it is told of the others.
    pub(crate) async fn admit(&self, host: u64) -> Vec<Neighbour> {
        let env = self.world.host(&format!("n{host}")).env();
        let admission = Admission {
            machine: u128::from(host),
            token: None,
            name: format!("n{host}"),
            addresses: Town::addresses(host),
            release: "0.0.0".to_owned(),
        };
        let whom: Vec<String> = self.nodes.keys().map(|host| format!("n{host}:7000")).collect();
        let config = JoinConfig::new(Security::PlaintextAnywhere);
        let joined = join(&env, &config, &whom, &admission).await.unwrap();
        assert_eq!((joined.cluster, joined.node), (CLUSTER, n(host)));
        joined.members
    }

    /// Kills a node's process; its disk stays.
    pub(crate) fn kill(&mut self, host: u64) {
        self.world.host(&format!("n{host}")).kill();
        let Node { cluster, wal } = self.nodes.remove(&host).unwrap();
        drop((cluster, wal));
    }

    /// Starts a node that was killed.
    pub(crate) async fn restart(&mut self, host: u64, incarnation: u64) {
        self.start(Home::of(host), incarnation).await;
    }

    pub(crate) async fn stop(self) {
        for node in self.nodes.into_values() {
            node.cluster.stop().await;
            drop(node.cluster);
            node.wal.close().await;
        }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.clock.monotonic() + 10 * SECOND
    }

    /// What some node sees.
    pub(crate) fn view(&self) -> View {
        self.nodes.values().next().unwrap().cluster.view()
    }

    /// The host of the driver.
    pub(crate) fn driver(&self) -> Option<u64> {
        let leads = |node: &&Node| node.cluster.leader(PartitionId::SYSTEM) == Some(node.cluster.me());
        self.nodes.values().find(leads).map(|node| node.cluster.me().get())
    }

    /// Appends one event to each of a few partitions, through whoever leads them; some may fail for want of a leader.
    pub(crate) async fn append(&mut self) {
        for partition in PartitionId::all().step_by(5) {
            self.sent += 1;
            let id = EventId::from_u128(u128::from(self.sent));
            let leader = self.nodes.values().next().unwrap().cluster.leader(partition);
            let Some(node) = leader.and_then(|leader| self.nodes.get(&leader.get())) else { continue };
            let mut packer = Packer::new();
            let entity = EntityId::parse(&format!("thing-{}", self.sent % 7)).unwrap();
            let kind = EventType::parse("thing.changed").unwrap();
            packer.push(Draft::json(id, entity, kind, Bytes::from_static(b"{}"))).unwrap();
            let block = packer.finish(Compression::None).unwrap();
            let request = Request::Append { tenant: TenantId::default_tenant(), fork: ForkId::MAIN, block };
            let deadline = self.clock.monotonic() + SECOND;
            let proposing = node.cluster.groups().propose(partition, request, deadline);
            if let Ok(Ok(Outcome::Append(Verdict::Stored(_)))) = self.clock.timeout(SECOND, proposing).await {
                self.acknowledged.push((partition, id));
            }
        }
    }

    /// Appends now and then until `is_so`.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Town) -> bool) {
        let began = self.clock.monotonic();
        while !is_so(self) {
            let took = self.clock.monotonic() - began;
            assert!(took < PATIENCE, "it never came to this: {what}\n{}", self.describe());
            self.append().await;
            self.clock.sleep(SECOND).await;
        }
    }

    fn describe(&self) -> String {
        let view = self.view();
        let nodes: Vec<String> = view
            .nodes
            .iter()
            .map(|node| {
                let (name, state) = (&node.member.name, node.member.state);
                format!("{name} {state:?} up {} leads {} holds {}", node.is_up, node.leads, node.replicas)
            })
            .collect();
        let groups: Vec<String> = view
            .partitions
            .iter()
            .map(|group| format!("{} {:?} {:?} {:?}", group.id, group.leader, group.voters, group.learners))
            .collect();
        let driver = self.driver();
        let plan: Vec<_> = self
            .nodes
            .values()
            .next()
            .unwrap()
            .cluster
            .plan(&BTreeSet::new())
            .steps
            .into_iter()
            .take(3)
            .collect();
        format!("driver {driver:?}\n{}\n{}\n{plan:#?}", nodes.join("\n"), groups.join("\n"))
    }

    /// Whether every data partition has so many replicas, spread over these nodes alone and within one, as are leaders.
    pub(crate) fn is_spread(&self, replicas: usize, over: &[u64]) -> bool {
        let view = self.view();
        let is_whole = |group: &chronos_cluster::PartitionView| {
            let all_in = group.voters.iter().all(|node| over.contains(&node.get()));
            let quiet = group.learners.is_empty() && group.leader.is_some();
            group.id == PartitionId::SYSTEM || group.voters.len() == replicas && all_in && quiet
        };
        let loads = |of: &dyn Fn(&chronos_cluster::NodeView) -> u8| {
            let counts = view.nodes.iter().filter(|node| over.contains(&node.member.node.get())).map(of);
            let counts: Vec<u8> = counts.collect();
            counts.len() == over.len() && counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
        };
        view.partitions.iter().all(is_whole) && loads(&|node| node.leads) && loads(&|node| node.replicas)
    }

    /// Whether a removed node belongs to nothing any more.
    pub(crate) fn is_gone(&self, host: u64) -> bool {
        let view = self.view();
        let belongs = view
            .partitions
            .iter()
            .any(|group| group.voters.contains(&n(host)) || group.learners.contains(&n(host)));
        let state = self.nodes.values().next().unwrap().cluster.member(n(host)).map(|member| member.state);
        !belongs && state == Some(MemberState::Removed)
    }

    /// Fails unless every leader has everything that was ever acknowledged, and its followers come to the same digest.
    pub(crate) async fn check(&mut self) {
        self.append().await;
        assert!(self.acknowledged.len() > 30, "only {} appends were acknowledged", self.acknowledged.len());
        self.clock.sleep(3 * SECOND).await;
        let view = self.view();
        let space = chronos_domain::Space { tenant: "default", fork: ForkId::MAIN };
        for (partition, id) in &self.acknowledged {
            let leader = view.partitions[partition.index()].leader.unwrap();
            let replica = self.nodes[&leader.get()].cluster.groups().partition(*partition).unwrap();
            assert!(replica.by_id(space, *id).unwrap().is_some(), "{id} is lost in partition {partition}");
        }
        for group in view.partitions.iter().filter(|group| group.id != PartitionId::SYSTEM) {
            let digest = |node: &NodeId| {
                let replica = self.nodes[&node.get()].cluster.groups().partition(group.id).unwrap();
                replica.digest(None).unwrap()
            };
            let digests: Vec<_> = group.voters.iter().map(digest).collect();
            assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{}: {digests:?}", group.id);
            assert_eq!(group.replicas.iter().filter(|replica| replica.role == Role::Leader).count(), 1);
        }
    }
}
