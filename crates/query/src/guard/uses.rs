//! How often a question reads what it names by WITH.
//!
//! A name stands for its whole query wherever it is used, so names used twice in terms of each other double at every
//! step, and every walk over such a plan takes as long as the plan written out.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Visit, Visitor, visit_relations};

use crate::error::Error;

/// Tables read by one question, with every name replaced by its query.
const USES_MAX: u64 = 1024;
/// Names may stand for each other in any nesting; so many levels are followed.
const LEVELS_MAX: usize = 64;

/// Refuses a question that reads more tables than it may.
pub(crate) fn check(statement: &Statement) -> Result<(), Error> {
    let Statement::Statement(statement) = statement else { return Ok(()) };
    let mut uses = Uses::default();
    for _ in 0..LEVELS_MAX {
        uses.changed = false;
        let _ = statement.visit(&mut uses);
        if uses.of(statement.as_ref(), "") > USES_MAX {
            return Err(Error::invalid(format!(
                "the query reads more than {USES_MAX} tables when every name that WITH gives is replaced by its query; \
                 use the names less often, or ask in several queries"
            )));
        }
        if !uses.changed {
            break;
        }
    }
    Ok(())
}

/// Tables read by each name.
#[derive(Default)]
struct Uses {
    names: BTreeMap<String, u64>,
    changed: bool,
}

impl Uses {
    /// The tables that a part of the question reads, but for `itself`, which a recursion reads once.
    fn of(&self, part: &impl Visit, itself: &str) -> u64 {
        let mut sum = 0_u64;
        let _: ControlFlow<()> = visit_relations(part, |relation| {
            let name = relation.to_string().to_lowercase();
            let uses = if name == itself { 1 } else { self.names.get(&name).copied().unwrap_or(1) };
            sum = sum.saturating_add(uses);
            ControlFlow::Continue(())
        });
        sum
    }
}

impl Visitor for Uses {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = cte.alias.name.to_string().to_lowercase();
            // A name without a table costs a step too.
            let uses = self.of(&cte.query, &name).max(1);
            if uses > self.names.get(&name).copied().unwrap_or(0) {
                self.changed = true;
                self.names.insert(name, uses);
            }
        }
        ControlFlow::Continue(())
    }
}
