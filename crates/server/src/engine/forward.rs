//! What this node has another one do for its callers.
//!
//! ```text
//!   caller ─► Engine ─► here, where this node leads (commands) or holds (reads) the partition
//!                  └──► Forward ─► link ═══ one other node ═══ Answers ─► Engine there, which never asks a third
//! ```
//!
//! * **Once.** What is passed on is never passed on again: whoever is asked and is the wrong one says so, and who it is.
//!   A command goes to a second node only when the first one certainly did not do it.
//! * **No outcome is guessed.** What certainly did not arrive is not applied; what may have arrived is unknown.
//! * **What is read does not go back.** Every answer names the last entry that is applied where it comes from, and every
//!   read that is passed on waits for the last one that was named, on whichever replica it comes to.
//! * **Others are not crowded out.** The link also carries heartbeats. So what is in flight for callers is bounded, in
//!   bytes and in number, and a page that is read elsewhere is a small one.

mod answers;
mod away;
pub(super) mod command;
mod failures;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Class, Error, Reason};
use chronos_block::Range;
use chronos_cluster::peer::CallError;
use chronos_cluster::{Cluster, NodeId};
use chronos_domain::{ForkId, PartitionId, TenantId};
use chronos_env::Clock;
use chronos_proto::peer::v1::forward_request::Ask;
use chronos_proto::peer::v1::forward_response::Answer;
use chronos_proto::peer::v1::{ForwardRequest, ForwardResponse};
use chronos_wal::Mark;
use prost::Message as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::floors::Floors;
pub(super) use answers::Answers;
pub(super) use away::Away;
use failures::{crowded, error, senseless, unanswered};

/// Bytes that are in flight between this node and all others for its callers, both ways.
const IN_FLIGHT_BYTES_MAX: u32 = 32 << 20;
/// What a small request counts as: so no more than 512 are in flight, an eighth of what one link takes.
const COUNTED_BYTES_MIN: u32 = 64 << 10;
/// Bytes of events that one answer carries, unless it is a single event that has more.
const PAGE_BYTES: usize = 512 << 10;
/// Of the time that a caller waits, what the answer is left for its way.
const ON_THE_WAY_MAX: Duration = Duration::from_millis(250);

/// What may be concluded when nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Command,
    Read,
}

impl Kind {
    const fn of(ask: &Ask) -> Kind {
        match ask {
            Ask::Append(_) | Ask::Truncate(_) => Kind::Command,
            _ => Kind::Read,
        }
    }

    /// What is known of a request that may have arrived and was not answered.
    const fn lost(self) -> Class {
        match self {
            Kind::Command => Class::Unknown,
            Kind::Read => Class::Failed,
        }
    }

    /// What is known of a request that certainly was not begun.
    const fn certain(self) -> Class {
        match self {
            Kind::Command => Class::NotApplied,
            Kind::Read => Class::Failed,
        }
    }
}

/// The way to other nodes.
pub(super) struct Forward {
    clock: Clock,
    cluster: Cluster,
    room: Semaphore,
    floors: Arc<Floors>,
    counts: Counts,
}

/// What was passed on since the start.
#[derive(Default)]
struct Counts {
    commands: AtomicU64,
    reads: AtomicU64,
    failed: AtomicU64,
}

impl Forward {
    /// None where there are no other nodes.
    pub(super) fn new(clock: Clock, cluster: &Cluster, floors: &Arc<Floors>) -> Option<Forward> {
        cluster.peers()?;
        let room = Semaphore::new(IN_FLIGHT_BYTES_MAX as usize);
        let (cluster, floors) = (cluster.clone(), Arc::clone(floors));
        Some(Forward { clock, cluster, room, floors, counts: Counts::default() })
    }

    /// Commands and reads that were passed on, and how many of them failed.
    pub(super) fn counts(&self) -> [u64; 3] {
        let Counts { commands, reads, failed } = &self.counts;
        [commands, reads, failed].map(|count| count.load(Ordering::Relaxed))
    }

    /// Has one node do what is asked.
    ///
    /// # Errors
    /// What that node said against it; or that it gave no answer, of the class that follows from why.
    pub(super) async fn ask(
        &self,
        (to, id): (NodeId, PartitionId),
        space: Option<(&TenantId, ForkId)>,
        ask: Ask,
        deadline: Duration,
    ) -> Result<Answer, Error> {
        let count = match Kind::of(&ask) {
            Kind::Command => &self.counts.commands,
            Kind::Read => &self.counts.reads,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let answer = self.pass_on((to, id), space, ask, deadline).await;
        self.counts.failed.fetch_add(u64::from(answer.is_err()), Ordering::Relaxed);
        answer
    }

    async fn pass_on(
        &self,
        (to, id): (NodeId, PartitionId),
        space: Option<(&TenantId, ForkId)>,
        ask: Ask,
        deadline: Duration,
    ) -> Result<Answer, Error> {
        let kind = Kind::of(&ask);
        let _room = self.room(id, &ask, deadline).await?;
        let patience = deadline.saturating_sub(self.clock.monotonic());
        let floor = self.floors.at(id);
        let request = ForwardRequest {
            tenant: space.map(|(tenant, _)| tenant.to_string()).unwrap_or_default(),
            fork: space.map_or(0, |(_, fork)| fork.get()),
            // So that the reason why there is none still comes in time.
            patience_us: micros(patience - (patience / 8).min(ON_THE_WAY_MAX)),
            floor: floor.index,
            floor_term: floor.term,
            ask: Some(ask),
        };
        let body = Bytes::from(request.encode_to_vec());
        drop(request);
        let answer = self.cluster.forward(to, id, body, patience).await;
        let answer = answer.map_err(|error: CallError| unanswered(id, kind, &error))?;
        let response = ForwardResponse::decode(answer).map_err(|why| senseless((to, id), kind, &why))?;
        self.floors.raise(id, Mark { term: response.applied_term, index: response.applied });
        match response.answer.ok_or_else(|| senseless((to, id), kind, &"it is empty"))? {
            Answer::Failure(failure) => Err(error(failure).map_err(|why| senseless((to, id), kind, &why))?),
            answer => Ok(answer),
        }
    }

    /// Waits until no more is in flight than may be.
    async fn room(
        &self,
        id: PartitionId,
        ask: &Ask,
        deadline: Duration,
    ) -> Result<SemaphorePermit<'_>, Error> {
        let bytes = match ask {
            Ask::Append(block) => block.len(),
            Ask::Entity(_) | Ask::Scan(_) => PAGE_BYTES,
            _ => 0,
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(COUNTED_BYTES_MIN, IN_FLIGHT_BYTES_MAX);
        let left = deadline.saturating_sub(self.clock.monotonic());
        let room = self.clock.timeout(left, self.room.acquire_many(bytes)).await;
        let room = room.map_err(|_| crowded(id, Kind::of(ask)))?;
        Ok(room.expect("the room is never closed"))
    }
}

/// A page is cut to what an answer may carry.
fn cut(range: Range) -> Range {
    Range { bytes_max: range.bytes_max.min(PAGE_BYTES), ..range }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// An answer of another kind than was asked for.
fn odd(id: PartitionId, kind: Kind) -> Error {
    let text =
        format!("what another node answered about partition {id} is of another kind than was asked for");
    Error::new(kind.lost(), Reason::Internal, text).with("partition", id)
}
