//! A shop's order-to-cash events, endless and in the order in which they happen: some hundreds of orders are under way
//! at any moment and their steps interleave. The same seed gives the same events with the same ids.
//!
//! All entities of a customer carry the customer's number as hash tag (`order-{c0042}-17`, `payment-{c0042}-17`), so
//! that they share a partition.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use bytes::Bytes;
use chronos_block::Draft;
use chronos_domain::{ContentType, EntityId, EventId, EventType, Tag, Timestamp};

use super::dice::Dice;
use super::order::{Order, Step};

/// 2024-01-01T00:00:00Z.
const OPENING: i64 = 1_704_067_200_000_000;

/// Mean time between two orders, in microseconds.
const ORDER_EVERY: u64 = 90_000_000;

/// The events.
pub(crate) struct Feed {
    dice: Dice,
    due: BinaryHeap<Reverse<Due>>,
    next_order_at: i64,
    orders: u64,
}

/// A step that will happen.
struct Due {
    at: i64,
    order: Order,
    step: Step,
    cause: Option<EventId>,
}

impl Due {
    fn key(&self) -> (i64, u64) {
        (self.at, self.order.number)
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl Feed {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), due: BinaryHeap::new(), next_order_at: OPENING, orders: 0 }
    }

    /// The earliest step of all: of an order under way, or the first of a new one.
    fn pop(&mut self) -> Due {
        match self.due.peek() {
            Some(Reverse(due)) if due.at <= self.next_order_at => {}
            _ => return self.new_order(),
        }
        self.due.pop().expect("a step was just seen").0
    }

    fn new_order(&mut self) -> Due {
        let at = self.next_order_at;
        self.orders += 1;
        self.next_order_at += self.dice.between(1, 2 * ORDER_EVERY) as i64;
        Due { at, order: Order::new(self.orders, &mut self.dice), step: Step::Placed, cause: None }
    }

    fn draft(&mut self, due: &mut Due) -> Draft {
        let (about, event_type) = due.step.event();
        let event_id = EventId::new_v7((due.at / 1000) as u64, self.dice.u128());
        let entity = due.order.entity(about);
        let tags = [format!("customer:c{:04}", due.order.customer), format!("region:{}", due.order.region)];
        let draft = Draft {
            event_id,
            entity_id: EntityId::parse(&entity).expect("short plain names are valid"),
            event_type: EventType::parse(event_type).expect("the names of the steps are valid"),
            content_type: ContentType::json(),
            payload: Bytes::from(due.order.payload(due.step, &mut self.dice)),
            metadata: Bytes::from(metadata(due)),
            tags: tags.iter().map(|tag| Tag::parse(tag).expect("short plain tags are valid")).collect(),
            occurred_at: Some(Timestamp::new(due.at)),
        };
        due.cause = Some(event_id);
        draft
    }
}

fn metadata(due: &Due) -> String {
    let (number, actor) = (due.order.number, due.step.actor());
    match due.cause {
        None => format!(r#"{{"correlation_id":"order-{number}","actor":"{actor}"}}"#),
        Some(cause) => {
            format!(r#"{{"correlation_id":"order-{number}","causation_id":"{cause}","actor":"{actor}"}}"#)
        }
    }
}

impl Iterator for Feed {
    type Item = Draft;

    fn next(&mut self) -> Option<Draft> {
        let mut due = self.pop();
        let draft = self.draft(&mut due);
        if let Some((step, after)) = due.step.next(&mut self.dice) {
            self.due.push(Reverse(Due { at: due.at + after as i64, step, ..due }));
        }
        Some(draft)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chronos_domain::place;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_feed() {
        let feed = |seed| Feed::new(seed).take(2000).collect::<Vec<_>>();
        assert_eq!(feed(7), feed(7));
        assert_ne!(feed(7)[..10], feed(8)[..10]);
    }

    #[test]
    fn time_goes_forward_ids_are_unique_and_everything_is_json() {
        let mut last = Timestamp::MIN;
        let mut ids = BTreeSet::new();
        for draft in Feed::new(1).take(20_000) {
            let at = draft.occurred_at.unwrap();
            assert!(at >= last, "{draft:?} happened before the one before");
            last = at;
            assert!(ids.insert(draft.event_id));
            assert!(serde_json::from_slice::<Value>(&draft.payload).unwrap().is_object(), "{draft:?}");
            assert!(serde_json::from_slice::<Value>(&draft.metadata).unwrap().is_object(), "{draft:?}");
        }
    }

    #[test]
    fn an_order_begins_by_being_placed_and_its_customer_shares_a_partition() {
        let mut partitions: BTreeMap<String, u8> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut types = BTreeSet::new();
        for draft in Feed::new(3).take(150_000) {
            let entity = draft.entity_id.as_str();
            if entity.starts_with("order-") && seen.insert(entity.to_owned()) {
                assert_eq!(draft.event_type.as_str(), "order.placed");
            }
            let customer = draft.tags[0].to_string();
            let partition = place("default", entity).get();
            assert_eq!(*partitions.entry(customer).or_insert(partition), partition, "{entity}");
            types.insert(draft.event_type.to_string());
        }
        assert_eq!(types.len(), 16, "{types:?}");
        assert_eq!(partitions.values().collect::<BTreeSet<_>>().len(), 32, "a partition stays empty");
    }
}
