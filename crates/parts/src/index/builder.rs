//! From rows to an index file.
//!
//! Rows are held by columns until the end, some 50 bytes each and every distinct name once, because names are numbered in
//! their order. Equal rows give equal bytes: nothing depends on hash seeds or on when names were met.

mod encode;

use std::io;

use chronos_domain::xxh64::xxh64;
use chronos_domain::{EventId, PartitionId, Position, Space, Timestamp, Version};
use chronos_proof::{CHUNK_LEAVES, Hash, subtree_root};
use hashbrown::HashTable;

use super::intern::{Interner, Sets};
use super::tail::SpaceEntry;
use crate::checked::Sums;
use crate::meta::{FileMeta, IndexTail};

/// What the index is told of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexRow<'a> {
    pub(crate) space: Space<'a>,
    pub(crate) entity: &'a str,
    pub(crate) version: Version,
    pub(crate) event_id: EventId,
    pub(crate) event_type: &'a str,
    pub(crate) content_type: &'a str,
    /// In any order, none twice; none for an erased row.
    pub(crate) tags: &'a [&'a str],
    pub(crate) occurred_at: Option<Timestamp>,
    pub(crate) recorded_at: Timestamp,
    pub(crate) erased: bool,
    pub(crate) leaf: Hash,
    /// What it counts for in the statistics.
    pub(crate) raw_bytes: u64,
}

/// A written index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) file: FileMeta,
    pub(crate) tail: IndexTail,
}

/// Gathers the rows of a part and writes its index.
pub(crate) struct IndexBuilder {
    partition: PartitionId,
    first: Position,
    spaces: Vec<SpaceEntry>,
    space_table: HashTable<u32>,
    entities: Interner,
    first_versions: Vec<u64>,
    entity_rows: Vec<u32>,
    types: Interner,
    type_bytes: Vec<u64>,
    content_types: Interner,
    tags: Interner,
    sets: Sets,
    rows: Columns,
    ids: Vec<u64>,
    id_range: (EventId, EventId),
    /// Leaves of the chunk at hand, if its first leaf was in this part.
    leaves: Vec<Hash>,
    chunks: Vec<Hash>,
}

/// Rows by columns. Names are numbers of the interners.
#[derive(Default)]
struct Columns {
    entities: Vec<u32>,
    types: Vec<u32>,
    content_types: Vec<u32>,
    sets: Vec<u32>,
    recorded: Vec<i64>,
    /// 0 where it is not known.
    occurred: Vec<i64>,
    occurred_known: Vec<bool>,
    erased: Vec<bool>,
}

/// Appends to a column that may grow to millions of rows: by a quarter at a time, so that what is reserved in vain stays
/// small.
fn push<T>(column: &mut Vec<T>, value: T) {
    if column.len() == column.capacity() {
        column.reserve_exact((column.len() / 4).max(1024));
    }
    column.push(value);
}

/// What the ids of a space are hashed with.
pub(super) fn id_seed(space: Space<'_>) -> u64 {
    xxh64(space.tenant.as_bytes(), space.fork.get())
}

/// What finds an id in the table of hashes.
pub(super) fn id_hash(seed: u64, id: EventId) -> u64 {
    xxh64(&id.to_bytes(), seed)
}

