//! Seeing and steering a cluster, over the operators' port of any of its nodes.

mod answers;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chronos_domain::{EventId, Invalid, PartitionId};
use chronos_proto::Failure;
use chronos_proto::cluster::v1::cluster_admin_client::ClusterAdminClient;
use chronos_proto::cluster::{
    Change, Compacted, Comparison, NodeConfig, NodeId, Plan, Repaired, ScrubBegun, SettingChanged, Status,
    VerifiedReplica, v1,
};
use tonic::transport::Channel;
use tonic::{Request, Response};

use crate::address;
use crate::backup::{self, Backup};
use crate::options::Options;
use crate::outcome::ReadError;
use crate::pace::{Backoff, Deadline, out_of_time, pause};

pub use answers::Answers;

type Rpc = ClusterAdminClient<Channel>;

/// An operator of one cluster. Any node can be asked about all of them, so the first address that answers is as good as
/// any other. Clones share the connections.
///
/// Every verb may be repeated without harm: to drain what is being drained, or to remove what is removed, changes
/// nothing.
#[derive(Clone)]
pub struct ClusterAdmin(Arc<Inner>);

struct Inner {
    rpcs: Vec<Rpc>,
    current: AtomicUsize,
    options: Options,
}

/// Which replicas are meant: those of these partitions on these nodes. An empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// Which partitions.
    pub partitions: Vec<PartitionId>,
    /// On which nodes.
    pub nodes: Vec<NodeId>,
}

impl ClusterAdmin {
    /// An operator who asks the nodes at `addresses`, their operators' ports: a comma-separated list of `host:port`.
    /// Nothing is connected before it is needed. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Invalid`] when an address is none.
    pub fn connect(addresses: &str) -> Result<Self, Invalid> {
        Self::connect_with(addresses, Options::default())
    }

    /// Like [`connect`](Self::connect), with options of the caller's.
    ///
    /// # Errors
    /// [`Invalid`] when an address is none.
    pub fn connect_with(addresses: &str, options: Options) -> Result<Self, Invalid> {
        Ok(Self::over(address::channels(addresses, &options)?, options))
    }

    /// An operator over channels that the caller made. At least one.
    ///
    /// # Panics
    /// Without a channel.
    #[must_use]
    pub fn over(channels: Vec<Channel>, options: Options) -> Self {
        assert!(!channels.is_empty(), "an operator knows at least one node");
        let rpc = |channel| Rpc::new(channel).max_decoding_message_size(address::MESSAGE_BYTES_MAX);
        let rpcs = channels.into_iter().map(rpc).collect();
        Self(Arc::new(Inner { rpcs, current: AtomicUsize::new(0), options }))
    }

