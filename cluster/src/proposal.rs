//! One command on its way into a group's log, and the ways it can fail to get there.

use std::sync::Arc;
use std::time::Duration;

use chronos_store::Command;
use chronos_store::entry::Outcome;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::node::NodeId;

/// Why a proposal has no outcome.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProposeError {
    /// The partition does not take commands on this node. Certainly not done.
    #[error("{0}")]
    Unavailable(Arc<str>),
    /// Another node leads the partition, or none does for now. Certainly not done.
    #[error("this node does not lead the partition; {}", where_to(*.leader))]
    NotLeader {
        /// Who does, as far as is known here.
        leader: Option<NodeId>,
    },
    /// The disk has no room for another log segment. Certainly not done; works again once space is free.
    #[error("the disk is full: free space in the data directory and retry with the same event ids")]
    NoSpace,
    /// The deadline passed before the command was written to the log. Certainly not done.
    #[error("the deadline passed before the command reached the log")]
    DeadlinePassed,
    /// Compaction is behind, and the deadline passed before it had caught up. Certainly not done.
    #[error("more events wait for compaction than may; retry later, and see the node's log if this goes on")]
    Behind,
    /// The command was handed to the log and its fate is not known: it may have happened.
    #[error("{0}; the append may have happened: retry with the same event ids to find out")]
    Unknown(Arc<str>),
}

fn where_to(leader: Option<NodeId>) -> String {
    leader.map_or_else(
        || "none is known, one is perhaps being elected: retry within seconds, on any node".to_owned(),
        |leader| format!("{leader} does: retry there"),
    )
}

/// What an accepted proposal resolves to.
pub(crate) type Answer = Result<Outcome, ProposeError>;

/// A command waiting for its group's proposer.
pub(crate) struct Proposal {
    pub(crate) command: Command,
    /// On the clock of `env`, since its start; a proposal that is still waiting then is dropped unwritten.
    pub(crate) deadline: Duration,
    pub(crate) caller: Caller,
}

/// Who waits for the outcome of a command.
pub(crate) struct Caller {
    reply: oneshot::Sender<Answer>,
    /// Holds the command's share of the node's memory until it is answered.
    _room: OwnedSemaphorePermit,
}

impl Caller {
    /// A caller, and where the answer will be.
    pub(crate) fn new(room: OwnedSemaphorePermit) -> (Caller, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (Caller { reply, _room: room }, answer)
    }

    /// Answers the caller. One that went away is no concern of the group.
    pub(crate) fn answer(self, answer: Answer) {
        let _ = self.reply.send(answer);
    }
}
