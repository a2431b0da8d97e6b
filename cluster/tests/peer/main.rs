//! The transport between nodes. Over the simulated network: what may break and what must hold. Over real loopback: who is
//! let in, with TLS and without.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod bounds;
mod bulk;
mod chaos;
mod copies;
mod damage;
mod doors;
mod faults;
mod joining;
mod loopback;
mod node;
mod speed;
mod strangers;
mod talk;
mod tls;
