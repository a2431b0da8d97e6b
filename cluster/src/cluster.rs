//! One node of a cluster, as far as replication goes: its groups, its connections, what it knows of the others, and what
//! it can be told to do.

mod bereft;
mod desk;
mod driving;
mod forwarding;
mod knowing;
mod leaving;
mod operators;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chronos_domain::{PartitionId, Timestamp};
use chronos_env::{Env, Task};
use chronos_store::Neighbour;
use chronos_wal::Wal;
use parking_lot::Mutex;

use crate::addresses::Addresses;
use crate::exchange::{Exchange, kinds};
use crate::groups::{Among, Config, Groups};
use crate::node::NodeId;
use crate::order::{Order, OrderError, Plan};
use crate::parcel::Parcels;
use crate::peer::{self, Denial, Denied, Peers, Port};
use crate::placement::{Action, Steer, Step, foresee, undecided, waits};
use crate::status::{Board, DOWN_AFTER, NodeReport, Poll, own};
use crate::system::{Ask, Entrant, Ledger, NotWritten, State, TokenHash};
use desk::Desk;

/// How a node stands in its cluster when it starts.
#[derive(Debug)]
pub struct Standing {
    /// Whether groups of which nothing says who belongs to them begin on this node, with it as their only member. Of all
    /// nodes of a cluster exactly one may say so.
    pub is_founder: bool,
    /// How to talk to other nodes; `None` where there are none and shall be none.
    pub peers: Option<peer::Config>,
    /// The port for other nodes, where it was taken already; otherwise it is taken as `peers` says.
    pub port: Option<Port>,
    /// Where this node is reached.
    pub addresses: Addresses,
    /// What people call it; empty for what they called it before, or else its number.
    pub name: String,
    /// The UUID of its data directory.
    pub machine: u128,
    /// How many replicas each partition of a cluster has that is founded now; 1, 3 or 5.
    pub replication: u8,
    /// What machines have to know that want to join a cluster that is founded now; `None` lets in whoever asks.
    pub token: Option<String>,
    /// The running release.
    pub release: String,
    /// Other nodes, as this one knew them last, or was told of them when it joined. What its replica of the system
    /// partition says is newer.
    pub members: Vec<Neighbour>,
    /// Nodes that were removed from the cluster, as far as this one turned them away before.
    pub removed: BTreeSet<NodeId>,
}

/// A running node of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

/// What a node was told about itself when it started.
struct Known {
    cluster: u128,
    is_founder: bool,
    addresses: Addresses,
    name: String,
    machine: u128,
    replication: u8,
    token: Option<String>,
    release: String,
    incarnation: u64,
}

impl Known {
    fn of(standing: &Standing, config: &Config) -> Known {
        Known {
            cluster: config.store.cluster,
            is_founder: standing.is_founder,
            addresses: standing.addresses.clone(),
            name: standing.name.clone(),
            machine: standing.machine,
            replication: standing.replication,
            token: standing.token.clone(),
            release: standing.release.clone(),
            incarnation: standing.peers.as_ref().map_or(0, |peers| peers.incarnation),
        }
    }
}

struct Inner {
    env: Env,
    me: NodeId,
    known: Known,
    groups: Groups,
    peers: Option<Peers>,
    exchange: Exchange,
    parcels: Parcels,
    ledger: Arc<Ledger>,
    /// Where there are others to ask.
    poll: Option<Arc<Poll>>,
    board: Board,
    /// On the clock of `env`: nobody was heard of before.
    began: Duration,
    /// What this node as the driver has asked others to delete, by its last entry, and until when it is not asked again.
    freed: Mutex<BTreeMap<(PartitionId, NodeId, u64), Duration>>,
    tasks: Mutex<Vec<Task<()>>>,
}

