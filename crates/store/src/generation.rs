//! The events between two cuts, as apply looks them up and as apply adds to them.
//!
//! A generation knows nothing of older events but how many each of its own entities had: versions and positions go on
//! where the generation before ended. It grows while it is the active one; sealed by a cut, it never changes again, and
//! is dropped as a whole once its events are in a part.

use chronos_domain::{
    Batch, ContentHash, EventId, Position, QueryItem, Receipt, Space, Timestamp, Version, invariants,
};

use crate::blocks::BlockNo;
use crate::chunks::{Chunk, Chunks, Origin, Place};
use crate::entry::AppendCommand;
use crate::names::{NameNo, Names};
use crate::pages::Pages;
use crate::postings::Postings;
use crate::spaces::{SpaceTable, Spaces};

/// What every stored event is known by, without its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) id: EventId,
    pub(crate) content: ContentHash,
    pub(crate) version: Version,
    /// Its entity within its space.
    entity: NameNo,
}

/// One entity of a generation.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Its version before the generation's first event of it.
    before: Version,
    /// Where its events are: the first has version `before` + 1.
    places: Vec<Place>,
}

impl Head {
    /// The entity's version before this generation.
    pub(crate) const fn before(&self) -> Version {
        self.before
    }

    /// The entity's version after this generation.
    pub(crate) fn version(&self) -> Version {
        self.before.plus(self.places.len() as u64)
    }

    /// Where the event of this version is, which must be one of the generation's.
    pub(crate) fn place(&self, version: Version) -> Place {
        let at = version.get() - self.before.get() - 1;
        self.places[usize::try_from(at).expect("a version counts places in memory")]
    }

    /// The entity's version as of a position; `None` when none of the generation's events lies at it or before.
    pub(crate) fn version_within(&self, chunks: &Chunks, bound: Position) -> Option<Version> {
        let beyond = |place: &Place| chunks.position(*place) > bound;
        let within = match self.places.last() {
            Some(last) if beyond(last) => self.places.partition_point(|place| !beyond(place)),
            _ => self.places.len(),
        };
        (within > 0).then(|| self.before.plus(within as u64))
    }
}

/// The events between two cuts.
#[derive(Debug)]
pub(crate) struct Generation {
    /// The last position of the generation before.
    base: Position,
    /// The number of its first block.
    first_block: BlockNo,
    /// The row of position `base + n` is item `n - 1`.
    ledger: Pages<Row>,
    pub(crate) spaces: Spaces,
    pub(crate) chunks: Chunks,
    raw_bytes: u64,
}

impl Generation {
    pub(crate) const fn new(base: Position, first_block: BlockNo) -> Generation {
        Generation {
            base,
            first_block,
            ledger: Pages::new(),
            spaces: Spaces::new(),
            chunks: Chunks::new(base),
            raw_bytes: 0,
        }
    }

    /// The last position before it.
    pub(crate) const fn base(&self) -> Position {
        self.base
    }

    /// Its last position; `base` when it has no event.
    pub(crate) fn head(&self) -> Position {
        self.base.plus(self.ledger.len() as u64)
    }

    pub(crate) fn events(&self) -> u64 {
        self.ledger.len() as u64
    }

    /// What its events say, in bytes before any packing: equal on every machine, so that it may decide about cuts.
    pub(crate) const fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// The number of the block of a chunk.
    pub(crate) const fn block_no(&self, chunk: usize) -> BlockNo {
        self.first_block + chunk as u64
    }

    pub(crate) fn row(&self, position: Position) -> Option<&Row> {
        let at = position.get().checked_sub(self.base.get())?.checked_sub(1)?;
        self.ledger.get(usize::try_from(at).ok()?)
    }

    pub(crate) fn stored(&self, position: Position) -> &Row {
        self.row(position).expect("a table names only positions that have a row")
    }

    pub(crate) fn recorded_at(&self, position: Position) -> Option<Timestamp> {
        self.chunks.place(position).map(|place| self.chunks.get(place.chunk()).recorded_at)
    }

    pub(crate) fn head_of(&self, space: Space<'_>, entity: &str) -> Option<&Head> {
        self.spaces.get(space)?.heads.get(entity)
    }

    pub(crate) fn find(&self, space: Space<'_>, id: EventId) -> Option<Position> {
        self.spaces.get(space)?.ids.find(id, |position| self.stored(position).id)
    }

