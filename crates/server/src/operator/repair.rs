//! Having a damaged replica here made whole, and what is said of it.

use std::time::Duration;

use chronos_app::{Class, Error, Reason};
use chronos_cluster::Repaired;
use chronos_domain::PartitionId;

use super::Here;

impl Here {
    /// What was wrong and what was done, step by step; nothing when the replica was whole.
    pub(super) async fn repaired(&self, id: PartitionId, deadline: Duration) -> Result<Vec<String>, Error> {
        match self.edge.app.node().groups().repair(id, deadline).await {
            Ok(done) => Ok(done.as_ref().map(steps).unwrap_or_default()),
            Err(error) => Err(damaged(id, &error.to_string())),
        }
    }
}

fn steps(done: &Repaired) -> Vec<String> {
    let mut steps = vec![format!("found: {}", done.why)];
    if done.parts > 0 {
        steps.push(format!("fetched {} damaged parts again, {} bytes", done.parts, done.bytes));
    }
    if done.is_anew {
        steps.push(
            "discarded the log and had everything from the leader, with votes withheld meanwhile".to_owned(),
        );
    }
    if let Some(witness) = done.witness {
        steps.push(format!("the digest at position {} is that of {witness}", done.position));
    }
    steps
}

fn damaged(id: PartitionId, why: &str) -> Error {
    Error::new(Class::Failed, Reason::Corrupt, format!("partition {id} is damaged: {why}"))
        .with("partition", id)
}
