//! The open Parquet file of a part.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray};
use chronos_domain::EventId;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy};

use super::source::{Source, unreadable};
use super::{Batches, Contents};
use crate::cache::{Cache, FileId, PageKey, PageKind};
use crate::checked::CheckedFile;
use crate::columns::event_id;
use crate::fault::Fault;
use crate::schema::{Column, parquet_schema, schema};

/// Bytes that are decoded at once where many rows are read, about.
const BATCH_BYTES: usize = 16 << 20;

/// A Parquet file whose footer is read once, at its first use.
pub(crate) struct ParquetFile {
    file: Arc<CheckedFile>,
    rows: usize,
    id: FileId,
    cache: Cache,
    footer: OnceLock<Arc<Footer>>,
}

/// What the footer tells: about 10 bytes for each page of each column.
pub(crate) struct Footer {
    metadata: ArrowReaderMetadata,
    pages: Vec<Page>,
}

/// Rows that lie on one page of every column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its first row in the part.
    pub(crate) first: usize,
    /// How many rows it has.
    pub(crate) rows: usize,
    group: usize,
    /// Its first row in the row group.
    at: usize,
}

impl ParquetFile {
    /// A file of `rows` rows. Reads nothing yet.
    pub(crate) fn new(file: CheckedFile, rows: usize, cache: &Cache) -> ParquetFile {
        ParquetFile {
            file: Arc::new(file),
            rows,
            id: cache.register(),
            cache: cache.clone(),
            footer: OnceLock::new(),
        }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.file.path()
    }

    pub(crate) fn handle(&self) -> (&Arc<dyn chronos_env::File>, &std::path::Path) {
        self.file.handle()
    }

    /// The footer. Two readers that come first may both read it; one of the two equal results is kept.
    pub(crate) fn footer(&self) -> Result<&Arc<Footer>, Fault> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer);
        }
        let source = Source::new(Arc::clone(&self.file));
        let footer = load(&source).map_err(|error| source.fault(error))?;
        let rows: usize = footer.pages.iter().map(|page| page.rows).sum();
        if rows != self.rows {
            let what = format!("it holds {rows} rows where its part has {}", self.rows);
            return Err(unreadable(self.path(), what));
        }
        Ok(self.footer.get_or_init(|| Arc::new(footer)))
    }

    /// What a page holds besides what the index holds.
    pub(crate) fn contents(&self, footer: &Footer, page: usize) -> Result<Contents, Fault> {
        let ids = self.column(footer, Column::EventId, page)?;
        let payload = self.column(footer, Column::Payload, page)?;
        let metadata = self.column(footer, Column::Metadata, page)?;
        Ok(Contents::new(&ids, &payload, &metadata))
    }

    /// The id in a row.
    pub(crate) fn event_id(&self, row: usize) -> Result<EventId, Fault> {
        let footer = self.footer()?;
        let page = footer.page_of(row);
        let ids = self.column(footer, Column::EventId, page)?;
        Ok(event_id(ids.as_fixed_size_binary(), row - footer.page(page).first))
    }

    /// The values of a column on a page, decoded once for many reads.
    fn column(&self, footer: &Footer, column: Column, page: usize) -> Result<Arc<ArrayRef>, Fault> {
        let key = PageKey {
            file: self.id,
            kind: PageKind::Parquet(column as u8),
            page: u32::try_from(page).expect("a part has fewer pages than rows"),
        };
        self.cache.get_or_load(key, || {
            let values = self.decode(footer, column, footer.pages[page])?;
            let bytes = values.get_array_memory_size();
            Ok((values, bytes))
        })
    }

    fn decode(&self, footer: &Footer, column: Column, page: Page) -> Result<ArrayRef, Fault> {
        let source = Source::new(Arc::clone(&self.file));
        let reader = reader(&source, footer, &[column])
            .with_row_groups(vec![page.group])
            .with_row_selection(RowSelection::from(vec![
                RowSelector::skip(page.at),
                RowSelector::select(page.rows),
            ]))
            .with_batch_size(page.rows)
            .build();
        let batch = match reader.map(|mut reader| reader.next()) {
            Ok(Some(Ok(batch))) => batch,
            Ok(Some(Err(error))) => return Err(source.fault(error)),
            Err(error) => return Err(source.fault(error)),
            Ok(None) => return Err(source.fault("a page is empty")),
        };
        if batch.num_rows() != page.rows {
            return Err(source.fault(format!("a page of {} rows gave {}", page.rows, batch.num_rows())));
        }
        // The cache counts one page for a load; whatever else had to be decoded is counted here.
        self.cache.count_decoded(PageKind::Parquet(column as u8), source.fetched().saturating_sub(1));
        Ok(Arc::clone(batch.column(0)))
    }

    /// The selected rows of some columns, batch by batch, past the cache: at most `batch_rows` of them, and fewer where
    /// they are long.
    pub(crate) fn batches(
        &self,
        columns: &[Column],
        selection: Option<RowSelection>,
        batch_rows: usize,
    ) -> Result<Batches, Fault> {
        let source = Source::new(Arc::clone(&self.file));
        let footer = self.footer()?;
        let batch_rows = footer.rows_at_once(columns, batch_rows);
        let builder = reader(&source, footer, columns).with_batch_size(batch_rows);
        let builder = match selection {
            Some(selection) => builder.with_row_selection(selection),
            None => builder,
        };
        let reader = builder.build().map_err(|error| source.fault(error))?;
        Ok(Batches::new(reader, source, self.cache.clone()))
    }
}

