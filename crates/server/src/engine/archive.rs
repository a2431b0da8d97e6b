//! The node's history as a whole: what is done to it, and what it says of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_app::{Archive, Class, Digest, Error, Holdings, Reason, Truncation, TypeHoldings, Verified};
use chronos_block::Recorded;
use chronos_cluster::{CompactError, Outcome, Request};
use chronos_domain::{EntityId, EventId, ForkId, PartitionId, Position, TenantId, Timestamp, Version};
use chronos_proof::Proof;
use chronos_store::{Fault, Partition, Scrubbed};

use super::forward::command;
use super::routing::Done;
use super::{Engine, borrow, not_fresh, refused, same_life};

/// Events that are in no part yet are counted by type up to this many of a partition; of more, only the others are.
const UNCOMPACTED_COUNTED_MAX: u64 = 4096;

impl Engine {
    /// Runs what reads the disk or computes for long, at most until the deadline.
    async fn aside<T: Send + 'static>(
        &self,
        id: PartitionId,
        deadline: Duration,
        work: impl FnOnce(&Partition) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let (partition, life) = self.replica(id, deadline).await?;
        let worked_on = partition.clone();
        let work = self.env.tasks.blocking(move || work(&worked_on));
        match self.env.clock.timeout(self.left(deadline), work).await {
            Ok(answer) => {
                same_life(id, &partition, life)?;
                answer.map_err(|fault| self.failed(id, &fault))
            }
            Err(_) => {
                let text = format!(
                    "partition {id} did not answer before the deadline; ask again or allow more time"
                );
                Err(Error::new(Class::Failed, Reason::DeadlineExceeded, text).with("partition", id))
            }
        }
    }
}

impl Archive for Engine {
    async fn truncate(
        &self,
        id: PartitionId,
        tenant: &TenantId,
        entity: &EntityId,
        before: Version,
        deadline: Duration,
    ) -> Result<Truncation, Error> {
        let request =
            Request::Truncate { tenant: tenant.clone(), fork: ForkId::MAIN, entity: entity.clone(), before };
        let ask = command::truncate(entity, before);
        let outcome = match self.command(id, tenant, request, (ask, deadline)).await? {
            Done::Here(outcome) => outcome,
            Done::There(answer) => return command::truncation(id, answer),
        };
        match outcome {
            Outcome::Truncate(Ok(done)) => Ok(Truncation { before: done.before, version: done.version }),
            Outcome::Truncate(Err(rejection)) => Err(rejection.into()),
            Outcome::Append(_) | Outcome::Cut(_) | Outcome::Tick(_) => {
                unreachable!("a truncation is answered as one")
            }
        }
    }

    async fn cut(&self, id: PartitionId, deadline: Duration) -> Result<Position, Error> {
        self.only_here(id)?;
        let partition = self.partition(id)?;
        if partition.debt().uncut_entries == 0 {
            return Ok(partition.head());
        }
        self.groups.cut(id, deadline).await.map_err(|error| not_fresh(id, &error))?;
        Ok(partition.head())
    }

    async fn compact(&self, id: PartitionId, deadline: Duration) -> Result<Position, Error> {
        self.only_here(id)?;
        let (partition, life) = self.replica(id, deadline).await?;
        self.groups.compact(&[id], deadline).await.map_err(|error| not_compacted(id, &error))?;
        let compacted = partition.marks().compacted;
        same_life(id, &partition, life).map(|()| compacted)
    }

    async fn digest(&self, id: PartitionId, at: Position, deadline: Duration) -> Result<Digest, Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.digest(at, deadline).await;
        }
        let digest = self.aside(id, deadline, move |partition| partition.digest(Some(at))).await?;
        let chronos_store::Digest { position, chain, root, digest } = digest;
        Ok(Digest { position, digest, chain, root })
    }

    async fn prove(
        &self,
        id: PartitionId,
        (tenant, fork): (&TenantId, ForkId),
        event: EventId,
        at: Position,
        deadline: Duration,
    ) -> Result<Option<Proof>, Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.prove((tenant, fork), (event, at), deadline).await;
        }
        let tenant = tenant.clone();
        let prove = move |partition: &Partition| partition.prove(borrow(&(&tenant, fork)), event, Some(at));
        self.aside(id, deadline, prove).await
    }

    async fn verify(&self, id: PartitionId) -> Result<Verified, Error> {
        let looked = self.groups.verify(id, None).await;
        let found = looked.map_err(|why| refused(Class::Failed, id, &why))?;
        let findings = found.findings.iter().map(|finding| finding.damage.to_string()).collect();
        let Scrubbed { parts, events, entries, bytes, .. } = found;
        Ok(Verified { parts, events, log_entries: entries, bytes, findings })
    }

    async fn holdings(&self, id: PartitionId) -> Result<Holdings, Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.holdings().await;
        }
        self.read(id, holdings).await
    }
}

