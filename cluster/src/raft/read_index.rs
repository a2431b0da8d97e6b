//! Whether this node leads now, asked of a quorum.

use std::time::Duration;

use chronos_wal::Mark;
use openraft::LinearizerOption;
use openraft::errors::{LinearizableReadError, RaftError};

use super::Raft;
use super::types::mark_of;

/// Why it could not be shown that this node leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unconfirmed {
    /// It does not.
    NotLeader,
    /// Too few answered in time, or the group has ended: nothing is known.
    Silent(String),
}

/// The last entry that may have been acknowledged when this was called: whoever has applied it has everything. It is
/// given after a quorum has answered a heartbeat that was sent after the call, so that no other leader has acknowledged
/// anything before it. No clock is believed: neither this node's nor anybody's lease.
///
/// # Errors
/// See [`Unconfirmed`]: after `within` at the latest.
pub(crate) async fn confirm(raft: &Raft, within: Duration) -> Result<Mark, Unconfirmed> {
    let asked = LinearizerOption::new(Some(Duration::ZERO), true).with_wait_timeout(within);
    match raft.get_read_linearizer(asked).await {
        Ok(confirmed) => Ok(mark_of(Some(confirmed.read_log_id().log_id()))),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => {
            chronos_env::sometimes!("read.refused_by_deposed_leader");
            Err(Unconfirmed::NotLeader)
        }
        Err(error) => {
            chronos_env::sometimes!("read.not_confirmed");
            Err(Unconfirmed::Silent(error.to_string()))
        }
    }
}
