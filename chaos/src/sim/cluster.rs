//! Nodes in a simulated world, each under somebody who starts it again when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronos_client::{Client, ClusterAdmin, Ids, Options};
use chronos_env::sim::{Host, SimNet, World};
use chronos_env::{Entropy, Env, sometimes};
use chronos_server::{Config, Membership, Node, Small};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::strike::{Held, Striker};
use crate::attack::cluster::{Cluster, Seat as Number, Story};
use crate::dial;
use crate::plan::{Deed, Fault, Plan};

const CLIENT_PORT: u16 = 7400;
const PEER_PORT: u16 = 7401;
const ADMIN_PORT: u16 = 7402;
/// Plans of up to so many minutes have nodes that do soon what others do after days.
const MINUTES_MAX: u64 = 60;
/// Who ended by itself is started again after so long, up to twice of it.
const RESTART_AFTER_MS: u64 = 1000;

/// A cluster in one simulated world. Clones are handles to the same one.
#[derive(Clone)]
pub(super) struct SimCluster {
    world: World,
    env: Env,
    seats: Arc<BTreeMap<Number, Seat>>,
    beat_ms: u64,
    /// What strikes at it hold in their grip now.
    held: Arc<Mutex<Held>>,
    /// How little has to gather until nodes do what they do now and then: in most runs less than usual.
    small: Option<Small>,
}

/// The place of one node.
struct Seat {
    host: Host,
    is_wanted: watch::Sender<bool>,
    /// Dropped to have the process that runs stop in order.
    stop: Mutex<Option<watch::Sender<()>>>,
    story: Mutex<Story>,
}

/// Why a process ended that nobody killed or stopped.
enum Ended {
    /// While it started.
    Stillborn(String),
    /// Later.
    Faulted(String),
}

impl SimCluster {
    /// Where a node has its data.
    pub(super) const DATA: &str = "/data";

    /// The cluster of a plan, no node of which runs.
    pub(super) fn new(world: &World, plan: &Plan) -> SimCluster {
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
        let seats = Arc::new((1..=plan.nodes).map(seat).collect());
        let small = draw_small(&env.entropy.child("small"), plan);
        let cluster = SimCluster {
            world: world.clone(),
            env,
            seats,
            beat_ms: plan.beats.raft_ms,
            small,
            held: Arc::default(),
        };
        for number in cluster.all() {
            let keeper = cluster.clone();
            drop(cluster.env.tasks.spawn("keeper", async move { keeper.keep(number).await }));
        }
        cluster
    }

    pub(super) fn host(&self, number: Number) -> &Host {
        &self.seats[&number].host
    }

    pub(super) fn net(&self) -> SimNet {
        self.world.net()
    }

    /// Kills a node's process, which stays dead until it is started.
    pub(super) fn kill_now(&self, number: Number) {
        let seat = &self.seats[&number];
        seat.is_wanted.send_replace(false);
        seat.host.kill();
        sometimes!("run.all_nodes_down", self.seats.values().all(|seat| !*seat.is_wanted.borrow()));
    }

    /// Cuts a node's power.
    pub(super) fn cut_power(&self, number: Number) {
        self.host(number).disk().power_off();
        self.kill_now(number);
    }

    /// A node that founds a cluster, if it is the first and there is none, and joins otherwise.
    fn config(&self, number: Number) -> Config {
        let others = self.all().into_iter().filter(|other| *other != number);
        let join = others.map(|other| format!("{}:{PEER_PORT}", host_name(other))).collect();
        let cluster = Membership {
            peer_listen: Some(([0, 0, 0, 0], PEER_PORT).into()),
            admin_listen: Some(([0, 0, 0, 0], ADMIN_PORT).into()),
            advertise: Some(host_name(number)),
            bootstrap: number == 1,
            plaintext_anywhere: true,
            join,
            beat_ms: self.beat_ms,
            ..Membership::default()
        };
        Config {
            data: SimCluster::DATA.into(),
            listen: Some(([0, 0, 0, 0], CLIENT_PORT).into()),
            segment_bytes: 32 << 20,
            cache_bytes: 8 << 20,
            cluster,
            small: self.small,
            ..Config::default()
        }
    }

    /// Starts a node's process whenever it is wanted and none runs.
    async fn keep(&self, number: Number) {
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
    async fn live(&self, number: Number) {
        let seat = &self.seats[&number];
        let (stop, stopped) = watch::channel(());
        *seat.stop.lock() = Some(stop);
        {
            let mut story = seat.story.lock();
            story.lives += 1;
            story.is_running = true;
        }
        let env = seat.host.env();
        let process = env.tasks.clone().spawn("node", process(env, self.config(number), stopped));
        let end = process.await;
        if seat.host.disk().is_off() {
            // It met a crash point: the machine is down with it.
            seat.is_wanted.send_replace(false);
        }
        // Whatever it had started ends with it.
        seat.host.kill();
        let mut story = seat.story.lock();
        story.is_running = false;
        match end {
            Ok(Err(Ended::Stillborn(why))) => {
                sometimes!("run.node_did_not_start");
                story.stillborn += 1;
                story.ends.push(why);
            }
            Ok(Err(Ended::Faulted(why))) => {
                sometimes!("run.node_ended_by_itself");
                story.stillborn = 0;
                story.ends.push(why);
            }
            // It was stopped, or killed: whoever did that knows why.
            Ok(Ok(())) | Err(_) => story.stillborn = 0,
        }
    }
}

impl Cluster for SimCluster {
    fn seats(&self) -> u32 {
        self.seats.len() as u32
    }

