//! A disk of its own for one node: an ext4 file system in an image, which can lose power, fill up, turn read-only, stall,
//! and rot.
//!
//! The node's files lie in one directory of it; beside that directory there is room for what a fault needs (the ballast
//! of a full disk). Only processes that enter no mount namespace of their own may use it: a private copy of a mount
//! keeps the file system alive, and a shut-down file system that is alive stays shut down.

mod extents;
mod files;
mod full;
mod power;
mod readonly;
mod rot;

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::io::Errno;

pub use files::{
    Copied, add_stranger, clone_directory, remove_file, swap_blocks, swap_files, truncate_file, wipe,
    zero_tail,
};
pub use full::Leave;
pub use power::Cut;
pub(crate) use power::cut;
pub use rot::Rotten;

use crate::episode::Episode;
use crate::error::{Error, Result, While};
use crate::pace::wait_until;
use crate::tool::{FSFREEZE, LOSETUP, MKFS, MOUNT, UMOUNT};

/// The smallest image that mkfs.ext4 makes with a journal and that leaves some room.
pub const IMAGE_BYTES_MIN: u64 = 8 << 20;
/// How long the last user of a file system may take to be gone after it was killed.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);

/// A block device as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceNumber {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// One node's disk. Removed by its ground.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
    /// The loop device, such as `/dev/loop3`.
    device: String,
    /// Held while the file system is mounted or unmounted.
    mounting: Mutex<()>,
}

impl Disk {
    /// Makes an image of `bytes` and mounts it.
    pub(crate) fn make(image: PathBuf, mount: PathBuf, bytes: u64) -> Result<Disk> {
        if bytes < IMAGE_BYTES_MIN {
            let why =
                format!("a disk of {bytes} bytes is too small: at least {IMAGE_BYTES_MIN} bytes are needed");
            return Err(Error::Unfit(why));
        }
        let file = File::create(&image).during(|| format!("making the image {}", image.display()))?;
        file.set_len(bytes).during(|| format!("giving {} its {bytes} bytes", image.display()))?;
        // No blocks kept for root (nodes run as root and would see them); no lazy work that disturbs measurements.
        MKFS.on("-q -F -m 0 -b 4096 -E lazy_itable_init=0,lazy_journal_init=0", &image)?;
        Disk::insert(image, mount)
    }

    /// Makes an image at `kept` that outlives its ground, or takes the one that is there, and mounts it.
    pub(crate) fn keep(kept: &Path, image: PathBuf, mount: PathBuf, bytes: u64) -> Result<Disk> {
        let beside = || {
            format!("naming {} also {} (both must be on one file system)", kept.display(), image.display())
        };
        if kept.exists() {
            fs::hard_link(kept, &image).during(beside)?;
            return Disk::insert(image, mount);
        }
        // The ground's own name goes with the ground. Named last, so that half an image is none.
        let disk = Disk::make(image.clone(), mount, bytes)?;
        fs::hard_link(&image, kept).during(beside)?;
        Ok(disk)
    }

    /// Mounts an image with a file system.
    fn insert(image: PathBuf, mount: PathBuf) -> Result<Disk> {
        let device = LOSETUP.on("--find --show", &image)?.trim().to_owned();
        let disk = Disk { image, mount, device, mounting: Mutex::new(()) };
        fs::create_dir_all(&disk.mount).during(|| format!("making {}", disk.mount.display()))?;
        disk.mount()?;
        fs::create_dir_all(disk.data()).during(|| format!("making {}", disk.data().display()))?;
        File::open(&disk.mount)
            .and_then(|dir| dir.sync_all())
            .during(|| format!("syncing {}", disk.mount.display()))?;
        Ok(disk)
    }

    /// The directory for the node's files.
    pub fn data(&self) -> PathBuf {
        self.mount.join("data")
    }

    /// Bytes that can still be written.
    ///
    /// # Errors
    /// If the file system does not answer.
    pub fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.mount)
            .during(|| format!("asking {} for its room", self.mount.display()))?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// Stalls the disk: from now on every write waits until the episode is healed. Reads go on.
    ///
    /// # Errors
    /// If the file system cannot be frozen.
    pub fn stall(&self) -> Result<Episode> {
        FSFREEZE.on("--freeze", &self.mount)?;
        let mount = self.mount.clone();
        Ok(Episode::new(format!("writes to {} wait", self.mount.display()), move || {
            FSFREEZE.on("--unfreeze", &mount).map(drop)
        }))
    }

    pub(crate) fn mount_point(&self) -> &Path {
        &self.mount
    }

    pub(crate) fn number(&self) -> Result<DeviceNumber> {
        let at = fs::metadata(&self.device).during(|| format!("looking at {}", self.device))?;
        let (major, minor) = (rustix::fs::major(at.rdev()), rustix::fs::minor(at.rdev()));
        Ok(DeviceNumber { major, minor })
    }

    fn mount(&self) -> Result<()> {
        MOUNT
            .run(["-t", "ext4", "-o", "errors=remount-ro", &self.device, &self.mount.to_string_lossy()])
            .map(drop)
    }

    fn unmount(&self) -> Result<()> {
        let mut outcome = Ok(String::new());
        wait_until(RELEASED_WITHIN, || {
            outcome = UMOUNT.on("", &self.mount);
            outcome.is_ok()
        });
        outcome.map(drop).map_err(|error| {
            Error::Unfit(format!("{error}; stop every process that uses {} first", self.mount.display()))
        })
    }

    /// Mounts it anew, as a machine does that starts again: what only memory knew is gone, the journal is replayed. Does so
    /// also after a power cut and after the file system went read-only by itself.
    ///
    /// # Errors
    /// If a process still uses it, also in a mount namespace of its own, or the file system is beyond repair.
    pub fn remount(&self) -> Result<()> {
        let _turn = self.mounting.lock().expect("nothing panics while it mounts");
        self.unmount()?;
        self.mount()?;
        self.check_is_new()
    }

    /// A file system that somebody still holds is given again as it was: shut down, or read-only.
    fn check_is_new(&self) -> Result<()> {
        let mark = self.mount.join("mounted");
        match fs::write(&mark, "").and_then(|()| fs::remove_file(&mark)) {
            Err(error)
                if [Errno::IO, Errno::ROFS]
                    .map(Errno::raw_os_error)
                    .map(Some)
                    .contains(&error.raw_os_error()) =>
            {
                let why = "a process in another mount namespace holds the old file system; stop it, and mount again";
                Err(Error::Unfit(format!(
                    "{} cannot be written after it was mounted: {why}",
                    self.mount.display()
                )))
            }
            // A disk that is full is another matter.
            _ => Ok(()),
        }
    }
}
