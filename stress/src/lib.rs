//! Soaks: a cluster of real processes under load and faults for hours or days, on one data directory.
//!
//! ```text
//!  Settings ─ seed, round ─▶ plan ─▶ chronos-chaos ─▶ history ─▶ checker ─▶ verdict ─┐
//!                                                        │                           ├─▶ ledger ─▶ report
//!                                                       tap ─▶ samples ─▶ drift ─────┘
//! ```
//!
//! A soak is a sequence of rounds. Each has a plan that is drawn from the seed and its number, a history that begins where the
//! last one ended, and a verdict. What it came to is written to the ledger before the next one begins, so that whatever ends
//! the soak (a signal, a crash, a reboot), it goes on from there.
//!
//! Invariants: every number of a report comes from the ledger or the samples; a round that has no clean verdict counts
//! nowhere; a soak goes on only with the settings that it was made with.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod disk;
pub mod drift;
pub mod ledger;
pub mod machine;
pub mod plan;
pub mod proc;
pub mod report;
pub mod results;
pub mod sample;
pub mod settings;
pub mod soak;
pub mod splice;
pub mod tap;
pub mod verdict;
pub mod view;
