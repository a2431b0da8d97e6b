//! A part, of which the index says what to read.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, RecordBatch, Scalar, StringArray, new_empty_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{filter_record_batch, nullif, or};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow::error::ArrowError;
use chronos_domain::{ForkId, Position, Version};
use chronos_parts::{Part, Scan, ScanCounters, Scanned};

use super::{Moments, View, numbers};
use crate::error::Unreadable;
use crate::limits::BATCH_ROWS;
use crate::source::{Batches, Piece, Wish};
use crate::stats::Counters;
use crate::wanted::Extent;

/// What every row must say of itself before it is shown: whose it is.
const WHOSE: [&str; 2] = ["tenant_id", "fork"];
/// And by what it is known whether a truncation has taken it since the part was written.
const TRUNCATED: [&str; 2] = ["entity_id", "version"];

/// One part.
#[derive(Clone)]
pub(super) struct File {
    part: Arc<Part>,
    view: View,
    positions: RangeInclusive<Position>,
    moments: Moments,
    wish: Arc<Wish>,
}

impl File {
    pub(super) fn new(
        part: Arc<Part>,
        view: View,
        positions: RangeInclusive<Position>,
        moments: Moments,
        wish: Arc<Wish>,
    ) -> File {
        File { part, view, positions, moments, wish }
    }

    /// The wished columns first, then those that are looked at and left out.
    fn columns(&self) -> Vec<&'static str> {
        let mut columns = self.wish.columns.clone();
        for name in WHOSE.into_iter().chain(TRUNCATED) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    fn scan(&self, counters: Arc<ScanCounters>) -> Scan {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect();
        Scan {
            space: Some((self.view.tenant.clone(), ForkId::MAIN)),
            positions: self.positions.clone(),
            recorded: self.moments,
            entities: self.wish.wanted.entities.as_ref().map(list),
            types: self.wish.wanted.types.as_ref().map(list),
            batch_rows: BATCH_ROWS,
            counters,
            ..Scan::all(self.columns())
        }
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("part", &self.part.meta().stem()).finish_non_exhaustive()
    }
}

impl Piece for File {
    fn is_file(&self) -> bool {
        true
    }

    fn extent(&self) -> Extent {
        let meta = self.part.meta();
        Extent {
            partitions: self.view.number(),
            positions: numbers(&(meta.first..=meta.last)),
            recorded: meta.recorded.0.get()..=meta.recorded.1.get(),
        }
    }

    fn open(&self, counters: &Arc<Counters>) -> Result<Batches, Unreadable> {
        let cost = Arc::new(ScanCounters::default());
        let rows = self.part.scan(self.scan(cost.clone()));
        let rows = rows.map_err(|fault| Unreadable::of_part(self.part.partition(), fault))?;
        counters.files_read.add(usize::try_from(cost.files.load(Ordering::Relaxed)).unwrap_or(usize::MAX));
        let truncated = self.view.kept(Ok(self.view.partition.stats().tombstones > 0))?;
        Ok(Box::new(Rows { file: self.clone(), rows, cost, pages: 0, counters: counters.clone(), truncated }))
    }
}

/// The rows of a part that the asker may see, as it may see them.
struct Rows {
    file: File,
    rows: Scanned,
    cost: Arc<ScanCounters>,
    pages: u64,
    counters: Arc<Counters>,
    /// Whether anything was ever truncated in this partition.
    truncated: bool,
}

impl Rows {
    fn count(&mut self, rows: usize) {
        self.counters.file_rows_read.add(rows);
        let pages = self.cost.pages.load(Ordering::Relaxed);
        self.counters.pages_read.add(usize::try_from(pages - self.pages).unwrap_or(usize::MAX));
        self.pages = pages;
    }

    /// The rows of the asker's own, with the wished columns, and nothing of what was truncated since.
    fn shown(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let own = filter_record_batch(batch, &self.own(batch)?)?;
        let gone = if self.truncated { Some(self.gone(&own)?) } else { None };
        let wished: Vec<usize> = (0..self.file.wish.columns.len()).collect();
        let own = own.project(&wished)?;
        match gone {
            Some(gone) if gone.true_count() > 0 => erase(&own, &gone),
            _ => Ok(own),
        }
    }

    /// Which rows are the asker's.
    fn own(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let tenants = column(batch, "tenant_id")?.as_string::<i32>();
        let forks = column(batch, "fork")?.as_primitive::<Int64Type>();
        let (tenant, main) = (self.file.view.tenant.as_str(), ForkId::MAIN.get().cast_signed());
        let rows = 0..batch.num_rows();
        Ok(rows.map(|row| Some(tenants.value(row) == tenant && forks.value(row) == main)).collect())
    }

    /// Which rows lie before their entity's truncation, whether the part knows it or not.
    fn gone(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let entities = column(batch, "entity_id")?.as_string::<i32>();
        let versions = column(batch, "version")?.as_primitive::<Int64Type>();
        let view = &self.file.view;
        let is_gone = |row: usize| {
            let before = view.partition.tombstone(view.space(), entities.value(row));
            Version::new(versions.value(row).cast_unsigned()) < before
        };
        Ok((0..batch.num_rows()).map(|row| Some(is_gone(row))).collect())
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("a part gave no column {name}")))
}

/// The rows as their part will give them once it has been written again.
fn erase(batch: &RecordBatch, gone: &BooleanArray) -> Result<RecordBatch, ArrowError> {
    let erased = |(field, column): (&arrow::datatypes::FieldRef, &ArrayRef)| match field.name().as_str() {
        "erased" => Ok(Arc::new(or(column.as_boolean(), gone)?) as ArrayRef),
        "payload" | "metadata" | "occurred_at" => nullif(column, gone),
        "content_type" => zip(gone, &StringArray::new_scalar("application/json"), column),
        "tags" => no_tags(column, gone),
        _ => Ok(column.clone()),
    };
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(erased).collect::<Result<Vec<_>, _>>()?;
    let nullable = |field: &arrow::datatypes::FieldRef| field.as_ref().clone().with_nullable(true);
    let fields: Vec<_> = schema.fields().iter().map(nullable).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn no_tags(tags: &ArrayRef, gone: &BooleanArray) -> Result<ArrayRef, ArrowError> {
    let DataType::List(tag) = tags.data_type() else {
        return Err(ArrowError::SchemaError("tags are no list".to_owned()));
    };
    let none =
        ListArray::new(tag.clone(), OffsetBuffer::from_lengths([0]), new_empty_array(tag.data_type()), None);
    zip(gone, &Scalar::new(Arc::new(none) as ArrayRef), tags)
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rows.next()?;
        let partition = self.file.part.partition();
        let batch = batch.map_err(|fault| Unreadable::of_part(partition, fault));
        let shown = batch.and_then(|batch| {
            self.count(batch.num_rows());
            self.shown(&batch).map_err(|error| Unreadable::shape(partition, &error))
        });
        Some(self.file.view.kept(shown))
    }
}
