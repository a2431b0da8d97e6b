//! Where in a plan its streams are watched.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

use super::Watch;
use super::held::Reserving;
use super::pairs::{Held, Join, Joined, Streamed};
use super::stream::{Duty, Watched};
use super::unnest::Unnesting;
use crate::limits::{LITERAL_BYTES_MAX, TABLES_MAX};
use crate::scan::Scan;

/// The plan with a watch wherever it needs one.
///
/// # Errors
/// When the plan reads more tables, or holds longer constants, than a question may.
pub(crate) fn watched(plan: Arc<dyn ExecutionPlan>, watch: &Watch) -> Result<Arc<dyn ExecutionPlan>> {
    measure(&plan)?;
    plan.transform_up(|step| around(step, watch)).map(|done| done.data)
}

/// Every table has threads and batches of its own, and every constant is written out once per row of a batch.
fn measure(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let (mut tables, mut bytes) = (0, 0);
    plan.apply(|step| {
        tables += usize::from(step.is::<Scan>());
        step.apply_expressions(&mut |expr| {
            expr.apply(|part| {
                bytes += part.downcast_ref::<Literal>().map_or(0, |literal| literal.value().size());
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if tables > TABLES_MAX {
        return plan_err!(
            "the query reads the events {tables} times over, and may do so {TABLES_MAX} times; use one SELECT with CASE or \
             FILTER in place of many"
        );
    }
    if bytes > LITERAL_BYTES_MAX {
        return plan_err!(
            "the constants of the query come to {bytes} bytes when they are worked out, and may have \
             {LITERAL_BYTES_MAX}; use shorter ones, or fewer"
        );
    }
    Ok(())
}

fn around(step: Arc<dyn ExecutionPlan>, watch: &Watch) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let hashed = step.is::<HashJoinExec>() || step.is::<SortMergeJoinExec>();
    let compared =
        step.is::<NestedLoopJoinExec>() || step.is::<CrossJoinExec>() || step.is::<PiecewiseMergeJoinExec>();
    let below = if hashed || compared {
        let join = Join::new(hashed);
        vec![Task::Held(join.clone()), Task::Streamed(join)]
    } else if step.is::<WindowAggExec>() || step.is::<BoundedWindowAggExec>() {
        vec![Task::Reserving]
    } else if let Some(unnest) = step.downcast_ref::<UnnestExec>() {
        let lists = unnest.list_column_indices().iter().map(|list| list.index_in_input_schema);
        vec![Task::Unnesting(lists.collect())]
    } else {
        return Ok(Transformed::no(step));
    };
    let place = |(child, task): (&Arc<dyn ExecutionPlan>, Task)| Watching::over(child.clone(), task, watch);
    let children = step.children().into_iter().zip(below).map(place).collect();
    let step = replace_children_if_necessary(step, children)?;
    Ok(Transformed::yes(match hashed || compared {
        true => Watching::over(step, Task::Joined, watch),
        false => step,
    }))
}

#[derive(Clone, Debug)]
enum Task {
    Held(Arc<Join>),
    Streamed(Arc<Join>),
    Joined,
    Reserving,
    Unnesting(Vec<usize>),
}

/// An operator that hands on what it reads, watched.
#[derive(Clone, Debug)]
struct Watching {
    input: Arc<dyn ExecutionPlan>,
    task: Task,
    watch: Watch,
}

impl Watching {
    fn over(input: Arc<dyn ExecutionPlan>, task: Task, watch: &Watch) -> Arc<dyn ExecutionPlan> {
        Arc::new(Watching { input, task, watch: watch.clone() })
    }

    fn stream(
        &self,
        input: SendableRecordBatchStream,
        duty: impl Duty + 'static,
    ) -> SendableRecordBatchStream {
        Box::pin(Watched::new(input, self.watch.clone(), duty))
    }
}

impl DisplayAs for Watching {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.task {
            Task::Held(_) => "Watch: held by a join",
            Task::Streamed(_) => "Watch: streamed by a join",
            Task::Joined => "Watch: joined",
            Task::Reserving => "Watch: held by a window",
            Task::Unnesting(_) => "Watch: laid out as rows",
        })
    }
}

impl ExecutionPlan for Watching {
    fn name(&self) -> &str {
        "Watch"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().expect("an operator with one input is given one");
        Ok(Arc::new(Watching { input, ..(*self).clone() }))
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().expect("an operator with one input is given one");
        Ok(Arc::new(Watching { input, ..(*self).clone() }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context.clone())?;
        Ok(match &self.task {
            Task::Held(join) => self.stream(input, Held(join.clone())),
            Task::Streamed(join) => self.stream(input, Streamed(join.clone())),
            Task::Joined => self.stream(input, Joined),
            Task::Reserving => {
                let reservation = MemoryConsumer::new("window").register(context.memory_pool());
                self.stream(input, Reserving(reservation))
            }
            Task::Unnesting(lists) => self.stream(input, Unnesting { lists: lists.clone() }),
        })
    }
}
