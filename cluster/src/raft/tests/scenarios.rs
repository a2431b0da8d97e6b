//! What a cluster goes through: growth, elections, cuts, restarts. In each, what was acknowledged is on every replica in
//! the end, once, and the replicas' digests are equal.

use std::collections::BTreeSet;
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_env::sim::World;

use super::nodes::{Net, Node, SPACE, Whole, event_id};
use crate::node::NodeId;
use crate::proposal::ProposeError;
use crate::raft::{WatchReceiver, bereave};
use crate::request::Request;

/// Longer than any election.
pub(super) const SOON: Duration = Duration::from_secs(15);

pub(super) struct Cluster {
    pub(super) world: World,
    pub(super) net: Net,
    pub(super) nodes: Vec<Node>,
    pub(super) acknowledged: BTreeSet<u64>,
    sent: u64,
}

impl Cluster {
    /// Three nodes, grown from one.
    pub(super) async fn of_three(world: &World) -> Cluster {
        Cluster::of(world, 3).await
    }

    /// So many nodes, grown from one.
    pub(super) async fn of(world: &World, nodes: u64) -> Cluster {
        let net = Net::new(world);
        let mut cluster =
            Cluster { world: world.clone(), net, nodes: Vec::new(), acknowledged: BTreeSet::new(), sent: 0 };
        for id in 1..=nodes {
            let node = Node::start(world, &cluster.net, id).await;
            cluster.nodes.push(node);
        }
        cluster.append(5).await;
        let raft = cluster.nodes[0].raft().await;
        for id in 2..=nodes {
            raft.add_learner(NodeId::new(id), (), true).await.unwrap();
        }
        let voters: BTreeSet<NodeId> = (1..=nodes).map(NodeId::new).collect();
        raft.change_membership(voters, false).await.unwrap();
        cluster
    }

    pub(super) fn ids(&self) -> Vec<NodeId> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    pub(super) fn isolate(&self, node: NodeId) {
        let others: Vec<_> = self.ids().into_iter().filter(|other| *other != node).collect();
        self.net.isolate(node, &others);
    }

    pub(super) async fn sleep(&self, d: Duration) {
        self.world.env().clock.sleep(d).await;
    }

    /// The node that leads, going by what they say, among those a caller reaches.
    pub(super) async fn leader(&self, among: &[NodeId]) -> usize {
        let clock = self.world.env().clock;
        let deadline = clock.monotonic() + SOON;
        loop {
            let mut leading = None;
            for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| among.contains(&node.id)) {
                let metrics = node.raft().await.metrics().borrow_watched().clone();
                if metrics.state.is_leader() {
                    leading = leading.max(Some((metrics.current_term, at)));
                }
            }
            // Of two the one with the greater term leads, the other has not heard of it.
            if let Some((_, at)) = leading {
                return at;
            }
            assert!(clock.monotonic() < deadline, "nobody was elected");
            clock.sleep(Duration::from_millis(50)).await;
        }
    }

    /// Appends so many events at the leader among the nodes that can be reached; tries each until it is acknowledged.
    pub(super) async fn append_at(&mut self, count: u64, among: &[NodeId]) {
        for _ in 0..count {
            let n = self.sent;
            self.sent += 1;
            let mut tries = 0;
            loop {
                let leader = self.leader(among).await;
                match self.nodes[leader].append(n).await {
                    Ok(_) => break,
                    Err(error) => {
                        tries += 1;
                        assert!(tries < 100, "event {n} is never taken: {error}");
                        self.sleep(Duration::from_millis(100)).await;
                    }
                }
            }
            self.acknowledged.insert(n);
        }
    }

    pub(super) async fn append(&mut self, count: u64) {
        let all = self.ids();
        self.append_at(count, &all).await;
    }

    /// Waits until all replicas have applied the same, and compares them.
    pub(super) async fn converge(&self) {
        let clock = self.world.env().clock;
        let deadline = clock.monotonic() + 2 * SOON;
        let heads = || self.nodes.iter().map(|node| node.partition().head().get()).collect::<BTreeSet<_>>();
        while heads() != BTreeSet::from([self.acknowledged.len() as u64]) {
            let (heads, acknowledged) = (heads(), self.acknowledged.len());
            assert!(
                clock.monotonic() < deadline,
                "heads are {heads:?} where {acknowledged} are acknowledged"
            );
            clock.sleep(Duration::from_millis(100)).await;
        }
        let digests: Vec<_> = self.nodes.iter().map(|node| node.partition().digest(None).unwrap()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
        for node in &self.nodes {
            assert_eq!(*node.fault.borrow(), None);
            for n in &self.acknowledged {
                assert!(node.partition().by_id(SPACE, event_id(*n)).unwrap().is_some(), "event {n} is lost");
            }
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.iter().find(|node| node.id == id).unwrap()
    }

    pub(super) async fn begin(&mut self, id: NodeId) {
        self.nodes.push(Node::start(&self.world, &self.net, id.get()).await);
    }

    pub(super) async fn end(&mut self, id: NodeId) {
        let at = self.nodes.iter().position(|node| node.id == id).unwrap();
        self.nodes.remove(at).stop().await;
    }

    pub(super) async fn restart(&mut self, at: usize) {
        let node = self.nodes.remove(at);
        let id = node.id.get();
        node.stop().await;
        let node = Node::start(&self.world, &self.net, id).await;
        self.nodes.insert(at, node);
    }

    pub(super) async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }
}