    fn env(&self) -> &Env {
        &self.env
    }

    fn seat_at(&self, address: &str) -> Option<Number> {
        let (host, _) = address.rsplit_once(':')?;
        self.all().into_iter().find(|number| host_name(*number) == host)
    }

    fn client(&self, machine: &str, seats: &[Number]) -> (Env, Client) {
        let env = self.world.host(machine).env();
        let client = dial::client(&env, &addresses(seats, CLIENT_PORT), options(&env));
        (env, client.expect("the addresses of nodes are addresses"))
    }

    fn client_of(&self, seat: Number) -> Client {
        let env = self.world.host("judge").env();
        dial::only(&env, &addresses(&[seat], CLIENT_PORT), options(&env))
    }

    fn operator(&self, seat: Number) -> ClusterAdmin {
        let options = Options { deadline: Duration::from_secs(5), ..options(&self.env) };
        dial::operator(&self.env, &addresses(&[seat], ADMIN_PORT), options)
    }

    fn story(&self, seat: Number) -> Story {
        self.seats[&seat].story.lock().clone()
    }

    fn start(&self, seat: Number) {
        let seat = &self.seats[&seat];
        if seat.host.disk().is_off() {
            seat.host.disk().power_on();
        }
        seat.is_wanted.send_replace(true);
    }

    async fn kill(&self, seat: Number) {
        self.kill_now(seat);
    }

    async fn stop(&self, seat: Number) {
        let seat = &self.seats[&seat];
        seat.is_wanted.send_replace(false);
        seat.stop.lock().take();
        while seat.story.lock().is_running {
            self.wait(Duration::from_millis(10)).await;
        }
    }

    async fn empty(&self, seat: Number) {
        // An empty disk has nothing to remove.
        let _ = self.host(seat).disk().damage_remove(SimCluster::DATA.as_ref());
    }

    async fn strike(
        &self,
        fault: &Fault,
        seats: &[Number],
        lasts: Duration,
        dice: &Entropy,
    ) -> Result<(), String> {
        Striker::new(self.clone(), self.held.clone()).strike(fault, seats, lasts, dice).await
    }
}

/// A node from its start to its end, which is an error when nobody asked for it.
async fn process(env: Env, config: Config, mut stopped: watch::Receiver<()>) -> Result<(), Ended> {
    let stillborn = |why: String| Ended::Stillborn(format!("did not start: {why}"));
    let node = Node::start(env.clone(), &config).await.map_err(|error| stillborn(error.to_string()))?;
    let listen = async |port| env.net.listen(&format!("0.0.0.0:{port}")).await;
    let clients = listen(CLIENT_PORT).await.map_err(|error| stillborn(error.to_string()))?;
    let operators = listen(ADMIN_PORT).await.map_err(|error| stillborn(error.to_string()))?;
    let stopped = async move {
        // An error means that the sender was dropped, which is how it is asked to stop.
        let _ = stopped.changed().await;
    };
    let ended = Box::pin(chronos_server::run(node, clients, Some(operators), stopped)).await;
    ended.map_err(|ended| Ended::Faulted(ended.to_string()))
}

/// What a node's machine is called.
pub(super) fn host_name(number: Number) -> String {
    format!("n{number}")
}

fn addresses(seats: &[Number], port: u16) -> String {
    seats.iter().map(|seat| format!("{}:{port}", host_name(*seat))).collect::<Vec<_>>().join(",")
}

fn options(env: &Env) -> Options {
    let seed = u128::from(env.entropy.u64()) << 64 | u128::from(env.entropy.u64());
    let clock = env.clock.clone();
    let millis = move || u64::try_from(clock.wall_micros() / 1000).unwrap_or(0);
    Options { ids: Ids::seeded(seed, millis), deadline: Duration::from_secs(10), ..Options::default() }
}
/// In most runs so little that parts are made, logs are purged, and log files are used up all the time.
fn draw_small(dice: &Entropy, plan: &Plan) -> Option<Small> {
    let is_large = plan.load.mix.iter().any(|(deed, weight)| *deed == Deed::AppendLarge && *weight > 0);
    // What waits at one moment becomes one entry: of all clients of a plan a few KiB, or a little more than two large events.
    let segment_bytes = if is_large { 6 << 20 } else { 512 << 10 } << dice.below(3);
    let draw = || Small {
        cut_events: up_to_many(dice, 256),
        entries_kept: up_to_many(dice, 256),
        segment_bytes,
        wal_segments_max: 2 + dice.below(6),
        compaction_bytes_per_second: 4096 << dice.below(9),
    };
    (dice.below(4) > 0 && plan.seconds <= MINUTES_MAX * 60).then(draw)
}

/// From 2 on: as often one of few as one of many.
fn up_to_many(dice: &Entropy, many: u64) -> u64 {
    2 + dice.below(1 << (1 + dice.below(u64::from(many.ilog2()))))
}
