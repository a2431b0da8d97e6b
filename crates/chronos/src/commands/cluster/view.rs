//! What there is to see.

use std::cell::Cell;

use chronos_client::ClusterAdmin;

use crate::failure::{Exit, Failure, Outcome};
use crate::operator::live::{Drawn, show};
use crate::operator::{Watched, cluster, failed, json};
use crate::output::Format;

/// What a script waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Nothing is amiss: every partition is led, and has all its replicas.
    Well,
    /// Besides, nothing is left to move.
    Settled,
}

/// The exit code is that of [`Exit::Unwell`] until what is waited for is so.
pub(super) async fn status(admin: &ClusterAdmin, watched: &Watched, until: Until, format: Format) -> Outcome {
    let is_well = Cell::new(true);
    let look = async || {
        let status = admin.status().await.map_err(failed)?;
        let plan = match cluster::concerns(&status).is_empty() {
            true => Some(admin.plan().await.map_err(failed)?),
            false => None,
        };
        is_well.set(
            plan.as_ref().is_some_and(|plan| until == Until::Well || cluster::on_its_way(plan).is_none()),
        );
        Ok::<_, Failure>(match format {
            Format::Table => Drawn::Page(cluster::status(&status, plan.as_ref())),
            Format::Json => Drawn::Objects(vec![json::status(&status, plan.as_ref())]),
        })
    };
    show(watched, look).await?;
    // Whoever watches has seen for himself, and ended it.
    let is_told = is_well.get() || watched.watch;
    if is_told { Ok(()) } else { Err(Failure::already_told(Exit::Unwell)) }
}

pub(super) async fn nodes(admin: &ClusterAdmin, watched: &Watched, format: Format) -> Outcome {
    let look = async || {
        let status = admin.status().await.map_err(failed)?;
        Ok::<_, Failure>(match format {
            Format::Table => Drawn::Page(cluster::nodes(&status)),
            Format::Json => Drawn::Objects(status.nodes.iter().map(json::node).collect()),
        })
    };
    show(watched, look).await
}

pub(super) async fn plan(admin: &ClusterAdmin, watched: &Watched, format: Format) -> Outcome {
    let look = async || {
        let plan = admin.plan().await.map_err(failed)?;
        Ok::<_, Failure>(match format {
            Format::Table => Drawn::Page(cluster::plan(&plan)),
            Format::Json => {
                let waits = plan.waits.iter().map(|text| json::wait(text));
                Drawn::Objects(plan.steps.iter().map(json::step).chain(waits).collect())
            }
        })
    };
    show(watched, look).await
}
