//! Attacks on a cluster, simulated and real: one plan, one load, one history for both.
//!
//! ```text
//!  Plan ─┬─ Load ──── workload ── SDK ──┐
//!        │              │               ├── a cluster: simulated (`sim`) or of processes
//!        └─ episodes ── nemesis ────────┘
//!                       │
//!                    history ── checker
//! ```
//!
//! A plan is *within the atlas* when the disk of one node only is harmed: of everything there stays a good copy, so nothing
//! may be lost, and in the end everything has to be served. A plan *beyond the atlas* harms the disks of any nodes, also all
//! copies of the same thing: then the cluster may refuse what it cannot know any more, for ever, and must not lie; whatever
//! was acknowledged or read is held against whatever else was. Not even such a plan wipes disks, sets them back or lets them
//! forget: where that happens to a majority, nothing that is left says that there was more.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod attack;
pub mod bugs;
pub mod campaign;
pub mod coverage;
mod dial;
pub mod plan;
pub mod plan_file;
mod profile;
pub mod real;
mod seeds;
pub mod shrink;
pub mod sim;
pub mod trial;
mod workload;

pub use attack::{Ending, Outcome, Skipped, Window};
pub use coverage::Coverage;
pub use profile::Profile;
pub use seeds::{Error as SeedsError, Seeds};
pub use workload::{Origin, Tally};

/// The names of the places in the product at which a crash can be met.
pub fn crash_points() -> impl Iterator<Item = &'static str> {
    let wal = chronos_wal::CRASH_POINTS.iter();
    let parts = chronos_parts::CRASH_POINTS.iter().chain(chronos_parts::EXCHANGE_CRASH_POINTS);
    let store = chronos_store::CRASH_POINTS.iter().chain(&chronos_store::backup::ARRIVAL_CRASH_POINTS);
    wal.chain(parts).chain(store).chain(chronos_cluster::CRASH_POINTS).copied()
}