impl Cluster {
    /// Recovers every partition, starts its group, and begins to listen for other nodes.
    ///
    /// # Errors
    /// When other nodes cannot be listened for: nothing was begun.
    pub async fn start(
        env: &Env,
        wal: &Wal,
        config: &Config,
        standing: Standing,
    ) -> Result<Cluster, peer::StartError> {
        let (exchange, parcels) = (Exchange::default(), Parcels::new(env));
        let (known, me, desk) = (Known::of(&standing, config), config.node, Desk::default());
        let (groups, peers) = match standing.peers {
            None => (Groups::start(env, wal, config).await, None),
            Some(mut peers) => {
                // Whoever comes is judged by it from the first moment: it may be long before there is a quorum to ask.
                peers.machines.extend(standing.members.iter().map(|other| (other.node, other.machine)));
                peers.removed.extend(&standing.removed);
                let port = match standing.port {
                    Some(port) => port,
                    None => Port::open(env, &peers.listen, &peers.security).await?,
                };
                let (handler, source) = (Arc::new(exchange.clone()), Arc::new(parcels.clone()));
                let peers = Peers::start_at(env, peers, port, handler, source, Arc::new(desk.clone()))?;
                // A replica that starts asks them what it has promised. Who is not known by its machine has to wait: where
                // it was another one may listen by now.
                let known_ones = standing.members.iter().filter(|other| other.machine != 0);
                known_ones.for_each(|other| peers.set_peer(other.node, &other.peer));
                let link = Arc::new(peers.clone());
                let among = Among { link, founder: known.is_founder, peers: Some(peers.clone()) };
                (Groups::start_among(env, wal, config, among).await, Some(peers))
            }
        };
        exchange.open(kinds::CONSENSUS, groups.handler());
        exchange.open(kinds::REPAIR, groups.repair_handler());
        exchange.open(kinds::READS, groups.readers());
        parcels.open(&groups);
        let ledger = Arc::new(Ledger::new(env, groups.clone(), me));
        if let Some(peers) = &peers {
            // Where others were once, other machines may listen by now: what is known of them comes first. A replica that
            // cannot be read knows nothing, and says so when it is followed; nor does one that nobody leads yet know what
            // its log says. Then what was written down beside the seat has to do.
            let _ = ledger.fold().await;
            driving::know_machines(peers, &ledger.state());
            standing.members.iter().for_each(|other| peers.set_peer(other.node, &other.peer));
        }
        let board = Board::default();
        let poll = peers.clone().map(|peers| {
            let clocks = Arc::clone(groups.clocks());
            Arc::new(Poll { env: env.clone(), peers, board: board.clone(), clocks })
        });
        let inner = Inner {
            env: env.clone(),
            me,
            known,
            groups,
            peers,
            exchange,
            parcels,
            ledger,
            poll,
            board,
            began: env.clock.monotonic(),
            freed: Mutex::default(),
            tasks: Mutex::default(),
        };
        let cluster = Cluster { inner: Arc::new(inner) };
        desk.open(&cluster.inner);
        cluster.inner.exchange.open(kinds::CLUSTER, Arc::new(desk));
        cluster.begin();
        Ok(cluster)
    }

    /// Starts what runs beside the groups.
    fn begin(&self) {
        let Inner { env, ledger, poll, tasks, .. } = &*self.inner;
        let (following, introduced) = (Arc::clone(ledger), Arc::clone(&self.inner));
        let mut tasks = tasks.lock();
        tasks.push(env.tasks.spawn("cluster state", async move { following.follow().await }));
        tasks.push(env.tasks.spawn("introduction", async move { introduced.introduce().await }));
        if let Some(poll) = poll {
            tasks.push(env.tasks.spawn("status", Arc::clone(poll).run()));
            tasks.push(env.tasks.spawn("links", driving::keep_links(Arc::clone(&self.inner))));
            tasks.push(env.tasks.spawn("deaths", bereft::see_who_dies(Arc::clone(&self.inner))));
            tasks.push(env.tasks.spawn("placement", Arc::clone(&self.inner).drive()));
        }
    }

