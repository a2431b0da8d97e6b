//! The whole cluster, SDK included, on one thread in virtual time.
//!
//! Nodes are the product's own code from the gRPC services down to the disk calls, clients are the SDK; swapped are clock,
//! network, disk and entropy (see [`chronos_env::sim`]). Not in here, and tested over real processes: TLS between nodes, the
//! command line, signals, the kernel's page cache and its TCP, threads.
//!
//! Invariant: a run follows from its plan and the code, down to the hash of its trace.

mod cluster;
#[cfg(test)]
mod rounds;
mod run;
mod strike;

pub use run::{Report, run};