    /// The first event after `after` that matches the item and is not `erased`, which is asked only about events that
    /// match by a tag: those are what an erased event has lost.
    pub(crate) fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
        erased: impl Fn(&str, Version) -> bool,
    ) -> Option<Position> {
        let table = self.spaces.get(space)?;
        if item.types.is_empty() && item.tags.is_empty() {
            return self.first_after(table, after);
        }
        let mut after = after;
        loop {
            let position = table.marked.first_match(item, after)?;
            let row = self.stored(position);
            if item.tags.is_empty() || !erased(table.heads.name(row.entity), row.version) {
                return Some(position);
            }
            after = position;
        }
    }

    /// The first position of a space after `after`.
    fn first_after(&self, space: &SpaceTable, after: Position) -> Option<Position> {
        let next = after.checked_add(1)?;
        let passed = space.chunks.partition_point(|chunk| self.chunks.get(*chunk).last() < next);
        space.chunks.get(passed).map(|chunk| self.chunks.get(*chunk).first.max(next))
    }

    /// Makes the events of an accepted command visible. Returns how many entities it has begun.
    pub(crate) fn insert(&mut self, origin: Origin, command: &AppendCommand, receipt: &Receipt) -> u64 {
        let block = &command.block;
        if block.events() == 0 {
            return 0;
        }
        let number = self.spaces.intern(&command.tenant, command.fork);
        let chunk = self.chunks.push(Chunk {
            first: receipt.first,
            events: u16::try_from(block.events()).expect("a block holds at most 4096 events"),
            space: number,
            recorded_at: receipt.recorded_at,
            origin,
        });
        let space = self.spaces.table_mut(number);
        space.chunks.push(chunk);
        let heads = Heads::of(space, command, receipt);
        let mut types = Recent::default();
        let mut tags = Recent::default();
        for i in 0..block.events() {
            let position = receipt.position(i);
            let slot = u16::try_from(i).expect("a block holds at most 4096 events");
            let (entity, version) = heads.push(space, block.event_entity(i), Place::new(chunk, slot));
            let row = Row { id: block.event_id(i), content: block.content(i), version, entity };
            let at = self.ledger.push(row) as u64;
            assert!(
                self.base.plus(at + 1) == position,
                "I-01: position {position} is written as row {at} after position {}",
                self.base
            );
            space.ids.insert(row.id, position);
            let event = block.event(i);
            self.raw_bytes += raw_bytes(&event);
            types.push(&mut space.marked.types, event.event_type, position);
            for tag in event.tags {
                tags.push(&mut space.marked.tags, tag, position);
            }
        }
        receipt.first_versions.iter().filter(|first| first.get() == 1).count() as u64
    }
}

/// What an event says and is numbered by, in bytes before any packing.
fn raw_bytes(event: &chronos_block::EventRef<'_>) -> u64 {
    /// Ids, numbers and moments.
    const FIXED_BYTES: usize = 64;
    let texts = event.entity_id.len() + event.event_type.len() + event.content_type.len();
    let tags: usize = event.tags.clone().map(str::len).sum();
    (FIXED_BYTES + texts + tags + event.payload.len() + event.metadata.len()) as u64
}

/// The entities of one block, each looked up once.
struct Heads(Vec<Option<NameNo>>);

impl Heads {
    /// Finds or makes the entities that get events, and checks that their versions go on where they stand.
    fn of(space: &mut SpaceTable, command: &AppendCommand, receipt: &Receipt) -> Heads {
        let block = &command.block;
        let find = |(e, first): (usize, &Version)| {
            let before = first.previous()?; // zero: only checked
            let id = block.entity(e);
            let number = space.heads.intern(id);
            let head = space.heads.value_mut(number);
            if head.places.is_empty() {
                head.before = before;
            }
            let last = head.version();
            let follows = invariants::gapless_versions(last, *first);
            assert!(follows, "I-02: entity {id} goes on with version {first} after {last}");
            Some(number)
        };
        Heads(receipt.first_versions.iter().enumerate().map(find).collect())
    }

    fn push(&self, space: &mut SpaceTable, entity: usize, place: Place) -> (NameNo, Version) {
        let number = self.0[entity].expect("an entity with an event has a first version");
        let head = space.heads.value_mut(number);
        head.places.push(place);
        (number, head.version())
    }
}

/// The name seen last. Blocks keep each name once, so the same text is most often the same bytes in memory, and
/// neighbours most often carry the same name.
#[derive(Default)]
struct Recent<'a>(Option<(&'a str, NameNo)>);

impl<'a> Recent<'a> {
    fn push(&mut self, names: &mut Names<Postings>, name: &'a str, position: Position) {
        let number = match self.0 {
            Some((last, number)) if std::ptr::eq(last, name) => number,
            _ => names.intern(name),
        };
        self.0 = Some((name, number));
        names.value_mut(number).push(position);
    }
}
