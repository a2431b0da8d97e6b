//! The operator at the bottom of every plan: reads pieces, one after the other, in a few streams at once.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use tokio::sync::mpsc::Sender;

use crate::columns;
use crate::limits::{BATCHES_WAITING, STREAMS};
use crate::source::{Piece, Wish};
use crate::stats::Counters;
use crate::wanted::Wanted;

type Pieces = Vec<Arc<dyn Piece>>;

/// Reads what is wished of some sources. Rows come in no promised order.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    schema: SchemaRef,
    wish: Arc<Wish>,
    streams: Vec<Pieces>,
    /// How many partitions are read, and of how many.
    partitions: (usize, usize),
    /// How many files are opened, and of how many.
    files: (usize, usize),
    /// Conditions of operators above that become narrower while the question runs.
    running: Vec<Arc<dyn PhysicalExpr>>,
    counters: Arc<Counters>,
    properties: Arc<PlanProperties>,
}

impl Scan {
    /// `pieces` are those of each source that may hold what is wished; `considered` says how many partitions that is,
    /// of how many, and how many files all of them have.
    pub(crate) fn new(
        schema: SchemaRef,
        wish: Arc<Wish>,
        pieces: Vec<Pieces>,
        (partitions, files): ((usize, usize), usize),
        counters: Arc<Counters>,
    ) -> Scan {
        let opened = pieces.iter().flatten().filter(|piece| piece.is_file()).count();
        counters.partitions_read.add(partitions.0);
        counters.files.add(files);
        let streams = deal(pieces);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(streams.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        Scan {
            schema,
            wish,
            streams,
            partitions,
            files: (opened, files),
            running: Vec::new(),
            counters,
            properties,
        }
    }
}

/// Spreads whole sources over the streams, so that each has about as many pieces to read.
fn deal(sources: Vec<Pieces>) -> Vec<Pieces> {
    let mut streams = vec![Pieces::new(); STREAMS];
    for pieces in sources {
        let shortest = streams.iter_mut().min_by_key(|stream| stream.len());
        shortest.expect("there are streams").extend(pieces);
    }
    streams.retain(|stream| !stream.is_empty());
    if streams.is_empty() {
        streams.push(Pieces::new());
    }
    streams
}

impl DisplayAs for Scan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (partitions, files) = (self.partitions, self.files);
        let names = self.schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
        write!(f, "Events: columns=[{}]", names.join(", "))?;
        write!(f, ", partitions={} of {}, files={} of {}", partitions.0, partitions.1, files.0, files.1)?;
        write!(f, "{}", self.wish.wanted)
    }
}

impl ExecutionPlan for Scan {
    fn name(&self) -> &str {
        "Events"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    /// Listens to every condition that is offered, and promises nothing: rows are checked above as before.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        offered: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let conditions: Vec<_> = offered.parent_filters.iter().map(|filter| filter.filter.clone()).collect();
        let answer = FilterPushdownPropagation::all_unsupported(offered);
        if phase == FilterPushdownPhase::Pre || conditions.is_empty() {
            return Ok(answer);
        }
        let listening = Scan { running: conditions, ..self.clone() };
        Ok(answer.with_updated_node(Arc::new(listening)))
    }

    fn execute(&self, stream: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), BATCHES_WAITING);
        let (pieces, schema) = (self.streams[stream].clone(), self.schema.clone());
        let (counters, running, out) = (self.counters.clone(), self.running.clone(), builder.tx());
        builder.spawn_blocking(move || read(&pieces, &running, &schema, &counters, &out));
        Ok(builder.build())
    }
}

/// Reads pieces until they end or nobody takes their rows any more.
fn read(
    pieces: &[Arc<dyn Piece>],
    running: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
    counters: &Arc<Counters>,
    out: &Sender<Result<arrow::array::RecordBatch>>,
) -> Result<()> {
    for piece in pieces {
        if out.is_closed() {
            return Ok(());
        }
        if !Wanted::now(running).may_be_within(&piece.extent()) {
            continue;
        }
        for batch in piece.open(counters)? {
            let batch = columns::shape(&batch?, schema).map_err(DataFusionError::from)?;
            if batch.num_rows() > 0 && out.blocking_send(Ok(batch)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
