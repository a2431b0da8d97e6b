//! One simulated world and its lives.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, RngSeed};

use super::net::SimPort;
use super::{Host, SimDisk, SimNet, Trace, VirtualTime};
use crate::coverage::Counts;
use crate::crash::SharedTally;
use crate::{Clock, CrashPoints, CrashTally, Entropy, Env, Net, Tasks};

/// A world grown from one seed. Clones are handles to the same world.
#[derive(Clone)]
pub struct World {
    time: VirtualTime,
    entropy: Entropy,
    disk: SimDisk,
    net: SimNet,
    crash: CrashPoints,
    tally: SharedTally,
    trace: Trace,
    rare: Counts,
    hosts: Arc<Mutex<BTreeMap<String, Host>>>,
}

/// The host of whoever asks for no host by name.
const ONLY_HOST: &str = "node";

impl World {
    /// A world at its beginning: 2026-01-01 UTC, an empty disk with power on, no faults.
    pub fn new(seed: u64) -> World {
        let time = VirtualTime::new();
        let entropy = Entropy::seeded(seed);
        let trace = Trace::new(time.clone());
        // Before anything happens, so that two seeds never share a hash however little their runs draw.
        trace.record("seed", &[seed]);
        let disk = SimDisk::in_world(entropy.child("disk"), trace.clone());
        let net = SimNet::in_world(entropy.child("net"), time.clone(), trace.clone());
        let tally = SharedTally::default();
        let crash = CrashPoints::sim(disk.clone(), tally.clone());
        World { time, entropy, disk, net, crash, tally, trace, rare: Counts::new(), hosts: Arc::default() }
    }

    /// The `Env` of the only node in this world. Each call gives random numbers of its own; disk, clock and crash
    /// points are the world's. A world with several nodes has [`World::host`]s.
    pub fn env(&self) -> Env {
        Env {
            clock: Clock::sim(self.time.clone()),
            entropy: self.entropy.child("node"),
            disk: Arc::new(self.disk.clone()),
            net: Net::sim(SimPort::new(self.net.fabric(), self.net.fabric().host(ONLY_HOST))),
            tasks: Tasks::sim(None),
            crash: self.crash.clone(),
        }
    }

    /// The machine of that name, new with an empty disk if there is none yet: for worlds with several nodes. Its name is
    /// its host name in the network.
    pub fn host(&self, name: &str) -> Host {
        let mut hosts = self.hosts.lock();
        let made = || {
            let entropy = self.entropy.child(&format!("host {name}"));
            let (time, tally) = (self.time.on_another_wall(), self.tally.clone());
            Host::new(name, entropy, time, self.trace.clone(), &self.net, tally)
        };
        hosts.entry(name.to_owned()).or_insert_with(made).clone()
    }

    /// The network between the hosts, with its faults.
    pub fn net(&self) -> SimNet {
        self.net.clone()
    }

    /// The disk of the only node, with its faults and its switch.
    pub fn disk(&self) -> SimDisk {
        self.disk.clone()
    }

    /// The world's diary.
    pub fn trace(&self) -> Trace {
        self.trace.clone()
    }

    /// How often crash points were passed, and at which of them nodes ended, on all hosts and in all their lives.
    pub fn crash_tally(&self) -> CrashTally {
        self.tally.lock().clone()
    }

    /// Which rare events have happened in this world, and how often ([`crate::coverage`]); what never did is absent.
    pub fn rare(&self) -> BTreeMap<&'static str, u64> {
        self.rare.all()
    }

    /// Cuts the disk's power at the `nth` hit of the crash point `name` from now on, counted from 1. Replaces an
    /// earlier arming.
    pub fn arm_crash(&self, name: &str, nth: u64) {
        self.crash.arm(name, nth);
    }

    /// Makes every wall clock differ from true time by this much, forwards or back, from now on; one host's alone:
    /// [`Host::set_wall_offset_micros`].
    pub fn set_wall_offset_micros(&self, micros: i64) {
        self.time.set_wall_offset(micros);
    }

    /// Virtual time since the world began, over all its lives.
    pub fn elapsed(&self) -> Duration {
        self.time.elapsed()
    }

    /// Lives one life: drives `life` to its end on this thread, with time standing still while anything can move
    /// and jumping to the next deadline when nothing can. Tasks still running at its end are dropped, as by a
    /// killed process; what they wrote is still in the disk's page cache (cut its power to lose it). Time goes on
    /// in the next life from where it stopped.
    ///
    /// # Panics
    /// Inside another runtime or another run, and with whatever `life` panics.
    pub fn run<F: Future>(&self, life: F) -> F::Output {
        let _counting = self.rare.count_here();
        let seed = self.entropy.child("tokio").u64();
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .rng_seed(RngSeed::from_bytes(&seed.to_le_bytes()))
            .build()
            .expect("a runtime without network asks nothing of the system");
        runtime.block_on(async {
            let _running = self.time.begin_run();
            life.await
        })
    }
}
