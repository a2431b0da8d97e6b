//! What may be asked of a group.

use chronos_domain::{EntityId, ForkId, TenantId, Timestamp, Version};
use chronos_store::entry::{AppendCommand, CutCommand, TickCommand, TruncateCommand};
use chronos_store::{Block, Command};

/// A command before it has a time: that is set when it is written to the log, so that time follows log order.
#[derive(Clone, Debug)]
pub enum Request {
    /// Store events, or only check.
    Append {
        /// The tenant, from the caller's credentials.
        tenant: TenantId,
        /// The tenant's fork.
        fork: ForkId,
        /// The packed request.
        block: Block,
    },
    /// Erase the content of an entity's oldest events.
    Truncate {
        /// The tenant, from the caller's credentials.
        tenant: TenantId,
        /// The tenant's fork.
        fork: ForkId,
        /// Which entity.
        entity: EntityId,
        /// The first version that stays.
        before: Version,
    },
    /// End the active generation, so that it can be compacted.
    Cut {
        /// Whether the part is going to be kept, and therefore packed as small as possible.
        settle: bool,
    },
    /// Let time pass, so that what was recorded until now no longer changes.
    Tick,
}

impl Request {
    /// Memory it takes while it waits.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Request::Append { block, .. } => block.memory(),
            Request::Truncate { .. } | Request::Cut { .. } | Request::Tick => 0,
        }
    }

    /// Whether it makes the partition longer, and therefore waits while compaction is behind.
    pub(crate) const fn adds_events(&self) -> bool {
        matches!(self, Request::Append { .. })
    }

    pub(crate) fn into_command(self) -> Command {
        let recorded_at = Timestamp::ZERO; // until the proposer stamps it
        match self {
            Request::Append { tenant, fork, block } => {
                Command::Append(AppendCommand { tenant, fork, recorded_at, block })
            }
            Request::Truncate { tenant, fork, entity, before } => {
                Command::Truncate(TruncateCommand { tenant, fork, recorded_at, entity, before })
            }
            Request::Cut { settle } => Command::Cut(CutCommand { recorded_at, settle }),
            Request::Tick => Command::Tick(TickCommand { recorded_at }),
        }
    }
}
