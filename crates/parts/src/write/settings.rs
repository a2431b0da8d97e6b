//! How rows become bytes. Everything here is part of the format: a change gives other bytes for the same rows, so that
//! replicas of two releases would disagree about their parts.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;

use crate::schema::Column;

/// Who wrote the file, as Parquet's footer tells: the format and never a release, so that releases agree.
const CREATED_BY: &str = "chronos part format 1";

/// Where row groups and pages end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Rows of a row group, at most.
    pub(crate) rows: usize,
    /// Raw bytes of a row group's events, at most; one event always fits.
    pub(crate) bytes: u64,
    /// Bytes of payload and metadata that a page should hold: enough to compress well, little enough to unpack for one
    /// event.
    pub(crate) page_bytes: u64,
}

/// The bounds of every part. Tests take smaller ones, to see many row groups and pages.
pub(crate) const BOUNDS: Bounds = Bounds { rows: 131_072, bytes: 64 << 20, page_bytes: 5 << 18 };

/// Rows of a page, whatever they weigh.
const PAGE_ROWS_MIN: u64 = 16;
const PAGE_ROWS_MAX: u64 = 4096;

/// False positives of the bloom filters. They are for other tools: the engine asks the index, which does not guess.
const BLOOM_FALSE: f64 = 0.05;

/// The level at which numbers and names are compressed, whatever the part's own level: more effort finds nothing more
/// in them.
const SMALL_COLUMNS_ZSTD: i32 = 3;

/// What is known of a row group before its first byte is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Its rows.
    pub(crate) rows: usize,
    /// Bytes of all payloads and metadata.
    pub(crate) content_bytes: u64,
    /// How many different entity ids it has.
    pub(crate) entities: usize,
    /// Bytes of payload and metadata that a page should hold.
    pub(crate) page_bytes: u64,
    /// zstd level of the part.
    pub(crate) zstd: i32,
}

impl Plan {
    /// Rows of every page of every column but the last ones: a function of the average size of its events.
    pub(crate) fn page_rows(&self) -> usize {
        let rows = self.page_bytes * self.rows as u64 / self.content_bytes.max(1);
        rows.clamp(PAGE_ROWS_MIN, PAGE_ROWS_MAX) as usize
    }

    /// The settings under which the row group's columns are encoded.
    pub(crate) fn properties(&self) -> WriterProperties {
        let pages = base()
            .set_data_page_row_count_limit(self.page_rows())
            // Pages end after their rows and nowhere else, so that one row lies on the same page of every column.
            .set_write_batch_size(BOUNDS.rows * 64)
            .set_data_page_size_limit(usize::MAX)
            .set_dictionary_page_size_limit(usize::MAX);
        Column::ALL.into_iter().fold(pages, |builder, column| self.column(builder, column)).build()
    }

    fn column(&self, builder: WriterPropertiesBuilder, column: Column) -> WriterPropertiesBuilder {
        let path = ColumnPath::from(column.path().split('.').map(str::to_owned).collect::<Vec<_>>());
        let builder = builder
            .set_column_compression(path.clone(), self.compression(column))
            .set_column_statistics_enabled(path.clone(), statistics(column));
        let builder = match self.distinct(column) {
            Some(distinct) => builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE)
                .set_column_bloom_filter_max_ndv(path.clone(), distinct as u64),
            None => builder,
        };
        match self.encoding(column) {
            Some(encoding) => {
                builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding)
            }
            None => builder.set_column_dictionary_enabled(path, true),
        }
    }

    /// How the values of a column are laid down; `None` stands for a dictionary.
    fn encoding(&self, column: Column) -> Option<Encoding> {
        match column {
            Column::Position | Column::OccurredAt | Column::RecordedAt => Some(Encoding::DELTA_BINARY_PACKED),
            Column::Version => Some(Encoding::BYTE_STREAM_SPLIT),
            Column::Payload | Column::Metadata => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
            // A dictionary of names that hardly repeat is longer than the names.
            Column::EntityId if self.entities > self.rows / 2 => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
            Column::EntityId
            | Column::TenantId
            | Column::Fork
            | Column::EventType
            | Column::ContentType
            | Column::Tags
            | Column::Partition => None,
            Column::Erased => Some(Encoding::RLE),
            // Splitting ids into streams would save a third of time-ordered ones, but DuckDB cannot read that.
            Column::EventId | Column::ContentHash | Column::LeafHash | Column::ChainHash => {
                Some(Encoding::PLAIN)
            }
        }
    }

    fn compression(&self, column: Column) -> Compression {
        let level = match column {
            Column::ContentHash | Column::LeafHash | Column::ChainHash => return Compression::UNCOMPRESSED,
            Column::Payload | Column::Metadata | Column::EntityId => self.zstd,
            _ => SMALL_COLUMNS_ZSTD,
        };
        Compression::ZSTD(ZstdLevel::try_new(level).expect("levels are constants within zstd's range"))
    }

    /// How many different values a column with a bloom filter has. Ids differ from each other within a space.
    fn distinct(&self, column: Column) -> Option<usize> {
        match column {
            Column::EventId => Some(self.rows),
            Column::EntityId => Some(self.entities),
            _ => None,
        }
    }
}

/// The settings of the file as a whole.
pub(crate) fn file() -> WriterProperties {
    base().build()
}

fn base() -> WriterPropertiesBuilder {
    let ascending = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(CREATED_BY.to_owned())
        .set_sorting_columns(Some(vec![ascending]))
        .set_max_row_group_row_count(Some(BOUNDS.rows))
}

/// Smallest and largest values, where a reader could leave something out by them.
fn statistics(column: Column) -> EnabledStatistics {
    match column {
        Column::Position
        | Column::Version
        | Column::EventId
        | Column::EntityId
        | Column::EventType
        | Column::OccurredAt
        | Column::RecordedAt => EnabledStatistics::Page,
        Column::TenantId | Column::Fork | Column::ContentType | Column::Partition | Column::Erased => {
            EnabledStatistics::Chunk
        }
        Column::Payload
        | Column::Metadata
        | Column::Tags
        | Column::ContentHash
        | Column::LeafHash
        | Column::ChainHash => EnabledStatistics::None,
    }
}
