//! An open index.

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use chronos_domain::xxh64::xxh64;
use chronos_domain::{EventId, ForkId, PartitionId, Space, Timestamp, Version};
use chronos_env::Disk;
use chronos_proof::Hash;

use super::Row;
use super::builder::{id_hash, id_seed};
use super::codec::Malformed;
use super::hashes::Hashes;
use super::lists::{List, Lists};
use super::names::{Name, Names};
use super::pages::{PageReader, Section};
use super::rows::{RowDirectory, RowPage};
use super::tail::{BadTail, SpaceEntry, Tail};
use crate::cache::Cache;
use crate::checked::{BLOCK_BYTES, CheckedFile, FileKind, Identity, open_exact, read_whole};
use crate::fault::Fault;
use crate::meta::PartMeta;

/// The index of one part. Its tail is in memory; pages come through the cache.
pub(crate) struct Index {
    pub(super) tail: Tail,
    pub(super) pages: PageReader,
}

/// One entity of a part.
#[derive(Clone, Debug)]
pub(crate) struct Entity {
    first: Version,
    rows: Range<u64>,
}

impl Entity {
    /// Its versions in this part.
    pub(crate) fn versions(&self) -> RangeInclusive<Version> {
        self.first..=Version::new(self.first.get() + self.count() - 1)
    }

    /// How many events it has in this part: at least one.
    pub(crate) fn count(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}

/// What the index knows of a row.
#[derive(Clone, Debug)]
pub(crate) struct RowFields {
    pub(crate) tenant: Arc<str>,
    pub(crate) fork: ForkId,
    pub(crate) entity: Name,
    pub(crate) version: Version,
    pub(crate) event_type: Name,
    pub(crate) content_type: Name,
    /// Ascending.
    pub(crate) tags: Vec<Name>,
    pub(crate) occurred_at: Option<Timestamp>,
    pub(crate) recorded_at: Timestamp,
    pub(crate) erased: bool,
}

/// What a part holds, by numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many entities have events in it, over all tenants and forks.
    pub entities: u64,
    /// Its event types, by tenant, fork and name.
    pub types: Vec<TypeCount>,
}

/// The events of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeCount {
    /// Whose events.
    pub tenant: String,
    /// The tenant's fork.
    pub fork: ForkId,
    /// The type.
    pub event_type: String,
    /// How many there are.
    pub events: u64,
    /// Their bytes before encoding and compression.
    pub raw_bytes: u64,
}

