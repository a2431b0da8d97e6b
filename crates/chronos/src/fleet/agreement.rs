//! Whether all replicas hold the same, bit for bit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chronos_client::{PartitionId, Token};
use serde_json::Value;

use super::{Fleet, ask};
use crate::failure::{Failure, Outcome};

/// How long a replica may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(300);

/// How often it is looked at.
const CATCH_UP_STEP: Duration = Duration::from_millis(50);

/// The node, how many events its digest covers, and the digest.
type Replica = (usize, u64, String);

/// What all replicas hold as of one moment: for each partition the digest of every node that has one.
pub(crate) struct Agreement {
    digests: BTreeMap<PartitionId, Vec<Replica>>,
    replication: usize,
}

impl Agreement {
    /// How many digests there are.
    pub(crate) fn replicas(&self) -> usize {
        self.digests.values().map(Vec::len).sum()
    }

    /// Partitions of which two replicas differ, or of which there are too few.
    pub(crate) fn broken(&self) -> Vec<PartitionId> {
        let whole = |replicas: &[Replica]| {
            let same = replicas.windows(2).all(|pair| (pair[0].1, &pair[0].2) == (pair[1].1, &pair[1].2));
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
        loop {
            // A node that does not answer is behind with everything.
            let behind = match ask::json(&self.address(at), "/v1/watermarks").await {
                Ok(marks) => each(&marks).filter(|(id, of)| is_behind(*id, of, token)).count(),
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
        let placement = self.connection(CATCH_UP_MAX).await?.placement().await?;
        let path = format!("/v1/digest?as_of={}", ask::encoded(&token.to_string()));
        let mut digests: BTreeMap<PartitionId, Vec<_>> = BTreeMap::new();
        for at in 0..self.len() {
            self.caught_up(at, token).await?;
            let held = ask::json(&self.address(at), &path).await?;
            for (id, of) in each(&held) {
                let placed =
                    placement.partition(id).map(|placed| placed.replicas.as_slice()).unwrap_or_default();
                let holds = placed.iter().any(|node| self.seat_of(*node, &placement) == Some(at));
                if let (true, Some(position), Some(digest)) =
                    (holds, of["position"].as_u64(), of["digest"].as_str())
                {
                    digests.entry(id).or_default().push((at, position, digest.to_owned()));
                }
            }
        }
        let replication = usize::from(self.replication()).min(self.len());
        Ok(Agreement { digests, replication })
    }
}

/// What a node does not hold it is not behind with; what it does not serve has no digest later.
fn is_behind(id: PartitionId, of: &Value, token: &Token) -> bool {
    of["applied"].as_u64().is_some_and(|applied| applied < token.get(id).get())
}

/// Events that the node there has applied, over all partitions it holds.
pub(super) async fn applied(address: &str) -> Outcome<u64> {
    let marks = ask::json(address, "/v1/watermarks").await?;
    Ok(each(&marks).filter_map(|(_, of)| of["applied"].as_u64()).sum())
}

/// The partitions of an answer that has a list of them.
fn each(answer: &Value) -> impl Iterator<Item = (PartitionId, &Value)> {
    let all = answer["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|of| {
        let number = u8::try_from(of["partition"].as_u64()?).ok()?;
        Some((PartitionId::new(number)?, of))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_or_one_replica_less_breaks_the_agreement() {
        let replica = |at, digest: &str| (at, 5, digest.to_owned());
        let whole = PartitionId::all().map(|id| (id, (0..3).map(|at| replica(at, "7")).collect::<Vec<_>>()));
        let mut agreement = Agreement { digests: whole.collect(), replication: 3 };
        assert_eq!((agreement.broken().len(), agreement.replicas()), (0, 96));
        let id = |n| PartitionId::new(n).unwrap();
        agreement.digests.get_mut(&id(4)).unwrap()[1] = replica(1, "6");
        agreement.digests.get_mut(&id(9)).unwrap().pop();
        agreement.digests.remove(&id(31));
        assert_eq!(agreement.broken(), [id(4), id(9), id(31)]);
    }
}
