//! A partition that only other nodes hold, as this one asks about it there.

use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Class, Digest, Error, Holdings, Reason};
use chronos_block::{Filter, Page, Range, Recorded};
use chronos_cluster::NodeId;
use chronos_domain::{EventId, ForkId, Marks, PartitionId, Position, TenantId, Timestamp, Version};
use chronos_proof::Proof;
use chronos_proto::PartitionMarks;
use chronos_proto::admin::{PartitionDigest, PartitionHoldings};
use chronos_proto::peer::v1::forward_request::Ask;
use chronos_proto::peer::v1::forward_response::Answer;
use chronos_proto::peer::v1::{ForwardEntity, ForwardLend, ForwardNothing, ForwardProve, ForwardVersion};
use chronos_store::Manifest;

use super::failures::ASKED_NODE;
use super::{Forward, Kind, odd, senseless, wire};
use crate::engine::routing::passed_on_in_vain;

/// How long a read that names no deadline may take elsewhere.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// How many nodes that hold a partition are asked for one read.
const READERS_MAX: usize = 3;

/// A partition that is elsewhere, with those who hold it, the best first.
pub(in crate::engine) struct Away<'a> {
    pub(in crate::engine) forward: &'a Forward,
    pub(in crate::engine) id: PartitionId,
    pub(in crate::engine) holders: Vec<NodeId>,
    /// When whoever asks stops waiting, if that is known.
    pub(in crate::engine) until: Option<Duration>,
}

type Space<'a> = (&'a TenantId, ForkId);