#[test]
fn a_cluster_grows_from_one_node_to_three_and_all_replicas_are_equal() {
    let world = World::new(1);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        cluster.append(30).await;
        cluster.converge().await;
        let members = cluster.nodes[2].partition().members().unwrap();
        assert!(members.mark.index > 1, "the change is in the log of every replica: {members:?}");
        cluster.stop().await;
    });
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_what_it_could_not_replicate_is_never_acknowledged() {
    let world = World::new(2);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        let all = cluster.ids();
        let old = cluster.leader(&all).await;
        let old_id = cluster.nodes[old].id;
        cluster.isolate(old_id);
        let lost = cluster.nodes[old].append(1_000).await;
        assert!(matches!(lost, Err(ProposeError::Unknown(_))), "{lost:?}");
        let rest: Vec<_> = all.into_iter().filter(|id| *id != old_id).collect();
        cluster.sleep(SOON).await;
        cluster.append_at(10, &rest).await;
        let late = cluster.nodes[old].append(1_001).await;
        assert!(
            matches!(late, Err(ProposeError::NotLeader { .. })),
            "a deposed leader took a command: {late:?}"
        );
        cluster.net.heal();
        cluster.append(10).await;
        cluster.converge().await;
        assert_eq!(cluster.nodes[old].partition().by_id(SPACE, event_id(1_000)).unwrap().map(|_| ()), None);
        cluster.stop().await;
    });
}

#[test]
fn a_follower_that_only_hears_does_not_disturb_the_leader() {
    let world = World::new(3);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        let all = cluster.ids();
        let leader = cluster.leader(&all).await;
        let (lead, deaf) =
            (cluster.nodes[leader].id, all.iter().copied().find(|id| *id != cluster.nodes[leader].id));
        let deaf = deaf.unwrap();
        // It hears nothing from the leader, and everybody hears it: it asks for votes again and again.
        cluster.net.cut(lead, deaf);
        let term = |cluster: &Cluster| cluster.nodes[leader].partition().applied_mark().term;
        let before = term(&cluster);
        cluster.sleep(2 * SOON).await;
        let others: Vec<_> = all.iter().copied().filter(|id| *id != deaf).collect();
        cluster.append_at(5, &others).await;
        assert_eq!(term(&cluster), before, "pre-vote let a hopeless candidate raise the term");
        cluster.net.heal();
        cluster.append(5).await;
        cluster.converge().await;
        cluster.stop().await;
    });
}

