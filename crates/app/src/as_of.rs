//! Time travel: a moment becomes position bounds, once, before anything is read.

use std::time::Duration;

use chronos_domain::{EntityId, ForkId, PartitionId, Position, Timestamp, Token, Version};

use crate::App;
use crate::authority::Principal;
use crate::error::Error;
use crate::port::Node;

/// A moment of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// Everything recorded at or before this time; it must have passed.
    Timestamp(Timestamp),
    /// Everything up to the token's positions; of a partition that it does not name, nothing.
    Token(Token),
    /// Everything up to this version of the entity that is read.
    Version(Version),
}

/// How fresh a read must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Everything acknowledged before the read began is seen.
    #[default]
    Linearizable,
    /// Everything the token covers is seen; waits for it until the deadline.
    AtLeast(Token),
    /// What this replica has applied.
    Local,
}

impl<N: Node> App<N> {
    /// Waits until this node is as fresh as `consistency` asks.
    pub(crate) async fn catch_up(
        &self,
        partition: PartitionId,
        consistency: &Consistency,
        deadline: Duration,
    ) -> Result<(), Error> {
        match consistency {
            Consistency::Linearizable => self.node().linearize(partition, deadline).await,
            Consistency::AtLeast(token) => {
                self.node().wait_applied(partition, token.get(partition), deadline).await
            }
            Consistency::Local => Ok(()),
        }
    }

    /// The last position of `partition` that belongs to the past of `as_of`; what is applied, without one.
    pub(crate) async fn bound(
        &self,
        partition: PartitionId,
        as_of: Option<&AsOf>,
        deadline: Duration,
    ) -> Result<Position, Error> {
        match as_of {
            None => Ok(self.node().marks(partition).await?.applied),
            Some(AsOf::Timestamp(t)) => {
                self.past(*t)?;
                // A command may already carry a time before now and not be applied yet, and the clock of the next leader
                // may be behind.
                self.node().settle(partition, *t, deadline).await?;
                self.node().bound_at(partition, *t).await
            }
            Some(AsOf::Token(token)) => {
                let position = token.get(partition);
                self.node().wait_applied(partition, position, deadline).await?;
                Ok(position)
            }
            Some(AsOf::Version(_)) => {
                Err(Error::invalid("as_of a version needs one entity; give a time or a token here"))
            }
        }
    }

    /// Like [`Self::bound`], for one entity, where `as_of` may also be one of its versions.
    pub(crate) async fn entity_bound(
        &self,
        (principal, partition, entity): (&Principal, PartitionId, &EntityId),
        as_of: Option<&AsOf>,
        deadline: Duration,
    ) -> Result<(Position, Version), Error> {
        let bound = match as_of {
            Some(AsOf::Version(_)) => self.bound(partition, None, deadline).await?,
            _ => self.bound(partition, as_of, deadline).await?,
        };
        let space = (principal.tenant(), ForkId::MAIN);
        let head = self.node().version(partition, space, entity.as_str(), bound).await?;
        match as_of {
            Some(AsOf::Version(wanted)) if *wanted > head => Err(Error::invalid(format!(
                "as_of names version {wanted}, but {entity} is at version {head}; give a version up to that"
            ))
            .with("version", head)),
            Some(AsOf::Version(wanted)) => Ok((bound, *wanted)),
            _ => Ok((bound, head)),
        }
    }

    /// Only the past stands still: the same question about the future would change its answer.
    fn past(&self, t: Timestamp) -> Result<(), Error> {
        let now = self.node().now();
        if t < now {
            return Ok(());
        }
        let text = format!("as_of {t} has not passed (it is {now} for this node); give a time before now");
        Err(Error::invalid(text).with("now", now))
    }
}
