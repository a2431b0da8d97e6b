//! A cluster as those see it who load, attack and judge it, whichever world it lives in.

use std::future::Future;
use std::time::Duration;

use chronos_client::cluster::{NodeId, NodeState, Status};
use chronos_client::{Client, ClusterAdmin};
use chronos_env::{Entropy, Env};

use crate::plan::Fault;

/// Where a node can run, from 1. Whoever lost its directory comes back to its seat as another node.
pub(crate) type Seat = u32;

/// What became of the processes of a seat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    /// How many were started.
    pub(crate) lives: u64,
    /// Whether one runs.
    pub(crate) is_running: bool,
    /// How many in a row ended while they started.
    pub(crate) stillborn: u64,
    /// Why those ended that nobody killed or stopped, in their order.
    pub(crate) ends: Vec<String>,
}

/// A cluster under attack. Clones are handles to the same one.
pub(crate) trait Cluster: Clone + Send + Sync + 'static {
    /// How many seats there are.
    fn seats(&self) -> u32;

    /// The harness's own clock, tasks and dice.
    fn env(&self) -> &Env;

    /// Whose address that is, as nodes tell it to clients.
    fn seat_at(&self, address: &str) -> Option<Seat>;

    /// The SDK on a machine of that name, which knows these nodes.
    fn client(&self, machine: &str, seats: &[Seat]) -> (Env, Client);

    /// The SDK, which asks one node only.
    fn client_of(&self, seat: Seat) -> Client;

    /// An operator who asks one node.
    fn operator(&self, seat: Seat) -> ClusterAdmin;

    /// What became of the processes of a seat so far.
    fn story(&self, seat: Seat) -> Story;

    /// Has a node run from now on: it is started again whenever it ends.
    fn start(&self, seat: Seat);

    /// Kills the process of a seat, which stays empty until it is started.
    fn kill(&self, seat: Seat) -> impl Future<Output = ()> + Send;

    /// Has a node stop in order; returns when its process has ended.
    fn stop(&self, seat: Seat) -> impl Future<Output = ()> + Send;

    /// Empties the directory of a seat where nothing runs.
    fn empty(&self, seat: Seat) -> impl Future<Output = ()> + Send;

    /// Lets a fault strike for so long; returns when it is undone.
    ///
    /// # Errors
    /// Why this world cannot do it.
    fn strike(
        &self,
        fault: &Fault,
        seats: &[Seat],
        lasts: Duration,
        dice: &Entropy,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// All seats.
    fn all(&self) -> Vec<Seat> {
        (1..=self.seats()).collect()
    }

    /// Waits.
    fn wait(&self, time: Duration) -> impl Future<Output = ()> + Send {
        self.env().clock.sleep(time)
    }

    /// How long the harness has been running.
    fn now(&self) -> Duration {
        self.env().clock.monotonic()
    }
}

/// Which seat a node of the cluster has.
pub(super) fn seat_of<C: Cluster>(cluster: &C, status: &Status, node: NodeId) -> Option<Seat> {
    status.node(node).and_then(|node| cluster.seat_at(&node.addresses.client))
}

/// Who belongs to the cluster and sits there, the newest first.
pub(super) fn sitting<C: Cluster>(cluster: &C, status: &Status, seat: Seat) -> Vec<NodeId> {
    let members = status.nodes.iter().filter(|node| node.state != NodeState::Removed);
    let here = members.filter(|node| cluster.seat_at(&node.addresses.client) == Some(seat));
    let mut nodes: Vec<NodeId> = here.map(|node| node.node).collect();
    nodes.sort_by(|a, b| b.cmp(a));
    nodes
}

/// What the first of these nodes says that answers.
pub(super) async fn status_of_any<C: Cluster>(cluster: &C) -> Option<Status> {
    for seat in cluster.all() {
        if let Ok(status) = cluster.operator(seat).status().await {
            return Some(status);
        }
    }
    None
}
