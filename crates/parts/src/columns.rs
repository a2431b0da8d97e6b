//! A batch of rows, read in place.

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, Int64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt8Array, UInt64Array,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType, UInt8Type, UInt64Type};
use chronos_domain::{ContentHash, EventId, ForkId, PartitionId, Position, Timestamp, Version};
use chronos_proof::{Fields, Hash};

use crate::schema::{Column, schema};

/// The columns of a [`RecordBatch`] of [`schema`], each of its own type.
pub(crate) struct Columns<'a> {
    rows: usize,
    pub(crate) position: &'a Int64Array,
    version: &'a Int64Array,
    event_id: &'a FixedSizeBinaryArray,
    tenant_id: &'a StringArray,
    fork: &'a Int64Array,
    entity_id: &'a StringArray,
    event_type: &'a StringArray,
    content_type: &'a StringArray,
    payload: &'a BinaryArray,
    metadata: &'a StringArray,
    tags: &'a ListArray,
    /// The texts that `tags` is cut from.
    tag: &'a StringArray,
    occurred_at: &'a TimestampMicrosecondArray,
    recorded_at: &'a TimestampMicrosecondArray,
    partition: &'a UInt8Array,
    erased: &'a BooleanArray,
    content_hash: &'a UInt64Array,
    leaf_hash: &'a FixedSizeBinaryArray,
    chain_hash: &'a FixedSizeBinaryArray,
}

/// What an erased row keeps of what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    pub(crate) content: ContentHash,
    pub(crate) leaf: Hash,
}

impl<'a> Columns<'a> {
    /// Looks at a batch.
    ///
    /// # Panics
    /// When the batch is not of [`schema`].
    pub(crate) fn of(batch: &'a RecordBatch) -> Columns<'a> {
        assert_eq!(batch.schema().fields(), schema().fields(), "a part has these columns");
        let column = |column: Column| batch.column(column.index());
        let tags: &ListArray = column(Column::Tags).as_list();
        Columns {
            rows: batch.num_rows(),
            position: column(Column::Position).as_primitive::<Int64Type>(),
            version: column(Column::Version).as_primitive::<Int64Type>(),
            event_id: column(Column::EventId).as_fixed_size_binary(),
            tenant_id: column(Column::TenantId).as_string(),
            fork: column(Column::Fork).as_primitive::<Int64Type>(),
            entity_id: column(Column::EntityId).as_string(),
            event_type: column(Column::EventType).as_string(),
            content_type: column(Column::ContentType).as_string(),
            payload: column(Column::Payload).as_binary(),
            metadata: column(Column::Metadata).as_string(),
            tags,
            tag: tags.values().as_string(),
            occurred_at: column(Column::OccurredAt).as_primitive::<TimestampMicrosecondType>(),
            recorded_at: column(Column::RecordedAt).as_primitive::<TimestampMicrosecondType>(),
            partition: column(Column::Partition).as_primitive::<UInt8Type>(),
            erased: column(Column::Erased).as_boolean(),
            content_hash: column(Column::ContentHash).as_primitive::<UInt64Type>(),
            leaf_hash: column(Column::LeafHash).as_fixed_size_binary(),
            chain_hash: column(Column::ChainHash).as_fixed_size_binary(),
        }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The position of a row.
    pub(crate) fn position(&self, row: usize) -> Position {
        Position::new(self.position.value(row).cast_unsigned())
    }

    /// The version of a row.
    pub(crate) fn version(&self, row: usize) -> Version {
        Version::new(self.version.value(row).cast_unsigned())
    }

    /// Whose event a row is, on which fork, and of which entity.
    pub(crate) fn entity(&self, row: usize) -> (&'a str, ForkId, &'a str) {
        let fork = ForkId::new(self.fork.value(row).cast_unsigned());
        (self.tenant_id.value(row), fork, self.entity_id.value(row))
    }

    /// The partition a row says it is of, whether there is such a one or not.
    pub(crate) fn partition(&self, row: usize) -> u8 {
        self.partition.value(row)
    }

    /// All that is stored of a row's event; an erased one has no more than placeholders of its content. `tags` is
    /// room for the row's tags.
    pub(crate) fn fields<'s>(
        &self,
        row: usize,
        partition: PartitionId,
        tags: &'s mut Vec<&'a str>,
    ) -> Fields<'s> {
        tags.clear();
        let offsets = self.tags.value_offsets();
        tags.extend((offsets[row] as usize..offsets[row + 1] as usize).map(|tag| self.tag.value(tag)));
        let (tenant, fork, entity_id) = self.entity(row);
        Fields {
            partition,
            position: self.position(row),
            version: self.version(row),
            recorded_at: Timestamp::new(self.recorded_at.value(row)),
            tenant,
            fork,
            event_id: event_id(self.event_id, row),
            entity_id,
            event_type: self.event_type.value(row),
            content_type: self.content_type.value(row),
            occurred_at: self.occurred_at.is_valid(row).then(|| Timestamp::new(self.occurred_at.value(row))),
            tags,
            // Of a null row this is the empty text.
            metadata: self.metadata.value(row).as_bytes(),
            payload: self.payload.value(row),
        }
    }

    /// Whether a row's content was erased.
    pub(crate) fn is_erased(&self, row: usize) -> bool {
        self.erased.value(row)
    }

    /// What an erased row keeps; `None` for a row that has its content, or that has lost its hashes too.
    pub(crate) fn remains(&self, row: usize) -> Option<Remains> {
        let there = self.erased.value(row) && self.content_hash.is_valid(row) && self.leaf_hash.is_valid(row);
        there.then(|| Remains {
            content: ContentHash::new(self.content_hash.value(row)),
            leaf: hash(self.leaf_hash, row),
        })
    }

    /// The chain up to and including a row, where it was written down.
    pub(crate) fn chain(&self, row: usize) -> Option<Hash> {
        self.chain_hash.is_valid(row).then(|| hash(self.chain_hash, row))
    }
}

/// The id in a row of an `event_id` column.
pub(crate) fn event_id(column: &FixedSizeBinaryArray, row: usize) -> EventId {
    EventId::from_bytes(column.value(row).try_into().expect("the schema says sixteen bytes"))
}

/// The hash in a row of a column of hashes.
pub(crate) fn hash(column: &FixedSizeBinaryArray, row: usize) -> Hash {
    Hash(column.value(row).try_into().expect("the schema says thirty-two bytes"))
}