    /// Everything at one glance.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn status(&self) -> Result<Status, ReadError> {
        let answer =
            self.0.call(|mut rpc, ask| async move { rpc.status(ask.of(v1::StatusRequest {})).await });
        Status::try_from(answer.await?).map_err(unreadable)
    }

    /// What changes from now on, as it changes. It never ends by itself.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn watch(&self) -> Result<Answers<Change>, ReadError> {
        let answer = self.0.call(|mut rpc, _| async move { rpc.watch(v1::WatchRequest {}).await });
        answer.await.map(|answers| Answers::new(answers, None))
    }

    /// What the placement driver would do next, and why.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn plan(&self) -> Result<Plan, ReadError> {
        let answer = self.0.call(|mut rpc, ask| async move { rpc.plan(ask.of(v1::PlanRequest {})).await });
        Plan::try_from(answer.await?).map_err(unreadable)
    }

    /// Has everything move away from a node. Returns the epoch of the cluster that has it, once it is decided; the moving
    /// takes longer.
    ///
    /// # Errors
    /// See [`ReadError`]; `Rejected` with the rule that says no.
    pub async fn drain(&self, node: NodeId) -> Result<u64, ReadError> {
        let message = v1::DrainRequest { node: node.get() };
        let answer = self.0.call(|mut rpc, ask| async move { rpc.drain(ask.of(message)).await });
        Ok(answer.await?.epoch)
    }

    /// Takes that back.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn undrain(&self, node: NodeId) -> Result<u64, ReadError> {
        let message = v1::UndrainRequest { node: node.get() };
        let answer = self.0.call(|mut rpc, ask| async move { rpc.undrain(ask.of(message)).await });
        Ok(answer.await?.epoch)
    }

    /// Ends a node's membership for ever: that of an empty one, or by force that of one which is up and holds replicas.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn remove(&self, node: NodeId, force: bool) -> Result<u64, ReadError> {
        let message = v1::RemoveRequest { node: node.get(), force };
        let answer = self.0.call(|mut rpc, ask| async move { rpc.remove(ask.of(message)).await });
        Ok(answer.await?.epoch)
    }

    /// Gives up a dead node: what it held is made anew on others at once.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn replace(&self, node: NodeId) -> Result<u64, ReadError> {
        let message = v1::ReplaceRequest { node: node.get() };
        let answer = self.0.call(|mut rpc, ask| async move { rpc.replace(ask.of(message)).await });
        Ok(answer.await?.epoch)
    }

    /// Has a partition led by another of its voters.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn transfer(&self, partition: PartitionId, to: NodeId) -> Result<u64, ReadError> {
        let message = v1::TransferRequest { partition: partition.get().into(), to: to.get() };
        let answer = self.0.call(|mut rpc, ask| async move { rpc.transfer(ask.of(message)).await });
        Ok(answer.await?.epoch)
    }

    /// Has the placement driver do nothing until it is resumed.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn pause(&self) -> Result<u64, ReadError> {
        let answer = self.0.call(|mut rpc, ask| async move { rpc.pause(ask.of(v1::PauseRequest {})).await });
        Ok(answer.await?.epoch)
    }

    /// Has it go on.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn resume(&self) -> Result<u64, ReadError> {
        let answer =
            self.0.call(|mut rpc, ask| async move { rpc.resume(ask.of(v1::ResumeRequest {})).await });
        Ok(answer.await?.epoch)
    }

    /// Sets how many replicas each partition has: 1, 3 or 5.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn set_replication(&self, replication: u8) -> Result<u64, ReadError> {
        let message = v1::SetReplicationRequest { replication: replication.into() };
        let answer = self.0.call(|mut rpc, ask| async move { rpc.set_replication(ask.of(message)).await });
        Ok(answer.await?.epoch)
    }

    /// Sets what a new node must show to be let in; nothing when `None`.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    pub async fn set_token(&self, token: Option<String>) -> Result<u64, ReadError> {
        let message = v1::SetTokenRequest { token };
        let answer = self.0.call(|mut rpc, ask| {
            let message = message.clone();
            async move { rpc.set_token(ask.of(message)).await }
        });
        Ok(answer.await?.epoch)
    }

    /// Has partitions (all, when none is named) compacted, each on the node that leads it. With `wait` it answers when
    /// they are done, at most half as long as one request may take ([`Options::deadline`]); a partition that takes
    /// longer says `DEADLINE_EXCEEDED`: ask for it again to go on waiting.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn compact(&self, partitions: &[PartitionId], wait: bool) -> Result<Vec<Compacted>, ReadError> {
        let message = v1::CompactRequest { partitions: numbers(partitions), wait };
        let answer = self.0.call(|mut rpc, ask| {
            let message = message.clone();
            let ask = if wait { ask.half() } else { ask };
            async move { rpc.compact(ask.of(message)).await }
        });
        each(answer.await?.partitions)
    }

    /// Has nodes look for damage now, without haste. Answers when they have begun.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn scrub(&self, which: &Replicas) -> Result<Vec<ScrubBegun>, ReadError> {
        let (partitions, nodes) = which.numbers();
        let message = v1::ScrubRequest { partitions, nodes };
        let answer = self.0.call(|mut rpc, ask| {
            let message = message.clone();
            async move { rpc.scrub(ask.of(message)).await }
        });
        each(answer.await?.nodes)
    }

    /// Has replicas read in full and compared with what was written, one answer for each. Takes as long as that takes, and no
    /// longer than [`Options::work_deadline`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn verify(&self, which: &Replicas) -> Result<Answers<VerifiedReplica>, ReadError> {
        let (partitions, nodes) = which.numbers();
        let message = v1::VerifyRequest { partitions, nodes };
        let until = self.0.options.work_due();
        let answer = self.0.call(|mut rpc, _| {
            let request = due(message.clone(), until);
            async move { rpc.verify(request).await }
        });
        answer.await.map(|answers| Answers::new(answers, until))
    }

    /// Compares all replicas of partitions (all, when none is named), one answer for each partition. Takes no longer than
    /// [`Options::work_deadline`]; what is not compared by then is *incomplete*.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn compare(&self, partitions: &[PartitionId]) -> Result<Answers<Comparison>, ReadError> {
        let message = v1::DigestRequest { partitions: numbers(partitions) };
        let until = self.0.options.work_due();
        let answer = self.0.call(|mut rpc, _| {
            let request = due(message.clone(), until);
            async move { rpc.digest(request).await }
        });
        answer.await.map(|answers| Answers::new(answers, until))
    }

    /// Has replicas that are refused or damaged made whole from the others, one answer for each. Takes no longer than
    /// [`Options::work_deadline`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn repair(&self, which: &Replicas) -> Result<Answers<Repaired>, ReadError> {
        let (partitions, nodes) = which.numbers();
        let message = v1::RepairRequest { partitions, nodes };
        let until = self.0.options.work_due();
        let answer = self.0.call(|mut rpc, _| {
            let request = due(message.clone(), until);
            async move { rpc.repair(request).await }
        });
        answer.await.map(|answers| Answers::new(answers, until))
    }

    /// Begins a backup of everything the cluster has at rest, whichever nodes hold it, as [`Client::backup`] does. Waits as
    /// long as that takes, and no longer than [`Options::work_deadline`].
    ///
    /// # Errors
    /// See [`ReadError`]. Nothing was changed but how nodes hold their events.
    ///
    /// [`Client::backup`]: crate::Client::backup
    pub async fn backup(&self) -> Result<Backup, ReadError> {
        self.backup_telling(|_| {}).await
    }

    /// The same; every few seconds, as long as it is not ready, `told` is what is waited for, as by
    /// [`Client::backup_telling`].
    ///
    /// # Errors
    /// As [`ClusterAdmin::backup`].
    ///
    /// [`Client::backup_telling`]: crate::Client::backup_telling
    pub async fn backup_telling(&self, told: impl FnMut(&str)) -> Result<Backup, ReadError> {
        let until = self.0.options.work_due();
        let call = self.0.call(|mut rpc, _| async move {
            let (asks, requests) = backup::asking();
            Ok(Response::new((asks, rpc.backup(due(requests, until)).await?.into_inner())))
        });
        Backup::begin(call.await?, until, told).await
    }

    /// What nodes (all, when none is named) were told about how to run.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn config(&self, nodes: &[NodeId]) -> Result<Vec<NodeConfig>, ReadError> {
        let message = v1::GetConfigRequest { nodes: nodes.iter().map(|node| node.get()).collect() };
        let answer = self.0.call(|mut rpc, ask| {
            let message = message.clone();
            async move { rpc.get_config(ask.of(message)).await }
        });
        each(answer.await?.nodes)
    }

    /// Changes one setting of nodes (of all, when none is named) where it can be changed while they run.
    ///
    /// # Errors
    /// See [`ReadError`]; `Rejected` when there is no such setting, or it needs a restart.
    pub async fn set_config(
        &self,
        key: &str,
        value: &str,
        nodes: &[NodeId],
    ) -> Result<Vec<SettingChanged>, ReadError> {
        let nodes = nodes.iter().map(|node| node.get()).collect();
        let message = v1::SetConfigRequest { key: key.to_owned(), value: value.to_owned(), nodes };
        let answer = self.0.call(|mut rpc, ask| {
            let message = message.clone();
            async move { rpc.set_config(ask.of(message)).await }
        });
        each(answer.await?.nodes)
    }

    /// Sets what nodes (all, when none is named) log from now on, until they are started again.
    ///
    /// # Errors
    /// See [`ReadError`]; `Rejected` when the filter cannot be read.
    pub async fn set_log_level(
        &self,
        filter: &str,
        nodes: &[NodeId],
    ) -> Result<Vec<SettingChanged>, ReadError> {
        let nodes = nodes.iter().map(|node| node.get()).collect();
        let message = v1::SetLogLevelRequest { filter: filter.to_owned(), nodes };
        let answer = self.0.call(|mut rpc, ask| {
            let message = message.clone();
            async move { rpc.set_log_level(ask.of(message)).await }
        });
        each(answer.await?.nodes)
    }
}

