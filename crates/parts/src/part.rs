//! An open part: everything a reader may ask of it.

mod copy;
mod selection;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_block::{Direction, Filter, Recorded};
use chronos_domain::{ContentHash, EventId, PartitionId, Position, QueryItem, Space, Timestamp, Version};
use chronos_env::Disk;
use chronos_proof::{Hash, chain_next};

use crate::cache::Cache;
use crate::checked::{CheckedFile, FileKind, Identity};
use crate::columns::Columns;
use crate::erase::content_of;
use crate::fault::Fault;
use crate::index::{Counts, Index, Row};
use crate::meta::PartMeta;
use crate::read::{Contents, Packing, ParquetFile, Scan, Scanned, projection};
use crate::schema::Column;
use crate::write::{CHAIN_ROWS, leaf_of_row};
use selection::Selected;

pub use copy::PartFile;

/// Rows that are decoded at once where all columns are needed.
pub(crate) const READ_ROWS: usize = 4096;

/// One immutable part, open for reading. Holds both files open, so that it stays readable when their names are gone;
/// closing is dropping. In memory are the index's tail, the Parquet file's footer once something was read of it, and
/// what the [`Cache`] keeps.
pub struct Part {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) files: Files,
    pub(crate) meta: PartMeta,
    pub(crate) partition: PartitionId,
    pub(crate) index: Index,
    pub(crate) parquet: ParquetFile,
}

/// Where the files of a part are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) parquet: PathBuf,
    pub(crate) index: PathBuf,
}

