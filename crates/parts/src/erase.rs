//! Taking the content out of truncated events.
//!
//! An erased row keeps what makes history gapless and ids known for ever: its numbers, its id, entity and type. It also
//! keeps the two hashes of what it was: the leaf hash, so that digests and proofs stay as they are, and the content
//! hash, so that a retry of the original request is still told from a conflict.

use arrow::array::RecordBatch;
use chronos_block::Content;
use chronos_domain::{ContentHash, PartitionId};
use chronos_proof::{Fields, leaf};

use crate::columns::{Columns, Remains};
use crate::manifest::Tombstones;
use crate::rows::Rows;

/// The content type of what is no longer there.
const PLACEHOLDER: &str = "application/json";

/// The batch with every event erased that a truncation has reached: those of an entity with a version before its
/// tombstone's. Rows that were erased earlier stay as they are, and `chain_hash` is kept. The same batch when nothing
/// of it is to be erased.
///
/// # Panics
/// When the batch is not of [`schema`](crate::schema) or has rows of a partition that is not `partition`.
pub fn erase(batch: &RecordBatch, partition: PartitionId, tombstones: &Tombstones) -> RecordBatch {
    let columns = Columns::of(batch);
    if tombstones.is_empty() || !(0..columns.rows()).any(|row| is_hit(&columns, row, partition, tombstones)) {
        return batch.clone();
    }
    let (mut rows, mut tags) = (Rows::new(), Vec::new());
    for row in 0..columns.rows() {
        let fields = columns.fields(row, partition, &mut tags);
        if is_hit(&columns, row, partition, tombstones) {
            let remains = Remains { content: content_of(&fields), leaf: leaf(&fields) };
            rows.append(&erased(&fields), true, Some(remains), columns.chain(row));
        } else {
            rows.append(&fields, columns.is_erased(row), columns.remains(row), columns.chain(row));
        }
    }
    rows.finish()
}

/// Whether a truncation has reached a row that still has its content.
fn is_hit(columns: &Columns<'_>, row: usize, partition: PartitionId, tombstones: &Tombstones) -> bool {
    assert!(columns.partition(row) == partition.get(), "a row of partition {}", columns.partition(row));
    let (tenant, fork, entity) = columns.entity(row);
    !columns.is_erased(row) && columns.version(row) < tombstones.get(tenant, fork, entity)
}

/// What is left of an event: the numbers and names that history is made of.
fn erased<'a>(fields: &Fields<'a>) -> Fields<'a> {
    Fields { content_type: PLACEHOLDER, occurred_at: None, tags: &[], metadata: &[], payload: &[], ..*fields }
}

/// The content hash of an event that has its content.
pub(crate) fn content_of(fields: &Fields<'_>) -> ContentHash {
    let content = Content {
        entity_id: fields.entity_id,
        event_type: fields.event_type,
        content_type: fields.content_type,
        payload: fields.payload,
        metadata: fields.metadata,
        occurred_at: fields.occurred_at,
    };
    content.hash(fields.tags.iter().copied())
}
