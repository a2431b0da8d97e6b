//! An operator who does what the manual says about nodes that do not come back as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chronos_client::cluster::NodeId;
use parking_lot::Mutex;

use super::cluster::{Cluster, Seat, Story, sitting, status_of_any};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(3);
/// A node that ended so often while it started is given up, if its disk was damaged.
const STILLBORN_MAX: u64 = 3;
/// So is one that ended by itself in so many rounds in a row, although it came to serve: the others turn it away.
const RESTLESS_MAX: u32 = 4;

/// Whoever looks after the nodes. Clones know the same.
#[derive(Clone, Default)]
pub(crate) struct Caretaker {
    /// Seats whose disks were damaged. A node that does not start on an unharmed one is a finding, and left alone.
    damaged: Arc<Mutex<BTreeSet<Seat>>>,
    /// Of each of them, how often processes had ended at the last round, and for how many rounds in a row that has grown.
    restless: Arc<Mutex<BTreeMap<Seat, (usize, u32)>>>,
    /// What was done.
    log: Arc<Mutex<Vec<String>>>,
}

impl Caretaker {
    /// Something harmed the disks of these seats.
    pub(crate) fn damaged(&self, seats: &[Seat]) {
        self.damaged.lock().extend(seats);
    }

    /// What it did since it was last asked, in order.
    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock())
    }

    /// Makes its rounds for ever.
    pub(super) async fn work<C: Cluster>(self, cluster: C) {
        loop {
            cluster.wait(ROUND).await;
            for seat in cluster.all() {
                if self.damaged.lock().contains(&seat) && self.is_lost(seat, &cluster.story(seat)) {
                    self.renew(&cluster, seat).await;
                }
            }
            self.replace(&cluster).await;
        }
    }

    /// Whether nobody comes back there who knows what was there.
    fn is_lost(&self, seat: Seat, story: &Story) -> bool {
        let mut all = self.restless.lock();
        let (ends, rounds) = all.entry(seat).or_default();
        *rounds = if story.ends.len() > *ends { *rounds + 1 } else { 0 };
        *ends = story.ends.len();
        let is_lost = *rounds >= RESTLESS_MAX || story.stillborn >= STILLBORN_MAX;
        if is_lost {
            *rounds = 0;
        }
        is_lost
    }

    /// Has whoever comes next to a seat begin with nothing.
    async fn renew<C: Cluster>(&self, cluster: &C, seat: Seat) {
        let why = cluster.story(seat).ends.last().cloned().unwrap_or_default();
        self.log.lock().push(format!("seat {seat} begins anew: {why}"));
        cluster.kill(seat).await;
        cluster.empty(seat).await;
        cluster.start(seat);
    }

    /// Gives up every node in whose seat there is a newer one.
    async fn replace<C: Cluster>(&self, cluster: &C) {
        let Some(status) = status_of_any(cluster).await else { return };
        for seat in cluster.all() {
            for gone in sitting(cluster, &status, seat).into_iter().skip(1) {
                self.give_up(cluster, gone).await;
            }
        }
    }

    async fn give_up<C: Cluster>(&self, cluster: &C, node: NodeId) {
        for seat in cluster.all() {
            // Who cannot do it now, or is not sure yet, is asked again in the next round.
            if cluster.operator(seat).replace(node).await.is_ok() {
                self.log.lock().push(format!("{node} is replaced"));
                return;
            }
        }
    }
}
