//! `chronos server`

use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use chronos_domain::EventId;
use chronos_env::{self as env, Env};
use chronos_server::telemetry::{self, Format as LogFormat};
use chronos_server::{Config, Node, StartError, recall, run};
use clap::{Args, ValueEnum};
use tokio::net::{TcpListener, TcpSocket};

use self::membership::MembershipArgs;
use crate::data_dir;
use crate::failure::{Failure, Outcome};
use crate::stop_request;

mod membership;
mod taking;

const EXAMPLES: &str = "\
Serves gRPC and HTTP on one port. Prints `listening on HOST:PORT` on standard output once it does; logs go to standard \
error. SIGTERM and SIGINT stop it in order (exit code 0); a write or sync that fails stops it at once (exit code 1), \
saying why: nothing is acknowledged after it, and the next start recovers.

Flags win over environment variables, those over the TOML file, that over defaults.

Without --bootstrap and --join a node is a cluster of one; in an empty directory, only when nothing is said that is meant \
for several nodes (--token, --peer-listen, --advertise). Several nodes make a cluster when one of them founds it \
(--bootstrap) and the others join it (--join, with the address that one or more of its nodes listen on for their peers). \
With both a node founds one only when for 10 s none of those addresses is that of a node, and joins otherwise: so the first \
node, should it lose its directory, founds no second cluster beside the others. Give --bootstrap to one node only. Once a \
node belongs to a cluster it needs neither again, and listens where it did unless it is told otherwise. Ready lines, in \
this order: `listening on`, `peers on` (if it has others beside it), `admin on` (if operators are listened for).

Examples:
  chronos server --data ./data
  chronos server --data ./a --bootstrap
  chronos server --data ./a --bootstrap --join db2:7401,db3:7401    # founds none where there is one
  chronos server --data ./b --listen 127.0.0.1:7500 --peer-listen 127.0.0.1:7501 --join 127.0.0.1:7401
  chronos server --data /var/lib/chronos --listen 0.0.0.0:7400 --log json
  chronos server --config chronos.toml

