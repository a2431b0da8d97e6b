//! All targets.

mod block;
mod entry;
mod frame;
mod grpc;
mod history;
mod import;
mod manifest;
mod part;
mod raft;
mod segment;
mod snapshot;
mod sql;
mod stateful;
mod support;
mod token;
mod vote;

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::memory;

/// One decoder, or the store as a whole, under attack.
pub struct Target {
    /// What it is called on the command line, and where its seeds lie.
    pub name: &'static str,
    /// What is attacked, and what must hold, in one line.
    pub about: &'static str,
    /// The longest input that makes sense.
    pub input_bytes_max: usize,
    /// What one execution may hold of memory besides what it shares with others.
    pub memory_bytes_max: usize,
    /// How many mutations a test tries.
    pub tried_by_test: usize,
    run: fn(&[u8]),
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    warm: Once,
}

/// In the order of the list of decoders in the specification.
pub static ALL: [&Target; 14] = [
    &frame::TARGET,
    &segment::TARGET,
    &block::TARGET,
    &entry::TARGET,
    &manifest::TARGET,
    &part::TARGET,
    &vote::TARGET,
    &snapshot::TARGET,
    &raft::TARGET,
    &grpc::TARGET,
    &token::TARGET,
    &import::TARGET,
    &sql::TARGET,
    &stateful::TARGET,
];

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.into_iter().find(|target| target.name == name)
}

static OPERATIONS: AtomicU64 = AtomicU64::new(0);

/// How many operations this process has done on stores: each execution of the stateful target does several.
pub fn operations() -> u64 {
    OPERATIONS.load(Ordering::Relaxed)
}

impl Target {
    const fn new(
        name: &'static str,
        about: &'static str,
        run: fn(&[u8]),
        seeds: fn() -> Vec<Vec<u8>>,
    ) -> Target {
        Target {
            name,
            about,
            input_bytes_max: 4096,
            memory_bytes_max: 1 << 20,
            tried_by_test: 4000,
            run,
            seeds,
            warm: Once::new(),
        }
    }

    /// Runs one input. What the first one of a process prepares for all is not under the limit.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn execute(&self, input: &[u8]) {
        self.warm.call_once(|| (self.run)(&[]));
        memory::within(self.memory_bytes_max, || (self.run)(input));
    }
}
