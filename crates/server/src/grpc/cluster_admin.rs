//! `chronos.admin.v1.ClusterAdmin`: what operators see of a cluster and do to it.

use std::pin::Pin;
use std::time::Duration;

use chronos_app::Error;
use chronos_domain::{PartitionId, Rejection};
use chronos_proto::cluster::v1::cluster_admin_server::ClusterAdmin;
use chronos_proto::cluster::{self, NodeId, v1};
use chronos_proto::v1::backup_server::Backup as _;
use chronos_proto::v1::{CopyRequest, CopyResponse};
use futures::Stream;
use futures::stream::{BoxStream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Reply, backup, deadline, reply};
use crate::operator::{LOG_FILTER, Operators, Which, Wish};

/// The service. Each method decodes, asks, and encodes.
pub(super) struct Service {
    pub(super) operators: Operators,
    pub(super) backup: backup::Service,
}

type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

#[tonic::async_trait]
impl ClusterAdmin for Service {
    type WatchStream = Answers<v1::WatchResponse>;
    type VerifyStream = Answers<v1::VerifyResponse>;
    type DigestStream = Answers<v1::DigestResponse>;
    type RepairStream = Answers<v1::RepairResponse>;
    type BackupStream = Answers<CopyResponse>;

    async fn status(&self, _: Request<v1::StatusRequest>) -> Reply<v1::StatusResponse> {
        reply(self.operators.status().await.map(Into::into))
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Reply<Self::WatchStream> {
        reply(self.operators.watch().map(answers))
    }

    async fn plan(&self, _: Request<v1::PlanRequest>) -> Reply<v1::PlanResponse> {
        reply(self.operators.plan().await.map(Into::into))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Reply<v1::DrainResponse> {
        let (within, message) = taken(request);
        let epoch = self.steer(within, Wish::Drain(NodeId::new(message.node))).await?;
        Ok(Response::new(v1::DrainResponse { epoch }))
    }

    async fn undrain(&self, request: Request<v1::UndrainRequest>) -> Reply<v1::UndrainResponse> {
        let (within, message) = taken(request);
        let epoch = self.steer(within, Wish::Undrain(NodeId::new(message.node))).await?;
        Ok(Response::new(v1::UndrainResponse { epoch }))
    }

    async fn remove(&self, request: Request<v1::RemoveRequest>) -> Reply<v1::RemoveResponse> {
        let (within, message) = taken(request);
        let wish = Wish::Remove { node: NodeId::new(message.node), force: message.force };
        let epoch = self.steer(within, wish).await?;
        Ok(Response::new(v1::RemoveResponse { epoch }))
    }

    async fn replace(&self, request: Request<v1::ReplaceRequest>) -> Reply<v1::ReplaceResponse> {
        let (within, message) = taken(request);
        let epoch = self.steer(within, Wish::Replace(NodeId::new(message.node))).await?;
        Ok(Response::new(v1::ReplaceResponse { epoch }))
    }

    async fn transfer(&self, request: Request<v1::TransferRequest>) -> Reply<v1::TransferResponse> {
        let (within, message) = taken(request);
        let partition = cluster::partition(message.partition).map_err(Rejection::from);
        let partition = reply(partition.map_err(Error::from))?.into_inner();
        let wish = Wish::Transfer { partition, to: NodeId::new(message.to) };
        let epoch = self.steer(within, wish).await?;
        Ok(Response::new(v1::TransferResponse { epoch }))
    }

    async fn pause(&self, request: Request<v1::PauseRequest>) -> Reply<v1::PauseResponse> {
        let epoch = self.steer(taken(request).0, Wish::Pause).await?;
        Ok(Response::new(v1::PauseResponse { epoch }))
    }

    async fn resume(&self, request: Request<v1::ResumeRequest>) -> Reply<v1::ResumeResponse> {
        let epoch = self.steer(taken(request).0, Wish::Resume).await?;
        Ok(Response::new(v1::ResumeResponse { epoch }))
    }

    async fn set_replication(
        &self,
        request: Request<v1::SetReplicationRequest>,
    ) -> Reply<v1::SetReplicationResponse> {
        let (within, message) = taken(request);
        let epoch = self.steer(within, Wish::Replication(message.replication)).await?;
        Ok(Response::new(v1::SetReplicationResponse { epoch }))
    }

    async fn set_token(&self, request: Request<v1::SetTokenRequest>) -> Reply<v1::SetTokenResponse> {
        let (within, message) = taken(request);
        let epoch = self.steer(within, Wish::Token(message.token)).await?;
        Ok(Response::new(v1::SetTokenResponse { epoch }))
    }

    async fn compact(&self, request: Request<v1::CompactRequest>) -> Reply<v1::CompactResponse> {
        let (within, message) = taken(request);
        let wanted = reply(partitions(&message.partitions))?.into_inner();
        let deadline = self.operators.deadline(within);
        let done = self.operators.compact(&wanted, message.wait, deadline).await;
        reply(done.map(|each| v1::CompactResponse { partitions: wired(each) }))
    }

    async fn scrub(&self, request: Request<v1::ScrubRequest>) -> Reply<v1::ScrubResponse> {
        let message = request.into_inner();
        let which = reply(which(&message.partitions, message.nodes))?.into_inner();
        let begun = self.operators.scrub(&which).await;
        reply(begun.map(|each| v1::ScrubResponse { nodes: wired(each) }))
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Reply<Self::VerifyStream> {
        let (within, message) = taken(request);
        let which = reply(which(&message.partitions, message.nodes))?.into_inner();
        reply(self.operators.verify(&which, self.operators.until(within)).map(answers))
    }

    async fn digest(&self, request: Request<v1::DigestRequest>) -> Reply<Self::DigestStream> {
        let (within, message) = taken(request);
        let wanted = reply(partitions(&message.partitions))?.into_inner();
        reply(self.operators.compare(&wanted, self.operators.until(within)).map(answers))
    }

    async fn repair(&self, request: Request<v1::RepairRequest>) -> Reply<Self::RepairStream> {
        let (within, message) = taken(request);
        let which = reply(which(&message.partitions, message.nodes))?.into_inner();
        reply(self.operators.repair(&which, self.operators.until(within)).map(answers))
    }

    async fn backup(&self, request: Request<Streaming<CopyRequest>>) -> Reply<Self::BackupStream> {
        self.backup.copy(request).await
    }

    async fn get_config(&self, request: Request<v1::GetConfigRequest>) -> Reply<v1::GetConfigResponse> {
        let read = self.operators.config(&nodes(request.into_inner().nodes)).await;
        reply(read.map(|each| v1::GetConfigResponse { nodes: wired(each) }))
    }

    async fn set_config(&self, request: Request<v1::SetConfigRequest>) -> Reply<v1::SetConfigResponse> {
        let (within, message) = taken(request);
        let deadline = self.operators.deadline(within);
        let nodes = nodes(message.nodes);
        let changed = self.operators.set(&message.key, &message.value, &nodes, deadline).await;
        reply(changed.map(|each| v1::SetConfigResponse { nodes: wired(each) }))
    }

    async fn set_log_level(
        &self,
        request: Request<v1::SetLogLevelRequest>,
    ) -> Reply<v1::SetLogLevelResponse> {
        let (within, message) = taken(request);
        let deadline = self.operators.deadline(within);
        let nodes = nodes(message.nodes);
        let changed = self.operators.set(LOG_FILTER, &message.filter, &nodes, deadline).await;
        reply(changed.map(|each| v1::SetLogLevelResponse { nodes: wired(each) }))
    }
}

impl Service {
    async fn steer(&self, within: Option<Duration>, wish: Wish) -> Result<u64, Status> {
        let steered = self.operators.steer(wish, self.operators.deadline(within)).await;
        reply(steered).map(Response::into_inner)
    }
}

/// How long the caller waits, and what he says.
fn taken<M>(request: Request<M>) -> (Option<Duration>, M) {
    (deadline::to_answer(request.metadata().as_ref()), request.into_inner())
}

fn partitions(numbers: &[u32]) -> Result<Vec<PartitionId>, Error> {
    Ok(cluster::partitions(numbers).map_err(Rejection::from)?)
}

fn nodes(numbers: Vec<u64>) -> Vec<NodeId> {
    numbers.into_iter().map(NodeId::new).collect()
}

fn which(numbers: &[u32], of: Vec<u64>) -> Result<Which, Error> {
    Ok(Which { partitions: partitions(numbers)?, nodes: nodes(of) })
}

fn wired<T, M: From<T>>(each: Vec<T>) -> Vec<M> {
    each.into_iter().map(M::from).collect()
}

fn answers<T: Send + 'static, M: From<T> + 'static>(each: BoxStream<'static, T>) -> Answers<M> {
    Box::pin(each.map(|one| Ok(M::from(one))))
}
