//! The write-ahead log from outside: every promise of the crate's front page, on a simulated disk that may lie,
//! tear, rot, fill up and fail, and once on a real one.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod crash;
mod damage;
mod everyday;
mod faults;
mod harness;
mod kill;
mod model;
mod resetting;
