//! Processes that end, stand still, and come back.

use std::time::Duration;

use super::{Page, STEP, Striker, released};
use crate::attack::cluster::Cluster;
use crate::sim::cluster::SimCluster;

impl Striker {
    pub(super) async fn down(&self, nodes: &[u32], lasts: Duration, how: fn(&SimCluster, u32)) {
        for node in nodes {
            *self.held.lock().down.entry(*node).or_default() += 1;
            how(&self.cluster, *node);
        }
        self.wait(lasts).await;
        self.up(nodes);
    }

    /// Starts those again whom nobody wants to be down any more.
    pub(super) fn up(&self, nodes: &[u32]) {
        for node in nodes {
            if released(&mut self.held.lock().down, node) {
                self.cluster.start(*node);
            }
        }
    }

    pub(super) async fn crash(&self, nodes: &[u32], lasts: Duration, (point, nth): (&str, u64), page: Page) {
        for node in nodes {
            self.cluster.host(*node).arm_crash(point, nth);
        }
        let end = self.now() + lasts;
        // Power that somebody else has cut, or a restart that leads to the place, is not it.
        let is_met = |node: &u32| {
            let host = self.cluster.host(*node);
            host.disk().is_off() && !host.awaits_crash()
        };
        let mut met = Vec::new();
        while self.now() < end && met.len() < nodes.len() {
            self.wait(Duration::from_millis(20)).await;
            for node in nodes {
                if is_met(node) && !met.contains(node) {
                    met.push(*node);
                    *self.held.lock().down.entry(*node).or_default() += 1;
                    self.cluster.kill_now(*node);
                    if page == Page::Kept {
                        self.cluster.host(*node).disk().power_on_unharmed();
                    }
                }
            }
        }
        for node in nodes {
            self.cluster.host(*node).disarm_crash();
        }
        self.wait(Duration::from_secs(1)).await;
        self.up(&met);
    }

    pub(super) async fn pause(&self, nodes: &[u32], lasts: Duration) {
        for node in nodes {
            *self.held.lock().paused.entry(*node).or_default() += 1;
            self.cluster.host(*node).pause();
        }
        self.wait(lasts).await;
        for node in nodes {
            if released(&mut self.held.lock().paused, node) {
                self.cluster.host(*node).resume();
            }
        }
    }

    pub(super) async fn restart_again_and_again(&self, nodes: &[u32], lasts: Duration) {
        let end = self.now() + lasts;
        while self.now() < end {
            self.down(nodes, STEP, SimCluster::kill_now).await;
            self.wait(3 * STEP).await;
        }
    }

    pub(super) async fn restart_in_turn(&self) {
        for node in self.cluster.all() {
            *self.held.lock().down.entry(node).or_default() += 1;
            self.cluster.stop(node).await;
            self.wait(STEP).await;
            self.up(&[node]);
            self.wait(Duration::from_secs(8)).await;
        }
    }
}
