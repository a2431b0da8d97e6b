//! What only this node can do, asked by an operator here or by another node that an operator asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Class, Error, Reason, Wait};
use chronos_cluster::peer::{Handler, Message, Refusal};
use chronos_domain::{PartitionId, Position, Rejection};
use chronos_proto::admin::{CompactedPartition, PartitionDigest, VerifiedPartition};
use chronos_proto::cluster::v1::node_request::{
    Ask, CompactHere, DigestHere, RepairHere, ScrubHere, SetHere, VerifyHere,
};
use chronos_proto::cluster::v1::node_response::Answer;
use chronos_proto::cluster::{self as wire, NodeId, v1};
use chronos_proto::v1 as clients;
use futures::FutureExt;
use futures::future::BoxFuture;
use prost::Message as _;
use tokio::sync::Semaphore;

use super::Settings;
use crate::admin::{digest, verified};
use crate::edge::Edge;
use crate::grpc::failure;

/// A replica that is behind and has not moved for so long, longer than an election takes, is not waited for: nobody brings
/// it what it lacks.
const STANDS_STILL: Duration = Duration::from_secs(6);
/// How long a replica may take to come to a position, and how long to compute its digest there.
const DIGEST_STEP_WITHIN: Duration = Duration::from_secs(60);
/// Digests that are computed side by side: each costs a core for a while.
const DIGESTS_AT_ONCE: usize = 2;

/// This node as those meet it who have something done on it.
pub(crate) struct Here {
    me: NodeId,
    pub(super) edge: Arc<Edge>,
    settings: Settings,
    /// One search for damage at a time that an operator wanted.
    is_scrubbing: Arc<AtomicBool>,
    /// Turns to compute a digest.
    digests: Semaphore,
}

impl Here {
    pub(crate) fn new(me: NodeId, edge: Arc<Edge>, settings: Settings) -> Self {
        Self { me, edge, settings, is_scrubbing: Arc::default(), digests: Semaphore::new(DIGESTS_AT_ONCE) }
    }

    /// Does it. The answer is of the kind that was asked for, or a failure.
    pub(super) async fn answer(&self, ask: Ask) -> Answer {
        let answered = match ask {
            Ask::Compact(ask) => self.compact(ask).await.map(Answer::Compact),
            Ask::Scrub(ask) => self.scrub(&ask).map(Answer::Scrub),
            Ask::Verify(ask) => self.verify(&ask).await.map(Answer::Verify),
            Ask::Digest(ask) => self.digest(&ask).await.map(Answer::Digest),
            Ask::Repair(ask) => self.repair(&ask).await.map(Answer::Repair),
            Ask::Config(_) => Ok(Answer::Config(self.config().into())),
            Ask::Set(ask) => Ok(Answer::Set(self.set(&ask).into())),
        };
        answered.unwrap_or_else(|error| Answer::Failure(failure::failure(error).into()))
    }

    fn due(&self, within_ms: u64) -> Duration {
        self.edge.env.clock.monotonic() + Duration::from_millis(within_ms)
    }

    async fn compact(&self, ask: CompactHere) -> Result<clients::CompactResponse, Error> {
        let wanted = wire::partitions(&ask.partitions).map_err(Rejection::from)?;
        let wait = if ask.wait { Wait::Yes } else { Wait::No };
        let within = (wait, self.due(ask.within_ms));
        let each = self.edge.app_here().compact(self.edge.principal(), &wanted, within).await?;
        let each = each.into_iter().map(|(partition, position)| {
            CompactedPartition { partition, position: position.map_err(failure::failure) }.into()
        });
        Ok(clients::CompactResponse { partitions: each.collect() })
    }

