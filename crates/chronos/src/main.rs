//! `chronos`: the server and everything one does with it, in one binary.
//!
//! ```text
//! main ─ cli ─ commands/* ─┬─ ingest   many events in: lines, batches, lanes
//!                          ├─ git      a repository's history as events
//!                          ├─ demo     the show: a feed, a ledger of promises, a proof
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
mod git;
mod ingest;
mod moment;
mod operator;
mod output;
mod own_server;
mod stop_request;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