impl IndexBuilder {
    /// For the part of `partition` that begins at `first`.
    pub(crate) fn new(partition: PartitionId, first: Position) -> IndexBuilder {
        IndexBuilder {
            partition,
            first,
            spaces: Vec::new(),
            space_table: HashTable::new(),
            entities: Interner::default(),
            first_versions: Vec::new(),
            entity_rows: Vec::new(),
            types: Interner::default(),
            type_bytes: Vec::new(),
            content_types: Interner::default(),
            tags: Interner::default(),
            sets: Sets::default(),
            rows: Columns::default(),
            ids: Vec::new(),
            id_range: (EventId::from_u128(u128::MAX), EventId::NIL),
            leaves: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// How many rows it has been told of.
    pub(crate) fn rows(&self) -> u32 {
        self.rows.entities.len() as u32
    }

    /// Adds the row that follows.
    ///
    /// # Panics
    /// When an entity's versions have a gap, or moments go backwards: such rows were never stored.
    pub(crate) fn push(&mut self, row: &IndexRow<'_>) {
        let space = self.space_number(row.space);
        self.push_entity(space, row);
        let event_type = self.types.intern(space, row.event_type);
        self.type_bytes.resize(self.types.len(), 0);
        self.type_bytes[event_type as usize] += row.raw_bytes;
        let mut set: Vec<u32> = row.tags.iter().map(|tag| self.tags.intern(space, tag)).collect();
        set.sort_unstable();
        let columns = &mut self.rows;
        push(&mut columns.types, event_type);
        push(&mut columns.content_types, self.content_types.intern(0, row.content_type));
        push(&mut columns.sets, self.sets.intern(&set));
        push(&mut columns.occurred, row.occurred_at.map_or(0, Timestamp::get));
        push(&mut columns.occurred_known, row.occurred_at.is_some());
        push(&mut columns.erased, row.erased);
        let before = columns.recorded.last().copied().unwrap_or(i64::MIN);
        assert!(before <= row.recorded_at.get(), "recorded at {} after {before}", row.recorded_at);
        push(&mut columns.recorded, row.recorded_at.get());
        push(&mut self.ids, id_hash(id_seed(row.space), row.event_id));
        self.id_range.0 = self.id_range.0.min(row.event_id);
        self.id_range.1 = self.id_range.1.max(row.event_id);
        self.push_leaf(row.leaf);
    }

    /// Writes the index to `out`, which is at byte 0 of an empty file, or is [`io::sink`] when only the outcome is wanted:
    /// the index of a part is right when its rows lead to the same outcome again. `parquet` is what was taken down of
    /// the Parquet file, `page_rows` how many rows its pages hold.
    ///
    /// # Errors
    /// What `out` says.
    ///
    /// # Panics
    /// When there is no row.
    pub(crate) fn finish<W: io::Write>(
        self,
        parquet: &Sums,
        page_rows: u32,
        out: W,
    ) -> io::Result<(W, Built)> {
        assert!(self.rows() > 0, "a part has at least one event");
        encode::write(self, parquet, page_rows, out)
    }

    /// The space's number, in the order of coming.
    fn space_number(&mut self, space: Space<'_>) -> u32 {
        let IndexBuilder { spaces, space_table, .. } = self;
        let hash = id_seed(space);
        let same = |number: &u32| spaces[*number as usize].space() == space;
        let number = space_table.find(hash, same).copied().unwrap_or_else(|| {
            let number = spaces.len() as u32;
            spaces.push(SpaceEntry::new(space));
            space_table.insert_unique(hash, number, |number| id_seed(spaces[*number as usize].space()));
            number
        });
        spaces[number as usize].events += 1;
        number
    }

    fn push_entity(&mut self, space: u32, row: &IndexRow<'_>) {
        let entity = self.entities.intern(space, row.entity);
        if entity as usize == self.first_versions.len() {
            self.first_versions.push(row.version.get());
            self.entity_rows.push(0);
        }
        let (first, rows) = (self.first_versions[entity as usize], &mut self.entity_rows[entity as usize]);
        let next = first + u64::from(*rows);
        assert_eq!(row.version.get(), next, "version of {} after {rows} of it", row.entity);
        *rows += 1;
        push(&mut self.rows.entities, entity);
    }

    fn push_leaf(&mut self, leaf: Hash) {
        let before = self.first.get() - 1 + u64::from(self.rows()) - 1;
        if self.leaves.is_empty() && !before.is_multiple_of(CHUNK_LEAVES) {
            return;
        }
        self.leaves.push(leaf);
        if self.leaves.len() as u64 == CHUNK_LEAVES {
            self.chunks.push(subtree_root(&self.leaves));
            self.leaves.clear();
        }
    }

    /// Number of the first chunk whose every leaf may be in this part.
    fn first_chunk(&self) -> u64 {
        (self.first.get() - 1).div_ceil(CHUNK_LEAVES)
    }
}
