//! Having a damaged replica here made whole, and what is said of it.

use std::time::Duration;

use chronos_app::{Class, Error, Reason};
use chronos_domain::PartitionId;

use super::Here;

impl Here {
    /// What was wrong and what was done, step by step; nothing when the replica was whole.
    pub(super) async fn repaired(&self, id: PartitionId, _deadline: Duration) -> Result<Vec<String>, Error> {
        let seen = self.edge.app.node().groups().verify(id, None).await;
        match seen.map(|seen| seen.findings.first().map(|finding| finding.damage.to_string())) {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(damage)) => Err(damaged(id, &damage)),
            Err(why) => Err(damaged(id, &why)),
        }
    }
}

fn damaged(id: PartitionId, why: &str) -> Error {
    Error::new(Class::Failed, Reason::Corrupt, format!("partition {id} is damaged: {why}"))
        .with("partition", id)
}