impl Footer {
    /// The page that a row lies on.
    ///
    /// # Panics
    /// When the part does not have that row.
    pub(crate) fn page_of(&self, row: usize) -> usize {
        let page = self.pages.partition_point(|page| page.first <= row) - 1;
        assert!(row - self.pages[page].first < self.pages[page].rows, "row {row} is beyond the part's end");
        page
    }

    pub(crate) fn page(&self, page: usize) -> Page {
        self.pages[page]
    }

    /// How many rows of some columns are decoded at once, so that memory does not grow with their length: at most
    /// `most`, and about [`BATCH_BYTES`] where rows are longest.
    fn rows_at_once(&self, columns: &[Column], most: usize) -> usize {
        let groups = self.metadata.metadata().row_groups().iter();
        let bytes_of_a_row = groups.map(|group| {
            let bytes: i64 =
                columns.iter().map(|column| group.column(column.index()).uncompressed_size()).sum();
            usize::try_from(bytes / group.num_rows().max(1)).unwrap_or(0)
        });
        (BATCH_BYTES / bytes_of_a_row.max().unwrap_or(0).max(1)).clamp(1, most)
    }

    /// Bytes of the file that hold no events but help to find them: bloom filters and page indexes.
    pub(crate) fn lookup_bytes(&self) -> u64 {
        let columns = self.metadata.metadata().row_groups().iter().flat_map(|group| group.columns());
        let lookup = |column: &ColumnChunkMetaData| {
            [column.bloom_filter_length(), column.column_index_length(), column.offset_index_length()]
                .into_iter()
                .flatten()
                .map(|bytes| u64::try_from(bytes).unwrap_or(0))
                .sum::<u64>()
        };
        columns.map(lookup).sum()
    }
}

fn reader(source: &Source, footer: &Footer, columns: &[Column]) -> ParquetRecordBatchReaderBuilder<Source> {
    let mask = ProjectionMask::leaves(&parquet_schema(), columns.iter().map(|column| column.index()));
    ParquetRecordBatchReaderBuilder::new_with_metadata(source.clone(), footer.metadata.clone())
        .with_projection(mask)
}

fn load(source: &Source) -> Result<Footer, ParquetError> {
    let options = ArrowReaderOptions::new()
        .with_skip_arrow_metadata(true)
        .with_column_index_policy(PageIndexPolicy::Skip)
        .with_offset_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(source, options)?;
    if metadata.schema().fields() != schema().fields() {
        return Err(ParquetError::General("its columns are not those of a part".to_owned()));
    }
    let pages = pages(&metadata)?;
    Ok(Footer { metadata, pages })
}

/// The rows of every page, which are the same in all columns.
fn pages(metadata: &ArrowReaderMetadata) -> Result<Vec<Page>, ParquetError> {
    let mut pages = Vec::new();
    let mut first = 0;
    for (group, about) in metadata.metadata().row_groups().iter().enumerate() {
        let rows = about.num_rows() as usize;
        let starts = starts(metadata, group, Column::Payload)?;
        for column in [Column::EventId, Column::Metadata] {
            if starts != self::starts(metadata, group, column)? {
                return Err(ParquetError::General(
                    "its columns are cut into pages at different rows".to_owned(),
                ));
            }
        }
        let ends = starts.iter().skip(1).copied().chain([rows]);
        for (at, end) in starts.iter().copied().zip(ends) {
            let rows =
                end.checked_sub(at).ok_or_else(|| ParquetError::General("pages overlap".to_owned()))?;
            pages.push(Page { first, rows, group, at });
            first += rows;
        }
    }
    Ok(pages)
}

/// The first row of every page of a column in a row group.
fn starts(metadata: &ArrowReaderMetadata, group: usize, column: Column) -> Result<Vec<usize>, ParquetError> {
    let index = metadata.metadata().offset_index().and_then(|index| index.get(group)?.get(column.index()));
    let index = index.ok_or_else(|| ParquetError::General("it has no offset index".to_owned()))?;
    Ok(index.page_locations().iter().map(|page| page.first_row_index as usize).collect())
}
