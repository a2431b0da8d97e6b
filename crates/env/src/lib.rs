//! The one door through which Chronos meets the world: clock, randomness, disk, network, tasks,
//! crash points and marks of rare events.
//!
//! Every other crate takes an [`Env`] and asks it for the time, a random number, a file or a thread. Nothing else
//! in the workspace may call the standard library for those (`clippy.toml` says so, and this crate is the only one
//! with an exemption). That single rule buys two things:
//!
//! * **A whole node runs inside one deterministic simulation.** [`sim::World`] hands out an `Env` whose time is
//!   virtual, whose randomness grows from one seed, whose disk is a model that may lie, tear and rot, and whose
//!   tasks share one thread. The same seed gives the same run, down to the hash of its [`sim::Trace`].
//! * **Every promise about durability is written once**, as the contract of [`Disk`] and [`File`], and
//!   [`disk_contract`] checks both implementations against it.
//!
//! # What the simulated disk models
//!
//! Page cache against medium: a write is visible at once and durable after [`File::sync_data`]; a name is durable
//! after [`Disk::sync_dir`] of its directory. A power cut keeps any subset of what was not synced: whole 4 KiB
//! blocks, or blocks torn at 512-byte sectors, lengths and names on their own terms. Further: failing syncs that
//! drop what was dirty, syncs that lie, a full disk, a read-only disk, unreadable files, writes that land at
//! another offset, bit rot, files shortened, lost or exchanged behind our back. See [`sim::SimDisk`].
//!
//! # What it does not model
//!
//! Latency (disk calls block, so they take no virtual time), short reads and writes (the traits hide them), hard
//! and symbolic links, permissions, running out of file handles, and any ordering a particular file system happens
//! to give beyond the contract. What the simulated network models is said at [`sim::SimNet`].

#![forbid(unsafe_code)]
#![deny(missing_docs)]

// rustdoc is run without the flags of .cargo/config.toml, on code that was compiled with them.
#[cfg(not(any(tokio_unstable, doc, doctest)))]
compile_error!(
    "chronos-env needs `--cfg tokio_unstable` (set in .cargo/config.toml): without it tokio's own random choices \
     cannot be seeded and a simulation would not repeat. An environment RUSTFLAGS replaces that file: unset it"
);

mod clock;
pub mod coverage;
mod crash;
pub mod disk;
pub mod disk_contract;
mod entropy;
pub mod files;
mod net;
pub mod net_contract;
pub mod sim;
mod tasks;

use std::sync::Arc;

pub use clock::{Clock, Elapsed};
pub use crash::{CrashPoints, CrashTally};
pub use disk::{Disk, Entry, EntryKind, File, Lock, OpenMode, PathError, PowerLost};
pub use entropy::Entropy;
pub use net::{Connection, Listener, Net};
pub use tasks::{Died, Task, Tasks};

/// Everything a node may ask of the world. Clones share the same world.
#[derive(Clone)]
pub struct Env {
    /// What time it is, and waiting.
    pub clock: Clock,
    /// Random numbers, as a tree of named generators.
    pub entropy: Entropy,
    /// Files and directories.
    pub disk: Arc<dyn Disk>,
    /// Connections to other machines.
    pub net: Net,
    /// Spawning.
    pub tasks: Tasks,
    /// Named places at which a test may let the node die.
    pub crash: CrashPoints,
}

impl Env {
    /// The machine this process runs on.
    ///
    /// Reads `CHRONOS_CRASH_AT=name:n`, which makes the process abort at the n-th hit of that crash point.
    ///
    /// # Panics
    /// If `CHRONOS_CRASH_AT` is set and is not of that form: a crash test that does not crash proves nothing.
    pub fn real() -> Env {
        Env {
            clock: Clock::real(),
            entropy: Entropy::real(),
            disk: Arc::new(disk::RealDisk::new()),
            net: Net::real(),
            tasks: Tasks::real(),
            crash: CrashPoints::real(),
        }
    }
}
