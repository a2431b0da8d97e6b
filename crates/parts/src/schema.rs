//! The columns of a part.
//!
//! A part's Parquet file speaks to any tool: a column for every field of an event, named as the field, and one for
//! every number that apply gave it. `FORMAT.md` says what each holds and how it is encoded.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor};

/// A column, numbered in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Column {
    Position,
    Version,
    EventId,
    TenantId,
    Fork,
    EntityId,
    EventType,
    ContentType,
    Payload,
    Metadata,
    Tags,
    OccurredAt,
    RecordedAt,
    Partition,
    Erased,
    ContentHash,
    LeafHash,
    ChainHash,
}

impl Column {
    /// All of them, in the order of the file.
    pub(crate) const ALL: [Column; 18] = [
        Column::Position,
        Column::Version,
        Column::EventId,
        Column::TenantId,
        Column::Fork,
        Column::EntityId,
        Column::EventType,
        Column::ContentType,
        Column::Payload,
        Column::Metadata,
        Column::Tags,
        Column::OccurredAt,
        Column::RecordedAt,
        Column::Partition,
        Column::Erased,
        Column::ContentHash,
        Column::LeafHash,
        Column::ChainHash,
    ];

    /// Its number, from 0: of the column, of the field of [`schema`] and of the Parquet leaf alike.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Column::Position => "position",
            Column::Version => "version",
            Column::EventId => "event_id",
            Column::TenantId => "tenant_id",
            Column::Fork => "fork",
            Column::EntityId => "entity_id",
            Column::EventType => "event_type",
            Column::ContentType => "content_type",
            Column::Payload => "payload",
            Column::Metadata => "metadata",
            Column::Tags => "tags",
            Column::OccurredAt => "occurred_at",
            Column::RecordedAt => "recorded_at",
            Column::Partition => "partition",
            Column::Erased => "erased",
            Column::ContentHash => "content_hash",
            Column::LeafHash => "leaf_hash",
            Column::ChainHash => "chain_hash",
        }
    }

    /// The column of this name.
    pub(crate) fn named(name: &str) -> Option<Column> {
        Column::ALL.into_iter().find(|column| column.name() == name)
    }

    /// What the Parquet schema calls its values; only tags are nested.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Column::Tags => "tags.list.element",
            other => other.name(),
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Column::Position | Column::Version | Column::Fork => DataType::Int64,
            Column::EventId => DataType::FixedSizeBinary(16),
            Column::TenantId
            | Column::EntityId
            | Column::EventType
            | Column::ContentType
            | Column::Metadata => DataType::Utf8,
            Column::Payload => DataType::Binary,
            Column::Tags => DataType::List(tag()),
            Column::OccurredAt | Column::RecordedAt => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
            }
            Column::Partition => DataType::UInt8,
            Column::Erased => DataType::Boolean,
            Column::ContentHash => DataType::UInt64,
            Column::LeafHash | Column::ChainHash => DataType::FixedSizeBinary(32),
        }
    }

    const fn is_nullable(self) -> bool {
        matches!(
            self,
            Column::Metadata
                | Column::OccurredAt
                | Column::ContentHash
                | Column::LeafHash
                | Column::ChainHash
        )
    }
}

/// The zone of every timestamp.
pub(crate) const UTC: &str = "UTC";

/// The field of one tag within the list of an event's tags.
pub(crate) fn tag() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Utf8, false))
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields =
        Column::ALL.map(|column| Field::new(column.name(), column.data_type(), column.is_nullable()));
    Arc::new(Schema::new(fields.to_vec()))
});

/// The columns of a part as Arrow types, in the order of the file: `position` (Int64), `version` (Int64), `event_id`
/// (16 bytes), `tenant_id`, `fork` (Int64), `entity_id`, `event_type`, `content_type` (Utf8), `payload` (Binary),
/// `metadata` (Utf8, null when the writer gave none), `tags` (List of Utf8), `occurred_at` (nullable) and `recorded_at`
/// (Timestamp in microseconds, UTC), `partition` (UInt8), `erased` (Boolean), `content_hash` (UInt64) and `leaf_hash`
/// (32 bytes), both set on erased rows only, `chain_hash` (32 bytes), set on some rows.
pub fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

const PARQUET: &str = "
message event {
  required int64 position (INTEGER(64,true));
  required int64 version (INTEGER(64,true));
  required fixed_len_byte_array(16) event_id (UUID);
  required binary tenant_id (STRING);
  required int64 fork (INTEGER(64,true));
  required binary entity_id (STRING);
  required binary event_type (STRING);
  required binary content_type (STRING);
  required binary payload;
  optional binary metadata (STRING);
  required group tags (LIST) { repeated group list { required binary element (STRING); } }
  optional int64 occurred_at (TIMESTAMP(MICROS,true));
  required int64 recorded_at (TIMESTAMP(MICROS,true));
  required int32 partition (INTEGER(8,false));
  required boolean erased;
  optional int64 content_hash (INTEGER(64,false));
  optional fixed_len_byte_array(32) leaf_hash;
  optional fixed_len_byte_array(32) chain_hash;
}";

static PARQUET_SCHEMA: LazyLock<SchemaDescPtr> = LazyLock::new(|| {
    let message = parse_message_type(PARQUET).expect("the schema is a constant that parses");
    Arc::new(SchemaDescriptor::new(Arc::new(message)))
});

/// The same columns as Parquet types.
pub(crate) fn parquet_schema() -> SchemaDescPtr {
    Arc::clone(&PARQUET_SCHEMA)
}

#[cfg(test)]
mod tests {
    use parquet::arrow::parquet_to_arrow_schema;

    use super::*;

    #[test]
    fn the_parquet_schema_reads_back_as_the_arrow_schema() {
        let read = parquet_to_arrow_schema(&parquet_schema(), None).unwrap();
        assert_eq!(read.fields(), schema().fields());
    }

    #[test]
    fn every_column_is_where_its_number_says() {
        for (i, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column.index(), i);
            assert_eq!(schema().field(i).name(), column.name());
            assert_eq!(parquet_schema().column(i).path().string(), column.path());
            assert_eq!(Column::named(column.name()), Some(column));
        }
        assert_eq!(parquet_schema().num_columns(), Column::ALL.len(), "one leaf for each column");
        assert_eq!(Column::named("tags.list.element"), None);
    }
}
