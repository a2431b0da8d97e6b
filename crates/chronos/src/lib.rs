//! `chronos`: the server and everything one does with it, in one binary. This is all of it but `main`, so that what it reads
//! from files can be given to it by others than people.
//!
//! ```text
//! run ── cli ─ commands/* ─┬─ ingest   many events in: lines, batches, lanes
//!                          ├─ git      a repository's history as events
//!                          ├─ fleet    a cluster of one's own: processes to kill, halt, cut off, start again
//!                          ├─ demo     the show: a feed, a ledger of promises, a proof
//!                          ├─ torture  the same without mercy: faults every few seconds, and a count of what was lost
//!                          ├─ operator what operators type and read: pages of a cluster
//!                          └─ connect  the SDK, with this binary's exit codes
//! ```
//!
//! Only `commands/server.rs` runs a node; every other command is a client of one, but for `verify`, which reads a data
//! directory that no server uses.

#![expect(
    clippy::disallowed_methods,
    reason = "the command line lives outside of the simulated world: it reads real files, measures real time and \
              spawns on the real runtime"
)]

mod bench;
mod cli;
mod commands;
mod connect;
mod data_dir;
mod demo;
mod failure;
mod fleet;
mod git;
mod ingest;
mod moment;
mod offline;
mod operator;
mod output;
mod own_server;
mod stop_request;
mod table;
mod torture;

pub use cli::run;
pub use ingest::lines::Format;
pub use offline::{Line, git_history, lines};
