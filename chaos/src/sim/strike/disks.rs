//! Disks that fail, lie, forget, and are full.

use std::path::PathBuf;
use std::time::Duration;

use chronos_env::Entropy;
use chronos_env::sim::{FaultPlan, Repeat};

use super::{STEP, Striker};
use crate::plan::Fault;
use crate::sim::cluster::host_name;

/// Room that is left at most on a disk that is called full: two to the power of this.
const FULL_BYTES_LOG2_MAX: u64 = 18;

impl Striker {
    pub(super) async fn disk(&self, fault: &Fault, nodes: &[u32], lasts: Duration, dice: &Entropy) {
        for node in nodes {
            let disk = self.cluster.host(*node).disk();
            // Mostly soon: what comes after the episode does not come at all.
            let nth = 1 + dice.below(2 << dice.below(8));
            match fault {
                Fault::SyncFails { .. } => disk.fail_sync("/data", nth, Repeat::Once),
                Fault::WriteFails { .. } => disk.fail_write("/data", nth, Repeat::Once),
                Fault::ReadFails { .. } => disk.fail_read("/data", nth, Repeat::Once),
                Fault::Misdirect { .. } => disk.misdirect_write("/data", nth, dice.below(1 << 20)),
                Fault::ReadOnly { .. } => disk.faults(FaultPlan::default().read_only()),
                _ => disk.capacity(disk.used_bytes() + (1 << dice.below(FULL_BYTES_LOG2_MAX + 1))),
            }
        }
        self.wait(lasts).await;
        for node in nodes {
            self.cluster.host(*node).disk().faults(FaultPlan::default());
        }
    }

    pub(super) async fn slow_disk(&self, nodes: &[u32], sync_ms: u64, lasts: Duration) {
        let set = |take| nodes.iter().for_each(|node| self.cluster.host(*node).disk().slow_syncs(take));
        set(Duration::from_millis(sync_ms));
        self.wait(lasts).await;
        set(Duration::ZERO);
    }

    pub(super) async fn throttle(&self, nodes: &[u32], bytes_per_second: u64, lasts: Duration) {
        let set = |rate| nodes.iter().for_each(|node| self.cluster.host(*node).disk().throttle(rate));
        set(Some(bytes_per_second));
        self.wait(lasts).await;
        set(None);
    }

    pub(super) async fn few_files(&self, nodes: &[u32], lasts: Duration) {
        let set = |plan: &FaultPlan, is_so| {
            for node in nodes {
                self.cluster.host(*node).disk().faults(plan.clone());
                self.cluster.net().no_more_connections(&host_name(*node), is_so);
            }
        };
        set(&FaultPlan::default().few_files(), true);
        self.wait(lasts).await;
        set(&FaultPlan::default(), false);
    }

    /// The process ends, and the next one finds what was there when the episode began.
    pub(super) async fn roll_back(&self, nodes: &[u32], lasts: Duration) {
        let images: Vec<_> = nodes.iter().map(|node| self.cluster.host(*node).disk().image()).collect();
        self.wait(lasts).await;
        for (node, image) in nodes.iter().zip(&images) {
            *self.held.lock().down.entry(*node).or_default() += 1;
            self.cluster.kill_now(*node);
            self.cluster.host(*node).disk().set_back(image);
        }
        self.wait(STEP).await;
        self.up(nodes);
    }

    /// Says that it syncs, until the power goes.
    pub(super) async fn lie(&self, nodes: &[u32], lasts: Duration) {
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

    pub(super) fn rot(&self, nodes: &[u32], bits: u32, dice: &Entropy) {
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
    pub(super) fn some_file(&self, node: u32, dice: &Entropy) -> Option<(PathBuf, u64)> {
        let mut files = self.cluster.host(node).disk().files();
        files.retain(|(path, length)| *length > 0 && path.starts_with("/data"));
        (!files.is_empty()).then(|| files.swap_remove(dice.below(files.len() as u64) as usize))
    }

    pub(super) async fn mangle(&self, nodes: &[u32], lasts: Duration, dice: &Entropy) {
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

    pub(super) async fn wipe(&self, nodes: &[u32], lasts: Duration) {
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
