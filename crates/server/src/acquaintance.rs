//! The other nodes, written down beside this one's own seat.
//!
//! Who belongs to the cluster is in the system partition, and this node's replica of it may be damaged. It is then repaired
//! from the others, all of whom have to be asked; so where they are must be known from elsewhere. A sound replica, too,
//! says little before it is led; until then a node must take nobody for one of the others that is another machine, nor
//! talk to who was removed. So both are written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronos_cluster::peer::Peers;
use chronos_cluster::{Cluster, Neighbour, NodeId};
use chronos_env::{Env, Task};
use chronos_store::{DataDir, Neighbour as Noted};
use tokio::sync::watch;

/// Keeps the list as long as the node runs.
pub(crate) struct Acquaintance {
    stop: watch::Sender<bool>,
    task: Task<()>,
}

impl Acquaintance {
    /// Begins to write down who is there and who is turned away, each time that changes.
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
    // Who has no port for others has none to note.
    let Some(mut banned) = cluster.peers().map(Peers::watch_banned) else { return };
    let mut epoch = cluster.watch_epoch();
    let mut written = (data.seat().members.clone(), data.seat().removed.clone());
    loop {
        epoch.borrow_and_update();
        let gone = numbers(&banned.borrow_and_update());
        let is_known_better = |node: u64| gone.contains(&node) || cluster.member(NodeId::new(node)).is_some();
        let members = together(&written.0, cluster.neighbours(), is_known_better);
        let now = (members, gone);
        if now != written {
            let (world, dir, (members, removed)) = (env.clone(), Arc::clone(&data), now.clone());
            match env.tasks.blocking(move || dir.note_members(&world, members, removed)).await {
                Ok(()) => written = now,
                Err(error) => tracing::warn!(%error, "the other nodes cannot be written down"),
            }
        }
        tokio::select! {
            biased; // an end comes first
            _ = stopped.wait_for(|stopped| *stopped) => return,
            changed = epoch.changed() => if changed.is_err() { return },
            changed = banned.changed() => if changed.is_err() { return },
        }
    }
}

fn numbers(nodes: &BTreeSet<NodeId>) -> BTreeSet<u64> {
    nodes.iter().map(|node| node.get()).collect()
}

/// Everybody worth noting: the members that the cluster's own data names, and of those noted before whomever it says
/// nothing of. What this node has read of that data may be old, so silence is no reason to forget anybody.
fn together(noted: &[Noted], members: Vec<Neighbour>, is_known_better: impl Fn(u64) -> bool) -> Vec<Noted> {
    let kept = noted.iter().filter(|other| !is_known_better(other.node)).cloned();
    let all = kept.chain(members.into_iter().map(to_note)).map(|other| (other.node, other));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// As it is kept beside the seat.
pub(crate) fn to_note(other: Neighbour) -> Noted {
    let Neighbour { node, machine, peer } = other;
    Noted { node: node.get(), machine, peer }
}

/// As it was kept beside the seat.
pub(crate) fn from_note(noted: &Noted) -> Neighbour {
    let Noted { node, machine, peer } = noted.clone();
    Neighbour { node: NodeId::new(node), machine, peer }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(node: u64, machine: u128, peer: &str) -> Neighbour {
        Neighbour { node: NodeId::new(node), machine, peer: peer.to_owned() }
    }

    #[test]
    fn an_old_copy_of_the_clusters_data_makes_nobody_forgotten_and_the_present_one_wins() {
        let noted = [(1, 0, "a:1"), (2, 22, "b:1"), (3, 33, "c:1"), (4, 44, "d:1")];
        let noted = noted.map(|(node, machine, peer)| to_note(neighbour(node, machine, peer)));
        assert_eq!(together(&noted, Vec::new(), |_| false), noted, "who has read nothing forgets nobody");
        // It names the first, which has moved, and says of the third that it was removed.
        let members = vec![neighbour(1, 11, "a:2")];
        let now = together(&noted, members, |node| node == 1 || node == 3);
        let wanted = [neighbour(1, 11, "a:2"), from_note(&noted[1]), from_note(&noted[3])];
        assert_eq!(now, wanted.map(to_note));
    }
}
