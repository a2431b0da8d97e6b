//! Finding the way: which server each request goes to.
//!
//! ```text
//!  request ─► Course ─► Table::hop ─► Line (a connection, its append streams) ─► server
//!                ▲          ▲                                                      │
//!                │          ├── placement: asked for at first use, after failures, and now and then
//!                └──────────┴── NOT_LEADER, broken connections, silence ◄──────────┘
//! ```
//!
//! Invariants:
//!
//! * a request follows at most [`REDIRECTS_MAX`] hints before it pauses, so that nodes that point at each other do not
//!   keep a client busy;
//! * the placement is asked for by one task at a time, however many requests miss it;
//! * **one cluster.** The first that answers says which cluster this client belongs to, for good. Every call says so, and a
//!   server of another one refuses it before anything is done, whatever the connection was made for: a restored directory
//!   or a node of another cluster may have come up behind a known address at any moment;
//! * a node is asked directly only after it answered there as itself: same cluster, same number. An address that means
//!   another machine from here (a port mapping, another network) is found out in the background, and meanwhile and
//!   after that the servers that can be reached are asked instead, and forward, where their operators allow it.

mod course;
mod hint;
mod line;
mod reach;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chronos_proto::{Class, Failure, NodeId, Placement, v1};
use parking_lot::Mutex;
use tonic::Status;

use crate::connections::{Due, Saying, over, rpc};
use crate::observe::Watcher;
use crate::options::Options;
use crate::pace::{Deadline, Stopwatch, pause};
use hint::Hint;
use table::{Learned, Table};

pub(crate) use course::{Course, Next};
pub(crate) use hint::NOT_LEADER;
pub(crate) use line::{Line, Lines};
pub(crate) use table::{Aim, Hop, Way};

/// How many hints one request follows without a pause.
const REDIRECTS_MAX: u32 = 4;
/// How long one server has to answer where everything is.
const ASK_MAX: Duration = Duration::from_secs(2);
/// The shortest time between two questions for the placement.
const ASK_PAUSE: Duration = Duration::from_millis(50);
/// A client that meets no failure asks now and then: a cluster that has grown has nearer nodes.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// By this detail a server says that it belongs to another cluster than the one that is meant: its own.
const STRANGER: &str = "other_cluster";

/// Whether a server of another cluster has refused.
pub(crate) fn is_stranger(failure: &Failure) -> bool {
    failure.metadata.contains_key(STRANGER)
}

/// A failed attempt: what it means for the request, and for the connection.
#[derive(Clone, Debug)]
pub(crate) struct Missed {
    pub(crate) failure: Failure,
    /// Nothing of this was said by the server about the request: the connection broke, ended or was silent.
    pub(crate) line_down: bool,
}

impl Missed {
    /// A failure that the server itself gave as its answer.
    pub(crate) const fn said(failure: Failure) -> Self {
        Self { failure, line_down: false }
    }

    /// A failure of the connection.
    pub(crate) const fn lost(failure: Failure) -> Self {
        Self { failure, line_down: true }
    }

    /// What the end of a call means.
    pub(crate) fn of(status: &Status) -> Self {
        if let Some(failure) = Failure::said(status) {
            return Self::said(failure);
        }
        // The transport, or a proxy. A code that refuses the request itself says that somebody is there.
        let failure = Failure::from_status(status);
        let line_down = failure.class == Class::Unknown;
        Self { failure, line_down }
    }
}

pub(crate) struct Router {
    table: Mutex<Table>,
    lines: Lines,
    pub(crate) watcher: Watcher,
    /// Held while the placement is asked for.
    asking: tokio::sync::Mutex<()>,
    /// Whether it was ever asked for, with whatever result.
    asked: AtomicBool,
    /// How many times.
    rounds: AtomicUsize,
    /// Somebody is about to ask.
    refreshing: AtomicBool,
    /// When it was last asked for.
    last: Mutex<Duration>,
    time: Stopwatch,
}

