//! Many rows of a part, some of their columns.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use chronos_domain::{ForkId, Position, TenantId, Timestamp};

use super::Batches;
use crate::fault::Fault;
use crate::schema::Column;

/// Which rows of a part to read, and what of them.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Names of [`schema`](crate::schema) columns, in the order in which batches are to have them. None of them gives
    /// batches that only count rows.
    pub columns: Vec<&'static str>,
    /// Events of this tenant and fork only. Narrows entities and types; without it they narrow nothing, and neither
    /// does it alone.
    pub space: Option<(TenantId, ForkId)>,
    /// Positions within these bounds only; exact.
    pub positions: RangeInclusive<Position>,
    /// Events recorded within these bounds, both inclusive, only; exact.
    pub recorded: (Option<Timestamp>, Option<Timestamp>),
    /// With `space`: events of these entities only; exact.
    pub entities: Option<Vec<String>>,
    /// With `space`: events of these types only; exact.
    pub types: Option<Vec<String>>,
    /// Rows of a batch, at most; at least 1.
    pub batch_rows: usize,
    /// What the scan cost; added up over all scans that share it.
    pub counters: Arc<ScanCounters>,
}

impl Scan {
    /// All rows of a part.
    pub fn all(columns: Vec<&'static str>) -> Scan {
        Scan {
            columns,
            space: None,
            positions: Position::new(1)..=Position::MAX,
            recorded: (None, None),
            entities: None,
            types: None,
            batch_rows: 8192,
            counters: Arc::default(),
        }
    }

    /// All rows of a part with all its columns, in the order of its schema: what a part is written again from.
    pub fn whole() -> Scan {
        Scan::all(Column::ALL.map(Column::name).to_vec())
    }
}

/// What scans have cost so far.
#[derive(Debug, Default)]
pub struct ScanCounters {
    /// Parts of which anything was read.
    pub files: AtomicU64,
    /// Parquet pages that were fetched and decoded.
    pub pages: AtomicU64,
    /// Rows that came out.
    pub rows_read: AtomicU64,
}

/// The columns of these names, and where each will be among them.
///
/// # Panics
/// When there is no column of a name.
pub(crate) fn projection(names: &[&'static str]) -> (Vec<Column>, Vec<usize>) {
    let named = |name: &&str| Column::named(name).unwrap_or_else(|| panic!("a part has no column {name}"));
    let wanted: Vec<Column> = names.iter().map(named).collect();
    let mut columns = wanted.clone();
    columns.sort_unstable();
    columns.dedup();
    let place = |column: &Column| columns.binary_search(column).expect("it is one of them");
    let order = wanted.iter().map(place).collect();
    (columns, order)
}

/// The batches of a [`Scan`].
pub struct Scanned {
    /// `None` when no row was selected.
    batches: Option<Batches>,
    /// Where in the file's order the wanted columns are, in the wanted order.
    order: Vec<usize>,
    counters: Arc<ScanCounters>,
}

impl Scanned {
    pub(crate) fn new(batches: Option<Batches>, order: Vec<usize>, counters: Arc<ScanCounters>) -> Scanned {
        counters.files.fetch_add(u64::from(batches.is_some()), Ordering::Relaxed);
        Scanned { batches, order, counters }
    }
}

impl Iterator for Scanned {
    type Item = Result<RecordBatch, Fault>;

    fn next(&mut self) -> Option<Result<RecordBatch, Fault>> {
        let batches = self.batches.as_mut()?;
        let next = batches.next();
        self.counters.pages.fetch_add(batches.newly_decoded(), Ordering::Relaxed);
        Some(next?.map(|batch| {
            self.counters.rows_read.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            batch.project(&self.order).expect("the columns were read")
        }))
    }
}