/// Without a check of its quorum a leader that is heard would keep the others from electing one that works, for ever.
#[test]
fn a_leader_that_is_heard_and_hears_nobody_or_hears_and_is_not_heard_is_replaced_while_the_cut_lasts() {
    for (seed, is_heard) in [(41, true), (42, false), (43, true)] {
        let world = World::new(seed);
        world.run(async {
            let mut cluster = Cluster::of_three(&world).await;
            let all = cluster.ids();
            let old = cluster.leader(&all).await;
            let old_id = cluster.nodes[old].id;
            let rest: Vec<_> = all.into_iter().filter(|id| *id != old_id).collect();
            for other in &rest {
                let (from, to) = if is_heard { (*other, old_id) } else { (old_id, *other) };
                cluster.net.cut(from, to);
            }
            // It tries to replicate this for as long as it leads, and thereby is heard.
            let stuck = cluster.nodes[old].append(1_000).await;
            assert!(matches!(stuck, Err(ProposeError::Unknown(_))), "{stuck:?}");
            cluster.append_at(10, &rest).await;
            let read = cluster.nodes[old].linearize(Duration::from_secs(1)).await;
            assert!(read.is_err(), "a leader that was replaced let a reader through");
            let late = cluster.nodes[old].append(1_001).await;
            assert!(matches!(late, Err(ProposeError::NotLeader { .. })), "{late:?}");
            cluster.net.heal();
            // What was heard of the command may be in the log of its successor: nobody was told that it is not.
            if cluster.nodes[(old + 1) % 3].partition().by_id(SPACE, event_id(1_000)).unwrap().is_some() {
                assert!(is_heard);
                cluster.acknowledged.insert(1_000);
            }
            cluster.append(10).await;
            cluster.converge().await;
            cluster.stop().await;
        });
    }
}

/// How long the others are without a leader when theirs stops, from its last word on.
fn orphaned(seed: u64, is_known_to_be_dead: bool) -> Duration {
    let world = World::new(seed);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        cluster.append(5).await;
        let all = cluster.ids();
        let old = cluster.leader(&all).await;
        let old = cluster.nodes.remove(old);
        let (old_id, rest) = (old.id, cluster.ids());
        old.stop().await;
        let began = world.env().clock.monotonic();
        if is_known_to_be_dead {
            for node in &cluster.nodes {
                assert!(bereave(&node.raft().await, old_id).await, "it followed somebody else");
                assert!(!bereave(&node.raft().await, node.id).await, "it followed itself");
            }
        }
        cluster.leader(&rest).await;
        let took = world.env().clock.monotonic() - began;
        cluster.append_at(5, &rest).await;
        cluster.stop().await;
        took
    })
}

#[test]
fn a_leader_that_is_known_to_be_dead_is_replaced_without_waiting_for_the_end_of_its_lease() {
    for seed in 51..54 {
        let (known, silent) = (orphaned(seed, true), orphaned(seed, false));
        assert!(known < Duration::from_millis(1_100), "it took {known:?}");
        assert!(silent > Duration::from_millis(800), "its lease was not kept: {silent:?}");
        assert!(known < silent, "{known:?} after a death, {silent:?} after silence");
    }
}

#[test]
fn a_leader_that_is_taken_for_dead_and_is_not_leads_on() {
    let world = World::new(55);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        cluster.append(5).await;
        let all = cluster.ids();
        let lead = cluster.nodes[cluster.leader(&all).await].id;
        let term =
            |cluster: &Cluster| cluster.nodes.iter().map(|node| node.partition().applied_mark().term).max();
        let before = term(&cluster);
        for _ in 0..20 {
            for node in cluster.nodes.iter().filter(|node| node.id != lead) {
                bereave(&node.raft().await, lead).await;
            }
            cluster.append(1).await;
            cluster.sleep(Duration::from_millis(150)).await;
        }
        assert_eq!(term(&cluster), before, "an election was held against a leader that is heard");
        cluster.converge().await;
        cluster.stop().await;
    });
}

/// A core that has panicked stays dead for as long as the process lives, and a group that nobody watches would wait for ever.
#[test]
fn a_core_that_panics_is_the_fault_of_its_node_and_of_no_other() {
    let world = World::new(9);
    world.run(async {
        let cluster = Cluster::of_three(&world).await;
        let mut fault = cluster.nodes[1].fault.subscribe();
        let raft = cluster.nodes[1].raft().await;
        assert!(raft.with_raft_state(|_| panic!("as if it had met a bug")).await.is_err());
        let found = world.env().clock.timeout(SOON, fault.wait_for(Option::is_some)).await;
        assert!(found.expect("it is noticed").is_ok_and(|fault| fault.is_some()));
        for at in [0, 2] {
            assert_eq!(*cluster.nodes[at].fault.borrow(), None);
        }
        let others = [cluster.nodes[0].id, cluster.nodes[2].id];
        let leader = cluster.leader(&others).await;
        cluster.nodes[leader].append(77).await.unwrap();
    });
}

