//! One moment of all partitions, for questions that are answered over all of them at once.

use std::time::Duration;

use chronos_domain::{PartitionId, Token};
use futures::future::try_join_all;

use crate::App;
use crate::as_of::AsOf;
use crate::authority::{Action, Principal, authorize};
use crate::error::Error;
use crate::port::Node;

impl<N: Node> App<N> {
    /// How far each partition reaches in the past of `as_of`; everything acknowledged before the call, without one. Whoever
    /// reads no further sees the same events however often it reads.
    ///
    /// # Errors
    /// When a partition cannot be asked, or `as_of` is not the past of all of them.
    pub async fn snapshot(
        &self,
        principal: &Principal,
        as_of: Option<&AsOf>,
        deadline: Duration,
    ) -> Result<Token, Error> {
        authorize(principal, Action::Read)?;
        // Side by side: each may have to ask another node.
        let bounds = PartitionId::all().map(|partition| async move {
            if as_of.is_none() {
                self.node().linearize(partition, deadline).await?;
            }
            Ok::<_, Error>((partition, self.bound(partition, as_of, deadline).await?))
        });
        Ok(try_join_all(bounds).await?.into_iter().collect())
    }
}
