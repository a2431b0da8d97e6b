//! A cluster of one's own: several processes of this very binary on this machine, which can be killed, stopped, halted
//! and started again one by one.
//!
//! A node keeps its directory, its name and its ports for the life of the fleet, so that it comes back as itself; one
//! that was wiped comes back in the same place as somebody else.
//! Dropping a fleet kills every process, halted ones included, and removes every directory; when this process dies
//! without dropping anything, the nodes stop by themselves.

pub(crate) mod agreement;
pub(crate) mod ask;
pub(crate) mod balance;
pub(crate) mod cut;
pub(crate) mod ground;
pub(crate) mod steering;
pub(crate) mod traffic;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chronos_client::{NodeId, Placement};
use tempfile::TempDir;

use crate::connect::Connection;
use crate::failure::{Failure, Outcome};
use crate::own_server::{Launch, OwnServer};
use ground::{Ground, Site};

/// How long one question to a node may take.
const ASK_MAX: Duration = Duration::from_secs(10);

/// How often a fleet is asked whether it has come to rest.
const ASK_STEP: Duration = Duration::from_millis(100);

/// How long replicas and leaders may take to spread over all nodes.
const SETTLE_MAX: Duration = Duration::from_secs(600);

/// The line that says that a node of a cluster is ready; what follows comes with it.
const READY: &str = "peers on ";

/// The place of one node, whether or not its process runs.
struct Seat {
    server: Option<OwnServer>,
    home: PathBuf,
    site: Site,
    name: String,
    paused: bool,
    /// Whether it founds the cluster, when its directory is empty, and does not join it.
    founds: bool,
    /// Whether it left the cluster for good.
    left: bool,
}

/// The cluster.
pub(crate) struct Fleet {
    // Before the ground and the directory: dropped in this order, no process writes into what is being removed.
    seats: Vec<Seat>,
    replication: u8,
    ground: Ground,
    home: TempDir,
}

impl Fleet {
    /// Starts a cluster of `nodes` nodes with empty directories: the first one founds it, the others join. Returns when
    /// all of them are ready, which is before replicas are spread; see [`settled`](Self::settled).
    pub(crate) async fn found(nodes: usize, ground: Ground) -> Outcome<Self> {
        Self::found_with(nodes, if nodes < 3 { 1 } else { 3 }, ground).await
    }

    /// The same, with so many replicas of each partition as soon as there are nodes enough.
    pub(crate) async fn found_with(nodes: usize, replication: u8, ground: Ground) -> Outcome<Self> {
        let home = tempfile::Builder::new()
            .prefix("chronos-cluster-")
            .tempdir()
            .map_err(|e| Failure::failed(format!("cannot make a temporary directory: {e}")))?;
        let mut fleet = Self { seats: Vec::new(), replication, ground, home };
        for _ in 0..nodes {
            fleet.grow().await?;
        }
        Ok(fleet)
    }

    /// Starts one more node, which joins.
    pub(crate) async fn grow(&mut self) -> Outcome {
        let at = self.seats.len();
        let name = format!("n{}", at + 1);
        let home = self.home.path().join(&name);
        std::fs::create_dir(&home)
            .map_err(|e| Failure::failed(format!("cannot make {}: {e}", home.display())))?;
        let site = self.ground.site(at)?;
        let founds = at == 0;
        self.seats.push(Seat { server: None, home, site, name, paused: false, founds, left: false });
        self.restart(at).await.map(drop)
    }

    /// How many nodes it ever had, running or not, those that left included.
    pub(crate) const fn len(&self) -> usize {
        self.seats.len()
    }

