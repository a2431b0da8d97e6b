//! Rows that wait to become a row group.

use std::sync::Arc;

use arrow::array::{FixedSizeBinaryArray, FixedSizeBinaryBuilder, RecordBatch};
use arrow::compute::concat_batches;
use chronos_domain::xxh64::xxh64;
use chronos_proof::Hash;
use hashbrown::HashTable;

use super::settings::{Bounds, Plan};
use crate::schema::{Column, schema};

/// What a row adds to its group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight {
    /// Raw bytes of the event.
    pub(crate) raw: u64,
    /// Those of its payload and metadata.
    pub(crate) content: u64,
}

/// A row group in the making. It ends at the first row that would make it too long or too heavy, so that its borders
/// depend on the rows alone and not on the batches they come in.
pub(crate) struct Group {
    bounds: Bounds,
    batches: Vec<RecordBatch>,
    rows: usize,
    weight: Weight,
    chain: FixedSizeBinaryBuilder,
    /// Hashes of the entity ids so far.
    entities: HashTable<u64>,
}

impl Group {
    pub(crate) fn new(bounds: Bounds) -> Group {
        Group {
            bounds,
            batches: Vec::new(),
            rows: 0,
            weight: Weight { raw: 0, content: 0 },
            chain: FixedSizeBinaryBuilder::new(32),
            entities: HashTable::new(),
        }
    }

    /// Whether another row belongs here.
    pub(crate) fn has_room(&self, weight: Weight) -> bool {
        let fits = self.rows < self.bounds.rows && self.weight.raw + weight.raw <= self.bounds.bytes;
        self.rows == 0 || fits
    }

    /// Counts a row, whose columns follow by [`Group::hold`].
    pub(crate) fn count(&mut self, entity: &str, weight: Weight, chain: Option<Hash>) {
        self.rows += 1;
        self.weight.raw += weight.raw;
        self.weight.content += weight.content;
        match chain {
            Some(chain) => self.chain.append_value(chain.0).expect("a hash has thirty-two bytes"),
            None => self.chain.append_null(),
        }
        let hash = xxh64(entity.as_bytes(), 0);
        self.entities.entry(hash, |other| *other == hash, |other| *other).or_insert(hash);
    }

    /// Takes the columns of rows that were counted.
    pub(crate) fn hold(&mut self, batch: RecordBatch) {
        self.batches.push(batch);
    }

    /// The rows as one batch with the chain's column, and what is known of them. Leaves an empty group behind.
    /// `last` is the chain after the last row, if that is to be written down whatever its position.
    pub(crate) fn take(&mut self, zstd: i32, last: Option<Hash>) -> (RecordBatch, Plan) {
        let plan = Plan {
            rows: self.rows,
            content_bytes: self.weight.content,
            entities: self.entities.len(),
            page_bytes: self.bounds.page_bytes,
            zstd,
        };
        let batch = concat_batches(&schema(), &self.batches).expect("all batches are of one schema");
        assert_eq!(batch.num_rows(), self.rows, "every row that was counted is held");
        let mut columns = batch.columns().to_vec();
        let mut chain = self.chain.finish();
        if let Some(last) = last {
            chain = with_last(&chain, last);
        }
        columns[Column::ChainHash.index()] = Arc::new(chain);
        *self = Group::new(self.bounds);
        let batch = RecordBatch::try_new(schema(), columns).expect("the chain has a value for each row");
        (batch, plan)
    }
}

/// The column with another last value.
fn with_last(chain: &FixedSizeBinaryArray, last: Hash) -> FixedSizeBinaryArray {
    let mut values: Vec<Option<&[u8]>> = chain.iter().collect();
    *values.last_mut().expect("a group has a row") = Some(&last.0);
    FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), 32)
        .expect("hashes have thirty-two bytes")
}
