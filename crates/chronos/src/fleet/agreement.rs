//! Whether all replicas hold the same, bit for bit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chronos_client::{Hash, Moment, PartitionId, Position, Token};

use super::Fleet;
use crate::failure::{Failure, Outcome};

/// How long a replica may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);

/// How often it is looked at.
const CATCH_UP_STEP: Duration = Duration::from_millis(50);

/// What all replicas hold as of one moment: for each partition the digest of every node that has one.
pub(crate) struct Agreement {
    digests: BTreeMap<PartitionId, Vec<(usize, Position, Hash)>>,
    replication: usize,
}

impl Agreement {
    /// How many digests there are.
    pub(crate) fn replicas(&self) -> usize {
        self.digests.values().map(Vec::len).sum()
    }

    /// Partitions of which two replicas differ, or of which there are too few.
    pub(crate) fn broken(&self) -> Vec<PartitionId> {
        let whole = |replicas: &[(usize, Position, Hash)]| {
            let same = replicas.windows(2).all(|pair| (pair[0].1, pair[0].2) == (pair[1].1, pair[1].2));
            same && replicas.len() >= self.replication
        };
        let broken =
            PartitionId::all().filter(|id| !self.digests.get(id).is_some_and(|replicas| whole(replicas)));
        broken.collect()
    }

    /// What to show of a partition that is broken.
    pub(crate) fn describe(&self, fleet: &Fleet, partition: PartitionId) -> String {
        let replicas = self.digests.get(&partition).map(Vec::as_slice).unwrap_or_default();
        let each: Vec<String> = replicas
            .iter()
            .map(|(at, position, digest)| format!("{} has {digest} of {position} events", fleet.name(*at)))
            .collect();
        format!(
            "partition {partition}: {}",
            if each.is_empty() { "no replica".to_owned() } else { each.join(", ") }
        )
    }
}

impl Fleet {
    /// Waits until node `at` has applied all that the token covers of what it holds; gives the time that took.
    pub(crate) async fn caught_up(&self, at: usize, token: &Token) -> Outcome<Duration> {
        let start = Instant::now();
        let connection = self.only(at).await?;
        loop {
            let behind = match connection.watermarks().await {
                Ok(marks) => marks
                    .partitions
                    .iter()
                    .filter(|of| of.marks.as_ref().is_ok_and(|marks| marks.applied < token.get(of.partition)))
                    .count(),
                // A node that does not answer is behind with everything.
                Err(_) => PartitionId::all().len(),
            };
            if behind == 0 {
                return Ok(start.elapsed());
            }
            if start.elapsed() > CATCH_UP_MAX {
                let (name, patience) = (self.name(at), CATCH_UP_MAX.as_secs());
                return Err(Failure::failed(format!(
                    "{name} did not catch up within {patience} s: {behind} partitions are behind"
                )));
            }
            tokio::time::sleep(CATCH_UP_STEP).await;
        }
    }

    /// Waits until every node has caught up with the token, and asks each for the digests of what it holds, as of it.
    pub(crate) async fn agreement(&self, token: &Token) -> Outcome<Agreement> {
        let mut digests: BTreeMap<PartitionId, Vec<_>> = BTreeMap::new();
        for at in 0..self.len() {
            self.caught_up(at, token).await?;
            let held = self.only(at).await?.digests(Some(Moment::Token(token.clone()))).await?;
            for one in held.partitions {
                // A partition that it does not hold has no digest there.
                if let Ok(digest) = one.digest {
                    digests.entry(one.partition).or_default().push((at, digest.position, digest.digest));
                }
            }
        }
        let replication = usize::from(self.replication()).min(self.len());
        Ok(Agreement { digests, replication })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_or_one_replica_less_breaks_the_agreement() {
        let replica = |at, byte| (at, Position::new(5), Hash([byte; 32]));
        let whole = PartitionId::all().map(|id| (id, (0..3).map(|at| replica(at, 7)).collect::<Vec<_>>()));
        let mut agreement = Agreement { digests: whole.collect(), replication: 3 };
        assert_eq!((agreement.broken().len(), agreement.replicas()), (0, 96));
        let id = |n| PartitionId::new(n).unwrap();
        agreement.digests.get_mut(&id(4)).unwrap()[1] = replica(1, 6);
        agreement.digests.get_mut(&id(9)).unwrap().pop();
        agreement.digests.remove(&id(31));
        assert_eq!(agreement.broken(), [id(4), id(9), id(31)]);
    }
}
