//! What a client knows of the cluster, and where it therefore sends what.
//!
//! Pure: no clock, no network; whoever asks says what time it is, so that every rule can be tested by itself.
//!
//! | what is asked | goes to |
//! |---|---|
//! | appends | the leader, directly; while it is lost or nobody knows it, the replicas, of which one may lead by now, then any other way |
//! | linearizable reads | the leader, then the other replicas, which can ask it, then any other way |
//! | other reads of one partition | the nearest replica, then the others |
//! | reads of everything | the nearest node |
//! | questions about a node | the server that the caller named |
//!
//! "Any other way" is a node that was reached, then the servers that the caller named: they are asked without the
//! header that says "directly", and forward.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_domain::limits::PARTITIONS;
use chronos_proto::{NodeId, Placement};

use super::hint::Hint;
use super::reach::{Reach, Trip};

/// A server that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// One of the servers that the caller named, by its place in the list. Which node answers there, nobody knows.
    Seed(usize),
    /// A node, at the address that the cluster knows it by.
    Node(NodeId),
}

impl Way {
    /// The node that answers there, if that is certain.
    pub(crate) const fn node(self) -> Option<NodeId> {
        match self {
            Self::Seed(_) => None,
            Self::Node(node) => Some(node),
        }
    }
}

/// One try: whom to ask, and whether that one must do it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) way: Way,
    /// It must not forward, but say who leads.
    pub(crate) direct: bool,
}

impl Hop {
    const fn direct(node: NodeId) -> Self {
        Self { way: Way::Node(node), direct: true }
    }

    const fn open(way: Way) -> Self {
        Self { way, direct: false }
    }
}

/// Who is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Who leads the partition.
    Leader(PartitionId),
    /// Who knows the newest of the partition: the leader, and whoever asks it.
    Newest(PartitionId),
    /// The nearest that holds the partition.
    Replica(PartitionId),
    /// The nearest of all.
    Nearest,
    /// Whom the caller named.
    Named,
}

impl Aim {
    /// The partition that is asked about.
    pub(crate) const fn partition(self) -> Option<PartitionId> {
        match self {
            Self::Leader(partition) | Self::Newest(partition) | Self::Replica(partition) => Some(partition),
            Self::Nearest | Self::Named => None,
        }
    }
}

/// What became of an answer about the placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learned {
    /// It is what is known now.
    Taken,
    /// Somebody else knew more already.
    Stale,
    /// Not who was asked answered, but another node or another cluster.
    Stranger,
}

/// What is known.
#[derive(Debug)]
pub(super) struct Table {
    /// The addresses that the caller gave; empty for a channel that the caller made.
    seeds: Vec<String>,
    /// The one of them in use.
    seed: usize,
    /// UUID of the cluster; empty until somebody said it.
    cluster: String,
    epoch: u64,
    nodes: BTreeMap<NodeId, Node>,
    /// One for each partition.
    partitions: Vec<Placed>,
}

#[derive(Debug)]
struct Node {
    address: String,
    reach: Reach,
    trip: Trip,
    /// It once answered at this address.
    known: bool,
    /// Somebody is finding out whether it can be reached.
    trying: bool,
}

#[derive(Clone, Debug, Default)]
struct Placed {
    leader: Option<NodeId>,
    replicas: Vec<NodeId>,
}

impl Table {
    pub(super) fn new(seeds: Vec<String>) -> Self {
        assert!(!seeds.is_empty(), "a client knows at least one server");
        let partitions = vec![Placed::default(); PARTITIONS.into()];
        Self { seeds, seed: 0, cluster: String::new(), epoch: 0, nodes: BTreeMap::new(), partitions }
    }

    /// UUID of the cluster; empty until somebody said it.
    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The epoch of what is known.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the server is; `None` for a node that is not known (any more).
    pub(super) fn address(&self, way: Way) -> Option<&str> {
        match way {
            Way::Seed(seed) => self.seeds.get(seed).map(String::as_str),
            Way::Node(node) => self.nodes.get(&node).map(|node| node.address.as_str()),
        }
    }