    /// The nodes that did not leave, running or not.
    pub(crate) fn members(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|at| !self.seats[*at].left)
    }

    /// How many replicas each partition is to have.
    pub(crate) const fn replication(&self) -> u8 {
        self.replication
    }

    /// What people call node `at`.
    pub(crate) fn name(&self, at: usize) -> &str {
        &self.seats[at].name
    }

    /// Where clients reach node `at`.
    pub(crate) fn address(&self, at: usize) -> String {
        self.seats[at].site.client()
    }

    /// Where clients reach the nodes that did not leave.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.members().map(|at| self.address(at)).collect()
    }

    /// Where operators reach node `at`.
    pub(crate) fn admin_address(&self, at: usize) -> String {
        self.seats[at].site.admin()
    }

    /// The data directory of node `at`.
    pub(crate) fn data(&self, at: usize) -> PathBuf {
        self.seats[at].home.join("data")
    }

    /// Where everything is.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The process of node `at`, when it runs.
    pub(crate) fn process(&self, at: usize) -> Option<u32> {
        self.seats[at].server.as_ref().and_then(OwnServer::process)
    }

    /// Whether the process of node `at` runs, be it halted.
    pub(crate) fn is_up(&mut self, at: usize) -> bool {
        self.seats[at].server.as_mut().is_some_and(OwnServer::runs)
    }

    /// The network below it.
    pub(crate) const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Which node of the fleet the cluster knows by that number.
    pub(crate) fn seat_of(&self, node: NodeId, placement: &Placement) -> Option<usize> {
        let address = &placement.node(node)?.address;
        self.seats.iter().position(|seat| seat.site.client() == *address)
    }

    /// Kills node `at` (SIGKILL) and waits until its process is gone.
    pub(crate) async fn kill(&mut self, at: usize) -> Outcome {
        self.seats[at].paused = false;
        self.take(at)?.kill().await
    }

    /// Asks node `at` to stop (SIGTERM) and waits until it has.
    pub(crate) async fn stop(&mut self, at: usize) -> Outcome {
        self.resume(at)?;
        self.take(at)?.stop().await
    }

    /// Waits until the server of node `at` has ended, which is no member any more.
    pub(crate) async fn leave(&mut self, at: usize) -> Outcome {
        self.resume(at)?;
        self.take(at)?.ended().await?;
        self.seats[at].left = true;
        Ok(())
    }

    /// Halts node `at` (SIGSTOP).
    pub(crate) fn pause(&mut self, at: usize) -> Outcome {
        let seat = &mut self.seats[at];
        seat.paused = true;
        seat.server.as_ref().map_or(Ok(()), OwnServer::pause)
    }

    /// Lets node `at` go on, if it was halted.
    pub(crate) fn resume(&mut self, at: usize) -> Outcome {
        let seat = &mut self.seats[at];
        if !std::mem::take(&mut seat.paused) {
            return Ok(());
        }
        seat.server.as_ref().map_or(Ok(()), OwnServer::resume)
    }

    /// Starts node `at` on the directory it has; gives the time until it was ready.
    pub(crate) async fn restart(&mut self, at: usize) -> Outcome<Duration> {
        let start = Instant::now();
        let arguments = self.arguments(at);
        let seat = &self.seats[at];
        let launch = Launch {
            home: &seat.home,
            arguments: &arguments,
            ready: READY,
            namespace: seat.site.namespace.as_deref(),
        };
        let server = OwnServer::launch(launch).await?;
        self.seats[at].server = Some(server);
        Ok(start.elapsed())
    }

    /// Removes the directory of node `at`, which does not run: it comes back as a new node, which joins.
    pub(crate) fn wipe(&mut self, at: usize) -> Outcome {
        let data = self.data(at);
        self.seats[at].founds = false;
        std::fs::remove_dir_all(&data)
            .map_err(|e| Failure::failed(format!("cannot remove {}: {e}", data.display())))
    }

    /// Stops all nodes that run, in order, at the same time; the directories stay until the fleet is dropped.
    pub(crate) async fn stop_all(&mut self) -> Outcome {
        for at in 0..self.len() {
            self.resume(at)?;
        }
        // One that died by itself, or by somebody else's hand, cannot be asked.
        let running = self.seats.iter_mut().filter_map(|seat| seat.server.take_if(OwnServer::runs));
        futures::future::try_join_all(running.map(OwnServer::stop)).await.map(drop)
    }

    /// Keeps the directories when the fleet is dropped, as evidence.
    pub(crate) fn keep(&mut self) -> &Path {
        self.home.disable_cleanup(true);
        self.home.path()
    }

    /// A way to all nodes.
    pub(crate) async fn connection(&self, patience: Duration) -> Outcome<Connection> {
        Connection::to(&self.addresses(), patience).await
    }

    /// Waits until the nodes that run are the members, every partition has a leader and all of its replicas, and both are
    /// spread over them.
    pub(crate) async fn settled(&self) -> Outcome<Placement> {
        let up: Vec<String> = self.members().filter(|at| self.runs(*at)).map(|at| self.address(at)).collect();
        self.settled_on(&up).await
    }

    /// Waits until the nodes at these addresses, and nobody else, have all replicas and leaders, spread over them.
    async fn settled_on(&self, up: &[String]) -> Outcome<Placement> {
        let connection = Connection::to(up, ASK_MAX).await?;
        let start = Instant::now();
        loop {
            let unrest = match connection.placement().await {
                Ok(placement) => match balance::unrest(&placement, up, self.replication) {
                    None => return Ok(placement),
                    Some(unrest) => unrest,
                },
                // Nobody knows yet: as good as an unrest.
                Err(failure) => failure.to_string(),
            };
            if start.elapsed() > SETTLE_MAX {
                let patience = SETTLE_MAX.as_secs();
                return Err(Failure::failed(format!(
                    "the cluster did not settle within {patience} s: {unrest}"
                )));
            }
            tokio::time::sleep(ASK_STEP).await;
        }
    }

    /// Events that node `at` has applied, over all partitions it holds; asked of that node and no other.
    pub(crate) async fn events(&self, at: usize) -> Outcome<u64> {
        agreement::applied(&self.address(at)).await
    }

    fn runs(&self, at: usize) -> bool {
        let seat = &self.seats[at];
        seat.server.is_some() && !seat.paused
    }

    fn take(&mut self, at: usize) -> Outcome<OwnServer> {
        let seat = &mut self.seats[at];
        seat.server.take().ok_or_else(|| Failure::failed(format!("node {} does not run", seat.name)))
    }

    /// Of `chronos server`: the same at every start, so that a node that comes back needs nobody's help.
    fn arguments(&self, at: usize) -> Vec<String> {
        let Seat { site, name, founds, .. } = &self.seats[at];
        let mut arguments: Vec<String> = [
            ("--listen", site.client()),
            ("--peer-listen", site.peer()),
            ("--admin-listen", site.admin()),
            ("--name", name.clone()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        if site.namespace.is_some() {
            arguments.push("--plaintext-anywhere".to_owned());
        }
        if *founds {
            let replication = self.replication.to_string();
            arguments.extend(["--bootstrap".to_owned(), "--replication".to_owned(), replication]);
        } else {
            let others = self.members().filter(|other| *other != at);
            let others: Vec<String> = others.map(|other| self.seats[other].site.peer()).collect();
            arguments.extend(["--join".to_owned(), others.join(",")]);
        }
        arguments
    }
}
