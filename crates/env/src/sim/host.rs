//! A machine in a world with several: a disk, a name in the network, and one process at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::net::{HostId, SimPort};
use super::{SimDisk, SimNet, Trace, VirtualTime};
use crate::crash::SharedTally;
use crate::tasks::Running;
use crate::{Clock, CrashPoints, Entropy, Env, Net, Tasks};

/// A machine. Clones are handles to the same one; get it from [`World::host`](super::World::host).
#[derive(Clone)]
pub struct Host {
    name: Arc<str>,
    id: HostId,
    entropy: Entropy,
    time: VirtualTime,
    disk: SimDisk,
    net: SimNet,
    process: Arc<Mutex<Process>>,
    tally: SharedTally,
}

struct Process {
    running: Running,
    crash: CrashPoints,
}

impl Host {
    pub(super) fn new(
        name: &str,
        entropy: Entropy,
        time: VirtualTime,
        trace: Trace,
        net: &SimNet,
        tally: SharedTally,
    ) -> Host {
        let disk = SimDisk::in_world(entropy.child("disk"), trace);
        let process = Process::new(&disk, &tally);
        Host {
            name: name.into(),
            id: net.fabric().host(name),
            entropy,
            time,
            disk,
            net: net.clone(),
            process: Arc::new(Mutex::new(process)),
            tally,
        }
    }

    /// The name of this machine, by which others connect to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `Env` of the process that runs here now, with random numbers of its own.
    pub fn env(&self) -> Env {
        let process = self.process.lock();
        Env {
            clock: Clock::sim(self.time.clone()),
            entropy: self.entropy.child("node"),
            disk: Arc::new(self.disk.clone()),
            net: Net::sim(SimPort::new(self.net.fabric(), self.id)),
            tasks: Tasks::sim(Some(process.running.clone())),
            crash: process.crash.clone(),
        }
    }

    /// The disk of this machine, with its faults and its switch.
    pub fn disk(&self) -> SimDisk {
        self.disk.clone()
    }

    /// Makes this machine's wall clock differ from the others' by this much, forwards or back, from now on, also in its next
    /// lives.
    pub fn set_wall_offset_micros(&self, micros: i64) {
        self.time.set_wrong_by(micros);
    }

    /// Cuts the power of this machine's disk at the `nth` hit of the crash point `name` from now on, counted from 1, also in
    /// the next lives. Replaces an earlier arming.
    pub fn arm_crash(&self, name: &str, nth: u64) {
        self.process.lock().crash.arm(name, nth);
    }

    /// No crash point cuts the power any more.
    pub fn disarm_crash(&self) {
        self.process.lock().crash.disarm();
    }

    /// Whether a crash point is still to be met.
    pub fn awaits_crash(&self) -> bool {
        self.process.lock().crash.is_armed()
    }

    /// How often each crash point was passed by the present process.
    pub fn crash_hits(&self) -> BTreeMap<&'static str, u64> {
        self.process.lock().crash.hits()
    }

    /// Stops the process where it is, as SIGSTOP does: none of its tasks takes another step. The machine goes on: connections
    /// to it are made, what is sent to it arrives, and its clocks run.
    pub fn pause(&self) {
        self.process.lock().running.pause();
    }

    /// Lets a paused process go on, as SIGCONT does.
    pub fn resume(&self) {
        self.process.lock().running.resume();
    }

    /// Kills the process, as SIGKILL does: its tasks take no further step, its connections are reset, nobody listens any
    /// more, its handles to the network are dead. What it wrote is in the disk's page cache. From now on
    /// [`Host::env`] is the next process. A task that kills its own host ends at its next await point.
    pub fn kill(&self) {
        let mut process = self.process.lock();
        process.running.kill();
        self.net.fabric().kill(self.id);
        let next = Process::new(&self.disk, &self.tally);
        next.crash.go_on_from(&process.crash);
        *process = next;
    }
}

impl Process {
    fn new(disk: &SimDisk, tally: &SharedTally) -> Process {
        Process { running: Running::default(), crash: CrashPoints::sim(disk.clone(), tally.clone()) }
    }
}