impl Index {
    /// Opens the index file at `path` of the part that `meta` describes. Reads its tail, and no more.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the file is not the one the manifest names, as far as the tail tells;
    /// [`Fault::Unsupported`] when it is of a later format; [`Fault::Io`] when the system cannot read.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        partition: PartitionId,
        meta: &PartMeta,
        cache: &Cache,
    ) -> Result<Index, Fault> {
        let file = open_exact(disk, path, meta.index.bytes)?;
        let offset = meta.index_tail.offset;
        let length = meta.index.bytes.checked_sub(offset);
        let length = length.ok_or_else(|| Fault::corrupt(path, offset, "its tail begins after its end"))?;
        let mut bytes = vec![0; length as usize];
        read_whole(file.as_ref(), path, &mut bytes, offset)?;
        let (found, written) = (xxh64(&bytes, 0), meta.index_tail.xxh64);
        if found != written {
            let what = format!("its tail has checksum {found:#018x} where the manifest has {written:#018x}");
            return Err(Fault::corrupt(path, offset, what));
        }
        let tail = Tail::decode(&bytes).map_err(|bad| match bad {
            BadTail::Malformed(Malformed(what)) => Fault::corrupt(path, offset, format!("its tail: {what}")),
            BadTail::Version(found) => {
                Fault::Unsupported { file: path.to_owned(), found: found.into(), read: "1" }
            }
        })?;
        check_identity(&tail, partition, meta).map_err(|what| Fault::corrupt(path, offset, what))?;
        let identity = Identity::new(partition, meta.first, FileKind::Index);
        let file = CheckedFile::covering(file, path, offset, Arc::clone(&tail.sums), identity)?;
        Ok(Index { tail, pages: PageReader::new(file, cache) })
    }

    /// The open file and where it is.
    pub(crate) fn handle(&self) -> (&Arc<dyn chronos_env::File>, &Path) {
        self.pages.handle()
    }

    /// The sums of the Parquet file's blocks.
    pub(crate) fn parquet_sums(&self) -> Arc<[u64]> {
        Arc::clone(&self.tail.parquet_sums)
    }

    /// How many rows a page of the Parquet file holds.
    pub(crate) fn page_rows(&self) -> u32 {
        self.tail.page_rows
    }

    /// How many rows the part has.
    pub(crate) fn rows(&self) -> u32 {
        self.tail.rows
    }

    /// The rows that may hold this id: the one that does, if any, and hardly ever another. Whoever asks compares ids.
    pub(crate) fn candidates(&self, space: Space<'_>, id: EventId) -> Result<Vec<Row>, Fault> {
        let (lowest, highest) = self.tail.id_range;
        if id < lowest || id > highest || self.space(space).is_none() {
            return Ok(Vec::new());
        }
        let hashes = Hashes { pages: &self.pages, section: Section::Ids, directory: &self.tail.ids };
        let rows = hashes.candidates(id_hash(id_seed(space), id))?;
        if rows.iter().any(|row| *row >= self.tail.rows) {
            return Err(self.pages.corrupt(Section::Ids, "an id is said to be in a row that is not there"));
        }
        Ok(rows.into_iter().map(Row).collect())
    }

    /// The entity of this name, if it has events in this part.
    pub(crate) fn entity(&self, space: Space<'_>, name: &str) -> Result<Option<Entity>, Fault> {
        let Some(names) = self.space(space) else { return Ok(None) };
        let Some(found) = self.entities().find(names.number, names.entities, name)? else {
            return Ok(None);
        };
        self.entity_of(&found).map(Some)
    }

    /// The rows of those of the entity's `versions` that are in this part, ascending.
    pub(crate) fn rows_of(
        &self,
        entity: &Entity,
        versions: RangeInclusive<Version>,
    ) -> Result<Vec<Row>, Fault> {
        let first = entity.first.get();
        let start = versions.start().get().saturating_sub(first).min(entity.count());
        let end = versions.end().get().saturating_add(1).saturating_sub(first).min(entity.count());
        let mut rows = Vec::with_capacity(end.saturating_sub(start) as usize);
        if start < end {
            self.entity_rows(entity)?.read(start..end, &mut rows)?;
        }
        Ok(rows)
    }

    /// How many of the entity's rows are `bound` or before.
    pub(crate) fn count_at(&self, entity: &Entity, bound: Row) -> Result<u64, Fault> {
        match bound.0.checked_add(1) {
            Some(next) => self.entity_rows(entity)?.count_before(Row(next)),
            None => Ok(entity.count()),
        }
    }

    /// All the index knows of a row.
    ///
    /// # Panics
    /// When the part has no such row.
    pub(crate) fn row(&self, row: Row) -> Result<RowFields, Fault> {
        let page = self.row_page(row)?;
        let numbered = page.get(RowDirectory::page_of(row).1);
        let space = self.space_of_entity(numbered.entity)?;
        Ok(RowFields {
            tenant: Arc::clone(&space.tenant),
            fork: space.fork,
            entity: self.entities().get(numbered.entity)?,
            version: Version::new(numbered.version),
            event_type: self.types().get(numbered.event_type)?,
            content_type: self.content_types().get(numbered.content_type)?,
            tags: numbered.tags.iter().map(|tag| self.tags().get(*tag)).collect::<Result<_, _>>()?,
            occurred_at: numbered.occurred_at.map(Timestamp::new),
            recorded_at: Timestamp::new(numbered.recorded_at),
            erased: numbered.erased,
        })
    }

    /// A row's version, and when it was recorded.
    ///
    /// # Panics
    /// When the part has no such row.
    pub(crate) fn numbers(&self, row: Row) -> Result<(Version, Timestamp), Fault> {
        let page = self.row_page(row)?;
        let numbered = page.get(RowDirectory::page_of(row).1);
        Ok((Version::new(numbered.version), Timestamp::new(numbered.recorded_at)))
    }

    /// The last row that was recorded at `moment` or before.
    pub(crate) fn bound_at(&self, moment: Timestamp) -> Result<Option<Row>, Fault> {
        Ok(self.rows_recorded_until(moment)?.checked_sub(1).map(Row))
    }

    /// The root of chunk `k` of the partition's tree, if all of its leaves lie in this part.
    pub(crate) fn chunk(&self, k: u64) -> Option<Hash> {
        let place = usize::try_from(k.checked_sub(self.tail.first_chunk)?).ok()?;
        self.tail.chunks.get(place).copied()
    }

    /// What the part holds, by numbers. Reads the dictionary of types.
    pub(crate) fn counts(&self) -> Result<Counts, Fault> {
        let mut types = Vec::with_capacity(self.tail.types.names.names as usize);
        let mut number = 0;
        for space in &self.tail.spaces {
            while number < space.types_end {
                let name = self.types().get(number)?;
                let rows = name.list();
                types.push(TypeCount {
                    tenant: space.tenant.to_string(),
                    fork: space.fork,
                    event_type: name.as_str().to_owned(),
                    events: rows.end - rows.start,
                    raw_bytes: name.note(),
                });
                number += 1;
            }
        }
        Ok(Counts { entities: self.tail.entities.names.names.into(), types })
    }

    /// How many rows were recorded at `moment` or before: they come first.
    pub(super) fn rows_recorded_until(&self, moment: Timestamp) -> Result<u32, Fault> {
        let moment = moment.get();
        let pages = self.tail.row_pages.recorded.partition_point(|first| *first <= moment) as u32;
        let Some(page) = pages.checked_sub(1) else { return Ok(0) };
        let rows = RowDirectory::rows_of(page, self.tail.rows);
        let page = self.row_page(Row(rows.start))?;
        Ok(rows.start + page.recorded().partition_point(|recorded| *recorded <= moment) as u32)
    }

    pub(super) fn space(&self, space: Space<'_>) -> Option<SpaceNames> {
        let spaces = &self.tail.spaces;
        let place = spaces.binary_search_by_key(&space, SpaceEntry::space).ok()?;
        let before = place.checked_sub(1).map(|before| &spaces[before]);
        let here = &spaces[place];
        Some(SpaceNames {
            number: place as u32,
            entities: before.map_or(0, |space| space.entities_end)..here.entities_end,
            types: before.map_or(0, |space| space.types_end)..here.types_end,
            tags: before.map_or(0, |space| space.tags_end)..here.tags_end,
        })
    }

    fn space_of_entity(&self, entity: u32) -> Result<&SpaceEntry, Fault> {
        let place = self.tail.spaces.partition_point(|space| space.entities_end <= entity);
        let none = || self.pages.corrupt(Section::Rows, "a row has an entity that is not there");
        self.tail.spaces.get(place).ok_or_else(none)
    }

    pub(super) fn row_page(&self, row: Row) -> Result<Arc<RowPage>, Fault> {
        assert!(row.0 < self.tail.rows, "row {} of a part of {}", row.0, self.tail.rows);
        let (page, _) = RowDirectory::page_of(row);
        let unpacked = self.pages.page(Section::Rows, &self.tail.row_pages.pages, page, RowPage::decode)?;
        if unpacked.len() != RowDirectory::rows_of(page, self.tail.rows).len() as u32 {
            return Err(self.pages.corrupt(Section::Rows, "a page has another number of rows"));
        }
        Ok(unpacked)
    }

    pub(super) fn entity_of(&self, name: &Name) -> Result<Entity, Fault> {
        let rows = name.list();
        if rows.is_empty() || rows.end - rows.start > u64::from(self.tail.rows) {
            return Err(self
                .pages
                .corrupt(Section::EntityNames, "an entity has no row, or more than there are"));
        }
        let last = name.note().checked_add(rows.end - rows.start);
        if last.is_none() {
            return Err(self.pages.corrupt(Section::EntityNames, "an entity's versions are too high"));
        }
        Ok(Entity { first: Version::new(name.note()), rows })
    }

    pub(super) fn entity_rows(&self, entity: &Entity) -> Result<List<'_>, Fault> {
        self.lists(Section::EntityRows).list(entity.rows.clone())
    }

    /// The array of rows of a dictionary, or of spaces.
    pub(super) fn lists(&self, section: Section) -> Lists<'_> {
        let directory = match section {
            Section::EntityRows => &self.tail.entities.rows,
            Section::TypeRows => &self.tail.types.rows,
            Section::TagRows => &self.tail.tags.rows,
            Section::SpaceRows => &self.tail.space_rows,
            other => unreachable!("{other:?} is no array of rows"),
        };
        Lists { pages: &self.pages, section, directory }
    }

    pub(super) fn entities(&self) -> Names<'_> {
        let directory = &self.tail.entities.names;
        Names { pages: &self.pages, names: Section::EntityNames, hashes: Section::EntityHashes, directory }
    }

    pub(super) fn types(&self) -> Names<'_> {
        let directory = &self.tail.types.names;
        Names { pages: &self.pages, names: Section::TypeNames, hashes: Section::TypeHashes, directory }
    }

    pub(super) fn tags(&self) -> Names<'_> {
        let directory = &self.tail.tags.names;
        Names { pages: &self.pages, names: Section::TagNames, hashes: Section::TagHashes, directory }
    }

    fn content_types(&self) -> Names<'_> {
        let directory = &self.tail.content_types;
        Names {
            pages: &self.pages,
            names: Section::ContentTypeNames,
            hashes: Section::ContentTypeHashes,
            directory,
        }
    }
}

/// Which numbers are those of one space's names.
pub(super) struct SpaceNames {
    /// The space's own.
    pub(super) number: u32,
    pub(super) entities: Range<u32>,
    pub(super) types: Range<u32>,
    pub(super) tags: Range<u32>,
}

/// Whether the tail is that of the part the manifest describes.
fn check_identity(tail: &Tail, partition: PartitionId, meta: &PartMeta) -> Result<(), String> {
    if (tail.partition, tail.first) != (partition, meta.first) {
        let (of, at) = (tail.partition, tail.first);
        return Err(format!("it is the index of a part of partition {of} that begins at position {at}"));
    }
    if u64::from(tail.rows) != meta.rows() {
        return Err(format!("it has {} rows where the manifest has {}", tail.rows, meta.rows()));
    }
    if tail.parquet_bytes != meta.parquet.bytes
        || tail.parquet_sums.len() as u64 != tail.parquet_bytes.div_ceil(BLOCK_BYTES)
    {
        return Err(format!("it is the index of a Parquet file of {} bytes", tail.parquet_bytes));
    }
    Ok(())
}
