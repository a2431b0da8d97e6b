//! What can be done to processes, links, clocks and disks of this machine, and undone again.
//!
//! Knows nothing of the store it is used against.
#![deny(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "doing things to the real machine is what this crate is for")]

mod dice;
mod episode;
mod error;
mod owner;
mod pace;
mod tool;

pub use dice::Dice;
pub use episode::Episode;
pub use error::{Error, Result};
