//! The node behind the use cases: partitions to read from, groups to propose to, a clock to wait on.

mod archive;
mod floors;
mod forward;
mod lending;
mod plight;
mod routing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chronos_app::{Class, Error, Node, Reason};
use chronos_block::{Block, Filter, Page, Range, Recorded};
use chronos_cluster::peer::Why;
use chronos_cluster::{Cluster, Groups, Outcome, ProposeError, ReadError, Request};
use chronos_domain::{
    EventId, ForkId, Marks, PartitionId, Position, Space, TenantId, Timestamp, Verdict, Version,
};
use chronos_env::Env;
use chronos_query::Held;
use chronos_store::{Fault, Partition};

use floors::Floors;
use forward::{Forward, command};
use routing::Done;

pub(crate) use lending::{Fetching, Lent, Shared};

/// All partitions of this node. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    env: Env,
    cluster: Cluster,
    groups: Groups,
    /// The way to other nodes, for callers who may be served by them.
    forward: Option<Arc<Forward>>,
    /// The same for operators, who may have all nodes asked in any case.
    anyway: Option<Arc<Forward>>,
    floors: Arc<Floors>,
    /// When whoever asks stops waiting, where that bounds every step.
    until: Option<Duration>,
}

/// After how long a caller may try again whom a full disk turned away.
const NO_SPACE_RETRY_MS: u64 = 1000;
/// After how long a caller may try again whom a partition turned away.
const UNAVAILABLE_RETRY_MS: u64 = 1000;
/// After how long a caller may try again who came while no leader was known.
const ELECTION_RETRY_MS: u64 = 250;
/// How long a replica that begins anew may take until it has again what was read before.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(10);

impl Engine {
    pub(crate) fn new(env: Env, cluster: Cluster) -> Self {
        let groups = cluster.groups().clone();
        Self {
            env,
            cluster,
            groups,
            forward: None,
            anyway: None,
            floors: Arc::new(Floors::new()),
            until: None,
        }
    }

    /// The same for one request, of which no step waits longer than until then, on the node's clock.
    pub(crate) fn until(&self, deadline: Duration) -> Engine {
        Engine { until: Some(deadline), ..self.clone() }
    }

    /// What a partition holds, counted.
    ///
    /// # Errors
    /// When this node does not serve the partition.
    pub fn stats(&self, partition: PartitionId) -> Result<chronos_store::Stats, Error> {
        self.partition(partition).map(|partition| partition.stats())
    }

    /// The marks of this node's own replica.
    ///
    /// # Errors
    /// When this node does not serve the partition.
    pub(crate) fn marks_here(&self, partition: PartitionId) -> Result<Marks, Error> {
        self.partition(partition).map(|partition| partition.marks())
    }

    /// Whether this node holds the partition and serves it.
    pub(crate) fn serves(&self, partition: PartitionId) -> bool {
        self.cluster.holds(partition) && self.partition(partition).is_ok()
    }

    /// The cluster as this node is part of it.
    pub(crate) const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The groups themselves, for what concerns all partitions at once.
    pub(crate) const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Resolves when a group has stopped for good, or the cluster knows another process as this node, with the reason.
    pub(crate) async fn faulted(&self) -> Arc<str> {
        let Some(peers) = self.cluster.peers() else { return self.groups.faulted().await };
        tokio::select! {
            biased; // a fault of our own is the graver one
            reason = self.groups.faulted() => reason,
            turned = peers.disowned() => match turned.why {
                Why::Removed => format!(
                    "this node, {}, was removed from its cluster for good, as {} says; nothing that it holds is needed any \
                     more: its data directory can be deleted or put aside, and its machine can join again with an empty \
                     one",
                    self.cluster.me(),
                    turned.by
                ),
                Why::Copy => format!("this data directory is a copy, and is not served any more: {turned}"),
                _ => format!(
                    "another process is this node, or has been and this one does not go on from it: {turned}; a node belongs \
                     to one data directory on one machine, so remove the copy, and join with an empty directory if this \
                     machine shall be a node, too"
                ),
            }
            .into(),
        }
    }

    pub(crate) fn partition(&self, id: PartitionId) -> Result<Partition, Error> {
        self.groups.partition(id).map_err(|why| refused(Class::Failed, id, &why))
    }

