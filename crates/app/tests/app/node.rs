//! A node that keeps its events in a vector and counts what is read of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chronos_app::{Error, Node};
use chronos_block::{Block, Compression, Draft, Filter, Packer, Page, Range, Recorded};
use chronos_domain::{
    ContentType, EntityId, EventId, EventType, ForkId, Marks, PartitionId, Position, TenantId, Timestamp,
    Verdict, Version, place,
};
use futures::FutureExt as _;

/// The outcome of what waits for nobody, since this node answers at once.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

#[derive(Clone, Default)]
pub(crate) struct Plain {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    events: Vec<Recorded>,
    truncated: Vec<(EntityId, Version)>,
    /// Events handed out by reads of entities.
    read: usize,
    /// Truncate so, once this many more pages of an entity have been read.
    later: Option<(usize, EntityId, Version)>,
    /// Pages of partitions handed out.
    scans: usize,
    /// Partitions whose compaction was waited for.
    compacted: usize,
}

impl Plain {
    /// Stores one event, a second after the one before.
    pub(crate) fn store(&self, entity: &EntityId, payload: &str, content_type: ContentType) {
        self.store_as("t", entity, payload, content_type);
    }

    /// The same, of a type of its own.
    pub(crate) fn store_as(
        &self,
        event_type: &str,
        entity: &EntityId,
        payload: &str,
        content_type: ContentType,
    ) {
        let mut inner = self.inner.lock().unwrap();
        let id = EventId::from_u128(inner.events.len() as u128 + 1);
        let mut draft =
            Draft::json(id, entity.clone(), EventType::parse(event_type).unwrap(), payload.to_owned());
        draft.content_type = content_type;
        let mut packer = Packer::new();
        packer.push(draft).unwrap();
        let block = packer.finish(Compression::None).unwrap();
        let tenant = TenantId::default_tenant();
        let partition = block.placement(tenant.as_str()).unwrap();
        let before = inner.events.iter().rev().find(|event| event.partition == partition);
        let position = before.map_or(Position::ZERO, |event| event.position).next();
        let version =
            inner.of(entity.as_str()).next_back().map_or(Version::ZERO, |event| event.version).next();
        let recorded_at = Timestamp::new(inner.events.len() as i64 * 1_000_000);
        let fork = ForkId::MAIN;
        let event = Recorded {
            block,
            slot: 0,
            tenant,
            fork,
            partition,
            position,
            version,
            recorded_at,
            erased: false,
        };
        inner.events.push(event);
    }

    pub(crate) fn truncate(&self, entity: &EntityId, before: Version) {
        self.inner.lock().unwrap().truncate(entity, before);
    }

    /// Truncates once `pages` more pages have been read.
    pub(crate) fn truncate_after(&self, pages: usize, entity: &EntityId, before: Version) {
        self.inner.lock().unwrap().later = Some((pages, entity.clone(), before));
    }

    pub(crate) fn head(&self, partition: PartitionId) -> Position {
        let inner = self.inner.lock().unwrap();
        Position::new(inner.events.iter().filter(|event| event.partition == partition).count() as u64)
    }

    /// Where the event of that id is.
    pub(crate) fn find(&self, partition: PartitionId, id: EventId) -> Option<Position> {
        let inner = self.inner.lock().unwrap();
        let found = inner.events.iter().find(|e| e.partition == partition && e.event().event_id == id)?;
        Some(found.position)
    }

    pub(crate) fn note_compacted(&self) {
        self.inner.lock().unwrap().compacted += 1;
    }

    /// How many partitions have been waited for since the last call.
    pub(crate) fn take_compacted(&self) -> usize {
        std::mem::take(&mut self.inner.lock().unwrap().compacted)
    }

    /// The payloads that are left of an entity, with their versions.
    pub(crate) fn left(&self, entity: &EntityId) -> Vec<(Version, Vec<u8>)> {
        let inner = self.inner.lock().unwrap();
        let mark = inner.mark(entity.as_str());
        let left = inner.of(entity.as_str()).filter(|event| event.version >= mark);
        left.map(|event| (event.version, event.payload().to_vec())).collect()
    }

