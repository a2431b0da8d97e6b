//! Some events, spread over the whole history, for a first look at it.
//!
//! The history is cut into as many stretches as events are wanted, and of each the first event that matches from a
//! random place on is taken; when that gives too few, because the type is rare, the partitions are asked from their
//! beginning. Each question is one page, so the work is bounded whatever the size of the history.

use std::collections::BTreeMap;

use chronos_block::{Direction, Filter, Page, Range, Recorded};
use chronos_domain::limits::{PAGE_BYTES_MAX, SAMPLE_EVENTS_MAX};
use chronos_domain::{EventType, ForkId, PartitionId, Position, Rejection};
use futures::future::try_join_all;

use crate::App;
use crate::authority::{Action, Principal, authorize};
use crate::error::Error;
use crate::port::Node;
use crate::read::page_range;

/// Which sample.
#[derive(Clone, Debug)]
pub struct SampleRequest {
    /// How many events: 1 to [`SAMPLE_EVENTS_MAX`].
    pub events: usize,
    /// Only of these types; of any when empty.
    pub types: Vec<String>,
    /// The same seed over the same history gives the same sample.
    pub seed: u64,
}

/// A sample of the history.
#[derive(Clone, Debug)]
pub struct Sample {
    /// By (`recorded_at`, partition, position). Fewer than asked for when there are no more, or when they are large.
    pub events: Vec<Recorded>,
    /// How many events the history has.
    pub total: u64,
}

impl<N: Node> App<N> {
    /// Some events of the present history.
    ///
    /// # Errors
    /// `INVALID` when the request makes no sense; the first refusal when a partition is not served here.
    pub async fn sample(&self, principal: &Principal, request: &SampleRequest) -> Result<Sample, Error> {
        authorize(principal, Action::Read)?;
        check(request)?;
        let line = Line::of(self.node()).await?;
        let filter = Filter { types: request.types.clone(), ..Filter::default() };
        let mut basket = Basket { events: BTreeMap::new(), bytes: 0, wanted: request.events };
        for (partition, from) in line.places(request.events, request.seed) {
            if basket.is_full() {
                break;
            }
            let range = Range { events_max: 1, ..page_range(from, line.head(partition), Direction::Forward) };
            basket.take(self.look(principal, partition, range, &filter).await?);
        }
        for (partition, head) in line.heads() {
            if basket.is_full() {
                break;
            }
            let range = Range { events_max: request.events, ..page_range(1, head, Direction::Forward) };
            basket.take(self.look(principal, partition, range, &filter).await?);
        }
        Ok(Sample { events: basket.sorted(), total: line.total })
    }

    async fn look(
        &self,
        principal: &Principal,
        partition: PartitionId,
        range: Range,
        filter: &Filter,
    ) -> Result<Page, Error> {
        self.node().scan(partition, (principal.tenant(), ForkId::MAIN), range, filter).await
    }
}

fn check(request: &SampleRequest) -> Result<(), Error> {
    if request.events == 0 || request.events > SAMPLE_EVENTS_MAX {
        let text = format!("a sample has 1 to {SAMPLE_EVENTS_MAX} events, not {}", request.events);
        return Err(Error::invalid(text).with("field", "events"));
    }
    for name in &request.types {
        EventType::parse(name).map_err(Rejection::from)?;
    }
    Ok(())
}

/// All partitions laid end to end.
struct Line {
    heads: BTreeMap<PartitionId, Position>,
    total: u64,
}

impl Line {
    async fn of<N: Node>(node: &N) -> Result<Self, Error> {
        let heads =
            PartitionId::all().map(|id| async move { Ok::<_, Error>((id, node.marks(id).await?.applied)) });
        let heads: BTreeMap<_, _> = try_join_all(heads).await?.into_iter().collect();
        let total = heads.values().map(|head| head.get()).sum();
        Ok(Self { heads, total })
    }

    fn head(&self, partition: PartitionId) -> Position {
        self.heads.get(&partition).copied().unwrap_or_default()
    }

    fn heads(&self) -> impl Iterator<Item = (PartitionId, Position)> {
        self.heads.iter().filter(|(_, head)| !head.is_zero()).map(|(id, head)| (*id, *head))
    }

    /// One random place in each of `count` stretches of equal length.
    fn places(&self, count: usize, seed: u64) -> impl Iterator<Item = (PartitionId, u64)> {
        let count = (count as u64).min(self.total);
        (0..count).filter_map(move |i| {
            let at = |i: u64| u128::from(i) * u128::from(self.total) / u128::from(count);
            let (begin, end) = (at(i), at(i + 1));
            let inside = u128::from(scattered(seed, i)) % (end - begin);
            self.place(u64::try_from(begin + inside).ok()?)
        })
    }

    /// The place that lies so far from the beginning of the line.
    fn place(&self, mut offset: u64) -> Option<(PartitionId, u64)> {
        for (partition, head) in &self.heads {
            match offset.checked_sub(head.get()) {
                Some(beyond) => offset = beyond,
                None => return Some((*partition, offset + 1)),
            }
        }
        None
    }
}

/// The `i`th of a sequence of numbers that look random: the finalizer of SplitMix64 over a counter.
const fn scattered(seed: u64, i: u64) -> u64 {
    let mut z = seed.wrapping_add(i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What has been taken so far, each event once.
struct Basket {
    events: BTreeMap<(PartitionId, Position), Recorded>,
    bytes: usize,
    wanted: usize,
}

impl Basket {
    fn is_full(&self) -> bool {
        self.events.len() >= self.wanted || self.bytes >= PAGE_BYTES_MAX / 2
    }

    fn take(&mut self, page: Page) {
        for event in page.events {
            if self.is_full() {
                return;
            }
            let view = event.event();
            let bytes = view.payload.len() + view.metadata.len();
            if self.events.insert((event.partition, event.position), event).is_none() {
                self.bytes += bytes;
            }
        }
    }

    fn sorted(self) -> Vec<Recorded> {
        let mut events: Vec<_> = self.events.into_values().collect();
        events.sort_by_key(|event| (event.recorded_at, event.partition, event.position));
        events
    }
}
