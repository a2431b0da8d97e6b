//! Which window functions are answered.
//!
//! A window function gives a value for every row, computed for all rows of a window before the first is handed on.
//! Numbers and times cost a few bytes each. A text or a list that many rows share costs its length as often, which no
//! count of what was read foresees. So these pass: results of fixed width, and `lag` and `lead`, which give every
//! value to one row at most.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{Expr, Window};

/// The longest text that rows without a neighbour may be given.
const DEFAULT_BYTES_MAX: usize = 64;

pub(super) fn check(window: &Window) -> Result<()> {
    let results = window.schema.fields().iter().skip(window.input.schema().fields().len());
    for (expr, result) in window.window_expr.iter().zip(results) {
        let Some(call) = call(expr) else {
            return plan_err!("a window of an unknown kind; use a window function");
        };
        if !is_fixed(result.data_type()) && !is_shift(call) {
            return plan_err!(
                "{}(…) OVER gives text, bytes or a list for every row of its window, which may be far more than what is \
                 stored; give a number or a time, use lag or lead without a default, or compute it once per group by \
                 GROUP BY and join that",
                call.fun.name()
            );
        }
    }
    Ok(())
}

fn call(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => call(&alias.expr),
        Expr::WindowFunction(call) => Some(call),
        _ => None,
    }
}

fn is_fixed(data_type: &DataType) -> bool {
    data_type.is_primitive() || matches!(data_type, DataType::Boolean | DataType::Null)
}

/// Whether every value goes to one row at most, and what fills the gaps is short.
fn is_shift(call: &WindowFunction) -> bool {
    let params = &call.params;
    let short = |value: &Expr| match value {
        Expr::Literal(value, _) => value.is_null() || value.size() <= DEFAULT_BYTES_MAX + size_of_val(value),
        _ => false,
    };
    matches!(call.fun.name(), "lag" | "lead")
        && params.null_treatment != Some(NullTreatment::IgnoreNulls)
        && params.args.iter().skip(2).all(short)
}
