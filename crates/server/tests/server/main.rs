//! A node over real TCP: every method of both surfaces, every refusal, restarts, damage, a full disk.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod append;
mod backup;
mod bad_input;
mod crowds;
mod damage;
mod deadlines;
mod disk;
mod limits;
mod operations;
mod operators;
mod reads;
mod served;
mod session;
mod sql;
mod upkeep;
