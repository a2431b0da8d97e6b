//! What can be done to processes, links, clocks and disks of this machine, and undone again.
//!
//! Knows nothing of the store it is used against. A [`Ground`] is the place where nodes run: each has a [`Site`] with a
//! directory, an address, a clock and limits of its own, and [`Links`] to the others. Every change of the world is a
//! verb; one that lasts gives an [`Episode`], which ends when it is healed or dropped. Verbs block, and nothing is
//! decided but by the [`Dice`] that the caller seeds.
//!
//! [`probe()`] says which of all [faults](Fault) this machine can have, and why not the others; nothing is skipped in
//! silence. [`prove`] brings one about and measures that it does what its name says.
//!
//! ```no_run
//! use chronos_inject::{Clocks, Ground, Layout, Peer, Wire};
//!
//! # fn main() -> chronos_inject::Result<()> {
//! let ground = Ground::lay(&Layout {
//!     under: "/var/tmp".into(),
//!     cache: "/var/cache/chaos".into(),
//!     nodes: 3,
//!     wire: Wire::Bridge,
//!     disk_bytes: Some(256 << 20),
//!     caged: true,
//!     clocks: Clocks::True,
//!     seed: 7,
//! })?;
//! let site = ground.site(1);
//! let mut node = site.recipe("some-server").arg("--listen").arg(site.address().to_string()).start()?;
//!
//! let alone = ground.links()?.isolate(Peer::Node(1))?;
//! // … what the others do without it …
//! alone.heal()?;
//!
//! ground.cut_power(&[1, 2, 3])?;
//! node.kill()?;
//! site.disk()?.remount()?;
//! node.start_again()?;
//! # Ok(())
//! # }
//! ```
//!
//! What is made carries its owner's process id in its name, is removed on drop, and by [`sweep()`] in a later run when
//! the owner was killed.
#![deny(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "doing things to the real machine is what this crate is for")]

mod cage;
mod clock;
mod dice;
mod disk;
mod episode;
mod error;
mod fault;
mod ground;
mod net;
mod owner;
mod pace;
mod probe;
mod process;
mod proof;
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
pub use fault::Fault;
pub use ground::{Ground, Layout, NODES_MAX, Wire};
pub use net::{Links, Namespace, Peer, Swizzle};
pub use probe::{Abilities, Ability, probe};
pub use process::Process;
pub use proof::{Bench, prove};
pub use recipe::Recipe;
pub use site::{Site, crash_at};
pub use sweep::{Swept, sweep};
pub use switch::{Quality, Switch, Traffic};
pub use syncs::SyncFailure;
