//! Everything a partition remembers of its events, as apply looks it up and as apply adds to it.

use std::convert::Infallible;

use chronos_domain::{
    Batch, ContentHash, EventId, Found, Index, Position, QueryItem, Receipt, Space, Timestamp, Version,
    invariants,
};

use crate::entry::Command;
use crate::names::{NameNo, Names};
use crate::pages::Pages;
use crate::postings::Postings;
use crate::spaces::{SpaceTable, Spaces};
use crate::tail::{Chunk, Origin, Place, Tail};

/// What every stored event is known by, without its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) id: EventId,
    pub(crate) content: ContentHash,
    pub(crate) version: Version,
}

/// The tables of one partition.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The row of position `n` is item `n - 1`.
    ledger: Pages<Row>,
    pub(crate) spaces: Spaces,
    pub(crate) tail: Tail,
}

impl Tables {
    pub(crate) const fn new(cache_bytes: usize) -> Tables {
        Tables { ledger: Pages::new(), spaces: Spaces::new(), tail: Tail::new(cache_bytes) }
    }

    pub(crate) fn row(&self, position: Position) -> Option<&Row> {
        self.ledger.get(usize::try_from(position.previous()?.get()).ok()?)
    }

    fn stored(&self, position: Position) -> &Row {
        self.row(position).expect("a table names only positions that have a row")
    }

    pub(crate) fn find(&self, space: &SpaceTable, id: EventId) -> Option<Position> {
        space.ids.find(id, |position| self.stored(position).id)
    }

    /// Looks up events of one space.
    pub(crate) fn lookup<'a>(&'a self, space: Space<'a>) -> Lookup<'a> {
        Lookup { tables: self, of: space, space: self.spaces.get(space) }
    }

    /// Makes the events of an accepted command visible.
    pub(crate) fn insert(&mut self, origin: Origin, command: &Command, receipt: &Receipt) {
        let block = &command.block;
        if block.events() == 0 {
            return;
        }
        let number = self.spaces.intern(&command.tenant, command.fork);
        let chunk = self.tail.push(Chunk {
            first: receipt.first,
            events: u16::try_from(block.events()).expect("a block holds at most 4096 events"),
            space: number,
            recorded_at: receipt.recorded_at,
            origin,
            block: Some(block.clone()),
        });
        let space = self.spaces.table_mut(number);
        space.chunks.push(chunk);
        let heads = Heads::of(space, command, receipt);
        let mut types = Recent::default();
        let mut tags = Recent::default();
        for i in 0..block.events() {
            let position = receipt.position(i);
            let slot = u16::try_from(i).expect("a block holds at most 4096 events");
            let version = heads.push(space, block.event_entity(i), Place::new(chunk, slot));
            let row = Row { id: block.event_id(i), content: block.content(i), version };
            let at = self.ledger.push(row) as u64;
            assert!(at + 1 == position.get(), "I-01: position {position} is written as row {at}");
            space.ids.insert(row.id, position);
            let event = block.event(i);
            types.push(&mut space.marked.types, event.event_type, position);
            for tag in event.tags {
                tags.push(&mut space.marked.tags, tag, position);
            }
        }
    }
}

/// The entities of one block, each looked up once.
struct Heads(Vec<Option<NameNo>>);

impl Heads {
    /// Finds or makes the entities that get events, and checks that their versions go on where they stand.
    fn of(space: &mut SpaceTable, command: &Command, receipt: &Receipt) -> Heads {
        let block = &command.block;
        let find = |(e, first): (usize, &Version)| {
            if first.is_zero() {
                return None; // only checked
            }
            let number = space.heads.intern(block.entity(e));
            let last = Version::new(space.heads.value_mut(number).len() as u64);
            let id = block.entity(e);
            let follows = invariants::gapless_versions(last, *first);
            assert!(follows, "I-02: entity {id} goes on with version {first} after {last}");
            Some(number)
        };
        Heads(receipt.first_versions.iter().enumerate().map(find).collect())
    }

    fn push(&self, space: &mut SpaceTable, entity: usize, place: Place) -> Version {
        let number = self.0[entity].expect("an entity with an event has a first version");
        let places = space.heads.value_mut(number);
        places.push(place);
        Version::new(places.len() as u64)
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

/// The index of one space, as apply uses it. Everything is in memory, so nothing can fail.
pub(crate) struct Lookup<'a> {
    tables: &'a Tables,
    of: Space<'a>,
    /// `None` before the first event of the space.
    space: Option<&'a SpaceTable>,
}

impl<'a> Lookup<'a> {
    fn space(&self, asked: Space<'_>) -> Option<&'a SpaceTable> {
        debug_assert_eq!(self.of, asked, "a lookup is made for one command and its space");
        self.space
    }
}

impl Index for Lookup<'_> {
    type Error = Infallible;

    fn version(&self, space: Space<'_>, entity: &str) -> Result<Version, Infallible> {
        let places = self.space(space).and_then(|space| space.heads.get(entity));
        Ok(Version::new(places.map_or(0, |places| places.len() as u64)))
    }

    fn find(&self, space: Space<'_>, id: EventId) -> Result<Option<Found>, Infallible> {
        let position = self.space(space).and_then(|space| self.tables.find(space, id));
        Ok(position.map(|position| Found { position, content: self.tables.stored(position).content }))
    }

    fn version_at(&self, position: Position) -> Result<Version, Infallible> {
        Ok(self.tables.stored(position).version)
    }

    fn recorded_at(&self, position: Position) -> Result<Timestamp, Infallible> {
        let tail = &self.tables.tail;
        let place = tail.place(position).expect("a table names only positions that have a chunk");
        Ok(tail.chunk(place.chunk()).recorded_at)
    }

    fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
    ) -> Result<Option<(Position, EventId)>, Infallible> {
        let Some(space) = self.space(space) else { return Ok(None) };
        let position = if item.types.is_empty() && item.tags.is_empty() {
            first_after(&self.tables.tail, space, after)
        } else {
            space.marked.first_match(item, after)
        };
        Ok(position.map(|position| (position, self.tables.stored(position).id)))
    }
}

/// The first position of a space after `after`.
fn first_after(tail: &Tail, space: &SpaceTable, after: Position) -> Option<Position> {
    let next = after.checked_add(1)?;
    let passed = space.chunks.partition_point(|chunk| tail.chunk(*chunk).last() < next);
    space.chunks.get(passed).map(|chunk| tail.chunk(*chunk).first.max(next))
}