    /// Every address that is known.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.nodes.values().map(|node| node.address.as_str())
    }

    /// How many nodes hold the partition, as far as is known.
    pub(super) fn replicas(&self, partition: PartitionId) -> usize {
        self.holders(partition).len()
    }

    /// Which nodes those are.
    pub(super) fn holders(&self, partition: PartitionId) -> &[NodeId] {
        &self.placed(partition).replicas
    }

    /// Where the try number `turn` (from 0) of one request goes. As long as nothing is learned, the same request goes
    /// the same ways.
    pub(super) fn hop(&self, aim: Aim, turn: usize) -> Hop {
        let hops: Vec<Hop> = match aim {
            Aim::Leader(partition) => match self.placed(partition).leader {
                Some(leader) if self.is_reached(leader) => return Hop::direct(leader),
                // There is a leader, but not for us: others forward to it.
                Some(leader) if !self.was_reached(leader) => self.open_ways(aim.partition()).collect(),
                // Broken down, perhaps: one of the others leads, or will.
                _ => self.replicas_reached(partition).chain(self.open_ways(aim.partition())).collect(),
            },
            Aim::Newest(partition) => {
                let leader = self.placed(partition).leader.filter(|leader| self.is_reached(*leader));
                let others = self.replicas_reached(partition).filter(|hop| hop.way.node() != leader);
                let leader = leader.map(Hop::direct).into_iter();
                leader.chain(others).chain(self.open_ways(aim.partition())).collect()
            }
            Aim::Replica(partition) => {
                self.replicas_reached(partition).chain(self.open_ways(aim.partition())).collect()
            }
            Aim::Nearest => self.open_ways(None).collect(),
            Aim::Named => self.seeds_in_turn().chain(self.open_ways(None)).collect(),
        };
        hops[turn % hops.len()]
    }

    /// One of the servers that the caller named.
    pub(super) fn named(&self, turn: usize) -> Hop {
        Hop::open(Way::Seed((self.seed + turn) % self.seeds.len()))
    }

    /// The ways to ask for the placement, for the time number `round`: another node first each time, so that one that
    /// is cut off from the others does not have the last word.
    pub(super) fn to_ask(&self, round: usize) -> Vec<Way> {
        let mut reached: Vec<Way> = self.reached(|_| true).into_iter().map(Way::Node).collect();
        if !reached.is_empty() {
            let first = round % reached.len();
            reached.rotate_left(first);
        }
        let seeds = self.seeds_in_turn().map(|hop| hop.way);
        let others =
            self.nodes.keys().copied().filter(|node| !self.is_reached(*node) && self.has_address(*node));
        reached.into_iter().chain(seeds).chain(others.map(Way::Node)).collect()
    }

    /// Nodes that it is time to try to reach; whoever takes them does, and tells.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<NodeId> {
        let due = |node: &Node| !node.trying && !node.address.is_empty() && node.reach.is_due(now);
        let due = self.nodes.iter_mut().filter(|(_, node)| due(node));
        due.map(|(id, node)| {
            node.trying = true;
            *id
        })
        .collect()
    }

    /// Takes in an answer about the placement that came over `way`.
    pub(super) fn learn(&mut self, way: Way, answer: &Placement) -> Learned {
        let known = !self.cluster.is_empty() && !answer.cluster_id.is_empty();
        if (known && self.cluster != answer.cluster_id) || way.node().is_some_and(|node| node != answer.node)
        {
            return Learned::Stranger;
        }
        if answer.epoch < self.epoch {
            return Learned::Stale;
        }
        // A release that does not say it belongs to whatever is known.
        if !answer.cluster_id.is_empty() {
            self.cluster.clone_from(&answer.cluster_id);
        }
        self.epoch = answer.epoch;
        self.nodes.retain(|id, _| answer.node(*id).is_some());
        for placed in &answer.nodes {
            self.meet(placed.node, &placed.address);
        }
        for placed in &answer.partitions {
            let here = &mut self.partitions[placed.partition.index()];
            here.replicas.clone_from(&placed.replicas);
            // Who does not know a leader has not disproved the one that is known.
            here.leader = placed.leader.or(here.leader);
        }
        // The caller's own address for the node that answered is the cluster's: the connection is there already.
        if let (Way::Seed(_), Some(address)) = (way, self.address(way))
            && self.nodes.get(&answer.node).is_some_and(|node| node.address == address)
        {
            self.reached_node(answer.node);
        }
        Learned::Taken
    }

    /// Takes in that a node says that it does not lead. Whether to go to the leader it names at once.
    pub(super) fn not_leader(&mut self, partition: PartitionId, from: Way, hint: Option<&Hint>) -> bool {
        let Some(hint) = hint.filter(|hint| Some(hint.leader) != from.node()) else {
            let here = &mut self.partitions[partition.index()];
            // Of a node that was only asked on the way nothing follows for the leader.
            if from.node().is_none() || here.leader == from.node() {
                here.leader = None;
            }
            return false;
        };
        if !self.nodes.contains_key(&hint.leader) || hint.epoch > self.epoch {
            self.meet(hint.leader, &hint.address);
        }
        self.partitions[partition.index()].leader = Some(hint.leader);
        let leader = self.nodes.get(&hint.leader);
        leader.is_some_and(|node| !node.address.is_empty() && !matches!(node.reach, Reach::Lost { .. }))
    }

    /// Takes in that a node answered, as itself, and how long that took where it says how far away it is.
    pub(super) fn answered(&mut self, way: Way, time: Option<Duration>) {
        let Some(node) = way.node() else { return };
        self.reached_node(node);
        if let (Some(node), Some(time)) = (self.nodes.get_mut(&node), time) {
            node.trip.measured(time);
        }
    }

    /// Takes in that a connection that had been there broke, or that nothing came over it.
    pub(super) fn doubt(&mut self, way: Way, now: Duration) {
        match way {
            Way::Seed(seed) => self.leave(seed),
            Way::Node(node) => {
                if let Some(node) = self.nodes.get_mut(&node) {
                    node.reach = node.reach.doubted(now);
                }
            }
        }
    }

    /// Takes in that an attempt to reach a server failed.
    pub(super) fn missed(&mut self, way: Way, now: Duration) {
        match way {
            Way::Seed(seed) => self.leave(seed),
            Way::Node(node) => {
                if let Some(node) = self.nodes.get_mut(&node) {
                    (node.reach, node.trying) = (node.reach.missed(now), false);
                }
            }
        }
    }

    /// Moves on from a server that failed, unless somebody else has already.
    fn leave(&mut self, seed: usize) {
        if self.seed == seed {
            self.seed = (seed + 1) % self.seeds.len();
        }
    }

    fn meet(&mut self, id: NodeId, address: &str) {
        let address = if leads_nowhere(address) { "" } else { address };
        let node = self.nodes.entry(id).or_insert_with(|| Node {
            address: address.to_owned(),
            reach: Reach::Untried,
            trip: Trip::default(),
            known: false,
            trying: false,
        });
        // Who moved is found anew.
        if node.address != address {
            (node.address, node.reach, node.known) = (address.to_owned(), Reach::Untried, false);
        }
    }

    fn reached_node(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            (node.reach, node.known, node.trying) = (Reach::Reached, true, false);
        }
    }

    fn placed(&self, partition: PartitionId) -> &Placed {
        &self.partitions[partition.index()]
    }

    /// Whether the node answered at its address, as itself, and was not lost since.
    pub(super) fn is_reached(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.reach == Reach::Reached)
    }

    fn was_reached(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.known)
    }

    fn has_address(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| !node.address.is_empty())
    }

    /// The nodes that were reached and pass, nearest first; among equals by number.
    fn reached(&self, pass: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let reached = self.nodes.iter().filter(|(id, node)| node.reach == Reach::Reached && pass(**id));
        let mut near: Vec<(Duration, NodeId)> = reached.map(|(id, node)| (node.trip.time(), *id)).collect();
        near.sort_unstable();
        near.into_iter().map(|(_, id)| id).collect()
    }

    fn replicas_reached(&self, partition: PartitionId) -> impl Iterator<Item = Hop> {
        let replicas = &self.placed(partition).replicas;
        self.reached(|node| replicas.contains(&node)).into_iter().map(Hop::direct)
    }

    fn seeds_in_turn(&self) -> impl Iterator<Item = Hop> {
        (0..self.seeds.len()).map(|turn| self.named(turn))
    }

    /// Every way on which a request is forwarded, the best first: replicas that were reached, other nodes that were,
    /// the servers that the caller named, nodes that nobody has tried.
    fn open_ways(&self, partition: Option<PartitionId>) -> impl Iterator<Item = Hop> {
        let replicas =
            partition.map(|partition| self.placed(partition).replicas.as_slice()).unwrap_or_default();
        let holders = self.reached(|node| replicas.contains(&node));
        let others = self.reached(|node| !replicas.contains(&node));
        let untried =
            self.nodes.iter().filter(|(_, node)| node.reach == Reach::Untried && !node.address.is_empty());
        let open = |node| Hop::open(Way::Node(node));
        let untried: Vec<Hop> = untried.map(|(id, _)| open(*id)).collect();
        holders.into_iter().chain(others).map(open).chain(self.seeds_in_turn()).chain(untried)
    }
}

/// Whether an address is that of no place: a node that listens on all of its addresses and was told of none says so.
fn leads_nowhere(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.is_empty() || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

#[cfg(test)]
mod tests;
