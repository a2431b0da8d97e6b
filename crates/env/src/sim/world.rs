//! One simulated world and its lives.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, RngSeed};

use super::{SimDisk, Trace, VirtualTime};
use crate::{Clock, CrashPoints, Entropy, Env, Tasks};

/// A world grown from one seed. Clones are handles to the same world.
#[derive(Clone)]
pub struct World {
    time: VirtualTime,
    entropy: Entropy,
    disk: SimDisk,
    crash: CrashPoints,
    trace: Trace,
}

impl World {
    /// A world at its beginning: 2026-01-01 UTC, an empty disk with power on, no faults.
    pub fn new(seed: u64) -> World {
        let time = VirtualTime::new();
        let entropy = Entropy::seeded(seed);
        let trace = Trace::new(time.clone());
        // Before anything happens, so that two seeds never share a hash however little their runs draw.
        trace.record("seed", &[seed]);
        let disk = SimDisk::in_world(entropy.child("disk"), trace.clone());
        let crash = CrashPoints::sim(disk.clone());
        World { time, entropy, disk, crash, trace }
    }

    /// The `Env` of a node in this world. Each call gives a node with random numbers of its own; disk, clock and
    /// crash points are the world's.
    pub fn env(&self) -> Env {
        Env {
            clock: Clock::sim(self.time.clone()),
            entropy: self.entropy.child("node"),
            disk: Arc::new(self.disk.clone()),
            tasks: Tasks::sim(),
            crash: self.crash.clone(),
        }
    }

    /// The disk, with its faults and its switch.
    pub fn disk(&self) -> SimDisk {
        self.disk.clone()
    }

    /// The world's diary.
    pub fn trace(&self) -> Trace {
        self.trace.clone()
    }

    /// Cuts the disk's power at the `nth` hit of the crash point `name` from now on, counted from 1. Replaces an
    /// earlier arming.
    pub fn arm_crash(&self, name: &str, nth: u64) {
        self.crash.arm(name, nth);
    }

    /// Makes the wall clock differ from true time by this much, forwards or back, from now on.
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