#[test]
fn nodes_that_are_restarted_one_after_the_other_come_back_with_everything() {
    let world = World::new(4);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        for at in 0..3 {
            cluster.append(10).await;
            cluster.restart(at).await;
        }
        cluster.append(10).await;
        cluster.converge().await;
        cluster.stop().await;
        // All of them at once, and nobody who knows what is committed.
        let net = Net::new(&world);
        let mut cluster = Cluster {
            world: world.clone(),
            net,
            nodes: Vec::new(),
            acknowledged: (0..45).collect(),
            sent: 45,
        };
        for id in 1..=3 {
            let node = Node::start(&world, &cluster.net, id).await;
            cluster.nodes.push(node);
        }
        cluster.append(1).await;
        cluster.converge().await;
        cluster.stop().await;
    });
}

#[test]
fn all_partitions_of_three_nodes_hand_over_leadership_and_survive_the_loss_of_a_node() {
    let world = World::new(5);
    world.run(async {
        let (net, clock) = (Net::new(&world), world.env().clock);
        let mut nodes = Vec::new();
        for id in 1..=3 {
            nodes.push(Whole::start(&world, &net, id).await);
        }
        let voters: BTreeSet<NodeId> = (1..=3).map(NodeId::new).collect();
        for id in PartitionId::all() {
            for node in [2, 3] {
                nodes[0].groups.add_learner(id, NodeId::new(node)).await.unwrap();
            }
            nodes[0].groups.set_voters(id, voters.clone()).await.unwrap();
        }
        let leads = |nodes: &[Whole], node: NodeId| {
            PartitionId::all().filter(|id| nodes.iter().all(|n| n.groups.leader(*id) == Some(node))).count()
        };
        assert_eq!(leads(&nodes, NodeId::FIRST), 32, "the founder leads everything");
        for id in PartitionId::all().filter(|id| id.get() % 3 == 1) {
            nodes[0].groups.transfer(id, NodeId::new(2)).await.unwrap();
        }
        clock.sleep(Duration::from_secs(2)).await;
        assert_eq!(leads(&nodes, NodeId::new(2)), 11, "leadership was not handed over");
        nodes.remove(0).stop().await;
        clock.sleep(Duration::from_secs(10)).await;
        let led = leads(&nodes, NodeId::new(2)) + leads(&nodes, NodeId::new(3));
        assert_eq!(led, 32, "partitions are left without a leader");
        let cut = Request::Cut { settle: false };
        for id in PartitionId::all() {
            let leader = nodes[0].groups.leader(id).unwrap();
            let at = nodes.iter().find(|node| node.id == leader).unwrap();
            let deadline = clock.monotonic() + SOON;
            at.groups.propose(id, cut.clone(), deadline).await.unwrap();
        }
        for node in nodes {
            node.stop().await;
        }
    });
}

/// Cuts, heals and restarts, one after the other, while events are appended.
fn turmoil(seed: u64) -> u64 {
    let world = World::new(seed);
    let hash = world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        let chance = world.env().entropy.child("turmoil");
        for _ in 0..3 {
            let victim = cluster.nodes[chance.below(3) as usize].id;
            let rest: Vec<_> = cluster.ids().into_iter().filter(|id| *id != victim).collect();
            match chance.below(3) {
                0 => cluster.isolate(victim),
                1 => cluster.net.cut(victim, rest[0]),
                _ => {
                    let at = cluster.nodes.iter().position(|node| node.id == victim).unwrap();
                    cluster.restart(at).await;
                }
            }
            cluster.sleep(Duration::from_millis(chance.below(8_000))).await;
            cluster.append(5).await;
            cluster.net.heal();
            cluster.append(3).await;
        }
        cluster.converge().await;
        cluster.stop().await;
        world.trace().hash()
    });
    assert!(world.elapsed() > Duration::from_secs(5));
    hash
}

#[test]
fn turmoil_loses_nothing_and_the_same_seed_gives_the_same_run() {
    let hashes: BTreeSet<u64> = (10..13).map(turmoil).collect();
    assert_eq!(hashes.len(), 3, "two seeds gave the same run");
    assert!(hashes.contains(&turmoil(11)), "the same seed gave another run");
}