    /// The partitions and what is proposed to them.
    pub fn groups(&self) -> &Groups {
        &self.inner.groups
    }

    /// The connections to other nodes, where there are any.
    pub fn peers(&self) -> Option<&Peers> {
        self.inner.peers.as_ref()
    }

    /// Which cluster this is.
    pub fn id(&self) -> u128 {
        self.inner.known.cluster
    }

    /// Which node this is.
    pub fn me(&self) -> NodeId {
        self.inner.me
    }

    /// Carries out an order, or sees to it that whoever can does, and returns when it is certain. What follows from it,
    /// such as data that moves, goes on by itself: see [`Cluster::plan`] and [`Cluster::view`].
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn steer(&self, order: Order, deadline: Duration) -> Result<(), OrderError> {
        let within = deadline.saturating_sub(self.inner.env.clock.monotonic());
        let done = match order {
            Order::Transfer { partition, to } => self.inner.have_handed_to(partition, to, within).await,
            order => self.inner.ask(&Ask::Order(order), within).await.map(drop),
        };
        done.map_err(|error| match error {
            // Perhaps there is no use in trying again before somebody is started.
            NotWritten::Elsewhere(leader) => OrderError::Unavailable(self.inner.why_nobody_writes(leader)),
            other => order_error(other),
        })
    }

    /// What the placement driver is going to do, in order, if nothing else happens, and what stays undone; without these nodes,
    /// which have not answered just now ([`Cluster::look_around`]).
    pub fn plan(&self, silent: &BTreeSet<NodeId>) -> Plan {
        let state = self.inner.ledger.state();
        let (steps, then) = foresee(&state, &self.inner.observe_without(silent), PLANNED_MAX);
        let waits = match &self.inner.peers {
            // Who is alone waits for nobody.
            None => Vec::new(),
            Some(_) if steps.len() == PLANNED_MAX => {
                vec![format!("what comes after these {PLANNED_MAX} steps was not looked at: ask again later")]
            }
            Some(_) => waits(&state, &then),
        };
        Plan { steps: steps.iter().map(Step::told).collect(), waits }
    }

    /// Answers what waits, ends the groups, and then the connections.
    pub async fn stop(&self) {
        self.inner.tasks.lock().drain(..).for_each(|task| task.abort());
        self.inner.groups.stop().await;
        self.inner.exchange.close();
        self.inner.parcels.close();
        if let Some(peers) = &self.inner.peers {
            peers.stop();
        }
    }
}

impl Inner {
    /// Sees to it that the cluster's own data says who this node is and where.
    async fn introduce(&self) {
        let mut name = self.known.name.clone();
        loop {
            match self.introduce_once(&name).await {
                Ok(()) => return,
                Err(NotWritten::Refused(Denied { why: Denial::Taken, text, .. })) if !name.is_empty() => {
                    // Where it is reached is more important than what it is called.
                    tracing::warn!(why = text, "this node keeps the name that the cluster knows it by");
                    name.clear();
                    continue;
                }
                Err(NotWritten::Refused(why)) => tracing::warn!(%why, "this node could not be introduced"),
                Err(why) => tracing::debug!(%why, "this node is not introduced yet"),
            }
            self.env.clock.sleep(INTRODUCE_AGAIN).await;
        }
    }

    async fn introduce_once(&self, name: &str) -> Result<(), NotWritten> {
        let Known { cluster, is_founder, addresses, machine, replication, token, .. } = &self.known;
        let (node, addresses) = (self.me, addresses.clone());
        let member = self.ledger.state().members.get(&node).cloned();
        if *is_founder && !self.ledger.state().is_founded() {
            let name = if name.is_empty() { node.to_string() } else { name.to_owned() };
            let founder = Entrant { node, name, machine: *machine, addresses };
            let token = token.as_deref().map(|secret| TokenHash::of(*cluster, secret));
            let found = |state: &State| state.found(*cluster, *replication, token, founder.clone());
            return self.ledger.change(INTRODUCED_WITHIN, found).await;
        }
        let is_so = |now: &str| name.is_empty() || name == now;
        if member.is_some_and(|member| is_so(&member.name) && member.addresses == addresses) {
            return Ok(());
        }
        // Without a name it keeps the one it has, which it may not have read yet.
        let name = name.to_owned();
        self.ask(&Ask::Announce { node, name, addresses }, INTRODUCED_WITHIN).await.map(drop)
    }