    /// Runs a read. When not everything is in memory it would hold up everything else on this thread while the disk
    /// answers.
    async fn read<T: Send + 'static>(
        &self,
        id: PartitionId,
        read: impl FnOnce(&Partition) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let (partition, life) = self.replica(id, self.soon()).await?;
        let answer = if partition.reads_disk() {
            let partition = partition.clone();
            self.env.tasks.blocking(move || read(&partition)).await
        } else {
            read(&partition)
        };
        same_life(id, &partition, life)?;
        answer.map_err(|fault| self.failed(id, &fault))
    }

    /// The partition here, once it has applied everything that this node has said is applied; and which life of it this is:
    /// what is read belongs together only if that is still the same afterwards.
    async fn replica(&self, id: PartitionId, deadline: Duration) -> Result<(Partition, u64), Error> {
        loop {
            let partition = self.partition(id)?;
            let (life, floor) = (partition.life(), self.floors.at(id));
            if partition.applied_mark() >= floor {
                return Ok((partition, life));
            }
            self.groups.reach(id, floor, deadline).await.map_err(|error| not_fresh(id, &error))?;
        }
    }

    /// The partition here, for who is going to read it by itself up to a position that was settled before.
    ///
    /// # Errors
    /// When this node does not serve the partition, or does not have it that far.
    pub(crate) async fn bounded(
        &self,
        id: PartitionId,
        bound: Position,
        deadline: Duration,
    ) -> Result<Held, Error> {
        let (partition, life) = self.replica(id, deadline).await?;
        let head = partition.head();
        same_life(id, &partition, life)?;
        if head < bound {
            return Err(not_caught_up(id, head, bound));
        }
        Ok(Held { partition, life, bound })
    }

    /// Until when a read waits that names no deadline.
    fn soon(&self) -> Duration {
        let soon = self.env.clock.monotonic() + CAUGHT_UP_WITHIN;
        self.until.map_or(soon, |until| until.min(soon))
    }

    /// Replicates one command, and returns what apply said of it.
    async fn outcome(&self, id: PartitionId, request: Request, deadline: Duration) -> Result<Outcome, Error> {
        self.groups.partition(id).map_err(|why| refused(Class::NotApplied, id, &why))?;
        let proposed = self.groups.propose(id, request, deadline);
        match self.env.clock.timeout(self.left(deadline), proposed).await {
            Ok(answer) => answer.map_err(|error| self.proposal_failed(id, &error)),
            // It may wait for its turn, or be on its way to the disk: only a retry can tell.
            Err(_) => {
                let text = self.plight(id).told(LATE);
                Err(Error::new(Class::Unknown, Reason::DeadlineExceeded, text).with("partition", id))
            }
        }
    }

    /// The same, where this node leads. The inner error says that it does not, and perhaps who does: then another node
    /// may do it.
    async fn here(
        &self,
        id: PartitionId,
        request: Request,
        deadline: Duration,
    ) -> Result<Result<Outcome, Error>, Error> {
        if !self.cluster.is_of(id) {
            return Ok(Err(self.not_taken(id)));
        }
        match self.outcome(id, request, deadline).await {
            Err(error) if error.reason == Reason::NotLeader => Ok(Err(error)),
            outcome => outcome.map(Ok),
        }
    }

    /// A read that gives no answer. Damage closes the partition: what is stored there can no longer be relied on, so
    /// nothing may be added to it either.
    pub(crate) fn failed(&self, id: PartitionId, fault: &Fault) -> Error {
        if let Fault::Corrupt(damage) = fault {
            chronos_env::sometimes!("read.found_damage");
            self.groups.quarantine(id, damage);
        }
        failed(id, fault)
    }

    fn proposal_failed(&self, id: PartitionId, error: &ProposeError) -> Error {
        let say = |class, reason| {
            Error::new(class, reason, self.plight(id).told(&error.to_string())).with("partition", id)
        };
        match error {
            ProposeError::Unavailable(_) => {
                say(Class::NotApplied, Reason::Unavailable).retry_after_ms(UNAVAILABLE_RETRY_MS)
            }
            ProposeError::NotLeader { leader } => self.not_leader(id, *leader, error.to_string()),
            ProposeError::NoSpace => {
                say(Class::NotApplied, Reason::ResourceExhausted).retry_after_ms(NO_SPACE_RETRY_MS)
            }
            ProposeError::Behind => {
                say(Class::NotApplied, Reason::ResourceExhausted).retry_after_ms(UNAVAILABLE_RETRY_MS)
            }
            ProposeError::DeadlinePassed => say(Class::NotApplied, Reason::DeadlineExceeded),
            ProposeError::Unknown(_) => say(Class::Unknown, Reason::Unavailable),
        }
    }

    /// Waits until the replica here has applied everything up to a position, as long as it gets on: when it has not moved
    /// for `still`, that is the answer.
    ///
    /// # Errors
    /// When this node does not serve the partition, or the replica has not come that far.
    pub(crate) async fn approach(
        &self,
        id: PartitionId,
        position: Position,
        (deadline, still): (Duration, Duration),
    ) -> Result<(), Error> {
        loop {
            let before = self.partition(id)?.head();
            let look = deadline.min(self.env.clock.monotonic() + still);
            match self.wait_applied(id, position, look).await {
                Err(error) if error.reason == Reason::NotCaughtUp && look < deadline => {
                    let head = self.partition(id)?.head();
                    if head == before {
                        return Err(stands_still(id, (head, position), still));
                    }
                }
                reached => return reached,
            }
        }
    }

    fn left(&self, deadline: Duration) -> Duration {
        deadline.saturating_sub(self.env.clock.monotonic())
    }
}

