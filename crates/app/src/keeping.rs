//! Keeping a history: letting go of what is old, compacting, saying what there is.

use std::time::Duration;

use chronos_domain::{EntityId, PartitionId, Position, Rejection, Version, place};

use futures::future::join_all;

use crate::App;
use crate::archive::{Archive, Holdings, Truncation, Verified};
use crate::authority::{Action, Principal, authorize};
use crate::error::Error;

/// Whether a compaction is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Return as soon as it is certain to happen.
    No,
    /// Return when it has happened.
    Yes,
}

/// Each partition's answer, or why it gave none; ascending.
pub type EachPartition<T> = Vec<(PartitionId, Result<T, Error>)>;

impl<N: Archive> App<N> {
    /// Erases the content of an entity's events before a version, for ever. Their numbers, ids and types stay, and so
    /// does every digest. A truncation that has happened already is a success that changes nothing.
    ///
    /// When this returns `Ok` it is durable on a quorum and no read sees the content any more; the bytes leave the disk
    /// when parts are next compacted and the log behind them is let go of.
    ///
    /// # Errors
    /// `Rejected` when the entity has no event or none would be left; as [`App::append`] otherwise.
    pub async fn truncate(
        &self,
        principal: &Principal,
        entity: &EntityId,
        before: Version,
        deadline: Duration,
    ) -> Result<(PartitionId, Truncation), Error> {
        authorize(principal, Action::Truncate)?;
        if before == Version::ZERO {
            let reason = "is 0; give the first version that stays, from 1 on";
            return Err(Rejection::from(chronos_domain::Invalid::new("before", reason)).into());
        }
        let partition = place(principal.tenant().as_str(), entity.as_str());
        let done = self.node().truncate(partition, principal.tenant(), entity, before, deadline).await?;
        Ok((partition, done))
    }

    /// Has everything that is stored by then written into parts.
    ///
    /// Each partition answers with the position up to which it is (or, without waiting, soon will be) compacted, or why
    /// it is not; when the deadline passed, its compaction goes on all the same.
    ///
    /// # Errors
    /// When the principal may not administer.
    pub async fn compact(
        &self,
        principal: &Principal,
        partitions: &[PartitionId],
        (wait, deadline): (Wait, Duration),
    ) -> Result<EachPartition<Position>, Error> {
        authorize(principal, Action::Administer)?;
        let each = partitions.iter().map(|&partition| async move {
            let end = match wait {
                Wait::No => self.node().cut(partition, deadline).await,
                Wait::Yes => self.node().compact(partition, deadline).await,
            };
            (partition, end)
        });
        Ok(join_all(each).await)
    }

    /// Reads everything that one partition has on disk and compares it with what was written. What damage it finds
    /// also closes the partition, as any read would that met it.
    ///
    /// # Errors
    /// When the principal may not administer, or this node does not serve the partition.
    pub async fn verify(&self, principal: &Principal, partition: PartitionId) -> Result<Verified, Error> {
        authorize(principal, Action::Administer)?;
        self.node().verify(partition).await
    }

    /// What every partition holds.
    ///
    /// # Errors
    /// When the principal may not observe.
    pub async fn holdings(&self, principal: &Principal) -> Result<EachPartition<Holdings>, Error> {
        authorize(principal, Action::Observe)?;
        let mut all = Vec::new();
        for partition in PartitionId::all() {
            all.push((partition, self.node().holdings(partition).await));
        }
        Ok(all)
    }
}
