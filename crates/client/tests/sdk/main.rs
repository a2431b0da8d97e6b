//! The SDK against a server that does what a script says.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod appends;
mod backups;
mod cluster;
mod reads;
mod routes;
mod server;
mod sessions;
