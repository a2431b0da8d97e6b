//! Nodes in a simulated world, each under somebody who starts it again when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronos_client::{Client, ClusterAdmin, Ids, Options};
use chronos_env::sim::{Host, SimNet, World};
use chronos_env::{Clock, Entropy, Env, Tasks};
use chronos_server::{Config, Membership, Node};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::dial;

const CLIENT_PORT: u16 = 7400;
const PEER_PORT: u16 = 7401;
const ADMIN_PORT: u16 = 7402;
/// Who ended by itself is started again after so long, up to twice of it.
const RESTART_AFTER_MS: u64 = 1000;

/// A cluster in one simulated world. Clones are handles to the same one.
#[derive(Clone)]
pub(super) struct Cluster {
    world: World,
    env: Env,
    seats: Arc<BTreeMap<u32, Seat>>,
}

/// The place of one node.
struct Seat {
    host: Host,
    is_wanted: watch::Sender<bool>,
    /// Dropped to have the process that runs stop in order.
    stop: Mutex<Option<watch::Sender<()>>>,
    story: Mutex<Story>,
}

/// What became of a node's processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// How many were started.
    pub(super) lives: u64,
    /// Whether one runs.
    pub(super) is_running: bool,
    /// Why those ended that nobody killed or stopped, in their order.
    pub(super) ends: Vec<String>,
    /// How often they passed each crash point.
    passed: BTreeMap<&'static str, u64>,
}

impl Cluster {
    /// A cluster of so many nodes, none of which runs.
    pub(super) fn new(world: &World, nodes: u32) -> Cluster {
        let seat = |number| {
            let seat = Seat {
                host: world.host(&host_name(number)),
                is_wanted: watch::Sender::new(false),
                stop: Mutex::default(),
                story: Mutex::default(),
            };
            (number, seat)
        };
        let env = world.host("keeper").env();
        let cluster = Cluster { world: world.clone(), env, seats: Arc::new((1..=nodes).map(seat).collect()) };
        for number in cluster.nodes() {
            let keeper = cluster.clone();
            drop(cluster.env.tasks.spawn("keeper", async move { keeper.keep(number).await }));
        }
        cluster
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.seats.len() as u32
    }

    pub(super) fn host(&self, number: u32) -> &Host {
        &self.seats[&number].host
    }

    pub(super) fn net(&self) -> SimNet {
        self.world.net()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.env.clock
    }

    /// Starts what belongs to no node.
    pub(super) fn tasks(&self) -> &Tasks {
        &self.env.tasks
    }

    /// A generator for one purpose.
    pub(super) fn entropy(&self, purpose: &str) -> Entropy {
        self.env.entropy.child(purpose)
    }

    pub(super) fn story(&self, number: u32) -> Story {
        self.seats[&number].story.lock().clone()
    }

    /// How often crash points were passed, by all processes there were.
    pub(super) fn passed(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for seat in self.seats.values() {
            for (point, times) in seat.host.crash_hits().into_iter().chain(seat.story.lock().passed.clone()) {
                *all.entry(point).or_default() += times;
            }
        }
        all
    }

    /// Has a node run from now on: it is started again whenever it ends.
    pub(super) fn start(&self, number: u32) {
        let seat = &self.seats[&number];
        if seat.host.disk().is_off() {
            seat.host.disk().power_on();
        }
        seat.is_wanted.send_replace(true);
    }

    /// Kills a node's process, which stays dead until it is started.
    pub(super) fn kill(&self, number: u32) {
        let seat = &self.seats[&number];
        seat.is_wanted.send_replace(false);
        seat.host.kill();
    }

    /// Cuts a node's power.
    pub(super) fn cut_power(&self, number: u32) {
        self.host(number).disk().power_off();
        self.kill(number);
    }

    /// Has a node stop in order; returns when its process has ended.
    pub(super) async fn stop(&self, number: u32) {
        let seat = &self.seats[&number];
        seat.is_wanted.send_replace(false);
        seat.stop.lock().take();
        while seat.story.lock().is_running {
            self.env.clock.sleep(Duration::from_millis(10)).await;
        }
    }

    /// The SDK on a machine of that name, which knows these nodes.
    pub(super) fn client(&self, machine: &str, nodes: impl Iterator<Item = u32>) -> (Env, Client) {
        let env = self.world.host(machine).env();
        let client = dial::client(&env, &addresses(nodes, CLIENT_PORT), options(&env));
        (env, client.expect("the addresses of nodes are addresses"))
    }

