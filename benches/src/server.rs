//! A node in a process of its own, so that server and load share the machine as they would in earnest.
//!
//! The benchmark starts itself again with a hidden argument. That process runs a node as `chronos server` does, says
//! where it listens, and ends when its standard input does: it cannot outlive the benchmark.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use chronos_env::Env;
use chronos_server::{Config, Node};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::Failure;
use crate::files;
use crate::options::Serve;
use crate::process::Usage;
use crate::suite::Bench;

/// A running server process with a data directory of its own. Both are gone when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    ready_after: Duration,
    data: TempDir,
}

impl Server {
    /// Starts one with an empty directory and waits until it listens.
    pub(crate) fn start(bench: &Bench<'_>) -> Result<Server, Failure> {
        Server::start_on(bench, bench.fresh_dir()?)
    }

    fn start_on(bench: &Bench<'_>, data: TempDir) -> Result<Server, Failure> {
        let began = Instant::now();
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg("--data")
            .arg(data.path().join(NODE))
            .args(["--lanes", &bench.lanes().to_string()])
            .args(["--segment-bytes", &bench.segment_bytes().to_string()])
            .args(["--workers", &bench.workers().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("it was just piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        let address = read.map_err(Failure::from).and_then(|_| Ok(line.trim().parse()?));
        match address {
            Ok(address) => Ok(Server { child, address, ready_after: began.elapsed(), data }),
            Err(_) => {
                child.kill()?;
                Err(format!("the server ended before it listened: {}", child.wait()?).into())
            }
        }
    }

    /// Kills it, has the system forget the contents of its files, and starts it again on them.
    pub(crate) fn restart(mut self, bench: &Bench<'_>) -> Result<Server, Failure> {
        self.kill();
        // Its last breath would remove the directory.
        let data = std::mem::replace(&mut self.data, bench.fresh_dir()?);
        drop(self);
        files::evict(data.path())?;
        Server::start_on(bench, data)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From its start until it listened.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.path().join(NODE)
    }

    fn kill(&mut self) {
        // Killed, not asked: what it acknowledged has been checked, or will be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The data directory, inside the temporary one.
const NODE: &str = "node";

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a node is set up, here and in the other process.
pub(crate) fn config(data: PathBuf, lanes: u8, segment_bytes: u64) -> Config {
    Config {
        data,
        listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        lanes,
        segment_bytes,
        ..Config::default()
    }
}

/// The same as one of several nodes, when it is to be one: it founds a cluster, or joins one.
fn among(options: &Serve, alone: Config) -> Result<Config, Failure> {
    let Some(peer_listen) = options.peer_listen else { return Ok(alone) };
    let origin = match options.join {
        None => "bootstrap = true".to_owned(),
        Some(join) => format!("join = [\"{join}\"]"),
    };
    let Config { data, lanes, segment_bytes, .. } = alone;
    // As an operator writes it down.
    let text = format!("[cluster]\npeer_listen = \"{peer_listen}\"\n{origin}\n");
    Ok(Config { data, lanes, segment_bytes, ..Config::from_toml(&text)? })
}

/// The runtime of a node.
pub(crate) fn runtime(workers: usize) -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?)
}

/// The other process: runs a node until standard input ends.
///
/// # Errors
/// When the node cannot start or serve.
pub fn serve(options: &Serve) -> Result<(), Failure> {
    runtime(options.workers)?.block_on(async {
        let config = Config {
            listen: Some(options.listen),
            ..among(options, config(options.data.clone(), options.lanes, options.segment_bytes))?
        };
        let node = Node::start(Env::real(), &config).await?;
        let listener = TcpListener::bind(options.listen).await?;
        println!("{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let abandoned = async {
            let mut rest = Vec::new();
            // An error is an end too.
            let _ = tokio::io::stdin().read_to_end(&mut rest).await;
        };
        chronos_server::serve(&node, listener, abandoned).await?;
        node.stop().await;
        Ok(())
    })
}