fn holdings(partition: &Partition) -> Result<Holdings, Fault> {
    let (shelf, stats) = (partition.shelf(), partition.stats());
    let metas = shelf.manifest.parts.iter();
    let uncompacted = stats.events.saturating_sub(shelf.compacted().get());
    let (mut types, mut lookup_bytes) = (Types::default(), 0);
    for part in &shelf.parts {
        let failed = |fault| of_parts(partition.id(), fault);
        lookup_bytes += part.lookup_bytes().map_err(failed)?;
        let counts = part.counts().map_err(failed)?;
        for count in counts.types {
            types.add(count.event_type, count.events, count.raw_bytes);
        }
    }
    if uncompacted <= UNCOMPACTED_COUNTED_MAX {
        for position in shelf.compacted().get() + 1..=stats.events {
            let event = partition.at(Position::new(position))?;
            event.iter().for_each(|event| types.add_event(event));
        }
    }
    Ok(Holdings {
        events: stats.events,
        entities: stats.entities,
        recorded: recorded(partition)?,
        parts: shelf.parts.len() as u64,
        part_bytes: metas.clone().map(|part| part.parquet.bytes).sum(),
        lookup_bytes,
        index_bytes: metas.clone().map(|part| part.index.bytes).sum(),
        uncompacted,
        truncated_entities: stats.tombstones,
        erased: metas.map(|part| part.erased).sum(),
        types: types.sorted(),
    })
}

fn of_parts(partition: PartitionId, fault: chronos_parts::Fault) -> Fault {
    match fault {
        chronos_parts::Fault::Io(source) => Fault::Io { partition, source },
        other => Fault::Corrupt(format!("partition {partition}: {other}")),
    }
}

/// When the first and the last event were recorded.
fn recorded(partition: &Partition) -> Result<Option<(Timestamp, Timestamp)>, Fault> {
    let at = |position| Ok(partition.at(position)?.map(|event: Recorded| event.recorded_at));
    let first = match partition.shelf().manifest.parts.first() {
        Some(part) => Some(part.recorded.0),
        None => at(Position::new(1))?,
    };
    Ok(first.zip(at(partition.head())?))
}

/// Events counted by type.
#[derive(Default)]
struct Types(BTreeMap<String, (u64, u64)>);

impl Types {
    fn add(&mut self, event_type: String, events: u64, bytes: u64) {
        let (all, all_bytes) = self.0.entry(event_type).or_default();
        *all += events;
        *all_bytes += bytes;
    }

    /// Counts the bytes that parts count.
    fn add_event(&mut self, event: &Recorded) {
        let view = event.event();
        let tags: usize = view.tags.clone().map(str::len).sum();
        let names = view.entity_id.len() + view.event_type.len();
        let bytes = names + tags + view.payload.len() + view.metadata.len();
        let bytes = if event.erased { 0 } else { bytes as u64 };
        self.add(view.event_type.to_owned(), 1, bytes);
    }

    fn sorted(self) -> Vec<TypeHoldings> {
        let each = self.0.into_iter();
        each.map(|(event_type, (events, raw_bytes))| TypeHoldings { event_type, events, raw_bytes }).collect()
    }
}

pub(super) fn not_compacted(id: PartitionId, error: &CompactError) -> Error {
    let say = |class, reason| Error::new(class, reason, error.to_string()).with("partition", id);
    match error {
        CompactError::Refused(why) => refused(Class::Failed, id, why),
        CompactError::NotCut { error, .. } => not_fresh(id, error),
        CompactError::Halted { .. } => say(Class::Failed, Reason::Unavailable),
        CompactError::NoSpace { .. } => say(Class::Failed, Reason::ResourceExhausted),
        CompactError::Late { .. } => say(Class::Failed, Reason::DeadlineExceeded),
    }
}
