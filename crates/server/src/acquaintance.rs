//! The other nodes, written down beside this one's own seat.
//!
//! Who belongs to the cluster is in the system partition, and this node's replica of it may be damaged. It is then repaired
//! from the others, all of whom have to be asked; so where they are must be known from elsewhere. A sound replica, too,
//! says little before it is led; until then a node must take nobody for one of the others that is another machine, nor
//! talk to who was removed. So both are written down. So is who each of the others was when it was seen last: while this node
//! was away, a copy of another one's directory could take its place.
//!
//! And it is written down of this node's own directory when another one has seen that it is a copy, before anybody is told
//! that the node ends: it is never started again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronos_cluster::peer::{Peers, Turned, Why};
use chronos_cluster::{Cluster, NodeId};
use chronos_env::{Env, Task};
use chronos_store::{DataDir, Neighbour, Sighting};
use futures::FutureExt;
use tokio::sync::watch;

/// Keeps the list as long as the node runs.
pub(crate) struct Acquaintance {
    stop: watch::Sender<bool>,
    /// Whether it has ended.
    over: watch::Receiver<bool>,
    cluster: Cluster,
    task: Task<()>,
}

impl Acquaintance {
    /// Begins to write down who is there and who is turned away, each time that changes.
    pub(crate) fn keep(env: &Env, data: &Arc<DataDir>, cluster: &Cluster) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (ended, over) = watch::channel(false);
        let writing = write(env.clone(), Arc::clone(data), cluster.clone(), stopped);
        let writing = async move {
            writing.await;
            ended.send_replace(true);
        };
        Self { stop, over, cluster: cluster.clone(), task: env.tasks.spawn("acquaintance", writing) }
    }

    /// Waits until it is written down that this directory is a copy, if that was found. Cancel-safe.
    pub(crate) async fn settled(&self) {
        let turned = self.cluster.peers().and_then(|peers| peers.disowned().now_or_never());
        if turned.is_some_and(|turned| turned.why == Why::Copy) {
            // An error says that the task died, and writes nothing any more.
            let _ = self.over.clone().wait_for(|over| *over).await;
        }
    }

    /// Ends it; nothing is written any more when this returns.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        // One that died has written nothing since.
        let _ = self.task.await;
    }
}

/// What there is to write down: who is there, who is turned away, and whom this node has seen.
type Notes = (Vec<Neighbour>, BTreeSet<NodeId>, BTreeMap<NodeId, Sighting>);

async fn write(env: Env, data: Arc<DataDir>, cluster: Cluster, mut stopped: watch::Receiver<bool>) {
    // Who has no port for others has none to note.
    let Some(peers) = cluster.peers() else { return };
    let (mut banned, mut seen) = (peers.watch_banned(), peers.watch_seen());
    let mut epoch = cluster.watch_epoch();
    let seat = data.seat().clone();
    let mut written: Notes = (seat.members, seat.removed, seat.seen);
    loop {
        epoch.borrow_and_update();
        let gone = banned.borrow_and_update().clone();
        let is_known_better = |node: NodeId| gone.contains(&node) || cluster.member(node).is_some();
        let members = together(&written.0, cluster.neighbours(), is_known_better);
        let seen_now = sights(&seen.borrow_and_update(), &gone);
        let now = (members, gone, seen_now);
        if now != written {
            let (world, dir, (members, removed, seen)) = (env.clone(), Arc::clone(&data), now.clone());
            match env.tasks.blocking(move || dir.note_members(&world, members, removed, seen)).await {
                Ok(()) => written = now,
                Err(error) => tracing::warn!(%error, "the other nodes cannot be written down"),
            }
        }
        let turned = tokio::select! {
            biased; // what was found out about this directory comes first, then an end
            turned = disowned(peers) => Some(turned),
            _ = stopped.wait_for(|stopped| *stopped) => return,
            changed = epoch.changed() => if changed.is_err() { return } else { None },
            changed = banned.changed() => if changed.is_err() { return } else { None },
            changed = seen.changed() => if changed.is_err() { return } else { None },
        };
        if let Some(turned) = turned {
            return disown(&env, data, turned).await;
        }
    }
}

/// Resolves when this directory is a copy for certain; never when it is only turned away.
async fn disowned(peers: &Peers) -> Turned {
    match peers.disowned().await {
        turned if turned.why == Why::Copy => turned,
        _ => std::future::pending().await,
    }
}

async fn disown(env: &Env, data: Arc<DataDir>, turned: Turned) {
    let world = env.clone();
    let noting = env.tasks.blocking(move || data.disown(&world, turned.by, turned.of));
    if let Err(error) = noting.await {
        tracing::error!(%error, "it cannot be written down that this directory is a copy; remove it");
    }
}

/// What was seen of nodes that may come again.
fn sights(seen: &BTreeMap<NodeId, Sighting>, gone: &BTreeSet<NodeId>) -> BTreeMap<NodeId, Sighting> {
    let kept = seen.iter().filter(|(node, _)| !gone.contains(node));
    kept.map(|(node, sight)| (*node, sight.clone())).collect()
}

/// Everybody worth noting: the members that the cluster's own data names, and of those noted before whomever it says
/// nothing of. What this node has read of that data may be old, so silence is no reason to forget anybody.
fn together(
    noted: &[Neighbour],
    members: Vec<Neighbour>,
    is_known_better: impl Fn(NodeId) -> bool,
) -> Vec<Neighbour> {
    let kept = noted.iter().filter(|other| !is_known_better(other.node)).cloned();
    let all = kept.chain(members).map(|other| (other.node, other));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbour(node: u64, machine: u128, peer: &str) -> Neighbour {
        Neighbour { node: NodeId::new(node), machine, peer: peer.to_owned() }
    }

    #[test]
    fn what_was_seen_of_others_is_kept_but_of_those_that_are_gone() {
        let sight = Sighting { incarnation: 3, process: 8, copies: Vec::new() };
        let seen: BTreeMap<_, _> = [2, 4].map(|node| (NodeId::new(node), sight.clone())).into();
        let noted = sights(&seen, &BTreeSet::from([NodeId::new(4)]));
        assert_eq!(noted, BTreeMap::from([(NodeId::new(2), sight)]));
    }

    #[test]
    fn an_old_copy_of_the_clusters_data_makes_nobody_forgotten_and_the_present_one_wins() {
        let noted = [(1, 0, "a:1"), (2, 22, "b:1"), (3, 33, "c:1"), (4, 44, "d:1")];
        let noted = noted.map(|(node, machine, peer)| neighbour(node, machine, peer));
        assert_eq!(together(&noted, Vec::new(), |_| false), noted, "who has read nothing forgets nobody");
        // It names the first, which has moved, and says of the third that it was removed.
        let members = vec![neighbour(1, 11, "a:2")];
        let now = together(&noted, members, |node| [1, 3].map(NodeId::new).contains(&node));
        assert_eq!(now, [neighbour(1, 11, "a:2"), noted[1].clone(), noted[3].clone()]);
    }
}
