//! Power cuts: what was not synced is gone, on one disk or on many at the same moment.
//!
//! The file system is shut down without writing its log. From then on every call fails, as nothing happens any more on a
//! machine without power; the processes are to be killed, and the disk mounted again.

use std::path::Path;

use super::Disk;
use crate::error::{Error, Result};
use crate::shim::FS_SHUTDOWN;
use crate::tool::Tool;

/// A power cut that happened; [`Disk::remount`] ends it on one disk, after the processes that use it were killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Disks that lost power.
    pub disks: usize,
    /// Microseconds from before the first to after the last: a few thousand, unless the machine is busy. Who needs them at
    /// once looks here.
    pub within_us: u64,
}

/// Cuts the power of all of `disks`, within microseconds of each other.
pub(crate) fn cut(disks: &[&Disk], cache: &Path) -> Result<Cut> {
    if disks.is_empty() {
        return Err(Error::Unfit("a power cut of no disk".into()));
    }
    let program = FS_SHUTDOWN.build(cache)?;
    const SHUTDOWN: Tool = Tool { program: "sh", package: "dash" };
    let mut command = SHUTDOWN.command();
    command.args(["-c", "exec \"$@\"", "sh"]).arg(program).args(disks.iter().map(|disk| disk.mount_point()));
    let said = SHUTDOWN.finish(&mut command)?;
    let within_us =
        said.trim().parse().map_err(|_| Error::Unfit(format!("a power cut that took {said:?} µs")))?;
    Ok(Cut { disks: disks.len(), within_us })
}
