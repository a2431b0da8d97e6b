//! Questions to real partitions: some of their events in parts, some in memory, some truncated.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod node;
mod questions;
