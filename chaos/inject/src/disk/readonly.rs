//! A file system that turns read-only under a running node.

use std::path::Path;

use super::Disk;
use crate::episode::Episode;
use crate::error::{Result, While};
use crate::tool::MOUNT;

impl Disk {
    /// Turns the file system read-only as the kernel does by itself when it meets an error in it: also for files that are
    /// open for writing, which an orderly remount would refuse. Every write fails with EROFS from now on.
    ///
    /// Ends with [`Disk::remount`], once the processes that use it are stopped: a file system that gave up on itself is
    /// not made writable while it is in use.
    ///
    /// # Errors
    /// If the kernel offers no way to bring it about.
    pub fn fail_read_only(&self) -> Result<()> {
        let device = Path::new(&self.device).file_name().unwrap_or_default();
        let trigger = Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error");
        // The word that is written goes into the kernel's log.
        std::fs::write(&trigger, "chronos-inject")
            .or_else(went_read_only)
            .during(|| format!("writing to {}", trigger.display()))
    }

    /// Remounts read-only in order, while no file is open for writing; healing makes it writable again.
    ///
    /// # Errors
    /// If a file is open for writing.
    pub fn remount_read_only(&self) -> Result<Episode> {
        MOUNT.on("-o remount,ro", &self.mount)?;
        let mount = self.mount.clone();
        Ok(Episode::new(format!("{} is read-only", self.mount.display()), move || {
            MOUNT.on("-o remount,rw", &mount).map(drop)
        }))
    }
}

/// Some kernels answer the order itself with the error that it causes.
fn went_read_only(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem { Ok(()) } else { Err(error) }
}
