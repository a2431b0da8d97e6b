//! How long nobody took appends: from the death of a leader to the first acknowledgement in each of its partitions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chronos_block::Block;
use chronos_domain::{PartitionId, TenantId};
use tokio::sync::watch;

use crate::connect::ClientSink;
use crate::failure::{Failure, Outcome};
use crate::ingest::settle::{Ack, Sink};

/// Sees every append begin and end, and times the outage that is under way.
///
/// Only an append that began after the leader was dead counts: an earlier one may have been acknowledged by the dead.
#[derive(Default)]
pub(crate) struct Pulse {
    outage: Mutex<Option<Outage>>,
    left: watch::Sender<usize>,
}

struct Outage {
    killed: Instant,
    dead: Instant,
    back: BTreeMap<PartitionId, Option<Duration>>,
}

impl Pulse {
    /// The leader of these partitions was killed at one moment and is surely dead at the other.
    pub(crate) fn lost(&self, partitions: &[PartitionId], killed: Instant, dead: Instant) {
        let back = partitions.iter().map(|partition| (*partition, None)).collect();
        *self.lock() = Some(Outage { killed, dead, back });
        self.left.send_replace(partitions.len());
    }

    /// Resolves when every partition has been heard of again.
    pub(crate) async fn over(&self) {
        // The sender is this very value: it cannot be gone.
        drop(self.left.subscribe().wait_for(|left| *left == 0).await);
    }

    /// From the kill to the first acknowledgement, of each partition that was heard of again.
    pub(crate) fn times(&self) -> Vec<Duration> {
        let times = self.lock().as_ref().map(|outage| outage.back.values().flatten().copied().collect());
        times.unwrap_or_default()
    }

    fn acknowledged(&self, partition: PartitionId, begun: Instant, now: Instant) {
        let mut lock = self.lock();
        let Some(outage) = lock.as_mut().filter(|outage| begun >= outage.dead) else { return };
        let since = now - outage.killed;
        if let Some(back @ None) = outage.back.get_mut(&partition) {
            *back = Some(since);
            self.left.send_modify(|left| *left -= 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sink whose appends a [`Pulse`] sees.
#[derive(Clone)]
pub(crate) struct Felt {
    pub(crate) sink: ClientSink,
    pub(crate) pulse: Arc<Pulse>,
}

impl Sink for Felt {
    async fn append(&self, block: &Block) -> Outcome<Ack> {
        let tenant = TenantId::default_tenant();
        let partition = block.placement(tenant.as_str()).map_err(|e| Failure::from(&e))?;
        let begun = Instant::now();
        let ack = self.sink.append(block).await?;
        self.pulse.acknowledged(partition, begun, Instant::now());
        Ok(ack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_that_began_before_the_death_proves_nothing() {
        let pulse = Pulse::default();
        let id = |n| PartitionId::new(n).unwrap();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        pulse.acknowledged(id(1), at(0), at(1));
        pulse.lost(&[id(1), id(2)], at(10), at(12));
        pulse.acknowledged(id(1), at(11), at(20));
        pulse.acknowledged(id(3), at(13), at(20));
        assert_eq!(pulse.times(), []);
        pulse.acknowledged(id(2), at(12), at(510));
        pulse.acknowledged(id(2), at(511), at(512));
        assert_eq!((pulse.times(), *pulse.left.borrow()), (vec![Duration::from_millis(500)], 1));
        pulse.acknowledged(id(1), at(20), at(30));
        assert_eq!(*pulse.left.borrow(), 0);
    }
}
