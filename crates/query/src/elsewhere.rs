//! A partition of which this node has nothing, read page by page on one that has it.

use std::fmt::Debug;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use chronos_block::{Filter, Page, Range, Recorded};
use chronos_domain::{EventId, PartitionId, Position};
use chronos_store::Fault;

use crate::error::Unreadable;
use crate::limits::BATCH_ROWS;
use crate::source::{Batches, Piece, Source, Wish};
use crate::stats::Counters;
use crate::stored::{batch, filter, moments, numbers, positions};
use crate::wanted::Extent;

/// One tenant's events in a partition that another node holds. Its methods block the thread, and give up by themselves when
/// nobody answers.
pub trait Elsewhere: Debug + Send + Sync {
    /// Which partition.
    fn partition(&self) -> PartitionId;

    /// One page of its events by position.
    ///
    /// # Errors
    /// Why it cannot be had, for people.
    fn page(&self, range: Range, filter: &Filter) -> Result<Page, String>;

    /// The event of that id.
    ///
    /// # Errors
    /// Why it cannot be had, for people.
    fn event(&self, id: EventId) -> Result<Option<Recorded>, String>;
}

/// Such a partition up to a bound, as a source.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    of: Arc<dyn Elsewhere>,
    bound: Position,
}

impl Remote {
    pub(crate) const fn new(of: Arc<dyn Elsewhere>, bound: Position) -> Remote {
        Remote { of, bound }
    }

    fn unreadable(&self, why: String) -> Unreadable {
        let partition = self.of.partition();
        Unreadable::new(partition, Fault::Io { partition, source: Arc::new(io::Error::other(why)) })
    }
}

impl Source for Remote {
    fn partition(&self) -> PartitionId {
        self.of.partition()
    }

    fn files(&self) -> usize {
        0
    }

    fn pieces(&self, wish: &Arc<Wish>) -> Vec<Arc<dyn Piece>> {
        let positions = positions(&wish.wanted, self.bound);
        if positions.is_empty() {
            return Vec::new();
        }
        vec![Arc::new(Stretch { remote: self.clone(), positions, wish: wish.clone() })]
    }
}

/// All of it that is wished.
#[derive(Clone, Debug)]
struct Stretch {
    remote: Remote,
    positions: RangeInclusive<Position>,
    wish: Arc<Wish>,
}

impl Piece for Stretch {
    fn is_file(&self) -> bool {
        false
    }

    fn extent(&self) -> Extent {
        let number = i64::from(self.remote.of.partition().get());
        let positions = numbers(&self.positions);
        Extent { partitions: number..=number, positions, recorded: i64::MIN..=i64::MAX }
    }

    fn open(&self, counters: &Arc<Counters>) -> Result<Batches, Unreadable> {
        let (this, counters) = (self.clone(), counters.clone());
        if let Some(ids) = self.wish.wanted.ids() {
            return Ok(Box::new(ids.into_iter().filter_map(move |id| this.named(id, &counters).transpose())));
        }
        if self.wish.wanted.types.as_ref().is_some_and(|types| types.is_empty()) {
            // To a filter, no types would mean all of them.
            return Ok(Box::new(std::iter::empty()));
        }
        let mut from = Some(self.positions.start().get());
        Ok(Box::new(std::iter::from_fn(move || {
            let page = this.page(from.take()?, &counters);
            Some(page.map(|(rows, next)| {
                from = next;
                rows
            }))
        })))
    }
}

impl Stretch {
    /// The rows of one page, and where the next one begins.
    fn page(&self, from: u64, counters: &Counters) -> Result<(RecordBatch, Option<u64>), Unreadable> {
        let bound = *self.positions.end();
        let range = Range { bound, events_max: BATCH_ROWS, ..Range::forward().starting(from) };
        let filter = filter(&self.wish.wanted, moments(&self.wish.wanted));
        let page = self.remote.of.page(range, &filter).map_err(|why| self.remote.unreadable(why))?;
        counters.tail_rows_read.add(page.events.len());
        Ok((batch(&page.events, &self.wish), page.next))
    }

    fn named(&self, id: EventId, counters: &Counters) -> Result<Option<RecordBatch>, Unreadable> {
        let found = self.remote.of.event(id).map_err(|why| self.remote.unreadable(why))?;
        let Some(event) = found.filter(|event| event.position <= self.remote.bound) else { return Ok(None) };
        counters.id_rows_read.add(1);
        Ok(Some(batch(&[event], &self.wish)))
    }
}