impl Node for Engine {
    fn now(&self) -> Timestamp {
        self.groups.now()
    }

    async fn propose(
        &self,
        id: PartitionId,
        tenant: &TenantId,
        block: Block,
        deadline: Duration,
    ) -> Result<Verdict, Error> {
        let ask = command::append(&block);
        let request = Request::Append { tenant: tenant.clone(), fork: ForkId::MAIN, block };
        match self.command(id, tenant, request, (ask, deadline)).await? {
            Done::Here(outcome) => Ok(outcome.verdict().expect("what answers an append is a verdict")),
            Done::There(answer) => command::verdict(id, answer),
        }
    }

    async fn marks(&self, id: PartitionId) -> Result<Marks, Error> {
        match self.away(Class::Failed, id)? {
            Some(away) => away.marks().await,
            None => {
                let (partition, life) = self.replica(id, self.soon()).await?;
                let (marks, applied) = (partition.marks(), partition.applied_mark());
                same_life(id, &partition, life)?;
                // What is read next may reach up to these marks.
                self.floors.raise(id, applied);
                Ok(marks)
            }
        }
    }

    async fn linearize(&self, id: PartitionId, deadline: Duration) -> Result<(), Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.linearize(deadline).await;
        }
        let applied = self.groups.linearize(id, deadline).await.map_err(|error| not_fresh(id, &error))?;
        self.floors.raise(id, applied);
        Ok(())
    }

    async fn settle(&self, id: PartitionId, t: Timestamp, deadline: Duration) -> Result<(), Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.settle(t, deadline).await;
        }
        let applied = self.groups.pass(id, t, deadline).await.map_err(|error| not_fresh(id, &error))?;
        self.floors.raise(id, applied);
        Ok(())
    }

    async fn wait_applied(
        &self,
        id: PartitionId,
        position: Position,
        deadline: Duration,
    ) -> Result<(), Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.wait_applied(position, deadline).await;
        }
        let (partition, life) = self.replica(id, deadline).await?;
        let mut applied = partition.watch();
        let is_there = *applied.borrow_and_update() >= position || {
            let reached = applied.wait_for(|applied| *applied >= position);
            // The partition lives as long as the node does, so only the deadline ends the wait early.
            matches!(self.env.clock.timeout(self.left(deadline), reached).await, Ok(Ok(_)))
        };
        if is_there {
            self.floors.raise(id, partition.applied_mark());
            return same_life(id, &partition, life);
        }
        Err(not_caught_up(id, self.partition(id)?.head(), position))
    }

    async fn bound_at(&self, id: PartitionId, t: Timestamp) -> Result<Position, Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.bound_at(t).await;
        }
        self.read(id, move |partition| partition.bound_at(t)).await
    }

    async fn version(
        &self,
        id: PartitionId,
        (tenant, fork): (&TenantId, ForkId),
        entity: &str,
        bound: Position,
    ) -> Result<Version, Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.version((tenant, fork), entity, bound).await;
        }
        let (tenant, entity) = (tenant.clone(), Arc::<str>::from(entity));
        let read =
            move |partition: &Partition| partition.version_at_bound(borrow(&(&tenant, fork)), &entity, bound);
        self.read(id, read).await
    }

    async fn entity(
        &self,
        id: PartitionId,
        (tenant, fork): (&TenantId, ForkId),
        entity: &str,
        range: Range,
    ) -> Result<Page, Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.entity((tenant, fork), entity, range).await;
        }
        let (tenant, entity) = (tenant.clone(), Arc::<str>::from(entity));
        self.read(id, move |partition| partition.entity(borrow(&(&tenant, fork)), &entity, range)).await
    }

    async fn scan(
        &self,
        id: PartitionId,
        (tenant, fork): (&TenantId, ForkId),
        range: Range,
        filter: &Filter,
    ) -> Result<Page, Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.scan((tenant, fork), range, filter).await;
        }
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.read(id, move |partition| partition.scan(borrow(&(&tenant, fork)), range, &filter)).await
    }

    async fn event(
        &self,
        id: PartitionId,
        (tenant, fork): (&TenantId, ForkId),
        event: EventId,
    ) -> Result<Option<Recorded>, Error> {
        if let Some(away) = self.away(Class::Failed, id)? {
            return away.event((tenant, fork), event).await;
        }
        let tenant = tenant.clone();
        self.read(id, move |partition| partition.by_id(borrow(&(&tenant, fork)), event)).await
    }
}

