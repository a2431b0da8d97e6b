//! A source over a vector, half of it called a file, and how the tests ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chronos_block::Recorded;
use chronos_domain::{PartitionId, TenantId};

use super::fact::{Fact, TENANT};
use crate::error::Unreadable;
use crate::source::{Batches, Piece, Source, Wish};
use crate::stats::Counters;
use crate::wanted::Extent;
use crate::{Answer, Engine, Error, Limits, Stats};

/// One partition: its first half is in files of forty rows, the rest in the tail.
#[derive(Debug)]
struct Plain {
    partition: PartitionId,
    files: Vec<Vec<Recorded>>,
    tail: Vec<Recorded>,
}

#[derive(Debug)]
struct Stretch {
    rows: Vec<Recorded>,
    is_file: bool,
    wish: Arc<Wish>,
}

impl Source for Plain {
    fn partition(&self) -> PartitionId {
        self.partition
    }

    fn files(&self) -> usize {
        self.files.len()
    }

    fn pieces(&self, wish: &Arc<Wish>) -> Vec<Arc<dyn Piece>> {
        let piece = |rows: &Vec<Recorded>, is_file| -> Arc<dyn Piece> {
            Arc::new(Stretch { rows: rows.clone(), is_file, wish: wish.clone() })
        };
        let files = self.files.iter().map(|rows| piece(rows, true));
        let mut pieces: Vec<_> = files.chain([piece(&self.tail, false)]).collect();
        pieces.reverse();
        pieces
    }
}

fn ends(numbers: impl Iterator<Item = i64> + Clone) -> std::ops::RangeInclusive<i64> {
    numbers.clone().min().unwrap_or(i64::MAX)..=numbers.max().unwrap_or(i64::MIN)
}

impl Stretch {
    /// Takes every hint, so that a wrong one loses rows.
    fn is_wanted(&self, row: &Recorded) -> bool {
        let wanted = &self.wish.wanted;
        let event = row.event();
        let named = |names: &Option<std::collections::BTreeSet<String>>, name: &str| {
            names.as_ref().is_none_or(|names| names.contains(name))
        };
        let (position, recorded) = (row.position.get() as i64, row.recorded_at.get());
        named(&wanted.entities, event.entity_id)
            && named(&wanted.types, event.event_type)
            && wanted.ids().is_none_or(|ids| ids.contains(&event.event_id))
            && wanted.positions.is_none_or(|span| span.meets(&(position..=position)))
            && wanted.recorded.is_none_or(|span| span.meets(&(recorded..=recorded)))
    }
}

impl Piece for Stretch {
    fn is_file(&self) -> bool {
        self.is_file
    }

    fn extent(&self) -> Extent {
        let partitions = self.rows.iter().map(|row| i64::from(row.partition.get()));
        let positions = self.rows.iter().map(|row| row.position.get() as i64);
        let recorded = self.rows.iter().map(|row| row.recorded_at.get());
        Extent { partitions: ends(partitions), positions: ends(positions), recorded: ends(recorded) }
    }

    fn open(&self, counters: &Arc<Counters>) -> Result<Batches, Unreadable> {
        let rows: Vec<Recorded> = self.rows.iter().filter(|row| self.is_wanted(row)).cloned().collect();
        if self.is_file && !rows.is_empty() {
            counters.files_read.add(1);
        }
        let counter = if self.is_file { &counters.file_rows_read } else { &counters.tail_rows_read };
        counter.add(rows.len());
        let columns = self.wish.columns.clone();
        let batches: Vec<RecordBatch> = rows.chunks(7).map(chronos_parts::to_batch).collect();
        Ok(Box::new(batches.into_iter().map(move |batch| {
            let indexes: Vec<usize> =
                columns.iter().map(|name| batch.schema().index_of(name).unwrap()).collect();
            Ok(batch.project(&indexes).unwrap())
        })))
    }
}

fn sources(facts: &[Fact]) -> Vec<Arc<dyn Source>> {
    let mut partitions: BTreeMap<PartitionId, Vec<Recorded>> = BTreeMap::new();
    for fact in facts {
        partitions.entry(fact.partition).or_default().push(fact.recorded());
    }
    let source = |(partition, mut rows): (PartitionId, Vec<Recorded>)| -> Arc<dyn Source> {
        let tail = rows.split_off(rows.len() / 2);
        Arc::new(Plain { partition, files: rows.chunks(40).map(<[Recorded]>::to_vec).collect(), tail })
    };
    partitions.into_iter().map(source).collect()
}

/// An engine and what it is asked about.
pub(super) struct Asker {
    engine: Engine,
    tokio: tokio::runtime::Runtime,
}

impl Asker {
    pub(super) fn new(limits: Limits) -> Asker {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Asker { engine: Engine::new(limits), tokio }
    }

    /// The rows, each value as text (`NULL` as that word), and what they cost.
    pub(super) fn ask(&self, facts: &[Fact], sql: &str) -> Result<(Vec<Vec<String>>, Stats), Error> {
        self.ask_for(facts, sql, self.engine.limits().rows, std::future::pending())
    }

    pub(super) fn ask_for(
        &self,
        facts: &[Fact],
        sql: &str,
        rows: u64,
        expiry: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(Vec<Vec<String>>, Stats), Error> {
        let tenant = TenantId::parse(TENANT).unwrap();
        self.tokio.block_on(async {
            let mut answer = self.engine.ask(&tenant, sql, sources(facts), rows, expiry).await?;
            let rows = collect(&mut answer).await?;
            Ok((rows, answer.stats()))
        })
    }

    /// The rows, where there is no reason to fail.
    pub(super) fn rows(&self, facts: &[Fact], sql: &str) -> Vec<Vec<String>> {
        self.ask(facts, sql).unwrap_or_else(|error| panic!("{sql}: {error}")).0
    }

    /// The columns of an answer.
    pub(super) fn schema(&self, facts: &[Fact], sql: &str) -> arrow::datatypes::SchemaRef {
        let tenant = TenantId::parse(TENANT).unwrap();
        let asked = self.engine.ask(&tenant, sql, sources(facts), 1, std::future::pending());
        self.tokio.block_on(asked).unwrap().schema().clone()
    }

    /// Lets time pass on the asker's side.
    pub(super) fn pause(&self) {
        self.tokio.block_on(async { tokio::task::yield_now().await });
    }
}

async fn collect(answer: &mut Answer) -> Result<Vec<Vec<String>>, Error> {
    let mut rows = Vec::new();
    while let Some(batch) = answer.next().await? {
        assert_eq!(batch.schema().fields(), answer.schema().fields());
        rows.extend(texts(&batch));
    }
    assert_eq!(answer.next().await?, None, "the end is the end");
    Ok(rows)
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect())
        .collect()
}

pub(super) const A_MOMENT: Duration = Duration::from_millis(1);