A configuration file (every key is optional):
  data = \"/var/lib/chronos\"
  listen = \"0.0.0.0:7400\"
  lanes = 1
  cache_bytes = 536870912          # events that are not in parts yet
  parts_cache_bytes = 134217728    # pages of parts
  [compaction]
  background = true
  bytes_per_second = 67108864
  wal_segments_max = 8
  debt_events_max = 524288
  debt_bytes_max = 134217728
  [scrub]
  background = true
  period_s = 86400
  bytes_per_second_max = 33554432
  [cluster]
  name = \"west\"
  peer_listen = \"0.0.0.0:7401\"
  advertise = \"west.example.net\"    # the host under which others reach this node
  join = [\"north.example.net:7401\"]
  beat_ms = 100                         # the pace of heartbeats and elections, the same on all nodes
  transfer_bytes_per_second = 16777216  # parts sent to other nodes
  token = \"…\"                       # better in CHRONOS_JOIN_TOKEN
  forward = true                    # have others do for callers what this node does not lead or hold
  tls = { certificate = \"/etc/chronos/node.pem\", key = \"/etc/chronos/node.key\", authority = \"/etc/chronos/ca.pem\" }
  [log]
  format = \"json\"
  filter = \"info\"";

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Run a node
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Server {
    /// The data directory; made when it is not there
    #[arg(long, env = "CHRONOS_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:7400; of a node that has others beside it: the same
    /// again]
    #[arg(long, env = "CHRONOS_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// A TOML file with what is not given here
    #[arg(long, env = "CHRONOS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The form of log lines [default: text]
    #[arg(long, env = "CHRONOS_LOG", value_enum, value_name = "FORMAT")]
    log: Option<LogArg>,
    /// What is logged, such as info or warn,chronos_wal=debug [default: info]
    #[arg(long, env = "CHRONOS_LOG_FILTER", value_name = "FILTER")]
    log_filter: Option<String>,
    /// Log lanes: each has one writer and one fdatasync for its partitions [default: 1]
    #[arg(long, env = "CHRONOS_LANES", value_name = "N")]
    lanes: Option<u8>,
    /// Bytes of one log segment [default: 64 MiB]
    #[arg(long, env = "CHRONOS_SEGMENT_BYTES", value_name = "BYTES")]
    segment_bytes: Option<u64>,
    /// Memory for events that are not in Parquet parts yet [default: 512 MiB]
    #[arg(long, env = "CHRONOS_CACHE_BYTES", value_name = "BYTES")]
    cache_bytes: Option<u64>,
    /// Memory for pages of Parquet parts that are read again [default: 128 MiB]
    #[arg(long, env = "CHRONOS_PARTS_CACHE_BYTES", value_name = "BYTES")]
    parts_cache_bytes: Option<u64>,
    /// Whether events go into Parquet parts as they come; otherwise only by `chronos compact` [default: on]
    #[arg(long, env = "CHRONOS_COMPACTION", value_enum, value_name = "SWITCH")]
    compaction: Option<Switch>,
    /// Bytes of events compacted in a second while nothing presses [default: 64 MiB]
    #[arg(long, env = "CHRONOS_COMPACTION_BYTES_PER_SECOND", value_name = "BYTES")]
    compaction_bytes_per_second: Option<u64>,
    /// Log segments in use from which on the oldest are compacted away [default: 8]
    #[arg(long, env = "CHRONOS_WAL_SEGMENTS_MAX", value_name = "N")]
    wal_segments_max: Option<u64>,
    /// Events that wait for compaction, in bytes, from which on appends wait too [default: 128 MiB]
    #[arg(long, env = "CHRONOS_DEBT_BYTES_MAX", value_name = "BYTES")]
    debt_bytes_max: Option<u64>,
    /// The same as a number of events [default: 524288]
    #[arg(long, env = "CHRONOS_DEBT_EVENTS_MAX", value_name = "N")]
    debt_events_max: Option<u64>,
    /// Whether everything on disk is read again and again to find damage [default: on]
    #[arg(long, env = "CHRONOS_SCRUB", value_enum, value_name = "SWITCH")]
    scrub: Option<Switch>,
    /// Seconds from one such pass to the next [default: 86400, a day]
    #[arg(long, env = "CHRONOS_SCRUB_PERIOD_S", value_name = "SECONDS")]
    scrub_period_s: Option<u64>,
    /// Bytes it reads in a second at most [default: 32 MiB]
    #[arg(long, env = "CHRONOS_SCRUB_BYTES_PER_SECOND_MAX", value_name = "BYTES")]
    scrub_bytes_per_second_max: Option<u64>,
    /// Threads that serve requests, beside those of the log lanes [default: one for each core but one, at least 1]
    #[arg(long, env = "CHRONOS_WORKERS", value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Refuse a data directory of another cluster than this
    #[arg(long, env = "CHRONOS_CLUSTER_ID", value_name = "UUID", value_parser = EventId::parse)]
    cluster_id: Option<EventId>,
    #[command(flatten)]
    membership: MembershipArgs,
    /// Stop in order when standard input ends, so that nobody who started a server for himself leaves it behind
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

impl Server {
    /// Threads of the runtime. One core is left to the log's writer: on a small machine a second worker that wakes to
    /// look for work delays the very append it woke for.
    pub(crate) fn workers(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.workers.map_or_else(|| (cores - 1).max(1), NonZeroUsize::get)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Switch {
    fn is_on(self) -> bool {
        self == Self::On
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum LogArg {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Server {
    pub(crate) async fn run(self) -> Outcome {
        let attached = self.until_stdin_ends;
        let mut config = self.settings()?;
        telemetry::init(&config.log).map_err(Failure::usage)?;
        config.fit_open_files(env::files::raise_limit()).map_err(Failure::usage)?;
        let env = Env::real();
        let recalled = recall(&env, &mut config).map_err(Failure::failed)?;
        let (socket, listen) = reserve(config.listen(), "--listen")
            .await
            .map_err(|failure| if recalled.clients { looked_for(&failure, "clients") } else { failure })?;
        config.listen = Some(listen);
        let operators = reserve_for_operators(&mut config).await.map_err(|failure| {
            if recalled.operators { looked_for(&failure, "operators") } else { failure }
        })?;
        let start = async || Node::start(env.clone(), &config).await;
        let node =
            taking::take(config.data.display(), StartError::is_taken, start).await.map_err(not_started)?;
        let listener = match socket.listen(BACKLOG) {
            Ok(listener) => listener,
            Err(error) => {
                node.stop().await;
                return Err(cannot_listen(listen, &error));
            }
        };
        let operators = match operators.map(|socket| socket.listen(BACKLOG)).transpose() {
            Ok(operators) => operators,
            Err(error) => {
                node.stop().await;
                return Err(cannot_listen(listen, &error));
            }
        };
        // Whoever reads that it is up may stop it at once.
        let signalled = stop_request::signalled()?;
        announce(&node, listen, operators.as_ref());
        let stopped = async move {
            tokio::select! {
                biased; // both mean the same
                () = signalled => {}
                () = stop_request::stdin_ended(), if attached => {}
            }
        };
        Box::pin(run(node, listener, operators, stopped)).await.map_err(Failure::failed)
    }

    /// Flags over environment (both by clap) over file over defaults.
    fn settings(self) -> Outcome<Config> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
                Config::parse(&text).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?
            }
        };
        replace(&mut config.data, self.data);
        replace(&mut config.listen, self.listen.map(Some));
        replace(&mut config.lanes, self.lanes);
        replace(&mut config.segment_bytes, self.segment_bytes);
        replace(&mut config.cache_bytes, self.cache_bytes);
        replace(&mut config.parts_cache_bytes, self.parts_cache_bytes);
        let compaction = &mut config.compaction;
        replace(&mut compaction.background, self.compaction.map(Switch::is_on));
        replace(&mut compaction.bytes_per_second, self.compaction_bytes_per_second);
        replace(&mut compaction.wal_segments_max, self.wal_segments_max);
        replace(&mut compaction.debt_bytes_max, self.debt_bytes_max);
        replace(&mut compaction.debt_events_max, self.debt_events_max);
        replace(&mut config.scrub.background, self.scrub.map(Switch::is_on));
        replace(&mut config.scrub.period_s, self.scrub_period_s);
        replace(&mut config.scrub.bytes_per_second_max, self.scrub_bytes_per_second_max);
        replace(&mut config.log.filter, self.log_filter);
        replace(&mut config.log.format, self.log.map(LogFormat::from));
        config.cluster.id = self.cluster_id.map(EventId::as_u128).or(config.cluster.id);
        self.membership.apply(&mut config.cluster)?;
        config.check().map_err(Failure::usage)?;
        if config.data.as_os_str().is_empty() {
            return Err(Failure::usage(
                "no data directory is given; add --data DIR, set CHRONOS_DATA, or `data` in the file",
            ));
        }
        config.data = data_dir::resolve(&config.data)?;
        Ok(config)
    }
}

impl From<LogArg> for LogFormat {
    fn from(arg: LogArg) -> Self {
        match arg {
            LogArg::Text => Self::Text,
            LogArg::Json => Self::Json,
        }
    }
}

fn replace<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// Takes a port, which nobody can reach yet: others are told of it before this node serves. Says which was taken.
async fn reserve(wanted: SocketAddr, flag: &str) -> Outcome<(TcpSocket, SocketAddr)> {
    let taken = taking::take(wanted, taking::is_port_taken, async || bind(wanted)).await;
    taken.map_err(|error| not_reserved(wanted, flag, &error))
}

fn bind(wanted: SocketAddr) -> std::io::Result<(TcpSocket, SocketAddr)> {
    let socket = if wanted.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections that an earlier process left behind in its last minute are no obstacle; one that still listens is.
    socket.set_reuseaddr(true)?;
    socket.bind(wanted)?;
    let taken = socket.local_addr()?;
    Ok((socket, taken))
}

/// Takes the port for operators, if there shall be one. That nobody asked for by name is done without where it is taken:
/// a second server on one machine need not be told.
async fn reserve_for_operators(config: &mut Config) -> Outcome<Option<TcpSocket>> {
    let Some(wanted) = config.cluster.admin_listen(config.listen()) else { return Ok(None) };
    let (socket, listen) = if config.cluster.admin_listen.is_some() {
        reserve(wanted, "--admin-listen").await?
    } else {
        match bind(wanted) {
            Ok(taken) => taken,
            Err(error) => {
                let why = not_reserved(wanted, "--admin-listen", &error);
                eprintln!("warning: no port for operators: {why}");
                return Ok(None);
            }
        }
    };
    config.cluster.admin_listen = Some(listen);
    Ok(Some(socket))
}

/// What is configured contradicts itself, or the directory: to be mended by whoever wrote it. Everything else may pass.
fn not_started(error: StartError) -> Failure {
    match error {
        StartError::Config(_) => Failure::usage(error),
        _ => Failure::failed(error),
    }
}

fn cannot_listen(on: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot listen on {on}: {error}"))
}

fn not_reserved(on: SocketAddr, flag: &str, error: &std::io::Error) -> Failure {
    let failure = cannot_listen(on, error);
    Failure::failed(format!("{failure}; free that address, or give another one with {flag}"))
}

/// A port that was taken from the node's last life, and is somebody else's now.
fn looked_for(failure: &Failure, by: &str) -> Failure {
    Failure::failed(format!("{failure} ({by} look for this node there, where it listened before)"))
}

/// The lines that whoever started the process waits for.
fn announce(node: &Node, listen: SocketAddr, operators: Option<&TcpListener>) {
    let mut lines = format!("listening on {listen}\n");
    if let Some(peers) = node.peer_address() {
        lines.push_str(&format!("peers on {peers}\n"));
    }
    if let Some(Ok(admin)) = operators.map(TcpListener::local_addr) {
        lines.push_str(&format!("admin on {admin}\n"));
    }
    let mut stdout = std::io::stdout().lock();
    let said = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
    // Nobody may be there to read it: a server does not depend on that.
    drop(said);
}
