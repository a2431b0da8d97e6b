//! The table `events`: all sources as one.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use crate::columns;
use crate::scan::Scan;
use crate::source::{Source, Wish};
use crate::stats::Counters;
use crate::wanted::Wanted;

/// The events of one tenant at one moment.
#[derive(Debug)]
pub(crate) struct Events {
    tenant: String,
    sources: Vec<Arc<dyn Source>>,
    counters: Arc<Counters>,
}

impl Events {
    pub(crate) fn new(tenant: String, sources: Vec<Arc<dyn Source>>, counters: Arc<Counters>) -> Events {
        Events { tenant, sources, counters }
    }

    /// The sources that may hold what is wanted. Every file counts as considered, also those of the others.
    fn narrow(&self, wanted: &Wanted) -> Vec<&Arc<dyn Source>> {
        let may_hold = |source: &&Arc<dyn Source>| wanted.may_be_in(&self.tenant, source.partition());
        self.sources.iter().filter(may_hold).collect()
    }
}

#[async_trait]
impl TableProvider for Events {
    fn schema(&self) -> SchemaRef {
        columns::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match Wanted::of(filter).is_narrow() {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(columns::schema().project(columns)?),
            None => columns::schema(),
        };
        let wish = Arc::new(Wish { columns: columns::stored(&schema), wanted: Wanted::all_of(filters) });
        let sources = self.narrow(&wish.wanted);
        let files = self.sources.iter().map(|source| source.files()).sum();
        let partitions = (sources.len(), self.sources.len());
        let pieces = sources.into_iter().map(|source| source.pieces(&wish)).collect();
        Ok(Arc::new(Scan::new(schema, wish, pieces, (partitions, files), self.counters.clone())))
    }
}
