//! How large an expression becomes when names are replaced by what they stand for.
//!
//! The optimizer moves conditions below the steps that name their columns. A column that doubles one of the step
//! below doubles every condition on it, once per step.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Parts of one expression, with every name replaced.
const PARTS_MAX: usize = 50_000;

/// Refuses a plan with an expression of more parts.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_subqueries(|subquery| columns(subquery).map(|_| TreeNodeRecursion::Continue))?;
    columns(plan).map(drop)
}

/// The parts of every column that a step gives.
fn columns(plan: &LogicalPlan) -> Result<Vec<usize>> {
    let inputs: Vec<Vec<usize>> = plan.inputs().into_iter().map(columns).collect::<Result<_>>()?;
    let widest = inputs.iter().flatten().copied().max().unwrap_or(1);
    let count = plan.schema().fields().len();
    let given = match plan {
        LogicalPlan::Projection(step) => each(&step.expr, step.input.schema(), &inputs[0])?,
        LogicalPlan::Aggregate(step) => {
            let mut given = each(&step.group_expr, step.input.schema(), &inputs[0])?;
            given.resize(count, 1);
            given
        }
        LogicalPlan::Filter(step) => {
            each(std::slice::from_ref(&step.predicate), step.input.schema(), &inputs[0])?;
            inputs.concat()
        }
        LogicalPlan::Union(_) => vec![widest; count],
        _ => inputs.concat(),
    };
    Ok(match given.len() == count {
        true => given,
        false => vec![widest; count],
    })
}

fn each(exprs: &[Expr], schema: &DFSchema, input: &[usize]) -> Result<Vec<usize>> {
    exprs.iter().map(|expr| parts(expr, schema, input)).collect()
}

fn parts(expr: &Expr, schema: &DFSchema, input: &[usize]) -> Result<usize> {
    let mut parts = 0_usize;
    expr.apply(|part| {
        parts = parts.saturating_add(match part {
            Expr::Column(column) => match schema.maybe_index_of_column(column) {
                Some(index) => input.get(index).copied().unwrap_or(1),
                None => 1,
            },
            _ => 1,
        });
        Ok(TreeNodeRecursion::Continue)
    })?;
    if parts > PARTS_MAX {
        return plan_err!(
            "an expression of the query has more than {PARTS_MAX} parts when every name in it is replaced by what it \
             stands for; name fewer columns in terms of each other, or ask in several queries"
        );
    }
    Ok(parts)
}
