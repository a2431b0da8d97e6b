//! The simulated world: virtual time, seeded randomness, a modelled disk, one thread.
//!
//! A [`World`] is built from a seed and may live several lives: each [`World::run`] is one, and what ends a life
//! may be a return, a crash point or a power cut. Between lives the disk remembers what a disk would.
//!
//! Invariant: everything a run can observe follows from the seed and the code. Proof is the [`Trace`], a rolling
//! hash over every disk operation and every delivery of the network, with their virtual times: same seed and code, same hash. Two rules keep it so:
//! simulated code spawns only through [`crate::Tasks`], and one process runs one seed at a time if the code under
//! test keeps process-wide state.

mod disk;
mod host;
mod net;
mod time;
mod trace;
mod world;

pub use disk::{FaultPlan, Image, Repeat, SimDisk};
pub use host::Host;
pub use net::{Link, SimNet, WINDOW_BYTES};
pub(crate) use net::{SimListener, SimPort, SimStream};
pub(crate) use time::VirtualTime;
pub use trace::Trace;
pub use world::World;