/// How long a call may take.
#[derive(Clone, Copy)]
struct Patience(Duration);

impl Patience {
    fn half(self) -> Self {
        Self(self.0 / 2)
    }

    /// The message, with that said to the node.
    fn of<M>(self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.0);
        request
    }
}

/// The message, with when all of its answer has to be there, if that was said.
fn due<M>(message: M, until: Option<Deadline>) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(until) = until {
        request.set_timeout(until.left());
    }
    request
}

impl Inner {
    /// Asks node after node until one answers or the time is over.
    async fn call<T, F, A>(&self, ask: F) -> Result<T, ReadError>
    where
        F: Fn(Rpc, Patience) -> A,
        A: Future<Output = Result<Response<T>, tonic::Status>>,
    {
        let deadline = self.options.due();
        let mut backoff = Backoff::new(&self.options, EventId::NIL);
        loop {
            let current = self.current.load(Ordering::Relaxed);
            let rpc = self.rpcs[current % self.rpcs.len()].clone();
            let failure = match deadline.bound(ask(rpc, Patience(deadline.left()))).await {
                Some(Ok(response)) => return Ok(response.into_inner()),
                Some(Err(status)) => Failure::from_status(&status),
                None => return Err(ReadError::new(out_of_time("no node answered"))),
            };
            let wait = backoff.next(failure.retry_after_ms);
            if failure.reason != "UNAVAILABLE" || wait >= deadline.left() {
                return Err(ReadError::new(failure));
            }
            let next = current.wrapping_add(1);
            let _moved = self.current.compare_exchange(current, next, Ordering::Relaxed, Ordering::Relaxed);
            pause(wait).await;
        }
    }
}

impl Replicas {
    fn numbers(&self) -> (Vec<u32>, Vec<u64>) {
        (numbers(&self.partitions), self.nodes.iter().map(|node| node.get()).collect())
    }
}

fn numbers(partitions: &[PartitionId]) -> Vec<u32> {
    partitions.iter().map(|partition| partition.get().into()).collect()
}

fn each<T, M>(messages: Vec<M>) -> Result<Vec<T>, ReadError>
where
    T: TryFrom<M, Error = Invalid>,
{
    messages.into_iter().map(T::try_from).collect::<Result<_, _>>().map_err(unreadable)
}

fn unreadable(invalid: Invalid) -> ReadError {
    ReadError::protocol(&invalid)
}