impl Router {
    pub(crate) fn new(lines: Lines, options: &Options) -> Self {
        Self {
            table: Mutex::new(Table::new(lines.seeds())),
            lines,
            watcher: Watcher::new(options.observer.clone()),
            asking: tokio::sync::Mutex::new(()),
            asked: AtomicBool::new(false),
            rounds: AtomicUsize::new(0),
            refreshing: AtomicBool::new(false),
            last: Mutex::new(Duration::ZERO),
            time: Stopwatch::start(),
        }
    }

    /// Where the next attempt goes. The first request of all waits until it was asked where everything is.
    pub(crate) async fn hop(self: &Arc<Self>, course: &mut Course, deadline: Deadline) -> (Hop, Arc<Line>) {
        if course.aim != Aim::Named && !self.asked.load(Ordering::Acquire) {
            // Out of time: then the attempt says so.
            let _in_time = deadline.bound(self.ask_first()).await;
        }
        self.keep_up();
        let mut hop = course.hop(&self.table.lock());
        if !self.is_safe(hop.way, deadline).await {
            course.forget_named();
            hop = self.table.lock().named(course.turn);
        }
        let line = self.line(hop.way).unwrap_or_else(|| self.lines.seed(course.turn));
        (hop, line)
    }

    /// Whether the node that is meant answers there: it did, or does now. Events must not end up in another cluster
    /// because an address means another machine from here.
    async fn is_safe(self: &Arc<Self>, way: Way, deadline: Deadline) -> bool {
        let Some(node) = way.node() else { return true };
        if !self.table.lock().is_reached(node) {
            let _taken = deadline.bound(self.ask(way)).await;
        }
        self.table.lock().is_reached(node)
    }

    /// Takes in how an attempt failed, and says when the next one is due.
    pub(crate) fn failed(self: &Arc<Self>, course: &mut Course, hop: Hop, missed: &Missed) -> Next {
        if missed.line_down {
            self.doubt(hop.way);
        }
        if let Some(cluster) = missed.failure.metadata.get(STRANGER) {
            self.watcher.stranger(hop.way.node(), cluster);
            self.table.lock().missed(hop.way, self.time.elapsed());
        }
        let next = {
            let mut table = self.table.lock();
            let hint = Hint::of(&missed.failure);
            let partition = course.aim.partition();
            let follow = missed.failure.reason == NOT_LEADER
                && partition.is_some_and(|partition| table.not_leader(partition, hop.way, hint.as_ref()));
            let (others, ahead) = (
                partition.map_or(1, |of| table.replicas(of)),
                hint.as_ref().is_some_and(|hint| hint.epoch > table.epoch()),
            );
            let next =
                course.failed(&missed.failure, hint.filter(|_| follow).map(|hint| hint.leader), others);
            drop(table);
            if ahead || next == Next::Later {
                self.refresh();
            }
            next
        };
        if let (Next::AtOnce, Some(to)) = (next, course.redirected_to()) {
            self.watcher.redirect(course.aim.partition(), hop.way.node(), to);
        }
        next
    }

    /// Takes in that an attempt succeeded; `time` where it says how far away the server is.
    pub(crate) fn answered(&self, hop: Hop, time: Option<Duration>) {
        if let Some(time) = time {
            self.watcher.round_trip(hop.way.node(), time);
        }
        self.table.lock().answered(hop.way, time);
    }

    /// Takes in that a connection broke. Its node is asked at once whether it is still there.
    pub(crate) fn doubt(self: &Arc<Self>, way: Way) {
        self.table.lock().doubt(way, self.time.elapsed());
        self.keep_up();
    }

    /// What every call says: which cluster is meant, once that is known.
    pub(crate) fn saying(&self, direct: bool, due: Due) -> Saying {
        Saying::to(self.table.lock().cluster(), direct, due)
    }

    /// How many nodes hold the partition, as far as is known.
    pub(crate) fn replicas(&self, partition: chronos_domain::PartitionId) -> usize {
        self.table.lock().replicas(partition)
    }

    /// Which nodes those are.
    pub(crate) fn holders(&self, partition: chronos_domain::PartitionId) -> Vec<NodeId> {
        self.table.lock().holders(partition).to_vec()
    }

