//! What can be done to processes, links, clocks and disks of this machine, and undone again.
//!
//! Knows nothing of the store it is used against.
#![deny(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "doing things to the real machine is what this crate is for")]

mod cage;
mod clock;
mod dice;
mod disk;
mod episode;
mod error;
mod ground;
mod net;
mod owner;
mod pace;
mod process;
mod recipe;
mod shim;
mod site;
mod sweep;
mod switch;
mod syncs;
mod tool;

pub use cage::DiskRate;
pub use clock::{Clock, Clocks, Reading};
pub use dice::Dice;
pub use disk::{
    Copied, Cut, Disk, IMAGE_BYTES_MIN, Leave, Rotten, add_stranger, clone_directory, remove_file,
    swap_blocks, swap_files, truncate_file, wipe, zero_tail,
};
pub use episode::Episode;
pub use error::{Error, Result};
pub use ground::{Ground, Layout, NODES_MAX, Wire};
pub use net::{Links, Namespace, Peer, Swizzle};
pub use process::Process;
pub use recipe::Recipe;
pub use site::{Site, crash_at};
pub use sweep::{Swept, sweep};
pub use switch::{Quality, Switch, Traffic};
pub use syncs::SyncFailure;
