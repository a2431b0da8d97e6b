//! The append use case.

use std::time::Duration;

use chronos_block::Block;
use chronos_domain::{Batch, PartitionId, Position, Timestamp, Token, Verdict, Version};

use crate::authority::{Action, Principal, authorize};
use crate::error::Error;
use crate::port::Node;
use crate::{App, json};

/// An append that is durable on a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the events live.
    pub partition: PartitionId,
    /// Position of the first event; the others follow without a gap. 0 for a request that only checked.
    pub first_position: Position,
    /// Version of each event within its entity, in the order of the request.
    pub versions: Vec<Version>,
    /// When the leader recorded the events.
    pub recorded_at: Timestamp,
    /// True when the very same events were stored before: the numbers are the original ones.
    pub deduplicated: bool,
    /// Covers this append; any later read that is given it sees the events.
    pub token: Token,
}

/// How durable every acknowledged append is: on the disks of a quorum of the partition's voters.
pub const DURABILITY: &str = "quorum-fsync";

impl<N: Node> App<N> {
    /// Appends one packed request atomically.
    ///
    /// `deadline` is on the node's clock. When this returns `Ok` the events have been written and fdatasync'ed
    /// by a quorum of the partition's voters.
    ///
    /// # Errors
    /// `Rejected` when a rule said no, `NotApplied` when the command certainly did not reach the log, `Unknown`
    /// when it may have happened.
    pub async fn append(
        &self,
        principal: &Principal,
        block: Block,
        deadline: Duration,
    ) -> Result<Appended, Error> {
        authorize(principal, Action::Append)?;
        let partition = block.placement(principal.tenant().as_str())?;
        json::check(&block)?;
        if let Some(quota) = &self.quota {
            quota.take(block.events() as u64, self.node.now())?;
        }
        let verdict = self.node.propose(partition, principal.tenant(), block.clone(), deadline).await?;
        let (receipt, deduplicated) = match verdict {
            Verdict::Stored(receipt) => (receipt, false),
            Verdict::Duplicate(receipt) => (receipt, true),
            Verdict::Rejected(rejection) => return Err(rejection.into()),
        };
        let token = receipt.last(&block).map_or_else(Token::new, |last| Token::at(partition, last));
        Ok(Appended {
            partition,
            first_position: receipt.first,
            versions: receipt.versions(&block),
            recorded_at: receipt.recorded_at,
            deduplicated,
            token,
        })
    }
}