    /// Asks where everything is, soon and in the background, unless somebody is about to.
    pub(crate) fn refresh(self: &Arc<Self>) {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let router = self.clone();
        background(async move {
            let since = router.time.elapsed().saturating_sub(*router.last.lock());
            pause(ASK_PAUSE.saturating_sub(since)).await;
            {
                let _asking = router.asking.lock().await;
                router.ask_around().await;
            }
            router.refreshing.store(false, Ordering::Release);
            router.try_due();
        });
    }

    async fn ask_first(self: &Arc<Self>) {
        let _asking = self.asking.lock().await;
        if !self.asked.load(Ordering::Acquire) {
            self.ask_around().await;
            self.asked.store(true, Ordering::Release);
        }
    }

    /// What is due by time alone.
    fn keep_up(self: &Arc<Self>) {
        self.try_due();
        let since = self.time.elapsed().saturating_sub(*self.last.lock());
        if since >= ASK_AGAIN && self.asked.load(Ordering::Acquire) {
            self.refresh();
        }
    }

    /// Finds out in the background whether nodes can be reached that may be.
    fn try_due(self: &Arc<Self>) {
        let due = self.table.lock().take_due(self.time.elapsed());
        for node in due {
            let router = self.clone();
            background(async move {
                let _taken = router.ask(Way::Node(node)).await;
            });
        }
    }

    /// Asks one server after the other until one knows as much as this client or more.
    async fn ask_around(self: &Arc<Self>) {
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        let ways = self.table.lock().to_ask(round);
        let mut learned = false;
        for way in ways {
            learned = self.ask(way).await;
            if learned {
                break;
            }
        }
        *self.last.lock() = self.time.elapsed();
        self.watcher.refresh(learned.then(|| self.table.lock().epoch()));
    }

    /// Asks one server; whether its answer was taken in.
    async fn ask(self: &Arc<Self>, way: Way) -> bool {
        let Some(line) = self.line(way) else {
            self.table.lock().missed(way, self.time.elapsed());
            return false;
        };
        // Whoever is there shall say who he is.
        let (mut rpc, began) = (rpc(over(line.channel(), Saying::nothing())), self.time.elapsed());
        let answer = Deadline::after(ASK_MAX).bound(rpc.placement(v1::PlacementRequest {})).await;
        let now = self.time.elapsed();
        match answer {
            Some(Ok(answer)) => match Placement::try_from(answer.into_inner()) {
                Ok(placement) => self.learn(way, &placement, now.saturating_sub(began)),
                Err(_) => {
                    self.table.lock().missed(way, now);
                    false
                }
            },
            Some(Err(status)) if !Missed::of(&status).line_down => {
                // A release that knows no placement: it is there, and does everything itself.
                if way.node().is_some() {
                    self.table.lock().missed(way, now);
                }
                false
            }
            Some(Err(_)) | None => {
                self.watcher.unreachable(way.node());
                self.table.lock().missed(way, now);
                false
            }
        }
    }

    fn learn(&self, way: Way, placement: &Placement, time: Duration) -> bool {
        let mut table = self.table.lock();
        match table.learn(way, placement) {
            Learned::Stranger => {
                table.missed(way, self.time.elapsed());
                drop(table);
                self.watcher.stranger(way.node(), &placement.cluster_id);
                false
            }
            learned => {
                table.answered(way, Some(time));
                self.lines.keep(table.addresses());
                learned == Learned::Taken
            }
        }
    }

    fn line(&self, way: Way) -> Option<Arc<Line>> {
        if let Way::Seed(seed) = way {
            return Some(self.lines.seed(seed));
        }
        let address = self.table.lock().address(way)?.to_owned();
        self.lines.to(&address)
    }
}

/// Runs beside whoever asked; it ends by itself.
pub(crate) fn background(task: impl Future<Output = ()> + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "an SDK runs outside of a node; tokio::spawn is seeded in simulations"
    )]
    drop(tokio::spawn(task));
}
