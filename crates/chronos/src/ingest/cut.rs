//! Cutting a stream of events into batches, one partition's apart from the others'.
//!
//! Where a cut falls depends on the events of that partition before it and on nothing else: not on time, not on
//! other partitions, not on threads. That is what lets a second run repeat the requests of the first.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use chronos_domain::{EventId, PartitionId, Rejection, TenantId, place};

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
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) partition: PartitionId,
    pub(crate) block: Block,
    /// Where each event came from.
    pub(crate) lines: Vec<u64>,
}

#[derive(Default)]
struct Open {
    packer: Packer,
    lines: Vec<u64>,
    ids: HashSet<EventId, BuildHasherDefault<IdHasher>>,
}

impl Open {
    fn close(self, partition: PartitionId) -> Batch {
        let block = self.packer.finish(Compression::None).expect("only batches with an event are closed");
        Batch { partition, block, lines: self.lines }
    }
}

/// The batches that are being filled. Events are packed at once: what waits is bytes, not objects.
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

    /// Closes the batch that the event does not fit into any more.
    pub(crate) fn make_room(&mut self, item: &Item) -> Option<Batch> {
        let partition = self.place(item);
        let open = &mut self.open[partition.index()];
        // A repeated id may not stand twice in one request; in the next one it is a duplicate, or a conflict.
        let full = open.lines.len() == self.size.events
            || (open.packer.bytes() + weight(&item.draft) > self.size.bytes && !open.lines.is_empty())
            || open.ids.contains(&item.draft.event_id);
        full.then(|| std::mem::take(open).close(partition))
    }

    /// Adds an event, for which there is room.
    ///
    /// # Errors
    /// The event breaks a rule by itself. It is left out.
    pub(crate) fn add(&mut self, item: Item) -> Result<(), Rejection> {
        let partition = self.place(&item);
        let open = &mut self.open[partition.index()];
        let event_id = item.draft.event_id;
        open.packer.push(item.draft)?;
        open.ids.insert(event_id);
        open.lines.push(item.line);
        Ok(())
    }

    fn place(&self, item: &Item) -> PartitionId {
        place(self.tenant.as_str(), item.draft.entity_id.as_str())
    }

    /// What is left, in the order of partitions.
    pub(crate) fn finish(self) -> impl Iterator<Item = Batch> {
        let open = PartitionId::all().zip(self.open).filter(|(_, open)| !open.lines.is_empty());
        open.map(|(partition, open)| open.close(partition))
    }
}

/// Event ids are spread well enough by whoever makes them: fold the halves and be done.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        // The multiplication carries every bit into the top ones, which the table looks at as well.
        self.0 = ((id >> 64) as u64 ^ id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
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
    use chronos_domain::{EntityId, EventType, Tag};

    use super::*;

    fn item(entity: &str, id: u128, payload: usize) -> Item {
        let entity_id = EntityId::parse(entity).unwrap();
        let event_type = EventType::parse("t").unwrap();
        let draft = Draft::json(EventId::from_u128(id), entity_id, event_type, vec![b'1'; payload]);
        Item { draft, line: id as u64 }
    }

    fn cut(items: impl IntoIterator<Item = Item>, size: Size) -> Vec<(u8, Vec<u64>)> {
        let mut cutter = Cutter::new(TenantId::default_tenant(), size);
        let mut batches = Vec::new();
        for item in items {
            batches.extend(cutter.make_room(&item));
            cutter.add(item).unwrap();
        }
        batches.extend(cutter.finish());
        batches.into_iter().map(|batch| (batch.partition.get(), batch.lines)).collect()
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
    #[test]
    fn an_event_that_breaks_a_rule_is_left_out_and_the_others_go_on() {
        let mut cutter = Cutter::new(TenantId::default_tenant(), SMALL);
        cutter.add(item("a", 1, 1)).unwrap();
        let mut wrong = item("a", 2, 1);
        wrong.draft.tags = vec![Tag::parse("x").unwrap(), Tag::parse("x").unwrap()];
        assert!(cutter.make_room(&wrong).is_none());
        assert_eq!(cutter.add(wrong).unwrap_err().reason(), "INVALID");
        cutter.add(item("a", 3, 1)).unwrap();
        let batches: Vec<Batch> = cutter.finish().collect();
        assert_eq!(batches[0].lines, [1, 3]);
        assert_eq!(batches[0].block.event(1).event_id, EventId::from_u128(3));
    }
}
