//! Nodes of this machine, each under somebody who starts it again when it ends.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chronos_client::{Client, ClusterAdmin, Ids, Options};
use chronos_env::{Entropy, Env};
use chronos_inject::{Ground, Recipe, Site};
use parking_lot::Mutex;

use super::blocking;
use super::seat::Seat;
use super::settings::NodeLook;
use super::strike::{Held, Striker, Turns};
use crate::attack::cluster::{Cluster, Seat as Number, Story};
use crate::dial;
use crate::plan::Fault;

const CLIENT_PORT: u16 = 7400;
const PEER_PORT: u16 = 7401;
const ADMIN_PORT: u16 = 7402;
/// The smallest there are, so that runs of minutes fill several.
const SEGMENT_BYTES: u64 = 32 << 20;

/// A cluster of processes. Clones are handles to the same one; dropping the last one ends it and takes its ground away.
#[derive(Clone)]
pub(super) struct RealCluster(Arc<Inner>);

struct Inner {
    env: Env,
    // Before the ground: no process writes into what is being removed.
    seats: BTreeMap<Number, Seat>,
    held: Mutex<Held>,
    turns: Turns,
    ground: Ground,
}

impl RealCluster {
    /// A cluster on a ground, none of whose nodes runs. To be called inside the runtime that it lives in.
    pub(super) fn new(env: Env, ground: Ground, binary: &Path, logs: &Path) -> RealCluster {
        let recipe = |site: &Site| recipe(site, ground.sites(), binary);
        let seat = |site: &Site| {
            let number = Number::from(site.number());
            (number, Seat::new(recipe(site), logs, format!("n{number}")))
        };
        let seats: BTreeMap<_, _> = ground.sites().iter().map(seat).collect();
        let turns = Turns::new(seats.keys().copied());
        let inner = Inner { env, seats, held: Mutex::default(), turns, ground };
        let cluster = RealCluster(Arc::new(inner));
        for number in cluster.all() {
            let keeper = cluster.clone();
            let keep = async move {
                let env = &keeper.0.env;
                keeper.seat(number).keep(&env.clock, &env.entropy.child("keeper")).await;
            };
            drop(cluster.0.env.tasks.spawn("keeper", keep));
        }
        cluster
    }

    pub(super) fn seat(&self, number: Number) -> &Seat {
        &self.0.seats[&number]
    }

    pub(super) fn held(&self) -> &Mutex<Held> {
        &self.0.held
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.0.ground
    }

    pub(super) fn site(&self, number: Number) -> &Site {
        self.0.ground.site(u8::try_from(number).expect("a ground has less than 100 nodes"))
    }

    /// How every node stands now.
    pub(super) fn look(&self) -> Vec<NodeLook> {
        let look = |seat: Number| {
            let story = self.story(seat);
            NodeLook {
                seat,
                pid: self.seat(seat).pid(),
                data: self.site(seat).data().to_owned(),
                lives: story.lives,
                ends: story.ends.len() as u64,
            }
        };
        self.all().into_iter().map(look).collect()
    }

    fn addresses(&self, seats: &[Number], port: u16) -> String {
        let address = |seat: &Number| format!("{}:{port}", self.site(*seat).address());
        seats.iter().map(address).collect::<Vec<_>>().join(",")
    }
}

impl Cluster for RealCluster {
    fn seats(&self) -> u32 {
        self.0.seats.len() as u32
    }

    fn env(&self) -> &Env {
        &self.0.env
    }

    fn seat_at(&self, address: &str) -> Option<Number> {
        let (host, _) = address.rsplit_once(':')?;
        let host: Ipv4Addr = host.parse().ok()?;
        self.all().into_iter().find(|seat| self.site(*seat).address() == host)
    }

    fn client(&self, machine: &str, seats: &[Number]) -> (Env, Client) {
        let env = Env { entropy: self.0.env.entropy.child(machine), ..self.0.env.clone() };
        let client = Client::connect_with(&self.addresses(seats, CLIENT_PORT), options(&env));
        (env, client.expect("the addresses of nodes are addresses"))
    }

    fn client_of(&self, seat: Number) -> Client {
        dial::only(&self.0.env, &self.addresses(&[seat], CLIENT_PORT), options(&self.0.env))
    }

    fn operator(&self, seat: Number) -> ClusterAdmin {
        let options = Options { deadline: Duration::from_secs(5), ..options(&self.0.env) };
        let operator = ClusterAdmin::connect_with(&self.addresses(&[seat], ADMIN_PORT), options);
        operator.expect("the address of a node is one")
    }

    fn story(&self, seat: Number) -> Story {
        self.seat(seat).story()
    }

    fn start(&self, seat: Number) {
        self.seat(seat).want();
    }

    async fn kill(&self, seat: Number) {
        if let Err(error) = self.seat(seat).kill().await {
            eprintln!("chaos: n{seat}: {error}");
        }
    }

    async fn stop(&self, seat: Number) {
        self.seat(seat).stop(&self.0.env.clock).await;
    }

    async fn empty(&self, seat: Number) {
        let data = self.site(seat).data().to_owned();
        if let Err(error) = blocking(move || chronos_inject::wipe(&data)).await {
            // The next round of whoever wanted it tries again.
            eprintln!("chaos: n{seat}: {error}");
        }
    }

    async fn strike(
        &self,
        fault: &Fault,
        seats: &[Number],
        lasts: Duration,
        dice: &Entropy,
    ) -> Result<(), String> {
        Striker::new(self.clone()).strike(fault, seats, lasts, dice).await
    }
}

fn options(env: &Env) -> Options {
    let seed = u128::from(env.entropy.u64()) << 64 | u128::from(env.entropy.u64());
    let clock = env.clock.clone();
    let millis = move || u64::try_from(clock.wall_micros() / 1000).unwrap_or(0);
    Options { ids: Ids::seeded(seed, millis), deadline: Duration::from_secs(10), ..Options::default() }
}

/// A node that founds a cluster, if it is the first and there is none, and joins otherwise.
fn recipe(site: &Site, all: &[Site], binary: &Path) -> Recipe {
    let here = |port: u16| format!("{}:{port}", site.address());
    let others: Vec<String> = all
        .iter()
        .filter(|other| other.number() != site.number())
        .map(|other| format!("{}:{PEER_PORT}", other.address()))
        .collect();
    let mut recipe = site.recipe(binary).arg("server").arg("--data").arg(site.data());
    recipe = recipe.args(["--listen", &here(CLIENT_PORT), "--peer-listen", &here(PEER_PORT)]);
    recipe = recipe.args(["--admin-listen", &here(ADMIN_PORT), "--plaintext-anywhere"]);
    recipe = recipe.args(["--segment-bytes", &SEGMENT_BYTES.to_string()]);
    if !others.is_empty() {
        recipe = recipe.args(["--join", &others.join(",")]);
    }
    if site.number() == 1 { recipe.arg("--bootstrap") } else { recipe }
}