    /// What this node says about itself now.
    fn report(&self) -> NodeReport {
        NodeReport {
            node: self.me,
            release: self.known.release.clone(),
            incarnation: self.known.incarnation,
            epoch: self.ledger.state().version,
            wall: Some(Timestamp::new(self.env.clock.wall_micros())),
            groups: own(&self.groups, self.me),
            silences: self.silences(),
        }
    }

    /// How long this node has not heard of each other one that it looks for; of one that it has never heard of it says nothing
    /// before that means something.
    fn silences(&self) -> BTreeMap<NodeId, Duration> {
        let now = self.env.clock.monotonic();
        let silence = |node| match self.board.heard(node) {
            Some(at) => Some(now.saturating_sub(at)),
            None => Some(now.saturating_sub(self.began)).filter(|silence| *silence >= DOWN_AFTER),
        };
        let links = self.peers.iter().flat_map(Peers::status);
        links.filter_map(|link| Some((link.node, silence(link.node)?))).collect()
    }

    /// Why what was wanted was not written.
    fn why_nobody_writes(&self, leader: Option<NodeId>) -> String {
        let lost = undecided(&self.observe()).map(|why| format!("nothing was changed: {why}"));
        lost.unwrap_or_else(|| elsewhere(leader))
    }

    /// Has the leader of a partition hand over.
    async fn have_handed_to(
        &self,
        partition: PartitionId,
        to: NodeId,
        within: Duration,
    ) -> Result<(), NotWritten> {
        let steer = Steer { partition, action: Action::Transfer(to), at: None, driver_term: 0 };
        match self.leader(partition) {
            Some(leader) if leader == self.me => self.take(steer).await,
            Some(leader) => {
                let asked = self.ask_one(leader, kinds::STEER, steer.encode(), within).await;
                asked.map(drop).map_err(|error| not_handed(partition, leader, error))
            }
            None => Err(NotWritten::Unavailable(format!("partition {partition} has no leader now"))),
        }
    }
}

/// Steps that are foreseen: more than any cluster was seen to need.
const PLANNED_MAX: usize = 1500;
/// How long one attempt to introduce this node may take.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(5);
/// The pause before the next.
const INTRODUCE_AGAIN: Duration = Duration::from_secs(1);

/// With who leads the partition, who alone could have done it.
fn not_handed(partition: PartitionId, leader: NodeId, error: NotWritten) -> NotWritten {
    let told =
        |why| format!("{leader} leads partition {partition} and could not be asked to hand it over: {why}");
    match error {
        NotWritten::Unavailable(why) => NotWritten::Unavailable(told(why)),
        NotWritten::Unknown(why) => NotWritten::Unknown(told(why)),
        other => other,
    }
}

fn elsewhere(leader: Option<NodeId>) -> String {
    match leader {
        Some(leader) => format!("{leader} leads the system partition and could not be asked"),
        None => "the system partition has no leader now; try again in a few seconds".to_owned(),
    }
}

fn order_error(error: NotWritten) -> OrderError {
    match error {
        NotWritten::Refused(denied) => OrderError::Refused(denied.text),
        NotWritten::Elsewhere(leader) => OrderError::Unavailable(elsewhere(leader)),
        NotWritten::Unavailable(why) => OrderError::Unavailable(why),
        NotWritten::Unknown(why) => OrderError::Unknown(why),
    }
}
