//! Parts that another node copies for a caller of its own.
//!
//! Whoever copies a partition was told first what its parts are, and then takes its time. They must stay readable that
//! long, though compaction replaces them, or the partition leaves this node. So they are lent: held open for
//! [`LENT_FOR`], which begins anew whenever the borrower says that it still needs them, and given up when nothing is heard
//! of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_env::{Clock, Env};
use chronos_store::Shelf;
use parking_lot::Mutex;

use super::Groups;
use crate::node::NodeId;

/// How long parts stay lent to a borrower of whom nothing is heard.
const LENT_FOR: Duration = Duration::from_secs(120);

/// What is lent, to whom, and under which number of theirs.
type Key = (PartitionId, NodeId, u64);

/// What a node has lent.
pub(super) struct Loans {
    clock: Clock,
    standing: Mutex<BTreeMap<Key, Loan>>,
}

struct Loan {
    shelf: Arc<Shelf>,
    /// On the node's clock.
    until: Duration,
}

impl Groups {
    /// Lends the parts that a partition has now to node `to`, under a number that it chose: their files can be had by
    /// hash, as those of any partition here, for two minutes, and for another two from each [`Groups::keep_lent`] on.
    ///
    /// # Errors
    /// The reason why this node does not serve the partition.
    pub fn lend(&self, id: PartitionId, to: NodeId, loan: u64) -> Result<Arc<Shelf>, Arc<str>> {
        let shelf = self.partition(id)?.shelf();
        self.inner.loans.lend(&self.inner.env, (id, to, loan), &shelf);
        Ok(shelf)
    }

    /// Goes on lending; `false` when nothing is lent to `to` under that number, or no longer.
    pub fn keep_lent(&self, id: PartitionId, to: NodeId, loan: u64) -> bool {
        self.inner.loans.keep((id, to, loan))
    }
}

impl Loans {
    pub(super) fn new(clock: Clock) -> Arc<Loans> {
        Arc::new(Loans { clock, standing: Mutex::default() })
    }

    fn lend(self: &Arc<Self>, env: &Env, key: Key, shelf: &Arc<Shelf>) {
        let loan = Loan { shelf: Arc::clone(shelf), until: self.clock.monotonic() + LENT_FOR };
        if self.standing.lock().insert(key, loan).is_none() {
            drop(env.tasks.spawn("loan", end_in_time(Arc::downgrade(self), self.clock.clone(), key)));
        }
    }

    fn keep(&self, key: Key) -> bool {
        let mut standing = self.standing.lock();
        let Some(loan) = standing.get_mut(&key) else { return false };
        loan.until = self.clock.monotonic() + LENT_FOR;
        true
    }

    /// What is lent of a partition.
    pub(super) fn shelves(&self, id: PartitionId) -> Vec<Arc<Shelf>> {
        let standing = self.standing.lock();
        let of = standing.range((id, NodeId::new(0), 0)..=(id, NodeId::new(u64::MAX), u64::MAX));
        of.map(|(_, loan)| Arc::clone(&loan.shelf)).collect()
    }

    /// Gives up everything.
    pub(super) fn end(&self) {
        self.standing.lock().clear();
    }

    /// How much longer; what is over is given up.
    fn left(&self, key: Key) -> Option<Duration> {
        let mut standing = self.standing.lock();
        let left = standing.get(&key)?.until.saturating_sub(self.clock.monotonic());
        if left.is_zero() {
            standing.remove(&key);
            return None;
        }
        Some(left)
    }
}

/// Gives a loan up when its time is over, also where nobody asks about it again.
async fn end_in_time(loans: Weak<Loans>, clock: Clock, key: Key) {
    while let Some(left) = loans.upgrade().and_then(|loans| loans.left(key)) {
        clock.sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use chronos_env::sim::World;
    use chronos_store::Manifest;

    use super::*;

    #[test]
    fn what_is_lent_is_held_as_long_as_the_borrower_is_heard_of_and_no_longer() {
        let world = World::new(1);
        world.run(async {
            let env = world.env();
            let loans = Loans::new(env.clock.clone());
            let id = |number| PartitionId::new(number).unwrap();
            let key = |number| (id(number), NodeId::new(2), 7);
            let shelf = |number| {
                let manifest = Arc::new(Manifest::start(1, id(number)));
                Arc::new(Shelf { manifest, parts: Vec::new() })
            };
            let (kept, forgotten) = (shelf(3), shelf(4));
            loans.lend(&env, key(3), &kept);
            loans.lend(&env, key(4), &forgotten);
            for _ in 0..4 {
                env.clock.sleep(LENT_FOR / 2).await;
                assert!(loans.keep(key(3)));
                assert_eq!(loans.shelves(id(3)).len(), 1);
            }
            assert_eq!(Arc::strong_count(&forgotten), 1, "it is held though nobody asked for it again");
            assert!(loans.shelves(id(4)).is_empty() && !loans.keep(key(4)));
            env.clock.sleep(LENT_FOR + Duration::from_millis(1)).await;
            assert_eq!(Arc::strong_count(&kept), 1);
            assert!(!loans.keep(key(3)), "what is over does not come back");
        });
    }
}
