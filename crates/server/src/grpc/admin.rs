//! `chronos.v1.Admin`: what is asked about whole histories, and done to them.

use std::pin::Pin;
use std::sync::Arc;

use chronos_app::{Error, SampleRequest, Wait};
use chronos_domain::{EntityId, EventId, Rejection, Version};
use chronos_proto::admin::{
    CompactedPartition, PartitionDigest, PartitionHoldings, VerifiedPartition, partitions,
};
use chronos_proto::v1;
use chronos_proto::v1::admin_server::Admin;
use futures::Stream;
use futures::stream::{self, StreamExt};
use tonic::{Request, Response, Status};

use super::{Reply, deadline, failure, reply, request};
use crate::admin::{digest, holdings, verified};
use crate::edge::Edge;

/// The service. Each method decodes, asks the app, and encodes.
pub(super) struct Service {
    pub(super) edge: Arc<Edge>,
}

type Verifications = Pin<Box<dyn Stream<Item = Result<v1::VerifyResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Admin for Service {
    type VerifyStream = Verifications;

    async fn compact(&self, request: Request<v1::CompactRequest>) -> Reply<v1::CompactResponse> {
        reply(compact(&self.edge, request).await)
    }

    async fn digest(&self, request: Request<v1::DigestRequest>) -> Reply<v1::DigestResponse> {
        reply(digests(&self.edge, request).await)
    }

    async fn prove(&self, request: Request<v1::ProveRequest>) -> Reply<v1::ProveResponse> {
        reply(prove(&self.edge, request).await)
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<Verifications>, Status> {
        reply(verify(&self.edge, &request.into_inner()))
    }

    async fn sample(&self, request: Request<v1::SampleRequest>) -> Reply<v1::SampleResponse> {
        reply(sample(&self.edge, request.into_inner()).await)
    }

    async fn stats(&self, _: Request<v1::StatsRequest>) -> Reply<v1::StatsResponse> {
        reply(stats(&self.edge).await)
    }
}

/// Erases what an entity's events before a version say.
pub(super) async fn truncate(
    edge: &Edge,
    request: Request<v1::TruncateEntityRequest>,
) -> Result<v1::TruncateEntityResponse, Error> {
    let (asked, app) =
        (deadline::to_answer(request.metadata().as_ref()), edge.app_for(request.metadata().as_ref()));
    let message = request.into_inner();
    let entity = EntityId::parse(&message.entity_id).map_err(Rejection::from)?;
    let before = Version::new(message.before_version);
    let (partition, done) = app.truncate(edge.principal(), &entity, before, edge.deadline(asked)).await?;
    Ok(v1::TruncateEntityResponse {
        partition: partition.get().into(),
        truncated_before: done.before.get(),
        version: done.version.get(),
    })
}

async fn compact(edge: &Edge, request: Request<v1::CompactRequest>) -> Result<v1::CompactResponse, Error> {
    let asked = deadline::to_answer(request.metadata().as_ref());
    let message = request.into_inner();
    let wanted = partitions(&message.partitions).map_err(Rejection::from)?;
    let wait = if message.wait { Wait::Yes } else { Wait::No };
    let each = edge.app.compact(edge.principal(), &wanted, (wait, edge.deadline(asked))).await?;
    let each = each.into_iter().map(|(partition, position)| {
        CompactedPartition { partition, position: position.map_err(failure::failure) }.into()
    });
    Ok(v1::CompactResponse { partitions: each.collect() })
}

async fn digests(edge: &Edge, request: Request<v1::DigestRequest>) -> Result<v1::DigestResponse, Error> {
    let asked = deadline::to_answer(request.metadata().as_ref());
    let as_of = request::as_of(request.into_inner().as_of)?;
    let all = edge.app.digests(edge.principal(), as_of.as_ref(), edge.deadline(asked)).await?;
    let each = all.partitions.into_iter().map(|(partition, answer)| {
        PartitionDigest { partition, digest: answer.map(digest).map_err(failure::failure) }.into()
    });
    Ok(v1::DigestResponse { partitions: each.collect(), token: all.token.to_string() })
}

async fn prove(edge: &Edge, request: Request<v1::ProveRequest>) -> Result<v1::ProveResponse, Error> {
    let asked = deadline::to_answer(request.metadata().as_ref());
    let message = request.into_inner();
    let event = EventId::parse(&message.event_id).map_err(Rejection::from)?;
    let as_of = request::as_of(message.as_of)?;
    let proof = edge.app.prove(edge.principal(), event, as_of.as_ref(), edge.deadline(asked)).await?;
    Ok(v1::ProveResponse { proof: proof.to_json().into() })
}

/// One partition after the other, as the caller takes the answers.
fn verify(edge: &Arc<Edge>, message: &v1::VerifyRequest) -> Result<Verifications, Error> {
    let wanted = partitions(&message.partitions).map_err(Rejection::from)?;
    let edge = edge.clone();
    let answers = stream::iter(wanted).then(move |partition| {
        let edge = edge.clone();
        async move {
            let outcome = edge.app.verify(edge.principal(), partition).await;
            let outcome = outcome.map(verified).map_err(failure::failure);
            Ok(VerifiedPartition { partition, outcome }.into())
        }
    });
    Ok(Box::pin(answers))
}

async fn sample(edge: &Edge, message: v1::SampleRequest) -> Result<v1::SampleResponse, Error> {
    let wanted = SampleRequest {
        events: usize::try_from(message.events).unwrap_or(usize::MAX),
        types: message.types,
        seed: message.seed.unwrap_or_else(|| edge.seed()),
    };
    let sample = edge.app.sample(edge.principal(), &wanted).await?;
    edge.metrics.events_read(sample.events.len());
    Ok(v1::SampleResponse { events: sample.events.iter().map(Into::into).collect(), total: sample.total })
}

async fn stats(edge: &Edge) -> Result<v1::StatsResponse, Error> {
    let all = edge.app.holdings(edge.principal()).await?;
    let each = all.into_iter().map(|(partition, held)| {
        PartitionHoldings { partition, holdings: held.map(holdings).map_err(failure::failure) }.into()
    });
    Ok(v1::StatsResponse { partitions: each.collect() })
}
