//! What a plan may ask for, before anything is computed from it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::{widths, windows};

/// Steps of one plan, with every use of a WITH clause counted.
const STEPS_MAX: usize = 16_384;
/// Joins of one plan, whose order is a matter of their square.
const JOINS_MAX: usize = 64;
/// What an approximation may be told to keep.
const CENTROIDS_MAX: u64 = 10_000;

/// Refuses a plan that would grow without bound while it is made ready, or asks for widths that a number decides.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    let (mut steps, mut joins) = (0_usize, 0_usize);
    plan.apply_with_subqueries(|step| {
        steps += 1;
        if steps > STEPS_MAX {
            return plan_err!(
                "the query has more than {STEPS_MAX} steps, counting what WITH names once per use; ask in several queries"
            );
        }
        step.apply_expressions(|expr| {
            expr.apply(|part| expression(part).map(|()| TreeNodeRecursion::Continue))
        })?;
        joins += usize::from(matches!(step, LogicalPlan::Join(_)));
        if joins > JOINS_MAX {
            return plan_err!("the query has more than {JOINS_MAX} joins; ask in several queries");
        }
        match step {
            LogicalPlan::Window(window) => windows::check(window)?,
            LogicalPlan::Aggregate(aggregate) => approximations(aggregate)?,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    widths::check(plan)
}

fn expression(part: &Expr) -> Result<()> {
    let to = match part {
        Expr::Cast(cast) => cast.field.data_type(),
        Expr::TryCast(cast) => cast.field.data_type(),
        Expr::ScalarFunction(call) if matches!(call.func.name(), "arrow_cast" | "arrow_try_cast") => {
            return match call.args.get(1).is_some_and(names_a_width) {
                true => wide(),
                false => Ok(()),
            };
        }
        _ => return Ok(()),
    };
    match is_of_stated_width(to) {
        true => wide(),
        false => Ok(()),
    }
}

fn wide() -> Result<()> {
    plan_err!(
        "values of a fixed number of elements are not offered; cast to a list or to bytes without a number"
    )
}

/// Whether the name of a type, as a text, may say a width.
fn names_a_width(name: &Expr) -> bool {
    match name {
        Expr::Literal(value, _) => value.to_string().to_lowercase().contains("fixedsize"),
        _ => true,
    }
}

/// Whether a number in the type says how much memory each value takes, be it there or not.
fn is_of_stated_width(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(_, _) | DataType::FixedSizeBinary(_) => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => {
            is_of_stated_width(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| is_of_stated_width(field.data_type())),
        _ => false,
    }
}

/// Approximations allocate as much as they are told to.
fn approximations(aggregate: &Aggregate) -> Result<()> {
    let check = |part: &Expr| match part {
        Expr::AggregateFunction(call) if call.func.name().starts_with("approx_percentile") => {
            let plain = 2 + usize::from(call.func.name().contains("weight"));
            match call.params.args.iter().skip(plain).all(is_small) {
                true => Ok(TreeNodeRecursion::Continue),
                false => too_fine(),
            }
        }
        _ => Ok(TreeNodeRecursion::Continue),
    };
    aggregate.aggr_expr.iter().try_for_each(|expr| expr.apply(check).map(drop))
}

fn is_small(expr: &Expr) -> bool {
    let Expr::Literal(value, _) = expr else { return false };
    let Ok(ScalarValue::UInt64(Some(number))) = value.cast_to(&DataType::UInt64) else { return false };
    number <= CENTROIDS_MAX
}

fn too_fine() -> Result<TreeNodeRecursion, DataFusionError> {
    plan_err!(
        "an approximate percentile keeps a number of centroids, at most {CENTROIDS_MAX}; write a smaller one"
    )
}
