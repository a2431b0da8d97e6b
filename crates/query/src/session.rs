//! Everything a question may use: the table, the views, the functions, and nothing that reaches outside.

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::Result;
use datafusion::datasource::ViewTable;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::prelude::SessionConfig;

use crate::guard::growth::{self, Counting};
use crate::json;
use crate::limits::{BATCH_ROWS, STREAMS};
use crate::views::VIEWS;

const CATALOG: &str = "chronos";
const SCHEMA: &str = "public";

/// What all questions of an engine share: functions, settings, memory.
pub(crate) fn base(memory_bytes: usize) -> SessionState {
    let mut planners = SessionStateDefaults::default_expr_planners();
    planners.insert(0, Arc::new(json::Arrows::new()));
    let mut functions = SessionStateDefaults::default_scalar_functions();
    functions.retain(|function| growth::is_offered(function));
    functions.extend(json::functions());
    // No file formats and no table factories: there is no way from a name to a file.
    let runtime = runtime(memory_bytes);
    let counting = Arc::new(Counting::new(runtime.memory_pool.clone()));
    let mut lambdas = SessionStateDefaults::default_higher_order_functions();
    lambdas.retain(|function| growth::is_offered_for_items(function.name()));
    let mut state = SessionStateBuilder::new()
        .with_config(config())
        .with_runtime_env(runtime)
        .with_expr_planners(planners)
        .with_scalar_functions(functions)
        .with_higher_order_functions(lambdas)
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .build();
    state.register_function_rewrite(counting).expect("a rewrite is only added to a list");
    state
}

/// A state of its own for one question, with `events` as its table.
pub(crate) async fn with_events(base: &SessionState, events: Arc<dyn TableProvider>) -> Result<SessionState> {
    let schema = Arc::new(MemorySchemaProvider::new());
    schema.register_table("events".to_owned(), events)?;
    let catalog = Arc::new(MemoryCatalogProvider::new());
    catalog.register_schema(SCHEMA, schema.clone())?;
    let catalogs = Arc::new(MemoryCatalogProviderList::new());
    catalogs.register_catalog(CATALOG.to_owned(), catalog);
    let mut state = SessionStateBuilder::new_from_existing(base.clone()).with_catalog_list(catalogs).build();
    // What `now()` says, in all of the question.
    state.mark_start_execution();
    for view in VIEWS {
        let plan = state.create_logical_plan(view.sql).await?;
        let table = ViewTable::new(plan, Some(view.sql.to_owned()));
        schema.register_table(view.name.to_owned(), Arc::new(table))?;
    }
    Ok(state)
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_target_partitions(STREAMS)
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA);
    let options = config.options_mut();
    // Arrows bind as in PostgreSQL: tighter than comparisons.
    options.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    // Text has one type, that of the table.
    options.sql_parser.map_string_types_to_utf8view = false;
    // The order of a view that sorts is what it is for.
    options.sql_parser.enable_subquery_sort_elimination = false;
    // It would allocate as many groups as LIMIT says, before there is one.
    options.optimizer.enable_topk_aggregation = false;
    config
}

/// Memory within a bound, and no disk to spill to.
fn runtime(memory_bytes: usize) -> Arc<RuntimeEnv> {
    let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    RuntimeEnvBuilder::new()
        .with_disk_manager_builder(no_disk)
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        .build_arc()
        .expect("a runtime without a disk asks nothing of the system")
}
