//! The cut that a backup is copied from.
//!
//! ```text
//!  now ─► pass: nothing can be recorded before now any more ─► cut and compact ─► shelves ─► listing
//! ```

use std::time::Duration;

use chronos_app::{Class, Error, Reason};
use chronos_cluster::Groups;
use chronos_domain::{PartitionId, Timestamp};
use chronos_env::Env;
use chronos_store::Identity;
use chronos_store::backup::Source;
use futures::future::try_join_all;

use crate::node::RELEASE;

/// How long everything applied may take to get into parts.
const COMPACT_MAX: Duration = Duration::from_secs(3600);

/// Makes parts of everything that is applied, and holds them.
///
/// # Errors
/// When a partition is not served here, or did not get into parts: a backup without it would be none.
pub(crate) async fn cut(env: &Env, groups: &Groups, identity: &Identity) -> Result<Source, Error> {
    let created_at = Timestamp::new(env.clock.wall_micros());
    let all: Vec<PartitionId> = PartitionId::all().collect();
    let deadline = env.clock.monotonic() + COMPACT_MAX;
    let past = Timestamp::new(created_at.get() - 1);
    let settled = try_join_all(all.iter().map(|id| groups.pass(*id, past, deadline))).await;
    settled.map_err(|error| incomplete(&error.to_string()))?;
    groups.compact(&all, deadline).await.map_err(|error| incomplete(&error.to_string()))?;
    let shelf = |id| groups.partition(id).map(|partition| partition.shelf());
    let shelves = all.into_iter().map(shelf).collect::<Result<Vec<_>, _>>();
    let shelves = shelves.map_err(|refused| incomplete(&refused))?;
    Ok(Source::new(RELEASE, identity.cluster, created_at, shelves))
}

fn incomplete(why: &str) -> Error {
    let text = format!("no backup was made, because it would not be complete: {why}");
    Error::new(Class::Failed, Reason::Unavailable, text)
}
