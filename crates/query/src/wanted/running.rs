//! Conditions that a question finds while it runs: once a sort knows that only what is newer than its thousandth row
//! still matters, whole files need no longer be read.

use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions;
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;

use super::Wanted;

impl Wanted {
    /// What passes all of these conditions as they stand now.
    pub(crate) fn now(conditions: &[Arc<dyn PhysicalExpr>]) -> Wanted {
        let each = conditions.iter().map(|condition| match snapshot_physical_expr(condition.clone()) {
            Ok(condition) => Wanted::of(&plain(&condition)),
            Err(_) => Wanted::default(),
        });
        each.fold(Wanted::default(), Wanted::both)
    }
}

/// The condition in the words of a query, as far as [`Wanted::of`] understands them; what it does not is left open.
fn plain(condition: &Arc<dyn PhysicalExpr>) -> Expr {
    let any: &dyn PhysicalExpr = condition.as_ref();
    if let Some(binary) = any.downcast_ref::<expressions::BinaryExpr>() {
        let (left, right) = (Box::new(plain(binary.left())), Box::new(plain(binary.right())));
        Expr::BinaryExpr(BinaryExpr { left, op: *binary.op(), right })
    } else if let Some(column) = any.downcast_ref::<expressions::Column>() {
        Expr::Column(Column::from_name(column.name()))
    } else if let Some(literal) = any.downcast_ref::<expressions::Literal>() {
        Expr::Literal(literal.value().clone(), None)
    } else if let Some(cast) = any.downcast_ref::<expressions::CastExpr>() {
        Expr::Cast(Cast::new(Box::new(plain(cast.expr())), cast.cast_type().clone()))
    } else if let Some(null) = any.downcast_ref::<expressions::IsNullExpr>() {
        Expr::IsNull(Box::new(plain(null.arg())))
    } else {
        Expr::Literal(ScalarValue::Boolean(None), None)
    }
}
