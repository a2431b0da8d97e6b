//! Pages and numbers as they pass between nodes, and back.

use chronos_block::{Compression, Direction, Draft, Filter, Packer, Page, Range, Recorded};
use chronos_domain::{ForkId, Position, Receipt, Rejection, Timestamp, Verdict, Version};
use chronos_proto::peer::v1::{ForwardPage, ForwardRange, ForwardReceipt, ForwardScan};
use chronos_proto::{Event, admin};

use super::cut;

pub(super) fn range_to_wire(range: &Range) -> ForwardRange {
    ForwardRange {
        from: range.from,
        bound: range.bound.get(),
        backward: range.direction == Direction::Backward,
        events_max: range.events_max() as u64,
        bytes_max: range.bytes_max() as u64,
    }
}

/// What another node asks for, as much of it as an answer may carry.
pub(super) fn range(message: Option<ForwardRange>) -> Range {
    let message = message.unwrap_or_default();
    cut(Range {
        from: message.from,
        bound: Position::new(message.bound),
        direction: if message.backward { Direction::Backward } else { Direction::Forward },
        events_max: usize::try_from(message.events_max).unwrap_or(usize::MAX),
        bytes_max: usize::try_from(message.bytes_max).unwrap_or(usize::MAX),
    })
}

pub(super) fn scan_to_wire(range: &Range, filter: &Filter) -> ForwardScan {
    ForwardScan { filter: Some(filter.clone().into()), range: Some(range_to_wire(range)) }
}

pub(super) fn page_to_wire(page: &Page) -> ForwardPage {
    ForwardPage {
        events: page.events.iter().map(Into::into).collect(),
        next: page.next,
        examined: page.examined.get(),
        applied: page.applied.get(),
        truncated_before: page.truncated_before.get(),
    }
}

/// One event, or none, as a page.
pub(super) fn event_to_wire(event: Option<&Recorded>) -> ForwardPage {
    ForwardPage { events: event.into_iter().map(Into::into).collect(), ..ForwardPage::default() }
}

/// A page that another node made.
///
/// # Errors
/// What is wrong with an event.
pub(super) fn page(message: ForwardPage, fork: ForkId) -> Result<Page, Rejection> {
    Ok(Page {
        events: events(message.events, fork)?,
        next: message.next,
        examined: Position::new(message.examined),
        applied: Position::new(message.applied),
        truncated_before: Version::new(message.truncated_before),
    })
}

/// Packs events into as few blocks as the bounds of a block allow.
///
/// They do not travel in the blocks they were written in: a page may hold one event out of thousands of a block, and what a
/// truncation has erased is still in there.
fn events(messages: Vec<chronos_proto::v1::Event>, fork: ForkId) -> Result<Vec<Recorded>, Rejection> {
    let (mut packed, mut packer, mut waiting) = (Vec::new(), Packer::new(), Vec::new());
    for message in messages {
        let event = Event::try_from(message)?;
        // A block holds so many events and bytes, and no id twice.
        if packer.push(draft(&event)).is_err() {
            close(&mut packer, &mut waiting, fork, &mut packed);
            packer.push(draft(&event))?;
        }
        waiting.push(event);
    }
    close(&mut packer, &mut waiting, fork, &mut packed);
    Ok(packed)
}

fn close(packer: &mut Packer, waiting: &mut Vec<Event>, fork: ForkId, packed: &mut Vec<Recorded>) {
    if waiting.is_empty() {
        return;
    }
    let block =
        std::mem::take(packer).finish(Compression::None).expect("a block with an event stores something");
    packed.extend(waiting.drain(..).zip(0..).map(|(event, slot)| Recorded {
        block: block.clone(),
        slot,
        tenant: event.tenant_id,
        fork,
        partition: event.partition,
        position: event.position,
        version: event.version,
        recorded_at: event.recorded_at,
        erased: event.erased,
    }));
}

fn draft(event: &Event) -> Draft {
    Draft {
        event_id: event.event_id,
        entity_id: event.entity_id.clone(),
        event_type: event.event_type.clone(),
        content_type: event.content_type.clone(),
        payload: event.payload.clone(),
        metadata: event.metadata.clone(),
        tags: event.tags.clone(),
        occurred_at: event.occurred_at,
    }
}

