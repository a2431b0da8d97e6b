//! Asking about whole histories: digests, proofs, samples, what there is, whether it is unharmed.

mod verification;

use std::time::Duration;

use chronos_domain::{EntityId, EventId, Invalid, PartitionId, Token, Version, place};
use chronos_proof::Proof;
use chronos_proto::admin::{CompactedPartition, PartitionDigest, PartitionHoldings};
use chronos_proto::{Event, Moment, v1};
use tonic::Request;

use crate::Client;
use crate::client::TENANT;
use crate::connections::{AdminRpc, Rpc};
use crate::outcome::ReadError;
use crate::routing::Aim;

pub use verification::Verification;

/// The administrator's side of a [`Client`]. Made by [`Client::admin`].
#[derive(Clone)]
pub struct Admin {
    client: Client,
}

/// The digests of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// One for each of the 32 partitions, ascending.
    pub partitions: Vec<PartitionDigest>,
    /// The positions that are covered: as of this token the digests are the same for ever.
    pub token: Token,
}

/// How far an entity is truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// Where the entity lives.
    pub partition: PartitionId,
    /// The version before which its events have been erased: an earlier truncation may have reached further.
    pub before: Version,
    /// The entity's version.
    pub version: Version,
}

/// Some events of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// By (`recorded_at`, partition, position).
    pub events: Vec<Event>,
    /// How many events the history has.
    pub total: u64,
}