impl Part {
    /// Opens the part that `meta` describes, in `dir`. Reads and checks the tail of the index and no more.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when a file is missing, has another length, or its index's tail is not the one that `meta`
    /// vouches for; [`Fault::Unsupported`] when a later release wrote it; [`Fault::Io`] when the system refuses.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        meta: PartMeta,
        partition: PartitionId,
        cache: &Cache,
    ) -> Result<Part, Fault> {
        let files = Files { parquet: dir.join(meta.parquet_name()), index: dir.join(meta.index_name()) };
        Part::open_files(disk, files, meta, partition, cache)
    }

    pub(crate) fn open_files(
        disk: Arc<dyn Disk>,
        files: Files,
        meta: PartMeta,
        partition: PartitionId,
        cache: &Cache,
    ) -> Result<Part, Fault> {
        let index = Index::open(disk.as_ref(), &files.index, partition, &meta, cache)?;
        let identity = Identity::new(partition, meta.first, FileKind::Parquet);
        let bytes = meta.parquet.bytes;
        let checked =
            CheckedFile::open(disk.as_ref(), &files.parquet, bytes, index.parquet_sums(), identity)?;
        let rows = usize::try_from(meta.rows()).expect("a part's rows fit 32 bits");
        let parquet = ParquetFile::new(checked, rows, cache);
        Ok(Part { disk, files, meta, partition, index, parquet })
    }

    /// What the manifest says of it.
    pub fn meta(&self) -> &PartMeta {
        &self.meta
    }

    /// The partition it is of.
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Bytes of the Parquet file that hold no events but help to find them: bloom filters and page indexes.
    ///
    /// # Errors
    /// [`Fault`] when the file's footer cannot be read.
    pub fn lookup_bytes(&self) -> Result<u64, Fault> {
        Ok(self.parquet.footer()?.lookup_bytes())
    }

    /// Where the event with this id is, if it is here.
    ///
    /// # Errors
    /// [`Fault`] when that cannot be told.
    pub fn find(&self, space: Space<'_>, id: EventId) -> Result<Option<Position>, Fault> {
        for row in self.index.candidates(space, id)? {
            if self.parquet.event_id(row.0 as usize)? == id {
                return Ok(Some(self.position_of(row)));
            }
        }
        Ok(None)
    }

    /// The content hash of an event, erased or not.
    ///
    /// # Errors
    /// [`Fault`] when it cannot be read.
    ///
    /// # Panics
    /// When the position is not one of this part's.
    pub fn find_content(&self, position: Position) -> Result<ContentHash, Fault> {
        let mut found = None;
        self.each_row(position..=position, |columns, row| {
            let mut tags = Vec::new();
            let fields = columns.fields(row, self.partition, &mut tags);
            found = Some(columns.remains(row).map_or_else(|| content_of(&fields), |remains| remains.content));
        })?;
        Ok(found.expect("a read of one row gives one row"))
    }

    /// Which versions of an entity are here; `None` when none is.
    ///
    /// # Errors
    /// [`Fault`] when the index cannot be read.
    pub fn versions(&self, space: Space<'_>, entity: &str) -> Result<Option<RangeInclusive<Version>>, Fault> {
        Ok(self.index.entity(space, entity)?.map(|entity| entity.versions()))
    }

    /// The positions of those of an entity's versions that are here, in the order of versions.
    ///
    /// # Errors
    /// [`Fault`] when the index cannot be read.
    pub fn positions(
        &self,
        space: Space<'_>,
        entity: &str,
        versions: RangeInclusive<Version>,
    ) -> Result<Vec<Position>, Fault> {
        match self.index.entity(space, entity)? {
            None => Ok(Vec::new()),
            Some(entity) => Ok(self.positions_of(self.index.rows_of(&entity, versions)?)),
        }
    }

    /// How many of an entity's events here lie at `bound` or before.
    ///
    /// # Errors
    /// [`Fault`] when the index cannot be read.
    pub fn versions_at(&self, space: Space<'_>, entity: &str, bound: Position) -> Result<u64, Fault> {
        if bound < self.meta.first {
            return Ok(0);
        }
        match self.index.entity(space, entity)? {
            None => Ok(0),
            Some(entity) => self.index.count_at(&entity, self.row_of(bound.min(self.meta.last))),
        }
    }

    /// The version of the event at a position, and when it was recorded.
    ///
    /// # Errors
    /// [`Fault`] when the index cannot be read.
    ///
    /// # Panics
    /// When the position is not one of this part's.
    pub fn numbers_at(&self, position: Position) -> Result<(Version, Timestamp), Fault> {
        self.index.numbers(self.row_of(position))
    }

    /// The last position that was recorded at `moment` or before; `None` when all were later.
    ///
    /// # Errors
    /// [`Fault`] when the index cannot be read.
    pub fn bound_at(&self, moment: Timestamp) -> Result<Option<Position>, Fault> {
        Ok(self.index.bound_at(moment)?.map(|row| self.position_of(row)))
    }

    /// The first event of a space after position `after` that a condition's item matches.
    ///
    /// # Errors
    /// [`Fault`] when the index cannot be read.
    pub fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
    ) -> Result<Option<Position>, Fault> {
        if after >= self.meta.last {
            return Ok(None);
        }
        let from = self.row_of(after.next().max(self.meta.first));
        Ok(self.index.first_match(space, item, from)?.map(|row| self.position_of(row)))
    }

    /// The events of a space within `positions` that match a filter, in the given direction, at most `count`.
    ///
    /// # Errors
    /// [`Fault`] when the index cannot be read.
    pub fn matching(
        &self,
        space: Space<'_>,
        filter: &Filter,
        positions: RangeInclusive<Position>,
        direction: Direction,
        count: usize,
    ) -> Result<Vec<Position>, Fault> {
        match self.rows_within(&positions) {
            None => Ok(Vec::new()),
            Some(rows) => {
                let rows = self.index.matching(space, filter, rows, direction, count)?;
                Ok(self.positions_of(rows))
            }
        }
    }

    /// The events at these positions, in this order. Decodes three Parquet pages for each page of rows that is touched
    /// and not in the cache; ascending or descending positions touch each page once.
    ///
    /// # Errors
    /// [`Fault`] when one of them cannot be read.
    ///
    /// # Panics
    /// When a position is not one of this part's.
    pub fn rows(&self, positions: &[Position]) -> Result<Vec<Recorded>, Fault> {
        let footer = self.parquet.footer()?;
        let mut packing = Packing::new(self.partition, positions.len());
        let mut open: Option<(usize, Contents)> = None;
        for &position in positions {
            let row = self.row_of(position);
            let page = footer.page_of(row.0 as usize);
            if open.as_ref().is_none_or(|(number, _)| *number != page) {
                open = Some((page, self.parquet.contents(footer, page)?));
            }
            let (_, contents) = open.as_ref().expect("it was just opened");
            let fields = self.index.row(row)?;
            packing.push(position, &fields, contents, row.0 as usize - footer.page(page).first).map_err(
                |rejection| {
                    let what = format!("position {position} breaks a rule of events: {rejection}");
                    Fault::corrupt(&self.files.parquet, None, what)
                },
            )?;
        }
        Ok(packing.finish())
    }

    /// The leaf hashes at these positions.
    ///
    /// # Errors
    /// [`Fault`] when they cannot be read.
    ///
    /// # Panics
    /// When a position is not one of this part's.
    pub fn leaves(&self, positions: RangeInclusive<Position>) -> Result<Vec<Hash>, Fault> {
        let mut leaves = Vec::new();
        self.each_row(positions, |columns, row| leaves.push(self.leaf(columns, row)))?;
        Ok(leaves)
    }

    /// The root of chunk `k` of the partition's leaves, if all of it lies in this part.
    pub fn chunk(&self, k: u64) -> Option<Hash> {
        self.index.chunk(k)
    }

    /// The partition's chain up to and including a position: from the nearest row before that has it written down.
    ///
    /// # Errors
    /// [`Fault`] when it cannot be read.
    ///
    /// # Panics
    /// When the position is not one of this part's.
    pub fn chain_at(&self, position: Position) -> Result<Hash, Fault> {
        if position == self.meta.last {
            return Ok(self.meta.chain_after);
        }
        let noted = Position::new(position.get() / CHAIN_ROWS * CHAIN_ROWS).max(self.meta.first);
        let mut chain = self.meta.chain_before;
        self.each_row(noted..=position, |columns, row| {
            chain = columns.chain(row).unwrap_or_else(|| chain_next(chain, self.leaf(columns, row)));
        })?;
        Ok(chain)
    }

    /// Reads the selected rows in the order of positions, batch by batch. Pages of rows that are not selected are not
    /// decoded, and nothing is kept in the cache.
    ///
    /// # Errors
    /// [`Fault`] when the index or the footer cannot be read; the iterator ends after the first fault.
    ///
    /// # Panics
    /// When a column's name is none of [`schema`](crate::schema)'s, or `batch_rows` is 0.
    pub fn scan(&self, scan: Scan) -> Result<Scanned, Fault> {
        assert!(scan.batch_rows > 0, "a batch has rows");
        let (columns, order) = projection(&scan.columns);
        let batches = match self.selected(&scan)? {
            Selected::Nothing => None,
            Selected::All => Some(self.parquet.batches(&columns, None, scan.batch_rows)?),
            Selected::Some(rows) => Some(self.parquet.batches(&columns, Some(rows), scan.batch_rows)?),
        };
        Ok(Scanned::new(batches, order, scan.counters))
    }

    /// How many events of which types, and how many entities, it has. From the index, without reading any event.
    ///
    /// # Errors
    /// [`Fault`] when the index cannot be read.
    pub fn counts(&self) -> Result<Counts, Fault> {
        self.index.counts()
    }

    /// Reads all columns of the rows at these positions, in order.
    fn each_row(
        &self,
        positions: RangeInclusive<Position>,
        mut see: impl FnMut(&Columns<'_>, usize),
    ) -> Result<(), Fault> {
        let rows = self.row_of(*positions.start())..=self.row_of(*positions.end());
        let Selected::Some(selection) = self.select([rows]) else { return Ok(()) };
        for batch in self.parquet.batches(&Column::ALL, Some(selection), READ_ROWS)? {
            let batch = batch?;
            let columns = Columns::of(&batch);
            (0..columns.rows()).for_each(|row| see(&columns, row));
        }
        Ok(())
    }

    fn leaf(&self, columns: &Columns<'_>, row: usize) -> Hash {
        let mut tags = Vec::new();
        leaf_of_row(columns, row, &columns.fields(row, self.partition, &mut tags))
    }

    /// The row of a position.
    ///
    /// # Panics
    /// When the position is not one of this part's.
    fn row_of(&self, position: Position) -> Row {
        let PartMeta { first, last, .. } = self.meta;
        assert!(first <= position && position <= last, "position {position} is not in {first}..={last}");
        Row(u32::try_from(position.get() - first.get()).expect("a part's rows fit 32 bits"))
    }

    fn position_of(&self, row: Row) -> Position {
        self.meta.first.plus(u64::from(row.0))
    }

    fn positions_of(&self, rows: Vec<Row>) -> Vec<Position> {
        rows.into_iter().map(|row| self.position_of(row)).collect()
    }

    /// The rows whose positions lie within the bounds.
    fn rows_within(&self, positions: &RangeInclusive<Position>) -> Option<RangeInclusive<Row>> {
        let first = (*positions.start()).max(self.meta.first);
        let last = (*positions.end()).min(self.meta.last);
        (first <= last).then(|| self.row_of(first)..=self.row_of(last))
    }
}
