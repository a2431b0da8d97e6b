//! What passes between nodes for a caller, as messages and back.

use chronos_app::{Class, Error, Reason};
use chronos_block::{Compression, Direction, Draft, Filter, Packer, Page, Range, Recorded};
use chronos_domain::{ForkId, Position, Rejection, Timestamp, Version};
use chronos_proto::peer::v1::{ForwardNothing, ForwardPage, ForwardRange, ForwardScan};
use chronos_proto::{Event, Failure, error as wire, v1};

pub(in crate::engine) const fn nothing() -> ForwardNothing {
    ForwardNothing {}
}

pub(in crate::engine) fn range_to_wire(range: &Range) -> ForwardRange {
    ForwardRange {
        from: range.from,
        bound: range.bound.get(),
        backward: range.direction == Direction::Backward,
        events_max: range.events_max() as u64,
        bytes_max: range.bytes_max() as u64,
    }
}

pub(super) fn range(message: Option<ForwardRange>) -> Range {
    let message = message.unwrap_or_default();
    Range {
        from: message.from,
        bound: Position::new(message.bound),
        direction: if message.backward { Direction::Backward } else { Direction::Forward },
        events_max: usize::try_from(message.events_max).unwrap_or(usize::MAX),
        bytes_max: usize::try_from(message.bytes_max).unwrap_or(usize::MAX),
    }
}

pub(in crate::engine) fn scan_to_wire(range: &Range, filter: &Filter) -> ForwardScan {
    let filter = v1::Filter {
        types: filter.types.clone(),
        type_prefix: filter.type_prefix.clone(),
        tags: filter.tags.clone(),
        entity_prefix: filter.entity_prefix.clone(),
        occurred_until: filter.occurred_until.map(Timestamp::get),
        recorded_from: filter.recorded_from.map(Timestamp::get),
        recorded_until: filter.recorded_until.map(Timestamp::get),
    };
    ForwardScan { filter: Some(filter), range: Some(range_to_wire(range)) }
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

/// A page that another node made.
///
/// # Errors
/// What is wrong with an event.
pub(in crate::engine) fn page(message: ForwardPage, fork: ForkId) -> Result<Page, String> {
    Ok(Page {
        events: events(message.events, fork).map_err(|rejection| rejection.to_string())?,
        next: message.next,
        examined: Position::new(message.examined),
        applied: Position::new(message.applied),
        truncated_before: Version::new(message.truncated_before),
    })
}

/// Packs events into as few blocks as the bounds of a block allow.
fn events(messages: Vec<v1::Event>, fork: ForkId) -> Result<Vec<Recorded>, Rejection> {
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
    let block = std::mem::take(packer).finish(Compression::None).expect("a block with an event asks for something");
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

/// The names of values that errors have. One that is not among them is left out; the message says it, too.
const NAMES: [&str; 22] = [
    "actual",
    "asked_node",
    "bound",
    "epoch",
    "entity",
    "entity_id",
    "event_id",
    "expected",
    "field",
    "have",
    "leader",
    "leader_node",
    "limit",
    "max",
    "now",
    "partition",
    "partitions",
    "position",
    "quota",
    "version",
    "want",
    "why",
];

/// The error that another node gave, in the same words.
///
/// # Errors
/// What this release does not know about it: nothing may be concluded from it then.
pub(super) fn error(message: v1::Failure) -> Result<Error, String> {
    let failure = Failure::try_from(message).map_err(|invalid| invalid.to_string())?;
    let class = match failure.class {
        wire::Class::Rejected => Class::Rejected,
        wire::Class::NotApplied => Class::NotApplied,
        wire::Class::Unknown => Class::Unknown,
        wire::Class::Failed => Class::Failed,
    };
    let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == failure.reason);
    let reason = reason.ok_or_else(|| format!("the reason {}, which this release does not know", failure.reason))?;
    let mut error = Error::new(class, reason, failure.message);
    for (name, value) in failure.metadata {
        if let Some(name) = NAMES.into_iter().find(|known| *known == name) {
            error = error.with(name, value);
        }
    }
    error.retry_after_ms = failure.retry_after_ms;
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::failure;

    #[test]
    fn an_error_of_another_node_is_the_same_error_here() {
        for reason in Reason::ALL {
            for class in [Class::Rejected, Class::NotApplied, Class::Unknown, Class::Failed] {
                let said = Error::new(class, reason, "what").with("partition", 3).retry_after_ms(20);
                assert_eq!(error(failure::failure(said.clone()).into()).unwrap(), said);
            }
        }
        let strange = v1::Failure { class: 2, reason: "NEWER".to_owned(), ..v1::Failure::default() };
        assert!(error(strange).is_err());
    }

    #[test]
    fn a_range_is_the_same_there() {
        let asked = Range { from: 7, bound: Position::new(9), events_max: 3, ..Range::backward() };
        assert_eq!(range(Some(range_to_wire(&asked))), asked);
    }
}
