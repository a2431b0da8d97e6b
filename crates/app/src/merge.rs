//! All partitions as one stream, ordered by (`recorded_at`, partition, position).
//!
//! Within a partition that order is position order, because `recorded_at` never decreases there; so a k-way
//! merge of the partitions' own streams gives it with one page of each in memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use chronos_block::{Direction, Recorded};
use chronos_domain::{PartitionId, Position, Timestamp, Token};
use futures::future::try_join_all;

use crate::App;
use crate::authority::{Action, Principal, authorize};
use crate::error::Error;
use crate::port::Node;
use crate::read::{AllRequest, Reader, page_range};

/// Events and bytes of one page of one partition: 32 of them are in memory at once.
const PAGE_EVENTS: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

type Place = (Timestamp, PartitionId, Position);

/// An opened read of all partitions.
pub struct AllReader<N> {
    sources: Vec<Source<N>>,
    /// The next event of each source that has one, smallest key first.
    ready: BinaryHeap<Reverse<(Key, usize)>>,
    direction: Direction,
    bounds: Token,
    seen: BTreeMap<PartitionId, Position>,
    left: u64,
}

/// Orders places in the direction of the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Forward(Place),
    Backward(Reverse<Place>),
}

struct Source<N> {
    reader: Reader<N>,
    page: VecDeque<Recorded>,
}

impl<N: Node> AllReader<N> {
    /// The next at most `max` events in order; empty at the end.
    ///
    /// # Errors
    /// When one partition cannot be read: the merge ends there, because it could not say what comes next.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Recorded>, Error> {
        let mut events = Vec::new();
        while events.len() < max && self.left > 0 {
            let Some(Reverse((_, source))) = self.ready.pop() else { break };
            let page = &mut self.sources[source].page;
            let event = page.pop_front().expect("a ready source has an event");
            self.seen.insert(event.partition, event.position);
            self.left -= 1;
            events.push(event);
            self.refill(source).await?;
        }
        Ok(events)
    }

    /// Makes the source's next event ready, if it has one.
    async fn refill(&mut self, at: usize) -> Result<(), Error> {
        let source = &mut self.sources[at];
        if source.page.is_empty() {
            source.page = source.reader.next().await?.unwrap_or_default().into();
        }
        if let Some(event) = source.page.front() {
            let place = (event.recorded_at, event.partition, event.position);
            let key = match self.direction {
                Direction::Forward => Key::Forward(place),
                Direction::Backward => Key::Backward(Reverse(place)),
            };
            self.ready.push(Reverse((key, at)));
        }
        Ok(())
    }

    /// Where to go on: the last position returned of every partition that returned one.
    #[must_use]
    pub fn cursor(&self) -> Token {
        self.seen.iter().map(|(partition, position)| (*partition, *position)).collect()
    }

    /// The past that is read.
    #[must_use]
    pub const fn bounds(&self) -> &Token {
        &self.bounds
    }
}

impl<N: Node> App<N> {
    /// Opens a read of all partitions.
    ///
    /// # Errors
    /// When any partition is not served here: an incomplete answer would look like a complete one.
    pub async fn read_all(&self, principal: &Principal, request: AllRequest) -> Result<AllReader<N>, Error> {
        authorize(principal, Action::Read)?;
        let view = request.view;
        // Side by side: each may have to ask another node.
        let fresh = PartitionId::all().map(|partition| {
            let view = &view;
            async move {
                self.catch_up(partition, &view.consistency, view.deadline).await?;
                Ok::<_, Error>((partition, self.bound(partition, view.as_of.as_ref(), view.deadline).await?))
            }
        });
        let bounds: Token = try_join_all(fresh).await?.into_iter().collect();
        let mut sources = Vec::new();
        for partition in PartitionId::all() {
            let bound = bounds.get(partition);
            let seen =
                request.from.as_ref().map(|from| from.get(partition)).filter(|seen| *seen > Position::ZERO);
            let from = first(seen, bound, view.direction);
            let mut range = page_range(from, bound, view.direction);
            range.events_max = PAGE_EVENTS;
            range.bytes_max = PAGE_BYTES;
            let reader = self.partition_reader(principal, partition, range, (view.filter.clone(), None));
            sources.push(Source { reader, page: VecDeque::new() });
        }
        let mut merge = AllReader {
            sources,
            ready: BinaryHeap::new(),
            direction: view.direction,
            bounds,
            seen: request.from.iter().flat_map(Token::iter).collect(),
            left: view.limit.unwrap_or(u64::MAX),
        };
        // Who wants no event wants to know how far each partition reaches.
        let wanted = if merge.left == 0 { 0 } else { merge.sources.len() };
        for source in 0..wanted {
            merge.refill(source).await?;
        }
        Ok(merge)
    }
}

/// The first position to read of a partition of which `seen` was the last one returned.
fn first(seen: Option<Position>, bound: Position, direction: Direction) -> u64 {
    match (direction, seen) {
        (Direction::Forward, seen) => seen.map_or(0, Position::get).saturating_add(1),
        (Direction::Backward, None) => bound.get(),
        (Direction::Backward, Some(seen)) => seen.get().saturating_sub(1).min(bound.get()),
    }
}