    /// How many pages of partitions have been read since the last call.
    pub(crate) fn take_scans(&self) -> usize {
        std::mem::take(&mut self.inner.lock().unwrap().scans)
    }

    /// How many events of entities have been read since the last call.
    pub(crate) fn take_read(&self) -> usize {
        std::mem::take(&mut self.inner.lock().unwrap().read)
    }
}

impl Inner {
    fn of(&self, entity: &str) -> impl DoubleEndedIterator<Item = &Recorded> {
        self.events.iter().filter(move |event| event.event().entity_id == entity)
    }

    fn mark(&self, entity: &str) -> Version {
        let marks = self.truncated.iter().filter(|(of, _)| of.as_str() == entity);
        marks.map(|(_, before)| *before).max().unwrap_or_default()
    }

    fn truncate(&mut self, entity: &EntityId, before: Version) {
        self.truncated.push((entity.clone(), before));
    }

    fn page(&mut self, entity: &str, range: Range) -> Page {
        let mark = self.mark(entity);
        let all = self.of(entity).filter(|e| e.version >= mark && e.version.get() >= range.from);
        let mut events: Vec<_> = all.filter(|e| e.position <= range.bound).cloned().collect();
        let rest = events.split_off(events.len().min(range.events_max()));
        self.read += events.len();
        if let Some((pages, entity, before)) = self.later.take() {
            match pages.checked_sub(1) {
                Some(pages) => self.later = Some((pages, entity, before)),
                None => self.truncate(&entity, before),
            }
        }
        Page {
            next: rest.first().map(|event| event.version.get()),
            examined: range.bound,
            applied: range.bound,
            events,
            truncated_before: mark,
        }
    }
}

impl Node for Plain {
    fn now(&self) -> Timestamp {
        Timestamp::MAX
    }

    async fn propose(&self, _: PartitionId, _: &TenantId, _: Block, _: Duration) -> Result<Verdict, Error> {
        unreachable!("events are stored directly")
    }

    async fn marks(&self, partition: PartitionId) -> Result<Marks, Error> {
        let head = self.head(partition);
        Ok(Marks { appended: head, flushed: head, committed: head, applied: head, ..Marks::default() })
    }

    async fn linearize(&self, _: PartitionId, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn settle(&self, _: PartitionId, _: Timestamp, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn wait_applied(&self, _: PartitionId, _: Position, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn bound_at(&self, partition: PartitionId, t: Timestamp) -> Result<Position, Error> {
        let inner = self.inner.lock().unwrap();
        let past = inner.events.iter().filter(|e| e.partition == partition && e.recorded_at <= t);
        Ok(past.map(|event| event.position).max().unwrap_or_default())
    }

    async fn version(
        &self,
        partition: PartitionId,
        _: (&TenantId, ForkId),
        entity: &str,
        bound: Position,
    ) -> Result<Version, Error> {
        assert_eq!(partition, place("default", entity));
        let inner = self.inner.lock().unwrap();
        let past = inner.of(entity).filter(|event| event.position <= bound);
        Ok(past.map(|event| event.version).max().unwrap_or_default())
    }

    async fn entity(
        &self,
        _: PartitionId,
        _: (&TenantId, ForkId),
        entity: &str,
        range: Range,
    ) -> Result<Page, Error> {
        Ok(self.inner.lock().unwrap().page(entity, range))
    }

    async fn scan(
        &self,
        partition: PartitionId,
        _: (&TenantId, ForkId),
        range: Range,
        filter: &Filter,
    ) -> Result<Page, Error> {
        let mut inner = self.inner.lock().unwrap();
        inner.scans += 1;
        let all = inner.events.iter().filter(|e| e.partition == partition && e.position <= range.bound);
        let wanted = all.filter(|e| e.position.get() >= range.from && filter.matches(e));
        let events = wanted.take(range.events_max()).cloned().collect();
        let examined = range.bound;
        Ok(Page { events, next: None, examined, applied: examined, truncated_before: Version::ZERO })
    }

    async fn event(
        &self,
        _: PartitionId,
        _: (&TenantId, ForkId),
        _: EventId,
    ) -> Result<Option<Recorded>, Error> {
        unreachable!("no event is looked up")
    }
}
