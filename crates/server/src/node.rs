//! The composition root: a data directory, its log, its partitions, and what callers meet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chronos_app::App;
use chronos_cluster::{Cluster, NodeId, peer};
use chronos_domain::PartitionId;
use chronos_domain::limits::PARTITIONS;
use chronos_env::Env;
use chronos_store::{DataDir, Identity};
use chronos_wal::{Recovery, Wal};

use crate::acquaintance::Acquaintance;
use crate::config::{Config, Invalid};
use crate::edge::Edge;
use crate::engine::Engine;
use crate::lookout::Lookout;
use crate::operator::{Here, Operators, Room, Settings};
use crate::seating::{self, Seated};

/// Where parts are, below the data directory: one directory for each partition in it.
const PARTS: &str = "parts";

/// The release this code belongs to.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// One running node. It serves nobody until [`crate::serve`] gives it a listener; in-process callers use
/// [`Node::app`].
pub struct Node {
    edge: Arc<Edge>,
    cluster: Cluster,
    operators: Operators,
    /// Holds the lock on the directory until everything else is closed.
    data: Arc<DataDir>,
    acquaintance: Acquaintance,
    lookout: Lookout,
}

/// Why a node does not start. Nothing was served; what is on disk is as it was, but for a torn tail that was cut.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] Invalid),
    /// The directory is somebody else's, in use, of a newer format, or damaged.
    #[error(transparent)]
    Data(#[from] chronos_store::OpenError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] chronos_wal::OpenError),
    /// It cannot talk to other nodes.
    #[error(transparent)]
    Peers(#[from] peer::StartError),
    /// The port that its cluster knows it by cannot be had.
    #[error(
        "the other nodes of the cluster look for this one at {listen}, where it listened before, and it cannot be taken: \
         {error}; free it, or give another one with --peer-listen"
    )]
    PeerPort {
        /// Where it would listen.
        listen: SocketAddr,
        /// What stands in the way.
        error: peer::StartError,
    },
    /// It was not admitted to a cluster. It may ask again, as the same machine.
    #[error(transparent)]
    Join(#[from] peer::JoinError),
}

impl StartError {
    /// Whether another process has what the node needs, its directory or its port for other nodes: one that is ending gives
    /// it up in a moment. Nothing was done.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Data(chronos_store::OpenError::Locked { .. }) => true,
            Self::Peers(peer::StartError::Listen(error))
            | Self::PeerPort { error: peer::StartError::Listen(error), .. } => {
                error.kind() == std::io::ErrorKind::AddrInUse
            }
            _ => false,
        }
    }
}

impl Node {
    /// Recovers a node from its data directory; in an empty one it founds a cluster, or joins the one that the configuration
    /// names.
    ///
    /// The configuration says where clients and operators will be listened for, with the ports that were taken: others
    /// are told. Where other nodes are listened for, with port 0, shows in [`Node::peer_address`].
    ///
    /// Partitions whose data is damaged are refused, each with its reason; the others are ready when this returns.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(env: Env, config: &Config) -> Result<Self, StartError> {
        config.check()?;
        if config.data.as_os_str().is_empty() {
            return Err(Invalid("data names no directory; give one".to_owned()).into());
        }
        let began = env.clock.monotonic();
        let Seated { data, standing } = seating::take(&env, config).await?;
        let (world, wanted) = (env.clone(), config.clone());
        // Opening reads the whole log, so it must not hold up the runtime.
        let (data, wal, recovery) = env.tasks.blocking(move || open(&world, &wanted, data)).await?;
        for damage in &recovery.damages {
            tracing::error!(%damage, "damage found in the log");
        }
        let cluster = Cluster::start(&env, &wal, &groups_config(config, &data), standing).await?;
        let engine = Engine::new(env.clone(), cluster.clone()).among_others(config.cluster.forward);
        let (identity, limits) = (data.identity.clone(), config.limits.clone());
        let edge = Arc::new(Edge::new(env.clone(), engine, wal, identity, limits));
        let operators = open_to_operators(&edge, &cluster, config);
        let data = Arc::new(data);
        let acquaintance = Acquaintance::keep(&env, &data, &cluster);
        let lookout = Lookout::keep(&data, &edge);
        let node = Self { edge, cluster, operators, data, acquaintance, lookout };
        let took_ms = env.clock.monotonic().saturating_sub(began).as_millis();
        let (served, events) = node.served();
        let (frames, bytes) = (recovery.frames, recovery.bytes);
        let (path, me) = (node.data.path.display(), node.id());
        tracing::info!(data = %path, node = %me, served, events, frames, bytes, took_ms, "node started");
        Ok(node)
    }

    /// How many partitions are served, and how many events they hold.
    fn served(&self) -> (usize, u64) {
        let heads = PartitionId::all().filter_map(|id| self.app().node().marks_here(id).ok());
        heads.fold((0, 0), |(served, events), marks| (served + 1, events + marks.applied.get()))
    }

    /// The use cases over this node.
    #[must_use]
    pub fn app(&self) -> &App<Engine> {
        &self.edge.app
    }

    /// The use cases on this node alone: what it does not lead or hold it refuses, and says who does.
    #[must_use]
    pub fn app_here(&self) -> &App<Engine> {
        self.edge.app_here()
    }

    /// Which node of its cluster this is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.data.seat().node
    }

    /// Where other nodes are listened for, if they are.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.cluster.peers().map(peer::Peers::address)
    }

    /// Its part of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whose node this is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.data.identity
    }

    /// Resolves when the node can no longer acknowledge anything, with the first reason: a failed write or sync, a data
    /// directory that is gone, or another process that is this node. The process should then end, saying why: what is on disk
    /// is recovered at the next start, unless the directory is a copy; then that is written down when this resolves, and
    /// there is no next start.
    pub async fn faulted(&self) -> String {
        let reason = self.edge.faulted().await;
        self.acquaintance.settled().await;
        reason
    }

    /// Gives what this node leads to others, as far as they are there; takes a bounded time.
    pub async fn hand_over(&self) {
        self.cluster.hand_over(HAND_OVER_MAX).await;
    }

    /// Finishes what is in flight, syncs, and closes. Everything acknowledged is durable with or without it.
    pub async fn stop(self) {
        self.edge.stop();
        self.acquaintance.end().await;
        self.lookout.end().await;
        self.cluster.stop().await;
        if let Some(wal) = self.edge.take_wal() {
            sole(&self.edge.env, wal).await.close().await;
        }
        tracing::info!(data = %self.data.path.display(), "node stopped");
    }

    /// What operators may ask of this node.
    pub(crate) const fn operators(&self) -> &Operators {
        &self.operators
    }

    pub(crate) fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }
}

