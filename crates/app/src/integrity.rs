//! What can be held against a history: digests to compare, proofs to show.

use std::time::Duration;

use chronos_domain::{EventId, ForkId, PartitionId, Position, Token};
use chronos_proof::Proof;
use futures::future::join_all;

use crate::App;
use crate::archive::{Archive, Digest};
use crate::as_of::AsOf;
use crate::authority::{Action, Principal, authorize};
use crate::error::Error;
use crate::keeping::EachPartition;

/// The digests of one moment.
#[derive(Clone, Debug)]
pub struct Digests {
    /// Each partition's.
    pub partitions: EachPartition<Digest>,
    /// The positions that are covered: as of this token the digests are the same for ever.
    pub token: Token,
}

impl<N: Archive> App<N> {
    /// The digest of every partition as of a moment; of what is applied here, without one. The same moment gives the
    /// same digests on every replica, for ever.
    ///
    /// # Errors
    /// When the principal may not observe, or the moment is none that partitions have. What one partition has to say
    /// against its own digest stands in its place.
    pub async fn digests(
        &self,
        principal: &Principal,
        as_of: Option<&AsOf>,
        deadline: Duration,
    ) -> Result<Digests, Error> {
        authorize(principal, Action::Observe)?;
        refuse_version(as_of)?;
        // Side by side, where each may have to ask another node; one after the other where each keeps a core busy.
        let bounds = PartitionId::all()
            .map(|partition| async move { (partition, self.bound(partition, as_of, deadline).await) });
        let (mut partitions, mut token) = (Vec::new(), Token::new());
        for (partition, bound) in join_all(bounds).await {
            let digest = match bound {
                Ok(at) => self.node().digest(partition, at, deadline).await,
                Err(error) => Err(error),
            };
            if let Ok(digest) = &digest {
                token.advance(partition, digest.position);
            }
            partitions.push((partition, digest));
        }
        Ok(Digests { partitions, token })
    }

    /// A proof that an event belongs to its partition's history as of a moment; of what is applied here, without one.
    ///
    /// # Errors
    /// `NOT_FOUND` only when every partition said that the event is not in that past; the first refusal when one could
    /// not be asked.
    pub async fn prove(
        &self,
        principal: &Principal,
        event: EventId,
        as_of: Option<&AsOf>,
        deadline: Duration,
    ) -> Result<Proof, Error> {
        authorize(principal, Action::Read)?;
        refuse_version(as_of)?;
        let space = (principal.tenant(), ForkId::MAIN);
        let mut refusal = None;
        let bounds = PartitionId::all()
            .map(|partition| async move { (partition, self.bound(partition, as_of, deadline).await) });
        for (partition, bound) in join_all(bounds).await {
            let found = match bound {
                Ok(Position::ZERO) => Ok(None),
                Ok(at) => self.node().prove(partition, space, event, at, deadline).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(Some(proof)) => return Ok(proof),
                Ok(None) => {}
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| {
            let text = format!("no event has the id {event} in that past; ask as of a later moment");
            Error::not_found(text).with("event_id", event)
        }))
    }
}

/// Partitions have no versions.
fn refuse_version(as_of: Option<&AsOf>) -> Result<(), Error> {
    match as_of {
        Some(AsOf::Version(_)) => {
            Err(Error::invalid("as_of a version needs one entity; give a time or a token here"))
        }
        _ => Ok(()),
    }
}
