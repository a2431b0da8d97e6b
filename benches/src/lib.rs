//! Measures Chronos: what one part costs, and what a caller gets from end to end.
//!
//! `cargo bench-all` prints one JSON line for each work and set of parameters, with the conditions it was measured
//! under; nothing is claimed without them.
//!
//! ```text
//! main ─ options ─ suite ─ works/*   one module for each thing that is measured
//!                            │
//!            orders ─────────┤       the work itself: the events that are appended and read
//!            clock ──────────┤       loops that time single operations
//!            process, server┤        a node in a process of its own, and what it used
//!            cluster, etcd ──┤        several of them; and of somebody else's
//!            report ─────────┘       lines, conditions, the table
//! ```
//!
//! Invariants:
//!
//! * a work checks its result (what was acknowledged is stored, what was read is what was written) and fails rather
//!   than print a number for work that was not done;
//! * `--quick` runs the same code for a fraction of a second, so that the tests run every work;
//! * ratios are taken between things that were measured in turns, because the machine may be shared.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the real world: its clock, its disk, its threads"
)]

pub mod clock;
mod cluster;
pub mod conditions;
mod etcd;
mod files;
pub mod floor;
pub mod options;
pub mod orders;
pub mod process;
pub mod report;
pub mod server;
pub mod suite;
pub mod table;
mod works;

/// Why a work could not be measured.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
