//! How a question is answered, as rows of text.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;

use crate::stats::Stats;

/// Two columns: what a line is about, and the line.
pub(crate) fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![text("about"), text("line")]))
}

/// The plan from the answer down to the table, then what running it read and gave; `analyze` adds the operators' own
/// counters.
pub(crate) fn rows(plan: &dyn ExecutionPlan, analyze: bool, stats: &Stats) -> RecordBatch {
    let display = match analyze {
        true => DisplayableExecutionPlan::with_metrics(plan),
        false => DisplayableExecutionPlan::new(plan),
    };
    let plan = display.indent(false).to_string();
    let mut lines: Vec<(&str, String)> = plan.lines().map(|line| ("plan", line.to_owned())).collect();
    lines.push(("partitions", format!("{} read", stats.partitions_read)));
    lines.push(("files", format!("{} read of {}", stats.files_read, stats.files)));
    lines.push(("pages", format!("{} read", stats.pages_read)));
    let (files, tail, ids) = (stats.file_rows_read, stats.tail_rows_read, stats.id_rows_read);
    lines.push(("rows read", format!("{files} from files, {tail} from the tail, {ids} by event id")));
    lines.push(("rows returned", stats.rows_returned.to_string()));
    let (about, line): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    let columns = (Arc::new(StringArray::from(about)), Arc::new(StringArray::from(line)));
    RecordBatch::try_new(schema(), vec![columns.0, columns.1]).expect("two columns of one length")
}
