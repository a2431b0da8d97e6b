//! Appending a block whose events do not belong together.

use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::{Batch, ContentType, EntityId, EventType, Tag};

use super::ticket::{Outcome, Part};
use crate::client::{Appended, Client};
use crate::outcome::{AppendError, Rule};

/// Appends the block, and where it is refused because of what one of its events is, its halves, in order.
pub(super) async fn append(client: &Client, block: Block) -> Outcome {
    let mut parts = Vec::new();
    // What is left to append, the next at the end.
    let mut left = vec![(0, block)];
    while let Some((first, block)) = left.pop() {
        let result = client.append_block(&block).await;
        if block.events() > 1 && result.as_ref().is_err_and(is_of_one_event) {
            let middle = block.events() / 2;
            left.push((first + middle, part(&block, middle, block.events())));
            left.push((first, part(&block, 0, middle)));
        } else {
            check(&block, &result);
            parts.push(Part { first, result });
        }
    }
    Outcome { parts }
}

/// Whether the refusal may concern a single event of the request.
fn is_of_one_event(error: &AppendError) -> bool {
    let AppendError::Rejected(rejected) = error else { return false };
    matches!(rejected.rule, Rule::IdempotencyConflict { .. } | Rule::Invalid { .. } | Rule::TooLarge { .. })
}

fn check(block: &Block, result: &Result<Appended, AppendError>) {
    if let Ok(appended) = result {
        let (given, stored) = (block.events(), appended.versions.len());
        assert_eq!(stored, given, "an acknowledged append has one version for each of its events");
    }
}

/// A block of some of the events, without copying their payloads twice.
fn part(block: &Block, from: usize, to: usize) -> Block {
    let mut packer = Packer::new();
    for i in from..to {
        packer.push(draft(block, i)).expect("events that fitted one block fit a smaller one");
    }
    packer.finish(Compression::None).expect("a block of at least one event")
}

fn draft(block: &Block, i: usize) -> Draft {
    const VALID: &str = "names of a packed event are valid";
    let event = block.event(i);
    Draft {
        event_id: event.event_id,
        entity_id: EntityId::parse(event.entity_id).expect(VALID),
        event_type: EventType::parse(event.event_type).expect(VALID),
        content_type: ContentType::parse(event.content_type).expect(VALID),
        payload: block.payload(i),
        metadata: bytes::Bytes::copy_from_slice(event.metadata),
        tags: event.tags.map(|tag| Tag::parse(tag).expect(VALID)).collect(),
        occurred_at: event.occurred_at,
    }
}
