//! The other nodes, written down beside this one's own seat.
//!
//! Who belongs to the cluster is in the system partition, and this node's replica of it may be damaged. It is then repaired
//! from the others, all of whom have to be asked; so where they are must be known from elsewhere.

use std::sync::Arc;

use chronos_cluster::{Cluster, MemberState};
use chronos_env::{Env, Task};
use chronos_store::DataDir;
use tokio::sync::watch;

/// Keeps the list as long as the node runs.
pub(crate) struct Acquaintance {
    stop: watch::Sender<bool>,
    task: Task<()>,
}

impl Acquaintance {
    /// Begins to write down who is there, each time that changes.
    pub(crate) fn keep(env: &Env, data: &Arc<DataDir>, cluster: &Cluster) -> Self {
        let (stop, stopped) = watch::channel(false);
        let writing = write(env.clone(), Arc::clone(data), cluster.clone(), stopped);
        Self { stop, task: env.tasks.spawn("acquaintance", writing) }
    }

    /// Ends it; nothing is written any more when this returns.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        // One that died has written nothing since.
        let _ = self.task.await;
    }
}

async fn write(env: Env, data: Arc<DataDir>, cluster: Cluster, mut stopped: watch::Receiver<bool>) {
    let (mut epoch, mut written) = (cluster.watch_epoch(), data.seat().members.clone());
    loop {
        epoch.borrow_and_update();
        let others = others(&cluster);
        // Who knows nobody yet does not forget whom he was told of.
        if !others.is_empty() && others != written {
            let (world, dir, noted) = (env.clone(), Arc::clone(&data), others.clone());
            match env.tasks.blocking(move || dir.note_members(&world, noted)).await {
                Ok(()) => written = others,
                Err(error) => tracing::warn!(%error, "the other nodes cannot be written down"),
            }
        }
        tokio::select! {
            biased; // an end comes first
            _ = stopped.wait_for(|stopped| *stopped) => return,
            changed = epoch.changed() => if changed.is_err() { return },
        }
    }
}

/// The members that others reach, without this node.
fn others(cluster: &Cluster) -> Vec<(u64, String)> {
    let (view, me) = (cluster.view(), cluster.me());
    let members = view.nodes.into_iter().map(|node| node.member);
    let others = members.filter(|member| member.node != me && member.state != MemberState::Removed);
    let reached = others.filter(|member| !member.addresses.peer.is_empty());
    reached.map(|member| (member.node.get(), member.addresses.peer)).collect()
}