const LATE: &str = "the deadline passed while the append was on its way to the log; it may have happened: retry with \
                    the same event ids to find out";

/// Refuses what was read of a replica that was discarded meanwhile: part of it is from before, part from afterwards.
fn same_life(id: PartitionId, partition: &Partition, life: u64) -> Result<(), Error> {
    if partition.life() == life {
        return Ok(());
    }
    let text = "this replica began anew while it was read; ask again, or ask another node";
    let error = Error::new(Class::Failed, Reason::Unavailable, text).with("partition", id);
    Err(error.retry_after_ms(UNAVAILABLE_RETRY_MS))
}

fn borrow<'a>(space: &(&'a TenantId, ForkId)) -> Space<'a> {
    Space { tenant: space.0.as_str(), fork: space.1 }
}

/// A partition that could not be recovered unharmed.
fn refused(class: Class, id: PartitionId, why: &str) -> Error {
    Error::new(class, Reason::Corrupt, why).with("partition", id)
}

fn failed(id: PartitionId, fault: &Fault) -> Error {
    let reason = match fault {
        Fault::Corrupt(_) => Reason::Corrupt,
        Fault::Io { .. } | Fault::Stopped(_) => Reason::Unavailable,
    };
    Error::new(Class::Failed, reason, fault.to_string()).with("partition", id)
}

/// Why a replica is not as fresh as a read has to have it.
fn not_fresh(id: PartitionId, error: &ReadError) -> Error {
    let text = format!("partition {id}: {error}");
    let say = |reason| Error::new(Class::Failed, reason, text.as_str()).with("partition", id);
    match error {
        ReadError::Refused(why) => refused(Class::Failed, id, why),
        ReadError::Ended(_) | ReadError::Apart { .. } => {
            say(Reason::Unavailable).retry_after_ms(UNAVAILABLE_RETRY_MS)
        }
        ReadError::NoLeader => say(Reason::NotLeader).retry_after_ms(ELECTION_RETRY_MS),
        ReadError::Unconfirmed { leader, .. } => {
            say(Reason::Unavailable).with("leader_node", leader.get()).retry_after_ms(ELECTION_RETRY_MS)
        }
        ReadError::Behind | ReadError::Unwritten(_) => say(Reason::DeadlineExceeded),
        ReadError::Future(_) => Error { class: Class::Rejected, ..say(Reason::Invalid) },
        ReadError::NoSpace => say(Reason::ResourceExhausted).retry_after_ms(NO_SPACE_RETRY_MS),
    }
}

fn not_caught_up(id: PartitionId, have: Position, want: Position) -> Error {
    let text = format!(
        "partition {id} is at position {have} here and not yet at {want}; ask again, allow more time, or ask \
         another node"
    );
    behind(id, (have, want), text)
}

fn stands_still(id: PartitionId, (have, want): (Position, Position), still: Duration) -> Error {
    let text = format!(
        "partition {id} is at position {have} here, not at {want}, and has not got on for {} s; see `chronos partition \
         show {id}`",
        still.as_secs()
    );
    behind(id, (have, want), text)
}

fn behind(id: PartitionId, (have, want): (Position, Position), text: String) -> Error {
    Error::new(Class::Failed, Reason::NotCaughtUp, text)
        .with("partition", id)
        .with("have", have)
        .with("want", want)
        .retry_after_ms(UNAVAILABLE_RETRY_MS)
}