    /// The SDK on a machine of that name, which asks one node only.
    pub(super) fn client_of(&self, machine: &str, node: u32) -> Client {
        let env = self.world.host(machine).env();
        dial::only(&env, &addresses([node].into_iter(), CLIENT_PORT), options(&env))
    }

    /// An operator who asks one node.
    pub(super) fn operator(&self, node: u32) -> ClusterAdmin {
        let options = Options { deadline: Duration::from_secs(5), ..options(&self.env) };
        dial::operator(&self.env, &addresses([node].into_iter(), ADMIN_PORT), options)
    }

    /// Starts a node's process whenever it is wanted and none runs.
    async fn keep(&self, number: u32) {
        let (seat, dice) = (&self.seats[&number], self.env.entropy.child("keeper"));
        let mut wanted = seat.is_wanted.subscribe();
        loop {
            wanted.wait_for(|is_wanted| *is_wanted).await.expect("a seat lives as long as its keeper");
            self.live(number).await;
            let pause = RESTART_AFTER_MS + dice.below(RESTART_AFTER_MS);
            self.env.clock.sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One life of a node's process.
    async fn live(&self, number: u32) {
        let seat = &self.seats[&number];
        let (stop, stopped) = watch::channel(());
        *seat.stop.lock() = Some(stop);
        {
            let mut story = seat.story.lock();
            story.lives += 1;
            story.is_running = true;
        }
        let env = seat.host.env();
        let process = env.tasks.clone().spawn("node", process(env, config(number), stopped));
        let end = process.await;
        if seat.host.disk().is_off() {
            // It met a crash point: the machine is down with it.
            seat.is_wanted.send_replace(false);
        }
        let hits = seat.host.crash_hits();
        // Whatever it had started ends with it.
        seat.host.kill();
        let mut story = seat.story.lock();
        for (point, times) in hits {
            *story.passed.entry(point).or_default() += times;
        }
        story.is_running = false;
        if let Ok(Err(why)) = end {
            story.ends.push(why);
        }
    }
}

/// A node from its start to its end, which is an error when nobody asked for it.
async fn process(env: Env, config: Config, mut stopped: watch::Receiver<()>) -> Result<(), String> {
    let node = Node::start(env.clone(), &config).await.map_err(|error| format!("did not start: {error}"))?;
    let clients = env.net.listen(&format!("0.0.0.0:{CLIENT_PORT}")).await.map_err(|e| e.to_string())?;
    let operators = env.net.listen(&format!("0.0.0.0:{ADMIN_PORT}")).await.map_err(|e| e.to_string())?;
    let stopped = async move {
        // An error means that the sender was dropped, which is how it is asked to stop.
        let _ = stopped.changed().await;
    };
    let ended = Box::pin(chronos_server::run(node, clients, Some(operators), stopped)).await;
    ended.map_err(|ended| ended.to_string())
}

/// What a node's machine is called.
pub(super) fn host_name(number: u32) -> String {
    format!("n{number}")
}

fn addresses(nodes: impl Iterator<Item = u32>, port: u16) -> String {
    nodes.map(|node| format!("{}:{port}", host_name(node))).collect::<Vec<_>>().join(",")
}

fn options(env: &Env) -> Options {
    let seed = u128::from(env.entropy.u64()) << 64 | u128::from(env.entropy.u64());
    let clock = env.clock.clone();
    let millis = move || u64::try_from(clock.wall_micros() / 1000).unwrap_or(0);
    Options { ids: Ids::seeded(seed, millis), deadline: Duration::from_secs(10), ..Options::default() }
}

fn config(number: u32) -> Config {
    let join = if number == 1 { vec![] } else { vec![format!("{}:{PEER_PORT}", host_name(1))] };
    let cluster = Membership {
        peer_listen: Some(([0, 0, 0, 0], PEER_PORT).into()),
        admin_listen: Some(([0, 0, 0, 0], ADMIN_PORT).into()),
        advertise: Some(host_name(number)),
        bootstrap: number == 1,
        plaintext_anywhere: true,
        join,
        ..Membership::default()
    };
    Config {
        data: "/data".into(),
        listen: Some(([0, 0, 0, 0], CLIENT_PORT).into()),
        segment_bytes: 32 << 20,
        cache_bytes: 8 << 20,
        cluster,
        ..Config::default()
    }
}
