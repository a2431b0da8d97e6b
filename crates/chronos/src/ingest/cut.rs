//! Cutting a stream of events into batches, one partition's apart from the others'.
//!
//! Where a cut falls depends on the events of that partition before it and on nothing else: not on time, not on
//! other partitions, not on threads. That is what lets a second run repeat the requests of the first.

use std::collections::BTreeSet;

use chronos_block::Draft;
use chronos_domain::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use chronos_domain::{EventId, PartitionId, TenantId, place};

use super::Item;

/// How large batches become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Size {
    /// Large enough that the round trip of a batch is small change, small enough that 32 partitions' open batches
    /// and the ones in flight fit in a modest process.
    pub(crate) const DEFAULT: Size = Size { events: 1000, bytes: 1 << 20 };
}

const _: () = assert!(Size::DEFAULT.events <= BATCH_EVENTS_MAX, "a server would refuse such a batch");
const _: () = assert!(Size::DEFAULT.bytes <= BATCH_BYTES_MAX, "a server would refuse such a batch");

/// Events of one partition, to be appended together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) partition: PartitionId,
    pub(crate) items: Vec<Item>,
}

#[derive(Default)]
struct Open {
    items: Vec<Item>,
    ids: BTreeSet<EventId>,
    bytes: usize,
}

/// The batches that are being filled.
pub(crate) struct Cutter {
    tenant: TenantId,
    size: Size,
    open: Vec<Open>,
}

impl Cutter {
    pub(crate) fn new(tenant: TenantId, size: Size) -> Self {
        let open = PartitionId::all().map(|_| Open::default()).collect();
        Self { tenant, size, open }
    }

    /// Adds an event; gives the batch that it did not fit into any more.
    pub(crate) fn push(&mut self, item: Item) -> Option<Batch> {
        let partition = place(self.tenant.as_str(), item.draft.entity_id.as_str());
        let open = &mut self.open[partition.index()];
        let bytes = weight(&item.draft);
        // A repeated id may not stand twice in one request; in the next one it is a duplicate, or a conflict.
        let full = open.items.len() == self.size.events
            || (open.bytes + bytes > self.size.bytes && !open.items.is_empty())
            || open.ids.contains(&item.draft.event_id);
        let cut = full.then(|| std::mem::take(open));
        open.ids.insert(item.draft.event_id);
        open.bytes += bytes;
        open.items.push(item);
        cut.map(|cut| Batch { partition, items: cut.items })
    }

    /// What is left, in the order of partitions.
    pub(crate) fn finish(self) -> impl Iterator<Item = Batch> {
        let batches =
            PartitionId::all().zip(self.open).map(|(partition, open)| Batch { partition, items: open.items });
        batches.filter(|batch| !batch.items.is_empty())
    }
}

/// The bytes that an event adds to a request, as the limit counts them.
fn weight(draft: &Draft) -> usize {
    let tags: usize = draft.tags.iter().map(|tag| tag.as_str().len()).sum();
    draft.entity_id.as_str().len()
        + draft.event_type.as_str().len()
        + draft.payload.len()
        + draft.metadata.len()
        + tags
}

#[cfg(test)]
mod tests {
    use chronos_domain::{EntityId, EventType};

    use super::*;

    fn item(entity: &str, id: u128, payload: usize) -> Item {
        let entity_id = EntityId::parse(entity).unwrap();
        let event_type = EventType::parse("t").unwrap();
        let draft = Draft::json(EventId::from_u128(id), entity_id, event_type, vec![b'1'; payload]);
        Item { draft, line: id as u64 }
    }

    fn cut(items: impl IntoIterator<Item = Item>, size: Size) -> Vec<(u8, Vec<u64>)> {
        let mut cutter = Cutter::new(TenantId::default_tenant(), size);
        let mut batches: Vec<Batch> = items.into_iter().filter_map(|item| cutter.push(item)).collect();
        batches.extend(cutter.finish());
        let lines = |batch: &Batch| batch.items.iter().map(|item| item.line).collect();
        batches.iter().map(|batch| (batch.partition.get(), lines(batch))).collect()
    }

    const SMALL: Size = Size { events: 3, bytes: 100 };

    #[test]
    fn a_partitions_cuts_do_not_depend_on_the_others() {
        let of_a = |batches: Vec<(u8, Vec<u64>)>| -> Vec<Vec<u64>> {
            let wanted = place("default", "a").get();
            batches
                .into_iter()
                .filter(|(partition, _)| *partition == wanted)
                .map(|(_, lines)| lines)
                .collect()
        };
        let alone = cut((1..=8).map(|i| item("a", i, 1)), SMALL);
        let elsewhere =
            ["b", "c", "d", "e"].into_iter().find(|e| place("default", e) != place("default", "a")).unwrap();
        let mixed = cut((1..=8).flat_map(|i| [item("a", i, 1), item(elsewhere, 100 + i, 40)]), SMALL);
        assert_eq!(of_a(alone), [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8]]);
        assert_eq!(of_a(mixed), [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8]]);
    }

    #[test]
    fn bytes_cut_too_and_a_large_event_stands_alone() {
        let batches = cut([item("a", 1, 60), item("a", 2, 60), item("a", 3, 500), item("a", 4, 1)], SMALL);
        let lines: Vec<_> = batches.into_iter().map(|(_, lines)| lines).collect();
        assert_eq!(lines, [vec![1], vec![2], vec![3], vec![4]]);
    }

    #[test]
    fn a_repeated_id_opens_the_next_batch() {
        let batches = cut([item("a", 1, 1), item("a", 2, 1), item("a", 1, 1)], SMALL);
        let lines: Vec<_> = batches.into_iter().map(|(_, lines)| lines).collect();
        assert_eq!(lines, [vec![1, 2], vec![1]]);
    }
}
