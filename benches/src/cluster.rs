//! Several nodes, each in a process of its own, as one cluster on this machine.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use chronos_client::{Client, Placement};
use tempfile::TempDir;

use crate::Failure;
use crate::suite::Bench;

/// How long replicas and leaders may take to spread over all nodes.
const SETTLE_MAX: Duration = Duration::from_secs(300);

const SETTLE_STEP: Duration = Duration::from_millis(100);

/// How far the busiest leader may be ahead of the idlest one: the cluster counts the system partition, too.
const SPREAD_MAX: usize = 2;

/// A running cluster with data directories of its own. Everything is gone when it is dropped.
pub(crate) struct Cluster {
    members: Vec<Member>,
    _data: TempDir,
}

struct Member {
    child: Child,
    client: SocketAddr,
    // Held, so that it lives as long as this does.
    _stdin: ChildStdin,
    _stdout: BufReader<ChildStdout>,
}

impl Cluster {
    /// Starts one with empty directories: the first node founds it, the others join.
    pub(crate) fn start(bench: &Bench<'_>, nodes: usize) -> Result<Cluster, Failure> {
        let data = bench.fresh_dir()?;
        let ports = free_ports(2 * nodes)?;
        let mut cluster = Cluster { members: Vec::new(), _data: data };
        for i in 0..nodes {
            let dir = cluster._data.path().join(format!("n{}", i + 1));
            let mut command = std::process::Command::new(std::env::current_exe()?);
            command
                .arg("serve")
                .arg("--data")
                .arg(dir)
                .args(["--lanes", &bench.lanes().to_string()])
                .args(["--segment-bytes", &bench.segment_bytes().to_string()])
                .args(["--workers", &bench.workers().to_string()])
                .args(["--listen", &local(ports[2 * i]), "--peer-listen", &local(ports[2 * i + 1])]);
            if i > 0 {
                command.args(["--join", &local(ports[1])]);
            }
            cluster.members.push(Member::start(command)?);
        }
        Ok(cluster)
    }

    /// Where clients reach the nodes.
    pub(crate) fn clients(&self) -> impl Iterator<Item = SocketAddr> {
        self.members.iter().map(|member| member.client)
    }

    /// The same as the SDK takes it.
    pub(crate) fn addresses(&self) -> String {
        self.clients().map(|address| address.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Waits until every node holds every partition and leads its share.
    pub(crate) async fn settled(&self) -> Result<(), Failure> {
        let client = Client::connect(&self.addresses())?;
        let start = Instant::now();
        loop {
            let is_settled = client.placement().await.is_ok_and(|placement| self.is_spread(&placement));
            if is_settled {
                return Ok(());
            }
            if start.elapsed() > SETTLE_MAX {
                return Err(format!("the cluster did not settle within {} s", SETTLE_MAX.as_secs()).into());
            }
            tokio::time::sleep(SETTLE_STEP).await;
        }
    }

    fn is_spread(&self, placement: &Placement) -> bool {
        let nodes = self.members.len();
        let whole = placement.partitions.iter().all(|placed| placed.replicas.len() == nodes);
        let leads = placement.nodes.iter().map(|node| {
            placement.partitions.iter().filter(|placed| placed.leader == Some(node.node)).count()
        });
        let leads: Vec<usize> = leads.collect();
        let (least, most) = (leads.iter().min(), leads.iter().max());
        let spread = least.zip(most).is_some_and(|(least, most)| most - least <= SPREAD_MAX);
        whole && spread && leads.len() == nodes && leads.iter().sum::<usize>() == placement.partitions.len()
    }
}

impl Member {
    fn start(mut command: std::process::Command) -> Result<Member, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().expect("it was just piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("it was just piped"));
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        match read.map_err(Failure::from).and_then(|_| Ok(line.trim().parse()?)) {
            Ok(client) => Ok(Member { child, client, _stdin: stdin, _stdout: stdout }),
            Err(_) => {
                child.kill()?;
                Err(format!("a node ended before it listened: {}", child.wait()?).into())
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            // Killed, not asked: what it acknowledged has been checked. One that is gone already need not be.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

fn local(port: u16) -> String {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()
}

/// Ports that nobody listens on now.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    Ok(held.iter().map(|listener| listener.local_addr().map(|at| at.port())).collect::<Result<_, _>>()?)
}
