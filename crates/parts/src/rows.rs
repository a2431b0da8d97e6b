//! Events as rows of Arrow arrays.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, Int64Builder, ListBuilder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt64Builder,
};
use chronos_block::{Recorded, content_hash};
use chronos_domain::{ForkId, Timestamp};
use chronos_proof::{Fields, Hash, leaf};

use crate::columns::Remains;
use crate::schema::{UTC, schema, tag};

/// Gathers events as rows of [`schema`].
pub struct Rows {
    position: Int64Builder,
    version: Int64Builder,
    event_id: FixedSizeBinaryBuilder,
    tenant_id: StringBuilder,
    fork: Int64Builder,
    entity_id: StringBuilder,
    event_type: StringBuilder,
    content_type: StringBuilder,
    payload: BinaryBuilder,
    metadata: StringBuilder,
    tags: ListBuilder<StringBuilder>,
    occurred_at: TimestampMicrosecondBuilder,
    recorded_at: TimestampMicrosecondBuilder,
    partition: UInt8Builder,
    erased: BooleanBuilder,
    content_hash: UInt64Builder,
    leaf_hash: FixedSizeBinaryBuilder,
    chain_hash: FixedSizeBinaryBuilder,
    rows: usize,
}

impl Rows {
    /// No rows yet.
    pub fn new() -> Rows {
        let time = || TimestampMicrosecondBuilder::new().with_timezone(UTC);
        Rows {
            position: Int64Builder::new(),
            version: Int64Builder::new(),
            event_id: FixedSizeBinaryBuilder::new(16),
            tenant_id: StringBuilder::new(),
            fork: Int64Builder::new(),
            entity_id: StringBuilder::new(),
            event_type: StringBuilder::new(),
            content_type: StringBuilder::new(),
            payload: BinaryBuilder::new(),
            metadata: StringBuilder::new(),
            tags: ListBuilder::new(StringBuilder::new()).with_field(tag()),
            occurred_at: time(),
            recorded_at: time(),
            partition: UInt8Builder::new(),
            erased: BooleanBuilder::new(),
            content_hash: UInt64Builder::new(),
            leaf_hash: FixedSizeBinaryBuilder::new(32),
            chain_hash: FixedSizeBinaryBuilder::new(32),
            rows: 0,
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds an event, without hashes.
    ///
    /// # Panics
    /// When the event's metadata are no text: no block has such, whether packed or opened.
    pub fn push(&mut self, event: &Recorded) {
        self.push_with(event, None, None);
    }

    /// Adds an event with the partition's chain up to and including it, if that is to be written down, and its leaf
    /// hash, if it is erased.
    ///
    /// # Panics
    /// As [`Rows::push`].
    pub fn push_with(&mut self, event: &Recorded, chain: Option<Hash>, leaf: Option<Hash>) {
        let said = event.event();
        let tags: Vec<&str> = said.tags.clone().collect();
        let content = (event.erased && leaf.is_some()).then(|| content_hash(&said));
        let remains = content.zip(leaf).map(|(content, leaf)| Remains { content, leaf });
        self.append(&fields_of(event, event.fork, &said, &tags), event.erased, remains, chain);
    }

    /// Adds a row of any origin.
    pub(crate) fn append(
        &mut self,
        row: &Fields<'_>,
        erased: bool,
        remains: Option<Remains>,
        chain: Option<Hash>,
    ) {
        self.append_fields(row);
        self.erased.append_value(erased);
        self.content_hash.append_option(remains.map(|remains| remains.content.get()));
        append_hash(&mut self.leaf_hash, remains.map(|remains| remains.leaf));
        append_hash(&mut self.chain_hash, chain);
        self.rows += 1;
    }

    fn append_fields(&mut self, row: &Fields<'_>) {
        self.position.append_value(row.position.get().cast_signed());
        self.version.append_value(row.version.get().cast_signed());
        self.event_id.append_value(row.event_id.to_bytes()).expect("an id has sixteen bytes");
        self.tenant_id.append_value(row.tenant);
        self.fork.append_value(row.fork.get().cast_signed());
        self.entity_id.append_value(row.entity_id);
        self.event_type.append_value(row.event_type);
        self.content_type.append_value(row.content_type);
        self.payload.append_value(row.payload);
        let metadata = std::str::from_utf8(row.metadata).expect("a block's metadata are text");
        self.metadata.append_option((!metadata.is_empty()).then_some(metadata));
        for tag in row.tags {
            self.tags.values().append_value(tag);
        }
        self.tags.append(true);
        self.occurred_at.append_option(row.occurred_at.map(Timestamp::get));
        self.recorded_at.append_value(row.recorded_at.get());
        self.partition.append_value(row.partition.get());
    }

    /// The rows as a batch of [`schema`]. Leaves none behind.
    pub fn finish(&mut self) -> RecordBatch {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.position.finish()),
            Arc::new(self.version.finish()),
            Arc::new(self.event_id.finish()),
            Arc::new(self.tenant_id.finish()),
            Arc::new(self.fork.finish()),
            Arc::new(self.entity_id.finish()),
            Arc::new(self.event_type.finish()),
            Arc::new(self.content_type.finish()),
            Arc::new(self.payload.finish()),
            Arc::new(self.metadata.finish()),
            Arc::new(self.tags.finish()),
            Arc::new(self.occurred_at.finish()),
            Arc::new(self.recorded_at.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.erased.finish()),
            Arc::new(self.content_hash.finish()),
            Arc::new(self.leaf_hash.finish()),
            Arc::new(self.chain_hash.finish()),
        ];
        RecordBatch::try_new(schema(), columns).expect("one builder for each column, all of one length")
    }
}

impl Default for Rows {
    fn default() -> Rows {
        Rows::new()
    }
}

/// Some events as rows of [`schema`], without hashes.
///
/// # Panics
/// When an event's metadata are no text: no block has such, whether packed or opened.
pub fn to_batch(events: &[Recorded]) -> RecordBatch {
    let mut rows = Rows::new();
    events.iter().for_each(|event| rows.push(event));
    rows.finish()
}

/// The leaf hash of an event that has its content. Of an erased one it cannot be computed: its part keeps it.
///
/// # Panics
/// When the event is erased.
pub fn leaf_of(event: &Recorded, fork: ForkId) -> Hash {
    assert!(!event.erased, "position {} is erased; its part keeps its leaf hash", event.position);
    let said = event.event();
    let tags: Vec<&str> = said.tags.clone().collect();
    leaf(&fields_of(event, fork, &said, &tags))
}

fn fields_of<'a>(
    event: &'a Recorded,
    fork: ForkId,
    said: &chronos_block::EventRef<'a>,
    tags: &'a [&'a str],
) -> Fields<'a> {
    Fields {
        partition: event.partition,
        position: event.position,
        version: event.version,
        recorded_at: event.recorded_at,
        tenant: event.tenant.as_str(),
        fork,
        event_id: said.event_id,
        entity_id: said.entity_id,
        event_type: said.event_type,
        content_type: said.content_type,
        occurred_at: said.occurred_at,
        tags,
        metadata: said.metadata,
        payload: said.payload,
    }
}

fn append_hash(builder: &mut FixedSizeBinaryBuilder, hash: Option<Hash>) {
    match hash {
        Some(hash) => builder.append_value(hash.0).expect("a hash has thirty-two bytes"),
        None => builder.append_null(),
    }
}
