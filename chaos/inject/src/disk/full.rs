//! A full disk, by a ballast file beside the node's data.

use std::fs::{self, File};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::Disk;
use crate::episode::Episode;
use crate::error::{Error, Result, While};

/// The step in which the last bytes are taken.
const STEP_BYTES_MIN: u64 = 4096;

/// How much of a disk is left free when it is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Not one block.
    Nothing,
    /// About this many bytes, rounded up to blocks.
    Bytes(u64),
}

impl Disk {
    /// Fills the disk, so that writes that need new room fail with ENOSPC. Healing gives the room back.
    ///
    /// # Errors
    /// If it is filled already, or cannot be.
    pub fn fill(&self, leave: Leave) -> Result<Episode> {
        let path = self.mount_point().join("ballast");
        let filling = || format!("filling {}", self.mount_point().display());
        let ballast = File::options().write(true).create_new(true).open(&path).during(filling)?;
        let episode = Episode::new(format!("{} is full", self.mount_point().display()), move || {
            fs::remove_file(&path).during(|| format!("removing the ballast {}", path.display()))
        });
        match leave {
            Leave::Nothing => fill_up(&ballast, self.free_bytes()?).during(filling)?,
            Leave::Bytes(bytes) => {
                let ballast_bytes = self.free_bytes()?.saturating_sub(bytes);
                if ballast_bytes == 0 {
                    let why = format!("{} has not {bytes} bytes left", self.mount_point().display());
                    return Err(Error::Unfit(why));
                }
                fallocate(&ballast, FallocateFlags::empty(), 0, ballast_bytes).during(filling)?;
            }
        }
        // Room that is only promised would be lost with the power.
        ballast.sync_all().during(filling)?;
        Ok(episode)
    }
}

/// Takes room in ever smaller steps until there is none: the file system needs some for its own notes on the way.
fn fill_up(ballast: &File, free_bytes: u64) -> Result<(), Errno> {
    let mut taken = 0;
    let mut step = free_bytes.next_power_of_two();
    while step >= STEP_BYTES_MIN {
        match fallocate(ballast, FallocateFlags::empty(), taken, step) {
            Ok(()) => taken += step,
            Err(Errno::NOSPC) => step /= 2,
            Err(other) => return Err(other),
        }
    }
    Ok(())
}
