//! What each fault is in a simulated world, and how it is undone.

mod blight;
mod disks;
mod links;
mod processes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronos_env::Entropy;
use chronos_env::sim::Link;
use parking_lot::Mutex;

use super::cluster::SimCluster;
use crate::attack::cluster::Cluster;
use crate::attack::operators;
use crate::plan::Fault;

/// Between two steps of what goes on and on.
const STEP: Duration = Duration::from_millis(700);
/// Connections here carry bytes and no packets, and processes have no memory of their own.
const ONLY_REAL: &str = "this is done to packets, memory or a whole machine: only real processes have them";

/// Does it. Episodes may overlap: a node stays down, and a link blocked, until the last of those who want it so is over.
pub(super) struct Striker {
    cluster: SimCluster,
    held: Arc<Mutex<Held>>,
}

/// What becomes of what was written and not synced when a process ends at a place in its code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    /// The power has gone.
    Lost,
    /// Only the process has died.
    Kept,
}

/// What episodes want to be so, by how many of them.
#[derive(Default)]
pub(super) struct Held {
    down: BTreeMap<u32, u32>,
    paused: BTreeMap<u32, u32>,
    /// From whom to whom nothing passes, by name.
    blocked: BTreeMap<(String, String), u32>,
}

impl Striker {
    pub(super) fn new(cluster: SimCluster, held: Arc<Mutex<Held>>) -> Striker {
        Striker { cluster, held }
    }

    /// Lets the fault strike these nodes for so long; returns when it is undone.
    ///
    /// # Errors
    /// When there is no such thing in a simulated world.
    pub(super) async fn strike(
        &self,
        fault: &Fault,
        nodes: &[u32],
        lasts: Duration,
        dice: &Entropy,
    ) -> Result<(), String> {
        match fault {
            Fault::Kill { .. } => self.down(nodes, lasts, SimCluster::kill_now).await,
            Fault::PowerCut { .. } => self.down(nodes, lasts, SimCluster::cut_power).await,
            Fault::Crash { point, nth, .. } => self.crash(nodes, lasts, (point, *nth), Page::Lost).await,
            Fault::KillAt { point, nth, .. } => self.crash(nodes, lasts, (point, *nth), Page::Kept).await,
            Fault::Pause { .. } => self.pause(nodes, lasts).await,
            Fault::RestartLoop { .. } => self.restart_again_and_again(nodes, lasts).await,
            Fault::RollingRestart => self.restart_in_turn().await,
            Fault::Isolate { direction, .. } => self.isolate(nodes, *direction, lasts).await,
            Fault::Bridge { .. } => self.bridge(nodes[0], lasts).await,
            Fault::Swizzle => self.swizzle(lasts, dice).await,
            Fault::Misled { .. } => self.mislead(nodes[0], lasts).await,
            Fault::OnlyWayIn { .. } => self.only_way_in(nodes[0], lasts).await,
            Fault::Delay { min_ms, max_ms, .. } => {
                let link = Link {
                    latency_min: Duration::from_millis(*min_ms),
                    latency_max: Duration::from_millis(*max_ms),
                    ..Link::default()
                };
                self.link(nodes, &link, lasts).await;
            }
            Fault::Loss { per_mille, .. } => {
                let link = Link { lost_per_mille: *per_mille, ..Link::default() };
                self.link(nodes, &link, lasts).await;
            }
            Fault::Corrupt { per_mille, .. } => {
                let link = Link { spoiled_per_mille: *per_mille, ..Link::default() };
                self.link(nodes, &link, lasts).await;
            }
            Fault::Trickle { bytes_per_second, .. } => {
                let link = Link { bytes_per_second: Some(*bytes_per_second), ..Link::default() };
                self.link(nodes, &link, lasts).await;
            }
            Fault::Wedge { .. } => self.each_link_to(nodes, |net, a, b| net.wedge(a, b)),
            Fault::Resets { .. } => self.reset_again_and_again(nodes, lasts).await,
            Fault::Flapping { .. } => self.flap(nodes, lasts, dice).await,
            Fault::SyncFails { .. }
            | Fault::WriteFails { .. }
            | Fault::ReadFails { .. }
            | Fault::Full { .. }
            | Fault::ReadOnly { .. }
            | Fault::Misdirect { .. } => self.disk(fault, nodes, lasts, dice).await,
            Fault::SlowDisk { sync_ms, .. } => self.slow_disk(nodes, *sync_ms, lasts).await,
            Fault::Throttle { bytes_per_second, .. } => self.throttle(nodes, *bytes_per_second, lasts).await,
            Fault::FewFiles { .. } => self.few_files(nodes, lasts).await,
            Fault::LyingDisk { .. } => self.lie(nodes, lasts).await,
            Fault::Rollback { .. } => self.roll_back(nodes, lasts).await,
            Fault::Rot { bits, .. } => self.rot(nodes, *bits, dice),
            Fault::Blight { while_down, .. } => self.blight(nodes, *while_down, lasts, dice).await,
            Fault::Mangle { .. } => self.mangle(nodes, lasts, dice).await,
            Fault::Wipe { .. } => self.wipe(nodes, lasts).await,
            Fault::ClockStep { by_ms, .. } => self.clock(nodes, lasts, by_ms * 1000, 0).await,
            Fault::ClockDrift { ppm, .. } => self.clock(nodes, lasts, 0, *ppm).await,
            Fault::ClockStop { .. } => self.clock(nodes, lasts, 0, -1_000_000).await,
            Fault::Gather { .. } => {
                operators::gather(&self.cluster, nodes[0]).await;
                self.down(nodes, lasts, SimCluster::kill_now).await;
            }
            Fault::PauseInTransfer { .. } => {
                operators::hand_over(&self.cluster, nodes[0]).await;
                self.pause(nodes, lasts).await;
            }
            Fault::Churn => operators::churn(&self.cluster, lasts, dice).await,
            Fault::Compact => operators::compact(&self.cluster, dice).await,
            Fault::Scrub { .. } => operators::scrub(&self.cluster, nodes).await,
            Fault::Drain { .. } => operators::drain(&self.cluster, nodes, lasts).await,
            Fault::Duplicate { .. }
            | Fault::Reorder { .. }
            | Fault::OutOfMemory { .. }
            | Fault::Freeze { .. } => return Err(ONLY_REAL.to_owned()),
        }
        Ok(())
    }

    async fn wait(&self, time: Duration) {
        self.cluster.wait(time).await;
    }

    fn now(&self) -> Duration {
        self.cluster.now()
    }
}

/// Clocks.
impl Striker {
    /// Clocks that are off by so many microseconds at once, and by so many millionths of what passes.
    async fn clock(&self, nodes: &[u32], lasts: Duration, step_us: i64, ppm: i64) {
        let began = self.now();
        let set =
            |off_by| nodes.iter().for_each(|node| self.cluster.host(*node).set_wall_offset_micros(off_by));
        while self.now() < began + lasts {
            let passed = (self.now() - began).as_micros() as i64;
            set(step_us + passed * ppm / 1_000_000);
            self.wait(STEP).await;
        }
        set(0);
    }
}

/// Takes one claim back; whether it was the last.
fn released<K: Ord + Clone>(claims: &mut BTreeMap<K, u32>, key: &K) -> bool {
    let left = claims.get_mut(key).map_or(0, |count| {
        *count = count.saturating_sub(1);
        *count
    });
    if left == 0 {
        claims.remove(key);
    }
    left == 0
}
