//! Many events of any partitions: split, appended in parallel, reported one by one.

use std::collections::BTreeMap;

use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use chronos_domain::{Batch, EventId, PartitionId, place};
use futures::future::join_all;

use crate::client::{Appended, Client, TENANT};
use crate::outcome::{AppendError, NotDone};
use crate::pipe::not_sent;

/// What became of each part of [`Client::append_many`]. Each part was atomic, all together were not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManyReport {
    /// By partition; the parts of one partition in the order in which they were appended.
    pub parts: Vec<Part>,
}

impl ManyReport {
    /// Whether every event was stored.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.parts.iter().all(|part| part.outcome.is_ok())
    }
}

/// One request of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where its events belong.
    pub partition: PartitionId,
    /// Which events of the call it holds, by their places from 0.
    pub events: Vec<usize>,
    /// What became of it. After a part that failed, the later ones of its partition are not sent: `NotApplied`.
    pub outcome: Result<Appended, AppendError>,
}

struct Planned {
    block: Block,
    events: Vec<usize>,
}

pub(crate) async fn append(client: &Client, events: Vec<Draft>) -> Result<ManyReport, AppendError> {
    let mut partitions: BTreeMap<PartitionId, Vec<(usize, Draft)>> = BTreeMap::new();
    for (i, event) in events.into_iter().enumerate() {
        let partition = place(TENANT, event.entity_id.as_str());
        partitions.entry(partition).or_default().push((i, event));
    }
    let mut planned = Vec::new();
    for (partition, events) in partitions {
        planned.push((partition, plan(events)?));
    }
    let running = planned.into_iter().map(|(partition, parts)| run(client, partition, parts));
    Ok(ManyReport { parts: join_all(running).await.into_iter().flatten().collect() })
}

/// Packs the events of one partition into as few requests as the limits allow.
fn plan(events: Vec<(usize, Draft)>) -> Result<Vec<Planned>, AppendError> {
    let mut parts = Vec::new();
    let (mut packer, mut places) = (Packer::new(), Vec::new());
    for (i, event) in events {
        let full = packer.events() == BATCH_EVENTS_MAX || packer.bytes() + bytes(&event) > BATCH_BYTES_MAX;
        if full && packer.events() > 0 {
            let block = std::mem::take(&mut packer).finish(Compression::None)?;
            parts.push(Planned { block, events: std::mem::take(&mut places) });
        }
        packer.push(event)?;
        places.push(i);
    }
    parts.push(Planned { block: packer.finish(Compression::None)?, events: places });
    Ok(parts)
}

/// The bytes that an event adds to a request, as the limit of a request counts them.
pub(crate) fn bytes(event: &Draft) -> usize {
    let tags: usize = event.tags.iter().map(|tag| tag.as_str().len()).sum();
    event.entity_id.as_str().len()
        + event.event_type.as_str().len()
        + event.payload.len()
        + event.metadata.len()
        + tags
}

/// Appends the parts of one partition one after the other, so that its events keep their order.
async fn run(client: &Client, partition: PartitionId, parts: Vec<Planned>) -> Vec<Part> {
    let mut done = Vec::with_capacity(parts.len());
    let mut stopped = false;
    for Planned { block, events } in parts {
        let outcome = if stopped { Err(skipped(&block)) } else { client.append_block(&block).await };
        stopped |= outcome.is_err();
        done.push(Part { partition, events, outcome });
    }
    done
}

fn skipped(block: &Block) -> AppendError {
    let failure = Box::new(not_sent("not sent, because an earlier part of the same partition failed"));
    let event_ids: Vec<EventId> = (0..block.events()).map(|i| block.event_id(i)).collect();
    AppendError::NotApplied(NotDone { failure, attempts: 0, event_ids })
}
