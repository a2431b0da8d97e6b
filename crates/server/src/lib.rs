//! The composition root: one node, served over gRPC and HTTP on one port.
//!
//! ```text
//!  gRPC ── grpc ─┐                                   ┌─ cluster::Groups ─ wal
//!                ├─ Edge ─ app (use cases) ─ Engine ─┤
//!  HTTP ── http ─┘   │                               └─ store::Partition
//!                    └─ metrics, deadlines, ids
//! ```
//!
//! Handlers decode, ask `app`, encode. No rule of the store is decided here; what *is* decided here is what a caller
//! may cost ([`Limits`]), how long it may take, and how an outcome looks on the wire.
//!
//! Invariants:
//!
//! * an acknowledgement leaves only after `app` gave it;
//! * every error leaves with its class and its reason, whatever the surface;
//! * memory for one caller is bounded: by message, by append session, by page, by send buffer.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod acquaintance;
mod admin;
mod backup;
mod config;
mod edge;
mod engine;
mod grpc;
mod http;
mod limits;
mod lookout;
mod metrics;
mod node;
mod operator;
mod pages;
mod placement;
mod query;
mod run;
mod seating;
mod serve;
mod stats;
pub mod telemetry;

pub use config::{
    Compaction, Config, DEFAULT_ADMIN_PORT, DEFAULT_PEER_PORT, DEFAULT_PORT, Invalid, Membership, Partitions,
    Scrub, Small, Tls,
};
pub use engine::Engine;
pub use limits::Limits;
pub use node::{Node, RELEASE, StartError};
pub use run::{Ended, run};
pub use seating::{Recalled, recall};
pub use serve::{serve, serve_admin};