impl Away<'_> {
    pub(in crate::engine) async fn marks(&self) -> Result<Marks, Error> {
        match self.read(None, Ask::Marks(ForwardNothing {}), self.soon()).await? {
            Answer::Marks(marks) => {
                let marks = PartitionMarks::try_from(marks).ok().and_then(|of| of.marks.ok());
                marks.ok_or_else(|| self.odd())
            }
            _ => Err(self.odd()),
        }
    }

    pub(in crate::engine) async fn linearize(&self, deadline: Duration) -> Result<(), Error> {
        self.done(Ask::Linearize(ForwardNothing {}), deadline).await
    }

    pub(in crate::engine) async fn settle(&self, t: Timestamp, deadline: Duration) -> Result<(), Error> {
        self.done(Ask::Settle(t.get()), deadline).await
    }

    pub(in crate::engine) async fn wait_applied(
        &self,
        position: Position,
        deadline: Duration,
    ) -> Result<(), Error> {
        self.done(Ask::WaitApplied(position.get()), deadline).await
    }

    pub(in crate::engine) async fn bound_at(&self, t: Timestamp) -> Result<Position, Error> {
        self.number(None, Ask::BoundAt(t.get())).await.map(Position::new)
    }

    pub(in crate::engine) async fn version(
        &self,
        space: Space<'_>,
        entity: &str,
        bound: Position,
    ) -> Result<Version, Error> {
        let ask = Ask::Version(ForwardVersion { entity: entity.to_owned(), bound: bound.get() });
        self.number(Some(space), ask).await.map(Version::new)
    }

    pub(in crate::engine) async fn entity(
        &self,
        space: Space<'_>,
        entity: &str,
        range: Range,
    ) -> Result<Page, Error> {
        let range = Some(wire::range_to_wire(&range));
        self.page(space, Ask::Entity(ForwardEntity { entity: entity.to_owned(), range })).await
    }

    pub(in crate::engine) async fn scan(
        &self,
        space: Space<'_>,
        range: Range,
        filter: &Filter,
    ) -> Result<Page, Error> {
        self.page(space, Ask::Scan(wire::scan_to_wire(&range, filter))).await
    }

    pub(in crate::engine) async fn event(
        &self,
        space: Space<'_>,
        event: EventId,
    ) -> Result<Option<Recorded>, Error> {
        self.page(space, Ask::Event(id_bytes(event))).await.map(|page| page.events.into_iter().next())
    }

    pub(in crate::engine) async fn digest(&self, at: Position, deadline: Duration) -> Result<Digest, Error> {
        match self.read(None, Ask::Digest(at.get()), deadline).await? {
            Answer::Digest(digest) => {
                let digest = PartitionDigest::try_from(digest).ok().and_then(|of| of.digest.ok());
                digest.map(wire::digest).ok_or_else(|| self.odd())
            }
            _ => Err(self.odd()),
        }
    }

    pub(in crate::engine) async fn prove(
        &self,
        space: Space<'_>,
        (event, at): (EventId, Position),
        deadline: Duration,
    ) -> Result<Option<Proof>, Error> {
        let ask = Ask::Prove(ForwardProve { event: id_bytes(event), at: at.get() });
        match self.read(Some(space), ask, deadline).await? {
            Answer::Proof(json) if json.is_empty() => Ok(None),
            Answer::Proof(json) => Proof::from_json(&json).map(Some).map_err(|_| self.odd()),
            _ => Err(self.odd()),
        }
    }

    pub(in crate::engine) async fn holdings(&self) -> Result<Holdings, Error> {
        match self.read(None, Ask::Holdings(ForwardNothing {}), self.soon()).await? {
            Answer::Holdings(held) => {
                let held = PartitionHoldings::try_from(held).ok().and_then(|of| of.holdings.ok());
                held.map(wire::holdings).ok_or_else(|| self.odd())
            }
            _ => Err(self.odd()),
        }
    }

    /// Has a holder lend the partition's parts, in which everything is that is recorded at `until` or before.
    pub(in crate::engine) async fn lend(
        &self,
        loan: u64,
        until: Timestamp,
        deadline: Duration,
    ) -> Result<(NodeId, Manifest), Error> {
        let ask = Ask::Lend(ForwardLend { loan, until: until.get() });
        let (lender, answer) = self.read_from(None, ask, deadline).await?;
        let Answer::Manifest(bytes) = answer else { return Err(self.odd()) };
        let manifest =
            Manifest::decode(&bytes).map_err(|why| senseless((lender, self.id), Kind::Read, &why))?;
        let is_ours = manifest.partition == self.id && manifest.cluster == self.forward.cluster.id();
        if !is_ours || manifest.check().is_err() {
            return Err(senseless(
                (lender, self.id),
                Kind::Read,
                &"it is not what the partition consists of",
            ));
        }
        Ok((lender, manifest))
    }

    async fn done(&self, ask: Ask, deadline: Duration) -> Result<(), Error> {
        match self.read(None, ask, deadline).await? {
            Answer::Done(_) => Ok(()),
            _ => Err(self.odd()),
        }
    }

    async fn number(&self, space: Option<Space<'_>>, ask: Ask) -> Result<u64, Error> {
        match self.read(space, ask, self.soon()).await? {
            Answer::Number(number) => Ok(number),
            _ => Err(self.odd()),
        }
    }

    async fn page(&self, space: Space<'_>, ask: Ask) -> Result<Page, Error> {
        match self.read(Some(space), ask, self.soon()).await? {
            Answer::Page(page) => wire::page(page, space.1).map_err(|_| self.odd()),
            _ => Err(self.odd()),
        }
    }

    async fn read(&self, space: Option<Space<'_>>, ask: Ask, deadline: Duration) -> Result<Answer, Error> {
        let answer = self.read_from(space, ask, deadline).await;
        answer.map(|(_, answer)| answer).map_err(passed_on_in_vain)
    }

    /// Asks one holder after the other, until one of them can say something about the partition. Of the errors that of one
    /// that answered counts for more than that another was not reached.
    async fn read_from(
        &self,
        space: Option<Space<'_>>,
        ask: Ask,
        deadline: Duration,
    ) -> Result<(NodeId, Answer), Error> {
        let mut told: Option<Error> = None;
        for holder in self.holders.iter().take(READERS_MAX) {
            match self.forward.ask((*holder, self.id), space, ask.clone(), deadline).await {
                Err(error) if may_be_better_elsewhere(&error) => {
                    told = told.filter(|told| is_said(told) && !is_said(&error)).or(Some(error));
                }
                answer => return answer.map(|answer| (*holder, answer)),
            }
        }
        Err(told.expect("somebody holds a partition that is elsewhere"))
    }

    fn soon(&self) -> Duration {
        let soon = self.forward.clock.monotonic() + READ_WITHIN;
        self.until.map_or(soon, |until| until.min(soon))
    }

    fn odd(&self) -> Error {
        odd(self.id, Kind::Read)
    }
}

/// Whether a node that answered says so, and not this one of it.
fn is_said(error: &Error) -> bool {
    !error.details.iter().any(|(name, _)| *name == ASKED_NODE)
}

/// Whether the reason lies with the replica that was asked, and another one need not share it.
fn may_be_better_elsewhere(error: &Error) -> bool {
    error.class == Class::Failed
        && matches!(
            error.reason,
            Reason::NotLeader | Reason::Unavailable | Reason::Corrupt | Reason::Internal
        )
}

fn id_bytes(event: EventId) -> Bytes {
    Bytes::copy_from_slice(&event.as_u128().to_be_bytes())
}
