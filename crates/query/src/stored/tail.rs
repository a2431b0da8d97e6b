//! What is not in parts yet, or was not when the question began.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use chronos_block::{Filter, Range, Recorded};
use chronos_domain::{Position, Timestamp};

use super::{Moments, View, numbers};
use crate::error::Unreadable;
use crate::limits::BATCH_ROWS;
use crate::source::{Batches, Piece, Wish};
use crate::stats::Counters;
use crate::wanted::{Extent, Wanted};

/// A stretch of positions, read page by page.
#[derive(Clone)]
pub(super) struct Tail {
    view: View,
    positions: RangeInclusive<Position>,
    /// When the last event before it was recorded.
    before: Timestamp,
    moments: Moments,
    wish: Arc<Wish>,
}

impl Tail {
    pub(super) fn new(
        view: View,
        positions: RangeInclusive<Position>,
        (before, moments): (Timestamp, Moments),
        wish: Arc<Wish>,
    ) -> Tail {
        Tail { view, positions, before, moments, wish }
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("positions", &self.positions).finish_non_exhaustive()
    }
}

impl Piece for Tail {
    fn is_file(&self) -> bool {
        false
    }

    fn extent(&self) -> Extent {
        let positions = numbers(&self.positions);
        Extent { partitions: self.view.number(), positions, recorded: self.before.get()..=i64::MAX }
    }

    fn open(&self, counters: &Arc<Counters>) -> Result<Batches, Unreadable> {
        let wanted = &self.wish.wanted;
        if wanted.types.as_ref().is_some_and(|types| types.is_empty()) {
            // To a filter, no types would mean all of them.
            return Ok(Box::new(std::iter::empty()));
        }
        let from = Some(self.positions.start().get());
        Ok(Box::new(Pages {
            tail: self.clone(),
            filter: filter(&self.wish.wanted, self.moments),
            from,
            counters: counters.clone(),
        }))
    }
}

/// The pages of a tail, each as a batch.
struct Pages {
    tail: Tail,
    filter: Filter,
    /// Where to go on; `None` at the end.
    from: Option<u64>,
    counters: Arc<Counters>,
}

impl Iterator for Pages {
    type Item = Result<RecordBatch, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.from.take()?;
        let view = &self.tail.view;
        let partition = &view.partition;
        let bound = *self.tail.positions.end();
        let range = Range { bound, events_max: BATCH_ROWS, ..Range::forward().starting(from) };
        let page = partition.scan(view.space(), range, &self.filter);
        let page = view.kept(page.map_err(|fault| Unreadable::new(partition.id(), fault)));
        Some(page.map(|page| {
            self.from = page.next;
            self.counters.tail_rows_read.add(page.events.len());
            batch(&page.events, &self.tail.wish)
        }))
    }
}

/// What a partition can leave out by itself.
pub(crate) fn filter(wanted: &Wanted, (from, until): Moments) -> Filter {
    let only = |names: &BTreeSet<String>| match names.len() {
        1 => names.first().cloned(),
        _ => None,
    };
    Filter {
        types: wanted.types.iter().flatten().cloned().collect(),
        entity_prefix: wanted.entities.as_ref().and_then(only),
        recorded_from: from,
        recorded_until: until,
        ..Filter::default()
    }
}

/// Events as stored rows with the wished columns.
pub(crate) fn batch(events: &[Recorded], wish: &Wish) -> RecordBatch {
    let whole = chronos_parts::to_batch(events);
    let schema = whole.schema();
    let index = |name: &&str| schema.index_of(name).expect("stored rows have every stored column");
    let columns: Vec<usize> = wish.columns.iter().map(index).collect();
    whole.project(&columns).expect("its own columns")
}
