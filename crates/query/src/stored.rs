//! A real partition as a source: its parts, and what is not in parts yet.

mod file;
mod ids;
mod tail;

use std::ops::RangeInclusive;
use std::sync::Arc;

use chronos_domain::{ForkId, PartitionId, Position, Space, TenantId, Timestamp};
use chronos_store::{Fault, Partition, Shelf};

use crate::error::Unreadable;
use crate::source::{Piece, Source, Wish};
use crate::wanted::{Span, Wanted};

pub(crate) use tail::{batch, filter};

/// A partition that this node holds, and how much of it a question may see.
#[derive(Clone, Debug)]
pub struct Held {
    /// The partition.
    pub partition: Partition,
    /// Which life of it has everything up to the bound ([`Partition::life`]): of no other one anything is read.
    pub life: u64,
    /// The last position that the question may see.
    pub bound: Position,
}

/// A partition up to a bound, as one tenant sees it.
///
/// What is in parts is fixed when this is made: the shelf holds its files open, whatever is compacted meanwhile. What
/// comes after is asked of the partition by position, wherever it lies by then, and so are truncations. A replica that was
/// discarded meanwhile has neither the one nor the other: so whatever was read counts only if it is still the same.
#[derive(Clone)]
struct View {
    partition: Partition,
    life: u64,
    tenant: TenantId,
    bound: Position,
}

impl View {
    /// What was read, if the replica has not been discarded until then.
    fn kept<T>(&self, read: Result<T, Unreadable>) -> Result<T, Unreadable> {
        let id = self.partition.id();
        if self.partition.life() == self.life {
            return read;
        }
        let text = format!(
            "this node's replica of partition {id} was discarded while the question was answered, and begins anew; ask \
             again, or ask another node"
        );
        Err(Unreadable::new(id, Fault::Stopped(text)))
    }

    fn space(&self) -> Space<'_> {
        Space { tenant: self.tenant.as_str(), fork: ForkId::MAIN }
    }

    /// The number of its one partition.
    fn number(&self) -> RangeInclusive<i64> {
        let number = i64::from(self.partition.id().get());
        number..=number
    }
}

/// See [`View`].
pub(crate) struct Stored {
    view: View,
    shelf: Arc<Shelf>,
}

impl Stored {
    pub(crate) fn new(held: Held, tenant: TenantId) -> Stored {
        let Held { partition, life, bound } = held;
        // The shelf first: what is compacted after it was taken is still found beyond it.
        let shelf = partition.shelf();
        Stored { view: View { partition, life, tenant, bound }, shelf }
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored")
            .field("partition", &self.view.partition)
            .field("bound", &self.view.bound)
            .finish_non_exhaustive()
    }
}

impl Source for Stored {
    fn partition(&self) -> PartitionId {
        self.view.partition.id()
    }

    fn files(&self) -> usize {
        self.shelf.parts.len()
    }

    fn pieces(&self, wish: &Arc<Wish>) -> Vec<Arc<dyn Piece>> {
        let view = &self.view;
        if let Some(ids) = wish.wanted.ids() {
            return vec![Arc::new(ids::Named::new(view.clone(), ids, wish.clone()))];
        }
        let positions = positions(&wish.wanted, view.bound);
        let moments = moments(&wish.wanted);
        let parts = self.shelf.parts.iter().filter(|part| {
            let meta = part.meta();
            let recorded = meta.recorded.0.get()..=meta.recorded.1.get();
            meets(&positions, &(meta.first..=meta.last))
                && wish.wanted.recorded.is_none_or(|span| span.meets(&recorded))
        });
        let file = |part: &Arc<chronos_parts::Part>| -> Arc<dyn Piece> {
            Arc::new(file::File::new(part.clone(), view.clone(), positions.clone(), moments, wish.clone()))
        };
        let mut pieces: Vec<_> = parts.map(file).collect();
        let newest = self.shelf.manifest.recorded_at;
        let beyond = self.shelf.compacted().next()..=*positions.end();
        let tail = *beyond.start().max(positions.start())..=*beyond.end();
        if !tail.is_empty() {
            pieces.push(Arc::new(tail::Tail::new(view.clone(), tail, (newest, moments), wish.clone())));
        }
        pieces.reverse();
        pieces
    }
}

/// Positions as columns have them.
pub(crate) fn numbers(positions: &RangeInclusive<Position>) -> RangeInclusive<i64> {
    let number = |position: &Position| i64::try_from(position.get()).unwrap_or(i64::MAX);
    number(positions.start())..=number(positions.end())
}

/// The wanted positions that exist for this question.
pub(crate) fn positions(wanted: &Wanted, bound: Position) -> RangeInclusive<Position> {
    let position = |number: i64| Position::new(u64::try_from(number).unwrap_or(0));
    let span = wanted.positions.unwrap_or(Span { from: 1, to: i64::MAX });
    position(span.from.max(1))..=position(span.to).min(bound)
}

pub(crate) type Moments = (Option<Timestamp>, Option<Timestamp>);

/// The wanted moments of recording, both included.
pub(crate) fn moments(wanted: &Wanted) -> Moments {
    let Some(span) = wanted.recorded else { return (None, None) };
    let end = |number: i64, open: i64| (number != open).then(|| Timestamp::new(number));
    (end(span.from, i64::MIN), end(span.to, i64::MAX))
}

fn meets<T: Ord>(a: &RangeInclusive<T>, b: &RangeInclusive<T>) -> bool {
    a.start() <= b.end() && b.start() <= a.end()
}
