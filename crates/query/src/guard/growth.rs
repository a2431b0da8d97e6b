//! Which functions are offered, and which of them make long values from short ones.
//!
//! Everything that is not named here gives numbers, or a part of what it was given, or a few times as much.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, ScalarUDF};

use super::grown::Grown;
use super::joined;

/// How long the result of a function may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// So many times all that it is given.
    Times(usize),
    /// The first argument, each byte of it replaced by all others.
    Product,
}

/// Not offered: the length of their result, or their time, is decided by a number or a type in the question, or by
/// the product of two texts.
const REFUSED: [&str; 11] = [
    "array_repeat",
    "array_resize",
    "cast_to_type",
    "generate_series",
    "levenshtein",
    "lpad",
    "range",
    "repeat",
    "rpad",
    "space",
    "try_cast_to_type",
];

/// Whether a function of that name is offered at all.
pub(crate) fn is_offered(function: &ScalarUDF) -> bool {
    !REFUSED.contains(&function.name())
}

/// Whether a function over the items of a list is offered: what it gives for each item may not be longer than that.
pub(crate) fn is_offered_for_items(name: &str) -> bool {
    name != "array_transform"
}

fn growth(name: &str) -> Option<Growth> {
    Some(match name {
        "||" | "concat" | "overlay" => Growth::Times(1),
        "array_append" | "array_concat" | "array_prepend" | "array_union" | "make_array" | "map" => {
            Growth::Times(2)
        }
        "named_struct" | "struct" => Growth::Times(2),
        "initcap" | "lower" | "upper" => Growth::Times(3),
        "translate" => Growth::Times(4),
        "array_positions" | "string_to_array" => Growth::Times(20),
        "array_replace" | "array_replace_all" | "array_replace_n" | "array_to_string" | "arrays_zip"
        | "concat_ws" | "regexp_match" | "regexp_replace" | "replace" | "to_char" => Growth::Product,
        _ => return None,
    })
}

/// Puts every function that grows under count, also those that operators and brackets stand for.
#[derive(Debug)]
pub(crate) struct Counting {
    pool: Arc<dyn MemoryPool>,
}

impl Counting {
    pub(crate) fn new(pool: Arc<dyn MemoryPool>) -> Counting {
        Counting { pool }
    }

    fn counted(&self, function: Arc<ScalarUDF>) -> Option<Arc<ScalarUDF>> {
        if function.inner().downcast_ref::<Grown>().is_some() {
            return None;
        }
        let growth = growth(function.name())?;
        Some(Arc::new(ScalarUDF::new_from_impl(Grown::new(function, growth, self.pool.clone()))))
    }
}

impl FunctionRewrite for Counting {
    fn name(&self) -> &str {
        "counted functions"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::ScalarFunction(call) => match self.counted(call.func.clone()) {
                Some(func) => Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, ..call })),
                None => Transformed::no(Expr::ScalarFunction(call)),
            },
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right })
                if !left.get_type(schema)?.is_nested() =>
            {
                let func = self.counted(joined::function()).expect("the growth of || is known");
                let args = vec![*left, *right];
                Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))
            }
            other => Transformed::no(other),
        })
    }
}
