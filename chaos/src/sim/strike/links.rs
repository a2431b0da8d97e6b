//! Links between nodes, and from clients to them.

use std::time::Duration;

use chronos_env::Entropy;
use chronos_env::sim::{Link, SimNet};

use super::{STEP, Striker, released};
use crate::attack::cluster::Cluster;
use crate::plan::Direction;
use crate::sim::cluster::host_name;

impl Striker {
    pub(super) fn others(&self, than: u32) -> impl Iterator<Item = u32> {
        self.cluster.all().into_iter().filter(move |node| *node != than)
    }

    pub(super) fn block(&self, from: &str, to: &str) {
        *self.held.lock().blocked.entry((from.to_owned(), to.to_owned())).or_default() += 1;
        self.cluster.net().partition_one_way(from, to);
    }

    pub(super) fn unblock(&self, from: &str, to: &str) {
        if released(&mut self.held.lock().blocked, &(from.to_owned(), to.to_owned())) {
            self.cluster.net().heal_one_way(from, to);
        }
    }

    /// The ways between a node and all others that a direction is about.
    pub(super) fn ways(&self, node: u32, direction: Direction) -> Vec<(String, String)> {
        let me = host_name(node);
        let ways = self.others(node).map(host_name).flat_map(|other| {
            let (into, out) = ((other.clone(), me.clone()), (me.clone(), other));
            match direction {
                Direction::Both => vec![into, out],
                Direction::In => vec![into],
                Direction::Out => vec![out],
            }
        });
        ways.collect()
    }

    pub(super) async fn cut(&self, ways: Vec<(String, String)>, lasts: Duration) {
        ways.iter().for_each(|(from, to)| self.block(from, to));
        self.wait(lasts).await;
        ways.iter().for_each(|(from, to)| self.unblock(from, to));
    }

    pub(super) async fn isolate(&self, nodes: &[u32], direction: Direction, lasts: Duration) {
        let ways = nodes.iter().flat_map(|node| self.ways(*node, direction)).collect();
        self.cut(ways, lasts).await;
    }

    pub(super) async fn bridge(&self, bridge: u32, lasts: Duration) {
        let others: Vec<String> = self.others(bridge).map(host_name).collect();
        let (left, right) = others.split_at(others.len() / 2);
        let between = left.iter().flat_map(|a| right.iter().map(move |b| (a.clone(), b.clone())));
        let ways = between.flat_map(|(a, b)| [(a.clone(), b.clone()), (b, a)]).collect();
        self.cut(ways, lasts).await;
    }

    pub(super) async fn swizzle(&self, lasts: Duration, dice: &Entropy) {
        let mut nodes: Vec<u32> = self.cluster.all();
        let pause = lasts / (2 * nodes.len() as u32);
        for node in &nodes {
            self.ways(*node, Direction::Both).iter().for_each(|(from, to)| self.block(from, to));
            self.wait(pause).await;
        }
        while !nodes.is_empty() {
            let node = nodes.swap_remove(dice.below(nodes.len() as u64) as usize);
            self.ways(node, Direction::Both).iter().for_each(|(from, to)| self.unblock(from, to));
            self.wait(pause).await;
        }
    }

    /// Whoever it calls, the next one answers; links that are there break now and then, so that it does call.
    pub(super) async fn mislead(&self, node: u32, lasts: Duration) {
        let others: Vec<String> = self.others(node).map(host_name).collect();
        let (me, net) = (host_name(node), self.cluster.net());
        let next = others.iter().cycle().skip(1);
        others.iter().zip(next).for_each(|(to, instead)| net.mislead(&me, to, instead));
        self.reset_again_and_again(&[node], lasts).await;
        others.iter().for_each(|to| net.lead_right(&me, to));
    }

    pub(super) async fn only_way_in(&self, node: u32, lasts: Duration) {
        let clients = self.cluster.net().hosts().into_iter().filter(|name| name.starts_with('c'));
        let others: Vec<String> = self.others(node).map(host_name).collect();
        let ways = clients.flat_map(|client| {
            others
                .iter()
                .flat_map(move |other| [(client.clone(), other.clone()), (other.clone(), client.clone())])
                .collect::<Vec<_>>()
        });
        self.cut(ways.collect(), lasts).await;
    }

    pub(super) async fn link(&self, nodes: &[u32], link: &Link, lasts: Duration) {
        let set = |link: &Link| {
            self.each_link_to(nodes, |net, a, b| {
                net.set_link(a, b, link.clone());
                net.set_link(b, a, link.clone());
            });
        };
        set(link);
        self.wait(lasts).await;
        set(&Link::default());
    }

    pub(super) fn each_link_to(&self, nodes: &[u32], act: impl Fn(&SimNet, &str, &str)) {
        for node in nodes {
            for other in self.others(*node) {
                act(&self.cluster.net(), &host_name(*node), &host_name(other));
            }
        }
    }

    pub(super) async fn reset_again_and_again(&self, nodes: &[u32], lasts: Duration) {
        let end = self.now() + lasts;
        while self.now() < end {
            self.each_link_to(nodes, |net, a, b| net.reset(a, b));
            self.wait(STEP).await;
        }
    }

    pub(super) async fn flap(&self, nodes: &[u32], lasts: Duration, dice: &Entropy) {
        let end = self.now() + lasts;
        while self.now() < end {
            self.isolate(nodes, Direction::Both, Duration::from_millis(50 + dice.below(300))).await;
            self.wait(STEP).await;
        }
    }
}