    /// Begins to read partitions one after the other, no faster than the search in the background may.
    fn scrub(&self, ask: &ScrubHere) -> Result<v1::ScrubBegun, Error> {
        let wanted = wire::partitions(&ask.partitions).map_err(Rejection::from)?;
        if self.is_scrubbing.swap(true, Ordering::AcqRel) {
            let text = format!(
                "{} looks for damage already because somebody asked; wait until it is through",
                self.me
            );
            return Err(Error::new(Class::NotApplied, Reason::ResourceExhausted, text));
        }
        let (edge, is_scrubbing) = (self.edge.clone(), self.is_scrubbing.clone());
        let rate = self.settings.now().scrub.bytes_per_second_max;
        let partitions = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        drop(self.edge.env.tasks.spawn("scrub on demand", async move {
            for partition in wanted {
                let (looked, partition) =
                    (edge.app.node().groups().verify(partition, Some(rate)).await, partition.get());
                match looked.map(|seen| seen.findings.len()) {
                    Ok(found) => {
                        tracing::info!(partition, found, "looked for damage because an operator asked");
                    }
                    Err(error) => {
                        tracing::warn!(partition, %error, "could not look for damage as an operator asked");
                    }
                }
            }
            is_scrubbing.store(false, Ordering::Release);
        }));
        Ok(wire::ScrubBegun { node: self.me, partitions: Ok(partitions) }.into())
    }

    async fn verify(&self, ask: &VerifyHere) -> Result<clients::VerifyResponse, Error> {
        let partition = partition(ask.partition)?;
        let outcome = self.edge.app_here().verify(self.edge.principal(), partition).await;
        let outcome = outcome.map(verified).map_err(failure::failure);
        Ok(VerifiedPartition { partition, outcome }.into())
    }

    /// The digest of the replica here at exactly that position, once it has come so far. Who waits for that takes nobody's
    /// turn to compute.
    async fn digest(&self, ask: &DigestHere) -> Result<clients::PartitionDigest, Error> {
        let (partition, position) = (partition(ask.partition)?, Position::new(ask.position));
        let outcome = self.digest_at(partition, position, self.due(ask.within_ms)).await;
        Ok(PartitionDigest { partition, digest: outcome.map_err(failure::failure) }.into())
    }

    async fn digest_at(
        &self,
        partition: PartitionId,
        position: Position,
        deadline: Duration,
    ) -> Result<chronos_proto::admin::Digest, Error> {
        let engine = self.edge.app_here().node();
        let step = || deadline.min(self.edge.env.clock.monotonic() + DIGEST_STEP_WITHIN);
        engine.approach(partition, position, (step(), STANDS_STILL)).await?;
        let _turn = self.digests.acquire().await.expect("it is never closed");
        chronos_app::Archive::digest(engine, partition, position, step()).await.map(digest)
    }

    async fn repair(&self, ask: &RepairHere) -> Result<v1::RepairResponse, Error> {
        let partition = partition(ask.partition)?;
        let did =
            self.repaired(partition, self.due(ask.within_ms), ask.is_named).await.map_err(failure::failure);
        Ok(wire::Repaired { node: self.me, partition, did }.into())
    }

    fn config(&self) -> wire::NodeConfig {
        wire::NodeConfig { node: self.me, settings: Ok(self.settings.list()) }
    }

    fn set(&self, ask: &SetHere) -> wire::SettingChanged {
        let outcome = self.settings.set(&ask.key, &ask.value, self.edge.app.node().groups());
        wire::SettingChanged { node: self.me, outcome: outcome.map_err(failure::failure) }
    }
}

fn partition(number: u32) -> Result<PartitionId, Error> {
    Ok(wire::partition(number).map_err(Rejection::from)?)
}

/// Answers other nodes that an operator asked.
pub(crate) struct Room(pub(crate) Arc<Here>);

impl Handler for Room {
    fn handle(&self, _from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let here = self.0.clone();
        async move {
            let read = v1::NodeRequest::decode(message.body).ok().and_then(|request| request.ask);
            let Some(ask) = read else {
                let text = "what an operator asks cannot be read; use releases that fit together";
                return Err(Refusal::new(Refusal::ABSENT, text));
            };
            let answer = Some(here.answer(ask).await);
            Ok(v1::NodeResponse { answer }.encode_to_vec().into())
        }
        .boxed()
    }
}
