//! The use cases over a plain node in memory.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod archive;
mod node;
mod samples;
mod states;
