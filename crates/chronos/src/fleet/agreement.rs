//! Whether all replicas hold the same, bit for bit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chronos_client::{PartitionId, Placement, Token};
use serde_json::Value;

use super::{Fleet, ask, balance};
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

    /// Partitions of which two replicas differ, or of which there are not as many as there should be.
    pub(crate) fn broken(&self) -> Vec<PartitionId> {
        let whole = |replicas: &[Replica]| {
            let same = replicas.windows(2).all(|pair| (pair[0].1, &pair[0].2) == (pair[1].1, &pair[1].2));
            same && replicas.len() == self.replication
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
    /// Waits until node `at` has applied all that the token covers of the partitions it is to hold; gives the time that
    /// took.
    pub(crate) async fn caught_up(&self, at: usize, token: &Token) -> Outcome<Duration> {
        let connection = self.connection(CATCH_UP_MAX).await?;
        let start = Instant::now();
        loop {
            // Replicas move while the cluster lives: what has left the node need not catch up there.
            let held = self.held(at, &connection.placement().await?, token);
            let behind = match ask::json(&self.address(at), "/v1/watermarks").await {
                Ok(marks) => behind(&marks, &held),
                // A node that does not answer is behind with everything.
                Err(_) => held.iter().map(|(id, _)| id).collect(),
            };
            if behind.is_empty() {
                return Ok(start.elapsed());
            }
            if start.elapsed() > CATCH_UP_MAX {
                let (name, patience) = (self.name(at), CATCH_UP_MAX.as_secs());
                let which: Vec<String> = behind.iter().map(ToString::to_string).collect();
                return Err(Failure::failed(format!(
                    "{name} did not catch up within {patience} s: behind in partitions {}",
                    which.join(", ")
                )));
            }
            tokio::time::sleep(CATCH_UP_STEP).await;
        }
    }

    /// Waits until the cluster has come to rest and every node has caught up with the token, and asks each for the digests
    /// of what it is to hold, as of it.
    pub(crate) async fn agreement(&self, token: &Token) -> Outcome<Agreement> {
        let placement = self.settled().await?;
        let mut digests: BTreeMap<PartitionId, Vec<_>> = BTreeMap::new();
        for at in self.members() {
            self.caught_up(at, token).await?;
            // Of what a node does not hold it would wait for events that never come to it.
            let held = self.held(at, &placement, token);
            let path = format!("/v1/digest?as_of={}", ask::encoded(&held.to_string()));
            let said = ask::json(&self.address(at), &path).await?;
            for (id, of) in each(&said).filter(|(id, _)| self.holds(at, &placement, *id)) {
                if let (Some(position), Some(digest)) = (of["position"].as_u64(), of["digest"].as_str()) {
                    digests.entry(id).or_default().push((at, position, digest.to_owned()));
                }
            }
        }
        let replication = balance::odd(usize::from(self.replication()).min(self.members().count()));
        Ok(Agreement { digests, replication })
    }

    /// As much of the token as concerns what node `at` is to hold.
    fn held(&self, at: usize, placement: &Placement, token: &Token) -> Token {
        let mut held = Token::new();
        for (id, position) in token.iter().filter(|(id, _)| self.holds(at, placement, *id)) {
            held.advance(id, position);
        }
        held
    }

    fn holds(&self, at: usize, placement: &Placement, id: PartitionId) -> bool {
        let replicas = placement.partition(id).map(|placed| placed.replicas.as_slice()).unwrap_or_default();
        replicas.iter().any(|node| self.seat_of(*node, placement) == Some(at))
    }
}

/// The partitions of the token of which the node that says these watermarks lacks something, or which it does not serve.
fn behind(marks: &Value, token: &Token) -> Vec<PartitionId> {
    let applied: BTreeMap<PartitionId, u64> =
        each(marks).filter_map(|(id, of)| Some((id, of["applied"].as_u64()?))).collect();
    let is_behind = |id: &PartitionId, wanted: u64| applied.get(id).is_none_or(|applied| *applied < wanted);
    token.iter().filter(|(id, position)| is_behind(id, position.get())).map(|(id, _)| id).collect()
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
    use serde_json::json;

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
        agreement.digests.get_mut(&id(12)).unwrap().push(replica(3, "7"));
        assert_eq!(agreement.broken(), [id(4), id(9), id(12), id(31)]);
    }

    #[test]
    fn a_node_is_behind_with_what_it_was_to_hold_and_nothing_else() {
        let id = |n| PartitionId::new(n).unwrap();
        let mut token = Token::new();
        for (n, position) in [(1, 5), (2, 5), (3, 5)] {
            token.advance(id(n), chronos_client::Position::new(position));
        }
        let marks = json!({"partitions": [
            {"partition": 1, "applied": 5},
            {"partition": 2, "applied": 4},
            {"partition": 3, "problem": {"title": "it starts"}},
            {"partition": 4, "applied": 0},
        ]});
        assert_eq!(behind(&marks, &token), [id(2), id(3)]);
    }
}