pub(super) fn receipt_to_wire(receipt: Receipt, duplicate: bool) -> ForwardReceipt {
    ForwardReceipt {
        first: receipt.first.get(),
        recorded_at: receipt.recorded_at.get(),
        first_versions: receipt.first_versions.into_iter().map(Version::get).collect(),
        duplicate,
    }
}

pub(super) fn verdict(message: ForwardReceipt) -> Verdict {
    let receipt = Receipt {
        first: Position::new(message.first),
        recorded_at: Timestamp::new(message.recorded_at),
        first_versions: message.first_versions.into_iter().map(Version::new).collect(),
    };
    if message.duplicate { Verdict::Duplicate(receipt) } else { Verdict::Stored(receipt) }
}

pub(super) fn digest(of: admin::Digest) -> chronos_app::Digest {
    chronos_app::Digest { position: of.position, digest: of.digest, chain: of.chain, root: of.root }
}

pub(super) fn holdings(of: admin::Holdings) -> chronos_app::Holdings {
    let types = of.types.into_iter().map(|of| chronos_app::TypeHoldings {
        event_type: of.event_type,
        events: of.events,
        raw_bytes: of.raw_bytes,
    });
    chronos_app::Holdings {
        events: of.events,
        entities: of.entities,
        recorded: of.recorded,
        parts: of.parts,
        part_bytes: of.part_bytes,
        lookup_bytes: of.lookup_bytes,
        index_bytes: of.index_bytes,
        uncompacted: of.uncompacted,
        truncated_entities: of.truncated_entities,
        erased: of.erased,
        types: types.collect(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chronos_domain::{ContentType, EntityId, EventId, EventType, PartitionId, Tag, TenantId};

    use super::*;

    fn recorded(number: u64, erased: bool) -> Recorded {
        let mut packer = Packer::new();
        let draft = Draft {
            event_id: EventId::from_u128(u128::from(number)),
            entity_id: EntityId::parse("order-1").unwrap(),
            event_type: EventType::parse("order.placed").unwrap(),
            content_type: ContentType::json(),
            payload: Bytes::from(if erased { String::new() } else { format!("{{\"n\":{number}}}") }),
            metadata: Bytes::new(),
            tags: if erased { vec![] } else { vec![Tag::parse("a").unwrap()] },
            occurred_at: (!erased).then(|| Timestamp::new(7)),
        };
        packer.push(draft).unwrap();
        Recorded {
            block: packer.finish(Compression::None).unwrap(),
            slot: 0,
            tenant: TenantId::parse("default").unwrap(),
            fork: ForkId::MAIN,
            partition: PartitionId::new(3).unwrap(),
            position: Position::new(number),
            version: Version::new(number),
            recorded_at: Timestamp::new(100),
            erased,
        }
    }

    #[test]
    fn a_page_is_the_same_there_event_by_event() {
        // The same id twice, which no single block may hold, and one whose content is gone.
        let events = vec![recorded(1, false), recorded(2, true), recorded(2, false)];
        let there = Page {
            events,
            next: Some(3),
            examined: Position::new(2),
            applied: Position::new(9),
            truncated_before: Version::new(2),
        };
        let here = page(page_to_wire(&there), ForkId::MAIN).unwrap();
        assert_eq!((here.next, here.examined, here.applied), (there.next, there.examined, there.applied));
        assert_eq!(here.truncated_before, there.truncated_before);
        let wire = |page: &Page| page_to_wire(page).events;
        assert_eq!(wire(&here), wire(&there));
        assert_eq!(here.events.len(), 3);
    }

    #[test]
    fn a_range_is_the_same_there_but_for_what_an_answer_may_carry() {
        let asked =
            Range { from: 7, bound: Position::new(9), events_max: 3, bytes_max: 100, ..Range::backward() };
        assert_eq!(range(Some(range_to_wire(&asked))), asked);
        assert_eq!(range(Some(range_to_wire(&Range::forward()))), cut(Range::forward()));
    }
}
