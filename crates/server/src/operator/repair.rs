//! Having a damaged replica here made whole, and what is said of it.

use std::time::Duration;

use chronos_app::{Class, Error, Reason};
use chronos_cluster::{RepairError, Repaired};
use chronos_domain::PartitionId;
use chronos_proof::Hash;

use super::Here;

impl Here {
    /// What was wrong and what was done, step by step; nothing when the replica was whole. One that has diverged is given up
    /// only when it `is_named`.
    pub(super) async fn repaired(
        &self,
        id: PartitionId,
        deadline: Duration,
        is_named: bool,
    ) -> Result<Vec<String>, Error> {
        let groups = self.edge.app.node().groups();
        if is_named {
            groups.give_up(id).await.map_err(|error| not_whole(id, &error))?;
        }
        let done = groups.repair(id, deadline).await.map_err(|error| not_whole(id, &error))?;
        Ok(done.map_or_else(Vec::new, |done| told(&done)))
    }
}

fn told(done: &Repaired) -> Vec<String> {
    let mut steps = vec![format!("found: {}", done.why)];
    if done.is_anew {
        steps.push("gave up its log and had it from the leader again".to_owned());
    }
    if done.parts > 0 {
        steps.push(format!("fetched {} parts of {} bytes", done.parts, done.bytes));
    }
    if let Some(witness) = done.witness {
        let digest = Hash(done.digest);
        steps.push(format!("its digest at position {} is that of {witness}: {digest}", done.position));
    }
    steps.push(format!("serves again after {:.1} s", done.took.as_secs_f64()));
    steps
}

fn not_whole(id: PartitionId, error: &RepairError) -> Error {
    let reason = match error {
        RepairError::Refused { .. } => Reason::Corrupt,
        RepairError::Late { .. } => Reason::DeadlineExceeded,
    };
    Error::new(Class::Failed, reason, error.to_string()).with("partition", id)
}
