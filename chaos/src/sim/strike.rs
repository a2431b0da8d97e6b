//! What each fault is in a simulated world, and how it is undone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chronos_env::Entropy;
use chronos_env::sim::{FaultPlan, Link, Repeat};
use parking_lot::Mutex;

use super::cluster::{SimCluster, host_name};
use crate::attack::cluster::Cluster;
use crate::attack::operators;
use crate::plan::{Direction, Fault};

/// Between two steps of what goes on and on.
const STEP: Duration = Duration::from_millis(700);
/// Connections here carry bytes and no packets, and processes have neither memory nor descriptors of their own.
const ONLY_REAL: &str =
    "this is done to packets, memory, descriptors or devices: only real processes have them";
/// Room that is left on a disk that is called full.
const FULL_BYTES: u64 = 256 << 10;

/// Does it. Episodes may overlap: a node stays down, and a link blocked, until the last of those who want it so is over.
pub(super) struct Striker {
    cluster: SimCluster,
    held: Arc<Mutex<Held>>,
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
            Fault::Crash { point, nth, .. } => self.crash(nodes, lasts, point, *nth).await,
            Fault::Pause { .. } => self.pause(nodes, lasts).await,
            Fault::RestartLoop { .. } => self.restart_again_and_again(nodes, lasts).await,
            Fault::RollingRestart => self.restart_in_turn().await,
            Fault::Isolate { direction, .. } => self.isolate(nodes, *direction, lasts).await,
            Fault::Bridge { .. } => self.bridge(nodes[0], lasts).await,
            Fault::Swizzle => self.swizzle(lasts, dice).await,
            Fault::OnlyWayIn { .. } => self.only_way_in(nodes[0], lasts).await,
            Fault::Delay { min_ms, max_ms, .. } => {
                let link = Link {
                    latency_min: Duration::from_millis(*min_ms),
                    latency_max: Duration::from_millis(*max_ms),
                    bytes_per_second: None,
                };
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
            Fault::LyingDisk { .. } => self.lie(nodes, lasts).await,
            Fault::Rot { bits, .. } => self.rot(nodes, *bits, dice),
            Fault::Mangle { .. } => self.mangle(nodes, lasts, dice).await,
            Fault::Wipe { .. } => self.wipe(nodes, lasts).await,
            Fault::ClockStep { by_ms, .. } => self.clock(nodes, lasts, by_ms * 1000, 0).await,
            Fault::ClockDrift { ppm, .. } => self.clock(nodes, lasts, 0, *ppm).await,
            Fault::Churn => operators::churn(&self.cluster, lasts, dice).await,
            Fault::Compact => operators::compact(&self.cluster, dice).await,
            Fault::Scrub { .. } => operators::scrub(&self.cluster, nodes).await,
            Fault::Drain { .. } => operators::drain(&self.cluster, nodes, lasts).await,
            Fault::Loss { .. }
            | Fault::Duplicate { .. }
            | Fault::Reorder { .. }
            | Fault::Corrupt { .. }
            | Fault::OutOfMemory { .. }
            | Fault::FewFiles { .. }
            | Fault::Freeze { .. }
            | Fault::Throttle { .. } => return Err(ONLY_REAL.to_owned()),
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

/// Processes.
impl Striker {
    async fn down(&self, nodes: &[u32], lasts: Duration, how: fn(&SimCluster, u32)) {
        for node in nodes {
            *self.held.lock().down.entry(*node).or_default() += 1;
            how(&self.cluster, *node);
        }
        self.wait(lasts).await;
        self.up(nodes);
    }

    /// Starts those again whom nobody wants to be down any more.
    fn up(&self, nodes: &[u32]) {
        for node in nodes {
            if released(&mut self.held.lock().down, node) {
                self.cluster.start(*node);
            }
        }
    }

    async fn crash(&self, nodes: &[u32], lasts: Duration, point: &str, nth: u64) {
        for node in nodes {
            self.cluster.host(*node).arm_crash(point, nth);
        }
        let end = self.now() + lasts;
        let is_off = |node: &u32| self.cluster.host(*node).disk().is_off();
        let mut met = Vec::new();
        while self.now() < end && met.len() < nodes.len() {
            self.wait(Duration::from_millis(20)).await;
            for node in nodes {
                if is_off(node) && !met.contains(node) {
                    met.push(*node);
                    *self.held.lock().down.entry(*node).or_default() += 1;
                    self.cluster.kill_now(*node);
                }
            }
        }
        for node in nodes {
            self.cluster.host(*node).disarm_crash();
        }
        self.wait(Duration::from_secs(1)).await;
        self.up(&met);
    }

    async fn pause(&self, nodes: &[u32], lasts: Duration) {
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

    async fn restart_again_and_again(&self, nodes: &[u32], lasts: Duration) {
        let end = self.now() + lasts;
        while self.now() < end {
            self.down(nodes, STEP, SimCluster::kill_now).await;
            self.wait(3 * STEP).await;
        }
    }

    async fn restart_in_turn(&self) {
        for node in self.cluster.all() {
            *self.held.lock().down.entry(node).or_default() += 1;
            self.cluster.stop(node).await;
            self.wait(STEP).await;
            self.up(&[node]);
            self.wait(Duration::from_secs(8)).await;
        }
    }
}

/// Links.
impl Striker {
    fn others(&self, than: u32) -> impl Iterator<Item = u32> {
        self.cluster.all().into_iter().filter(move |node| *node != than)
    }

    fn block(&self, from: &str, to: &str) {
        *self.held.lock().blocked.entry((from.to_owned(), to.to_owned())).or_default() += 1;
        self.cluster.net().partition_one_way(from, to);
    }

    fn unblock(&self, from: &str, to: &str) {
        if released(&mut self.held.lock().blocked, &(from.to_owned(), to.to_owned())) {
            self.cluster.net().heal_one_way(from, to);
        }
    }

    /// The ways between a node and all others that a direction is about.
    fn ways(&self, node: u32, direction: Direction) -> Vec<(String, String)> {
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

    async fn cut(&self, ways: Vec<(String, String)>, lasts: Duration) {
        ways.iter().for_each(|(from, to)| self.block(from, to));
        self.wait(lasts).await;
        ways.iter().for_each(|(from, to)| self.unblock(from, to));
    }

    async fn isolate(&self, nodes: &[u32], direction: Direction, lasts: Duration) {
        let ways = nodes.iter().flat_map(|node| self.ways(*node, direction)).collect();
        self.cut(ways, lasts).await;
    }

    async fn bridge(&self, bridge: u32, lasts: Duration) {
        let others: Vec<String> = self.others(bridge).map(host_name).collect();
        let (left, right) = others.split_at(others.len() / 2);
        let between = left.iter().flat_map(|a| right.iter().map(move |b| (a.clone(), b.clone())));
        let ways = between.flat_map(|(a, b)| [(a.clone(), b.clone()), (b, a)]).collect();
        self.cut(ways, lasts).await;
    }

    async fn swizzle(&self, lasts: Duration, dice: &Entropy) {
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

    async fn only_way_in(&self, node: u32, lasts: Duration) {
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

    async fn link(&self, nodes: &[u32], link: &Link, lasts: Duration) {
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

    fn each_link_to(&self, nodes: &[u32], act: impl Fn(&chronos_env::sim::SimNet, &str, &str)) {
        for node in nodes {
            for other in self.others(*node) {
                act(&self.cluster.net(), &host_name(*node), &host_name(other));
            }
        }
    }

    async fn reset_again_and_again(&self, nodes: &[u32], lasts: Duration) {
        let end = self.now() + lasts;
        while self.now() < end {
            self.each_link_to(nodes, |net, a, b| net.reset(a, b));
            self.wait(STEP).await;
        }
    }

    async fn flap(&self, nodes: &[u32], lasts: Duration, dice: &Entropy) {
        let end = self.now() + lasts;
        while self.now() < end {
            self.isolate(nodes, Direction::Both, Duration::from_millis(50 + dice.below(300))).await;
            self.wait(STEP).await;
        }
    }
}

/// Disks.
impl Striker {
    async fn disk(&self, fault: &Fault, nodes: &[u32], lasts: Duration, dice: &Entropy) {
        for node in nodes {
            let disk = self.cluster.host(*node).disk();
            let nth = 1 + dice.below(200);
            match fault {
                Fault::SyncFails { .. } => disk.fail_sync("/data", nth, Repeat::Once),
                Fault::WriteFails { .. } => disk.fail_write("/data", nth, Repeat::Once),
                Fault::ReadFails { .. } => disk.fail_read("/data", nth, Repeat::Once),
                Fault::Misdirect { .. } => disk.misdirect_write("/data", nth, dice.below(1 << 20)),
                Fault::ReadOnly { .. } => disk.faults(FaultPlan::default().read_only()),
                _ => disk.capacity(disk.used_bytes() + FULL_BYTES),
            }
        }
        self.wait(lasts).await;
        for node in nodes {
            self.cluster.host(*node).disk().faults(FaultPlan::default());
        }
    }

    async fn slow_disk(&self, nodes: &[u32], sync_ms: u64, lasts: Duration) {
        let set = |take| nodes.iter().for_each(|node| self.cluster.host(*node).disk().slow_syncs(take));
        set(Duration::from_millis(sync_ms));
        self.wait(lasts).await;
        set(Duration::ZERO);
    }

    /// Says that it syncs, until the power goes.
    async fn lie(&self, nodes: &[u32], lasts: Duration) {
        for node in nodes {
            self.cluster.host(*node).disk().faults(FaultPlan::default().lying_syncs());
        }
        self.wait(lasts).await;
        for node in nodes {
            *self.held.lock().down.entry(*node).or_default() += 1;
            self.cluster.cut_power(*node);
            self.cluster.host(*node).disk().faults(FaultPlan::default());
        }
        self.wait(STEP).await;
        self.up(nodes);
    }

    fn rot(&self, nodes: &[u32], bits: u32, dice: &Entropy) {
        for node in nodes {
            let disk = self.cluster.host(*node).disk();
            for _ in 0..bits {
                let Some((path, length)) = self.some_file(*node, dice) else { continue };
                // A file that has just gone away has nothing to rot.
                let _ = disk.flip_bit(&path, dice.below(length), dice.below(8) as u8);
            }
        }
    }

    /// A file with something in it.
    fn some_file(&self, node: u32, dice: &Entropy) -> Option<(PathBuf, u64)> {
        let mut files = self.cluster.host(node).disk().files();
        files.retain(|(path, length)| *length > 0 && path.starts_with("/data"));
        (!files.is_empty()).then(|| files.swap_remove(dice.below(files.len() as u64) as usize))
    }

    async fn mangle(&self, nodes: &[u32], lasts: Duration, dice: &Entropy) {
        for node in nodes {
            *self.held.lock().down.entry(*node).or_default() += 1;
            self.cluster.kill_now(*node);
            let disk = self.cluster.host(*node).disk();
            let Some((path, length)) = self.some_file(*node, dice) else { continue };
            // What is drawn is there: nobody works on this disk now.
            let _ = match (dice.below(3), self.some_file(*node, dice)) {
                (0, _) => disk.damage_truncate(&path, dice.below(length)),
                (1, Some((other, _))) => disk.swap(&path, &other),
                _ => disk.damage_remove(&path),
            };
        }
        self.wait(lasts).await;
        self.up(nodes);
    }

    async fn wipe(&self, nodes: &[u32], lasts: Duration) {
        for node in nodes {
            *self.held.lock().down.entry(*node).or_default() += 1;
            self.cluster.kill_now(*node);
            // An empty disk has nothing to remove.
            let _ = self.cluster.host(*node).disk().damage_remove("/data".as_ref());
        }
        self.wait(lasts).await;
        self.up(nodes);
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