impl Admin {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// The digest of every partition as of a moment, or now: equal on every replica and after every compaction, restart
    /// and restore.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn digests(&self, as_of: Option<Moment>) -> Result<Digests, ReadError> {
        let request = v1::DigestRequest { as_of: as_of.map(v1::AsOf::from) };
        let ask = |mut rpc: AdminRpc| {
            let request = request.clone();
            async move { rpc.digest(request).await }
        };
        let answer = self.client.inner.call_admin(ask).await?;
        let read = || {
            let partitions = answer.partitions.into_iter().map(PartitionDigest::try_from);
            let partitions = partitions.collect::<Result<_, _>>()?;
            Ok(Digests { partitions, token: Token::parse(&answer.token)? })
        };
        read().map_err(|invalid| ReadError::protocol(&invalid))
    }

    /// Erases the content of an entity's events before a version, for ever. Their numbers, ids and types stay. To repeat
    /// it is harmless, and finds out whether it happened where this did not say.
    ///
    /// # Errors
    /// See [`ReadError`]; `Rejected` when the entity has no event or none would stay, `Unavailable` when it may or may
    /// not have happened.
    pub async fn truncate(&self, entity_id: &str, before: Version) -> Result<Truncation, ReadError> {
        let aim = Aim::Leader(place(TENANT, EntityId::parse(entity_id)?.as_str()));
        let request = v1::TruncateEntityRequest { entity_id: entity_id.into(), before_version: before.get() };
        let ask = |mut rpc: Rpc| {
            let request = request.clone();
            async move { rpc.truncate_entity(request).await }
        };
        let answer = self.client.inner.call(aim, ask).await?;
        let partition = chronos_proto::partition(answer.partition);
        let partition = partition.map_err(|invalid| ReadError::protocol(&invalid))?;
        let before = Version::new(answer.truncated_before);
        Ok(Truncation { partition, before, version: Version::new(answer.version) })
    }

    /// A proof that an event belongs to the history as of a moment, or now. [`Proof::check`] needs no server.
    ///
    /// # Errors
    /// See [`ReadError`]; `NotFound` when the event is not in that past.
    pub async fn prove(&self, event_id: EventId, as_of: Option<Moment>) -> Result<Proof, ReadError> {
        let as_of = as_of.map(v1::AsOf::from);
        let request = v1::ProveRequest { event_id: event_id.to_string(), as_of };
        let ask = |mut rpc: AdminRpc| {
            let request = request.clone();
            async move { rpc.prove(request).await }
        };
        let answer = self.client.inner.call_admin(ask).await?;
        let invalid = |what: chronos_proof::Unreadable| Invalid::new("proof", what.to_string());
        Proof::from_json(&answer.proof).map_err(|what| ReadError::protocol(&invalid(what)))
    }

    /// Asks for partitions (all, when none is named) to be compacted, and says up to which positions they will be.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn compact(&self, partitions: &[PartitionId]) -> Result<Vec<CompactedPartition>, ReadError> {
        self.compacted(partitions, None).await
    }

    /// The same, and waits until it is done, at most half as long as one request may take
    /// ([`Options::deadline`](crate::Options)). A partition that takes longer says `DEADLINE_EXCEEDED`: ask for it again
    /// to go on waiting.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn compact_and_wait(
        &self,
        partitions: &[PartitionId],
    ) -> Result<Vec<CompactedPartition>, ReadError> {
        self.compacted(partitions, Some(self.client.inner.options.deadline / 2)).await
    }

    async fn compacted(
        &self,
        partitions: &[PartitionId],
        wait: Option<Duration>,
    ) -> Result<Vec<CompactedPartition>, ReadError> {
        let message = v1::CompactRequest { partitions: numbers(partitions), wait: wait.is_some() };
        let ask = |mut rpc: AdminRpc| {
            let mut request = Request::new(message.clone());
            if let Some(wait) = wait {
                request.set_timeout(wait);
            }
            async move { rpc.compact(request).await }
        };
        let answer = self.client.inner.call_admin(ask).await?;
        let compacted = answer.partitions.into_iter().map(CompactedPartition::try_from);
        compacted.collect::<Result<_, _>>().map_err(|invalid| ReadError::protocol(&invalid))
    }

    /// Has everything that partitions (all, when none is named) have on disk read and compared with what was written.
    /// Each partition answers when it is done; nothing is changed. Takes as long as that takes, and no longer than
    /// [`Options::work_deadline`](crate::Options::work_deadline).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn verify(&self, partitions: &[PartitionId]) -> Result<Verification, ReadError> {
        let request = v1::VerifyRequest { partitions: numbers(partitions) };
        let ask = |mut rpc: AdminRpc| {
            let request = request.clone();
            async move { rpc.verify(request).await }
        };
        let inner = &self.client.inner;
        let until = inner.options.work_due();
        inner.call_admin(ask).await.map(|answers| Verification::new(answers, until))
    }

    /// Some events, spread over the whole history, only of these types if any are named. Takes bounded time whatever
    /// the size of the history. The same seed over the same history gives the same sample.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn sample(
        &self,
        events: u32,
        types: &[String],
        seed: Option<u64>,
    ) -> Result<Sample, ReadError> {
        let ask = |mut rpc: AdminRpc| {
            let request = v1::SampleRequest { events, types: types.to_vec(), seed };
            async move { rpc.sample(request).await }
        };
        let answer = self.client.inner.call_admin(ask).await?;
        let events = answer.events.into_iter().map(Event::try_from).collect::<Result<_, _>>();
        let events = events.map_err(|invalid| ReadError::protocol(&invalid))?;
        Ok(Sample { events, total: answer.total })
    }

    /// What every partition holds, by type. Nothing is scanned for it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn holdings(&self) -> Result<Vec<PartitionHoldings>, ReadError> {
        let ask = |mut rpc: AdminRpc| async move { rpc.stats(v1::StatsRequest {}).await };
        let answer = self.client.inner.call_admin(ask).await?;
        let held = answer.partitions.into_iter().map(PartitionHoldings::try_from);
        held.collect::<Result<_, _>>().map_err(|invalid| ReadError::protocol(&invalid))
    }
}

fn numbers(partitions: &[PartitionId]) -> Vec<u32> {
    partitions.iter().map(|partition| partition.get().into()).collect()
}