/// What operators may ask here, and what they may have asked from other nodes.
fn open_to_operators(edge: &Arc<Edge>, cluster: &Cluster, config: &Config) -> Operators {
    let me = cluster.me();
    let here = Arc::new(Here::new(me, edge.clone(), Settings::new(config.clone())));
    cluster.answer_operators(Arc::new(Room(here.clone())));
    Operators::new(edge.clone(), cluster.clone(), here)
}

/// The log in a directory.
fn open(env: &Env, config: &Config, mut data: DataDir) -> Result<(DataDir, Wal, Recovery), StartError> {
    let (wal, recovery) = Wal::open(env, wal_config(config, &data))?;
    data.seal(env)?;
    Ok((data, wal, recovery))
}

/// The log, once nobody else holds it: a request for metrics may, for a moment.
async fn sole(env: &Env, mut wal: Arc<Wal>) -> Wal {
    loop {
        match Arc::try_unwrap(wal) {
            Ok(wal) => return wal,
            Err(shared) => wal = shared,
        }
        env.clock.sleep(RELEASE_POLL).await;
    }
}

/// How long a node that is to stop looks for others to lead in its place.
const HAND_OVER_MAX: Duration = Duration::from_secs(5);

const RELEASE_POLL: Duration = Duration::from_millis(1);

fn wal_config(config: &Config, data: &DataDir) -> chronos_wal::Config {
    chronos_wal::Config {
        dir: data.wal_dir.clone(),
        cluster: data.identity.cluster,
        logs: PARTITIONS + 1,
        lanes: config.lanes,
        segment_bytes: config.small.map_or(config.segment_bytes, |small| small.segment_bytes),
        release: RELEASE.to_owned(),
        exists: data.identity.sealed,
    }
}

fn groups_config(config: &Config, data: &DataDir) -> chronos_cluster::Config {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let store = chronos_store::Config {
        cache_bytes: bytes(config.cache_bytes / u64::from(PARTITIONS)),
        parts_cache: chronos_parts::Cache::new(bytes(config.parts_cache_bytes)),
        ..chronos_store::Config::new(data.path.join(PARTS), data.identity.cluster)
    };
    let mut groups = chronos_cluster::Config {
        node: data.seat().node,
        compaction: config.compaction.config(),
        scrub: config.scrub.config(),
        beat: Duration::from_millis(config.cluster.beat_ms),
        ..chronos_cluster::Config::new(store)
    };
    if let Some(small) = config.small {
        (groups.store.cuts.events, groups.entries_kept) = (small.cut_events, small.entries_kept);
        groups.compaction.wal_segments_max = small.wal_segments_max;
        groups.compaction.bytes_per_second = small.compaction_bytes_per_second;
    }
    groups
}
