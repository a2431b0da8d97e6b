//! Questions to real partitions: some of their events in parts, some in memory, some truncated.

mod node;
mod questions;
