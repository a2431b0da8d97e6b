//! `->` and `->>`, as in PostgreSQL: one step into JSON, the result as JSON or as text.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions::{Get, Reading, function};

/// Plans the two operators as calls of `json_get_json` and `json_as_text`.
#[derive(Debug)]
pub(crate) struct Arrows {
    json: Arc<ScalarUDF>,
    text: Arc<ScalarUDF>,
}

impl Arrows {
    pub(crate) fn new() -> Arrows {
        Arrows { json: function(Reading::Json), text: function(Reading::Text) }
    }
}

impl ExprPlanner for Arrows {
    fn plan_binary_op(&self, expr: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match expr.op {
            BinaryOperator::Arrow => &self.json,
            BinaryOperator::LongArrow => &self.text,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        // A chain of steps is one path, so that the text is read once.
        let mut arguments = match expr.left {
            Expr::ScalarFunction(call) if is_step(&call.func) => call.args,
            other => vec![other],
        };
        arguments.push(expr.right);
        Ok(PlannerResult::Planned(function.call(arguments)))
    }
}

/// Whether a function gives JSON, in which a further step can be taken.
fn is_step(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<Get>().is_some_and(|get| get.reading() == Reading::Json)
}
