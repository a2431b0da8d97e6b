//! Has empty segments ready before the lane needs them, and makes used ones empty again.
//!
//! It works beside the lane, on a thread of its own, because filling a segment with zeros takes longer than many
//! group commits. Invariants: a segment loses its live name, durably, before its bytes are touched, and one after
//! the other, oldest first; a full disk is an answer, any other failure stops the lane.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chronos_env::{Env, Task};
use tokio::sync::{mpsc, oneshot};

use crate::crash;
use crate::error::is_no_space;
use crate::numbers::LaneId;
use crate::queue::Queue;
use crate::segment::{Spare, spare_name};
use crate::shelf::Retired;

/// Used segments kept for another life; more are removed. With the segment being written to and the one made ready to
/// follow it, a lane whose logs are purged up to their ends takes three files.
const REUSABLE_MAX: usize = 1;
/// After a refusal for want of space the disk is not asked again for this long.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Why there is no empty segment.
#[derive(Debug)]
pub(crate) enum NotMade {
    NoSpace {
        /// When the disk said so, on the monotonic clock.
        at: Duration,
    },
    Failed(String),
}

/// How much of the active segment is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    Little,
    Half,
}

enum Order {
    Make(oneshot::Sender<Result<Spare, NotMade>>),
    Retire(Vec<Retired>),
}

/// The lane's side: empty segments at hand and on their way.
pub(crate) struct Spares {
    env: Env,
    orders: mpsc::UnboundedSender<Order>,
    ready: Vec<Spare>,
    coming: Option<oneshot::Receiver<Result<Spare, NotMade>>>,
    refused_at: Option<Duration>,
    /// The lane had to wait for the last one.
    late: bool,
    task: Task<()>,
}

impl Spares {
    /// Starts the keeper of lane `lane` in `dir`.
    pub(crate) fn start(
        env: &Env,
        lane: LaneId,
        dir: PathBuf,
        segment_bytes: u64,
        queue: Arc<Queue>,
    ) -> Spares {
        let (orders, inbox) = mpsc::unbounded_channel();
        let keeper =
            Keeper { env: env.clone(), lane, dir, segment_bytes, queue, reusable: Vec::new(), next_name: 1 };
        let task = env.tasks.dedicated(format!("wal-keeper-{:02}", lane.0), keeper.run(inbox));
        Spares {
            env: env.clone(),
            orders,
            ready: Vec::new(),
            coming: None,
            refused_at: None,
            late: false,
            task,
        }
    }

    /// Has one made unless one is ready or on its way: when half of the active segment is `used`, or at once if
    /// the lane fills segments faster than that leaves time for.
    pub(crate) fn foresee(&mut self, used: Used) {
        let in_time = used == Used::Half || self.late;
        if in_time && self.ready.is_empty() && self.coming.is_none() && !self.is_refused() {
            self.order();
        }
    }

    fn order(&mut self) {
        let (reply, coming) = oneshot::channel();
        self.coming = Some(coming);
        // Without a keeper the reply is dropped with the order, and waiting for it says so.
        let _ = self.orders.send(Order::Make(reply));
    }

    fn is_refused(&self) -> bool {
        self.refused_at.is_some_and(|at| self.env.clock.monotonic() < at + ASK_AGAIN)
    }

    /// Waits until `count` are ready.
    pub(crate) async fn ensure(&mut self, count: usize) -> Result<(), NotMade> {
        while self.ready.len() < count {
            if self.coming.is_none() {
                if let Some(at) = self.refused_at.filter(|_| self.is_refused()) {
                    return Err(NotMade::NoSpace { at });
                }
                self.order();
            }
            let mut reply = self.coming.take().expect("one was ordered just now or before");
            self.late = reply.is_empty();
            match (&mut reply).await {
                Ok(Ok(spare)) => self.ready.push(spare),
                // An old refusal says nothing about now: the loop asks again.
                Ok(Err(NotMade::NoSpace { at })) => self.refused_at = Some(at),
                Ok(Err(failed)) => return Err(failed),
                Err(_) => return Err(NotMade::Failed("the keeper of segments died".to_owned())),
            }
        }
        Ok(())
    }

    /// One of those that [`Spares::ensure`] found ready.
    pub(crate) fn take(&mut self) -> Spare {
        self.ready.pop().expect("ensure was asked for a spare before one is taken")
    }

    pub(crate) fn retire(&self, segments: Vec<Retired>) {
        if !segments.is_empty() {
            let _ = self.orders.send(Order::Retire(segments));
        }
    }

    /// Lets the keeper finish what it was told and waits for it.
    pub(crate) async fn stop(self) {
        let Spares { orders, task, .. } = self;
        drop(orders);
        let _ = task.await;
    }
}

struct Keeper {
    env: Env,
    lane: LaneId,
    dir: PathBuf,
    segment_bytes: u64,
    queue: Arc<Queue>,
    /// Segments that have lost their live name and still hold old bytes.
    reusable: Vec<PathBuf>,
    next_name: u64,
}

impl Keeper {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = inbox.recv().await {
            if self.queue.fault().is_some() {
                continue; // after a failure nothing is written any more
            }
            match order {
                Order::Make(reply) => {
                    let made = self.make();
                    let _ = reply.send(made);
                }
                Order::Retire(segments) => segments.into_iter().for_each(|segment| self.retire(segment)),
            }
        }
    }

    fn make(&mut self) -> Result<Spare, NotMade> {
        let (disk, crash) = (self.env.disk.as_ref(), &self.env.crash);
        let reused = self.reusable.pop();
        chronos_env::sometimes!("wal.segment_reused", reused.is_some());
        let made = match reused.clone() {
            Some(path) => Spare::reuse(disk, crash, path, self.segment_bytes),
            None => {
                let path = self.next_spare();
                Spare::create(self.env.disk.as_ref(), &self.env.crash, path.clone(), self.segment_bytes)
                    .inspect_err(|_| drop(self.env.disk.remove(&path)))
            }
        };
        made.map_err(|error| {
            if is_no_space(&error) {
                self.reusable.extend(reused);
                return NotMade::NoSpace { at: self.env.clock.monotonic() };
            }
            let reason = format!("making a segment failed: {error}");
            self.queue.poison(&reason);
            NotMade::Failed(reason)
        })
    }

    fn next_spare(&mut self) -> PathBuf {
        let path = self.dir.join(spare_name(self.next_name));
        self.next_name += 1;
        path
    }

    fn retire(&mut self, segment: Retired) {
        if self.queue.fault().is_some() {
            return;
        }
        if let Err(error) = self.take_back(&segment) {
            self.queue.poison(&format!("retiring {} failed: {error}", segment.path.display()));
        }
    }

    fn take_back(&mut self, segment: &Retired) -> std::io::Result<()> {
        let (disk, crash) = (self.env.disk.clone(), self.env.crash.clone());
        let parent = segment.path.parent().expect("a segment lies in the directory of its lane");
        crash.hit(crash::RECYCLE_BEFORE);
        let fits = segment.lane == self.lane && segment.bytes == self.segment_bytes;
        if fits && self.reusable.len() < REUSABLE_MAX {
            let spare = self.next_spare();
            disk.rename(&segment.path, &spare)?;
            crash.hit(crash::RECYCLE_RENAMED);
            self.reusable.push(spare);
        } else {
            disk.remove(&segment.path)?;
            crash.hit(crash::RECYCLE_REMOVED);
        }
        disk.sync_dir(parent)
    }
}
